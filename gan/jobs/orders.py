"""What a visitor may do with jobs: request, pause, step, resume, rewind, stop and remove one.

Every order is checked (`gan.jobs.limits`), written into the job's folder, and taken up by the job's worker and
supervisor. ConfigError says why an order is refused, and what to try.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError
from gan.jobs import history, limits
from gan.jobs.folder import (
    START,
    SUPERVISOR_LOCK,
    Caps,
    Control,
    Job,
    Parent,
    create,
    enqueue,
    write_control,
)
from gan.jobs.limits import Limits, may_control
from gan.jobs.queries import Queries, View
from gan.jobs.runner import Runner
from gan.jobs.storage import Storage
from gan.jobs.supervisor import Supervisor
from gan.runs import manifest
from gan.runs.names import run_name
from gan.system import files, locks


@dataclass(frozen=True)
class Ticket:
    """The answer to a request: the job's name, and whether it is new, was joined, goes on, or had finished."""

    id: str
    kind: Literal["new", "joined", "resumed", "finished"]


class Orders:
    """To the jobs below one folder. A ``visitor`` of None stands for whoever runs the server."""

    def __init__(
        self,
        runs: Path,
        limits: Limits,
        runner: Runner,
        supervisor: Supervisor,
        storage: Storage,
        queries: Queries,
    ) -> None:
        self._runs, self._limits, self._runner = runs, limits, runner
        self._supervisor, self._storage, self._queries = supervisor, storage, queries
        self._guard = threading.Lock()

    def submit(self, config: TrainConfig, device: str, visitor: str) -> Ticket:
        """Requests a training of ``config``. If that job is active already, the visitor joins it. If it has
        finished, it is not trained again. If it was stopped, it goes on."""
        self._check_request(config, device)
        return self._request(self._job(run_name(config), config, device, visitor))

    def rewind(self, id: str, step: int, config: TrainConfig, device: str, visitor: str) -> Ticket:
        """Requests a new job that begins where the job ``id`` was after ``step`` updates, with other settings
        of the same networks. The old job stays as it is."""
        self._check_request(config, device)
        old = self._queries.find(id).job
        snapshot = history.snapshot_path(old.folder, step)
        if old.config.model != config.model or config.total_updates <= step:
            raise ConfigError(
                f"a rewound run keeps its networks and must end after update {step:,}; "
                f"updates={config.total_updates:,} here"
            )
        origin = json.dumps([id, step, config.to_dict()], sort_keys=True)
        name = f"{run_name(config)}-r{hashlib.sha256(origin.encode()).hexdigest()[:8]}"
        return self._request(self._job(name, config, device, visitor, Parent(id, step)), snapshot)

    def pause(self, id: str, visitor: str | None) -> None:
        """Pauses the job after its current block of updates."""
        self._order(id, visitor, Control("pause"))

    def stop(self, id: str, visitor: str | None) -> None:
        """Stops the job within a second. What was trained up to its last checkpoint is kept."""
        self._order(id, visitor, Control("stop"))

    def step(self, id: str, visitor: str | None, updates: int = 1) -> None:
        """Makes so many updates more, then pauses again."""
        seen = self._find(id, visitor)
        if seen.status.state != "paused":
            raise ConfigError(f"{id} is {seen.status.state}; pause it first, then take steps")
        self._resume(seen, Control("run", until=seen.status.step + updates))

    def resume(self, id: str, visitor: str | None) -> None:
        """Continues a paused, stopped or failed job from its last checkpoint."""
        seen = self._find(id, visitor)
        if seen.status.state in ("paused", "stopped", "failed"):
            self._resume(seen, Control("run"))

    def remove(self, id: str, visitor: str | None) -> None:
        """Deletes the folder of a job that is not active, and with it its model."""
        with self._one_at_a_time():
            seen = self._find(id, visitor)
            folder = seen.job.folder
            if seen.status.active or self._runner.find(folder) is not None:
                raise ConfigError(f"{id} is {seen.status.state}; stop it first")
            self._wait_until_left(folder)
            aside = folder.with_name(f".removed-{id}-{time.time_ns()}")
            try:
                folder.rename(aside)
            except OSError as error:
                raise CheckpointError(
                    f"{folder} could not be removed ({error}); let this server write there"
                ) from error
        shutil.rmtree(aside, ignore_errors=True)

    def _job(
        self, id: str, config: TrainConfig, device: str, owner: str, parent: Parent | None = None
    ) -> Job:
        caps = Caps(self._limits.minutes * 60, self._limits.job_bytes)
        return Job(id, self._runs / id, config, device, owner, time.time(), caps, parent)

    def _request(self, job: Job, snapshot: Path | None = None) -> Ticket:
        """``snapshot``: the checkpoint that a rewound job begins with."""
        folder = job.folder
        with self._one_at_a_time():
            if manifest.is_finished(folder, job.config):
                return Ticket(job.id, "finished")
            there = next((v for v in self._queries.views(fresh=True) if v.job.id == job.id), None)
            if there is not None and there.status.active:
                if there.status.state != "paused" or not may_control(there.job, job.owner):
                    return Ticket(job.id, "joined")
                self._check_visitor(job.owner)
                self._continue(there, Control("run"))
                return Ticket(job.id, "resumed")
            self._check_visitor(job.owner)
            self._make_room(job.device, {job.id, job.parent.id if job.parent else ""})
            if snapshot is not None and not (folder / START).exists():
                files.link_or_copy(snapshot, folder / START)
            self._wait_until_left(folder)
            create(job)
            self._supervisor.table.rows(fresh=True)
            self._supervisor.supervise(folder)
        return Ticket(job.id, "new" if there is None else "resumed")

    def _resume(self, seen: View, control: Control) -> None:
        with self._one_at_a_time():
            self._check_request(seen.job.config, seen.job.device)
            self._check_visitor(seen.job.owner)
            self._continue(seen, control)

    def _continue(self, seen: View, control: Control) -> None:
        """Gives an order to a job that is paused or has ended, and a new worker if it has none."""
        folder = seen.job.folder
        if seen.status.state != "paused":  # its worker may be about to leave
            self._wait_until_left(folder)
        if self._runner.find(folder) is None:
            self._make_room(seen.job.device, {seen.job.id})
            write_control(folder, control)
            enqueue(folder)
        else:
            write_control(folder, control)
        self._supervisor.supervise(folder)

    def _order(self, id: str, visitor: str | None, control: Control) -> None:
        seen = self._find(id, visitor)
        if seen.status.active or self._runner.find(seen.job.folder) is not None:
            write_control(seen.job.folder, control)
            self._supervisor.supervise(seen.job.folder)

    def _find(self, id: str, visitor: str | None) -> View:
        seen = self._queries.find(id)
        if not may_control(seen.job, visitor):
            raise ConfigError("another visitor started this job; you can only watch it")
        return seen

    def _check_request(self, config: TrainConfig, device: str) -> None:
        limits.check_request(config, device, self._runner.devices(), self._limits, self._runs)

    def _check_visitor(self, visitor: str) -> None:
        views = self._queries.views(fresh=True)
        owned = [(v.job, v.status) for v in views if v.job.owner == visitor]
        limits.check_visitor(owned, self._limits)

    def _make_room(self, device: str, keep: Collection[str]) -> None:
        """In the queue and on the disk. ``keep``: names of jobs that are not deleted for it."""
        waiting = sum(v.status.state == "queued" for v in self._queries.views(fresh=True))
        _, seconds = self._queries.wait(device)
        limits.check_queue(waiting, seconds, self._limits)
        self._storage.make_room(keep)

    @staticmethod
    def _wait_until_left(folder: Path) -> None:
        """Waits until no supervisor has a job that has ended: one that is about to leave would take the new
        state for the end of the old one."""
        if folder.exists():
            handle = locks.lock(folder / SUPERVISOR_LOCK, patience=3.0)
            if handle is None:
                raise ConfigError(f"{folder.name} is just ending; try again in a moment")
            os.close(handle)

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Of all threads and processes, so that the limits also hold for visitors who press at once."""
        with self._guard:
            handle = locks.lock(self._runs / ".submit.lock", patience=10.0)
            if handle is None:
                raise ConfigError("too many requests at once; try again in a moment")
            try:
                yield
            finally:
                os.close(handle)
