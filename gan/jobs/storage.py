"""Keeps the folder runs/ within its limits: jobs, imported models and uploads of visitors.

Only these are counted and deleted, not sweeps and models that someone builds there from the command line.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from gan.errors import ConfigError
from gan.jobs import folder as job_folder
from gan.jobs.folder import Table, bytes_of
from gan.jobs.limits import UPLOADS, Limits
from gan.runs import run

_DAY = 86_400.0
_RECENT_SECONDS = 60.0
_IMPORTS = "import-*"


class Storage:
    """Of one folder. If there is too much, deletes in this order: jobs without any update; uploads and imports
    that are a day old and that no job needs; snapshots of finished jobs; stopped and failed jobs after a
    day; finished jobs after a day. Of each kind the oldest first; nothing of a job that is active or ended
    within the last minute."""

    def __init__(self, runs: Path, limits: Limits, table: Table) -> None:
        self._runs, self._limits, self._table = runs, limits, table

    def make_room(self, keep: Collection[str] = ()) -> None:
        """For one more job. ``keep``: names of jobs that must not be deleted. ConfigError if deleting
        everything else is not enough."""
        for path in self._expendable(keep):
            if self._fits():
                return
            shutil.rmtree(path, ignore_errors=True)
        if not self._fits():
            raise ConfigError(
                f"{self._runs} is full: {self._bytes() / 1e9:.1f} of {self._limits.runs_bytes / 1e9:g} GB, "
                f"{len(self._folders())} of {self._limits.folders} folders; remove old models"
            )

    def make_room_for_uploads(self, most: int) -> None:
        """Deletes the oldest that no active job needs, until the rest take at most ``most`` bytes."""
        folders = sorted((self._runs / UPLOADS).glob("*"), key=_age, reverse=True)
        taken = {folder: bytes_of(folder) for folder in folders}
        needed = {f.config.source for f, status in self._table.rows(fresh=True) if status.active}
        for folder in folders:
            if sum(taken.values()) <= most:
                return
            if f"folder:{folder}" not in needed:
                shutil.rmtree(folder, ignore_errors=True)
                taken[folder] = 0

    def make_room_for_imports(self) -> None:
        """For one more: deletes the oldest."""
        there = sorted(self._runs.glob(_IMPORTS), key=_age)
        for folder in there[self._limits.imports - 1 :]:
            shutil.rmtree(folder, ignore_errors=True)

    def _fits(self) -> bool:
        return (
            len(self._folders()) < self._limits.folders and self._bytes() <= self._limits.runs_bytes
        )

    def _bytes(self) -> int:
        return sum(bytes_of(folder) for folder in self._folders())

    def _folders(self) -> list[Path]:
        uploads = self._runs / UPLOADS
        kept = [path for path in uploads.glob("*") if path.is_dir()]
        return [*job_folder.folders(self._runs), *self._runs.glob(_IMPORTS), *kept]

    def _expendable(self, keep: Collection[str]) -> Iterator[Path]:
        now = time.time()
        over = [
            (found, status)
            for found, status in self._table.rows(fresh=True)
            if not status.active
            and now - _RECENT_SECONDS > status.updated > 0  # 0: it cannot be read
            and found.id not in keep
        ]
        over.sort(key=lambda row: row[1].updated)
        yield from (f.folder for f, status in over if not status.step)
        needed = {found.config.source for found, _ in self._table.rows()}
        for path in [*(self._runs / UPLOADS).glob("*"), *self._runs.glob(_IMPORTS)]:
            if f"folder:{path}" not in needed and _age(path) > _DAY:
                yield path
        finished = [(f.folder, status) for f, status in over if status.state == "finished"]
        yield from (folder / run.SNAPSHOTS for folder, _ in finished)
        for found, status in over:
            if status.state != "finished" and now - status.updated > _DAY:
                yield found.folder
        yield from (folder for folder, status in finished if now - status.updated > _DAY)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
