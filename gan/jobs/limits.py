"""The limits of this server: what visitors may train, and how much is kept in the folder runs/.

The widgets of the page have limits too, but what comes from a browser need not come from a widget.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan.config import ModelConfig, TrainConfig
from gan.errors import ConfigError
from gan.jobs import folder as job_folder
from gan.jobs.folder import Job, Table, bytes_of
from gan.networks import dcgan
from gan.runs import run

UPLOADS = "uploads"  # below runs/: images that visitors uploaded
_IMPORTS = "import-*"
_DAY = 86_400.0
_RECENT_SECONDS = 60.0


@dataclass(frozen=True)
class Limits:
    """``slots``: jobs at a time on each CPU or GPU; ``queue``: jobs that wait; ``parameters``: of both networks;
    ``activations``: batch x pixels x width, which memory grows with; ``paused``: jobs a visitor may leave
    paused; ``wait_minutes``: the longest wait a new job may have; ``imports``: imported models that are kept;
    ``folders``, ``runs_bytes``: of all jobs, imported models and uploads together."""

    enabled: bool = True
    updates: int = 100_000
    minutes: float = 120.0
    queue: int = 20
    slots: int = 1
    batch: int = 1_024
    size: int = 200_000
    parameters: int = 30_000_000
    activations: int = 50_000_000
    wait_minutes: float = 240.0
    paused: int = 2
    folders: int = 500
    imports: int = 50
    job_bytes: int = 1_000_000_000
    runs_bytes: int = 10_000_000_000


def limits_from(environment: Mapping[str, str]) -> Limits:
    """Reads ``GAN_TRAINING`` (on or off), ``GAN_MAX_UPDATES``, ``GAN_MAX_MINUTES``, ``GAN_MAX_QUEUE``,
    ``GAN_SLOTS`` and ``GAN_RUNS_GB``; what is not set has the default of `Limits`. ConfigError for a value
    that is not allowed."""
    switch = environment.get("GAN_TRAINING", "on").strip().lower()
    if switch not in ("on", "off"):
        raise ConfigError(f"GAN_TRAINING={switch!r} must be on or off")
    found: dict[str, Any] = {"enabled": switch == "on"}
    for name, field, low, scale in (
        ("GAN_MAX_UPDATES", "updates", 1, 1),
        ("GAN_MAX_MINUTES", "minutes", 1, 1),
        ("GAN_MAX_QUEUE", "queue", 0, 1),
        ("GAN_SLOTS", "slots", 1, 1),
        ("GAN_RUNS_GB", "runs_bytes", 1, 1_000_000_000),
    ):
        text = environment.get(name, "").strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and low <= int(text) <= 10_000_000):
            raise ConfigError(f"{name}={text!r} must be a whole number, at least {low}")
        found[field] = int(text) * scale
    return Limits(**found)


def may_control(job: Job, visitor: str | None) -> bool:
    """Whether ``visitor`` may pause, stop or remove the job. None stands for whoever runs the server."""
    return visitor is None or visitor == job.owner


def check_request(
    config: TrainConfig, device: str, devices: Collection[str], limits: Limits, runs: Path
) -> None:
    """ConfigError if a visitor may not train ``config`` on ``device``, one of ``devices``."""
    if not limits.enabled:
        raise ConfigError("training is switched off here; run the app yourself to train")
    if device not in devices:
        raise ConfigError(f"device {device!r} is not here; choose one of {', '.join(devices)}")
    check_networks(config, limits)
    _at_most("updates", config.total_updates, limits.updates)
    _at_most("size", config.size, limits.size)
    _at_most("batch_size", config.batch_size, limits.batch)
    kind, _, where = config.source.partition(":")
    if kind == "folder":
        folder = Path(where).resolve()
        if folder.parent != (runs / UPLOADS).resolve() or not folder.is_dir():
            raise ConfigError("these images are no longer here; upload them again")
    elif config.source not in ("mnist", "drawn"):
        raise ConfigError(f"source={config.source!r} is not available here; use mnist or drawn")


def check_networks(config: TrainConfig, limits: Limits) -> None:
    """ConfigError if the networks or their activations are too large for this server."""
    model = config.model
    _at_most("parameters", parameters(model), limits.parameters)
    activations = config.effective_batch * model.img_size**2 * model.base_channels
    _at_most("batch_size x pixels x width", activations, limits.activations)


def _at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise ConfigError(f"{name}={value:,} is more than the {most:,} allowed here; reduce it")


@functools.lru_cache(maxsize=256)
def parameters(model: ModelConfig) -> int:
    """Number of trainable parameters of both networks, counted without allocating them."""
    with torch.device("meta"):
        pair = dcgan.Generator(model), dcgan.Discriminator(model)
    return sum(dcgan.count_parameters(network) for network in pair)


class Storage:
    """Keeps the folder runs/ within its limits. Counts and deletes jobs, imported models and uploads, but not
    sweeps and models that someone builds there from the command line.

    If there is too much, deletes in this order: jobs without any update; uploads and imports that are a day
    old and that no job needs; snapshots of finished jobs; stopped and failed jobs after a day; finished
    jobs after a day. Of each kind the oldest first; nothing of a job that is active or ended within the
    last minute."""

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
        needed = {
            job.config.source for job, status in self._table.rows(fresh=True) if status.active
        }
        for folder in folders:
            if sum(taken.values()) <= most:
                return
            if f"folder:{folder}" not in needed:
                shutil.rmtree(folder, ignore_errors=True)
                taken[folder] = 0

    def make_room_for_imports(self) -> None:
        """For one more: deletes the oldest."""
        for folder in sorted(self._runs.glob(_IMPORTS), key=_age)[self._limits.imports - 1 :]:
            shutil.rmtree(folder, ignore_errors=True)

    def _fits(self) -> bool:
        few = len(self._folders()) < self._limits.folders
        return few and self._bytes() <= self._limits.runs_bytes

    def _bytes(self) -> int:
        return sum(bytes_of(folder) for folder in self._folders())

    def _folders(self) -> list[Path]:
        uploads = [path for path in (self._runs / UPLOADS).glob("*") if path.is_dir()]
        return [*job_folder.folders(self._runs), *self._runs.glob(_IMPORTS), *uploads]

    def _expendable(self, keep: Collection[str]) -> Iterator[Path]:
        now = time.time()
        over = [
            (job.folder, status)
            for job, status in self._table.rows(fresh=True)
            if not status.active
            and now - _RECENT_SECONDS > status.updated > 0  # 0: it cannot be read
            and job.id not in keep
        ]
        over.sort(key=lambda row: row[1].updated)
        yield from (folder for folder, status in over if not status.step)
        needed = {job.config.source for job, _ in self._table.rows()}
        for path in [*(self._runs / UPLOADS).glob("*"), *self._runs.glob(_IMPORTS)]:
            if f"folder:{path}" not in needed and _age(path) > _DAY:
                yield path
        finished = [folder for folder, status in over if status.state == "finished"]
        yield from (folder / run.SNAPSHOTS for folder in finished)
        old = [folder for folder, status in over if now - status.updated > _DAY]
        yield from (folder for folder in old if folder not in finished)
        yield from (folder for folder in old if folder in finished)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
