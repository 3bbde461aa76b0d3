"""The app's trainings, as the pages and the command line use them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gan.config import TrainConfig
from gan.data import uploads
from gan.errors import CheckpointError, ConfigError
from gan.jobs import history
from gan.jobs.folder import START, Caps, Control, Job, Parent, create, enqueue, write_control
from gan.jobs.limits import UPLOADS, Limits, Storage, check_request, limits_from, may_control
from gan.jobs.queries import Queries, View
from gan.jobs.ray_runner import RayRunner, Runner
from gan.jobs.runner import LocalRunner
from gan.jobs.supervisor import Supervisor
from gan.runs import manifest
from gan.runs.names import run_name
from gan.system import files, locks
from gan.zoo import bundle, cards


@dataclass(frozen=True)
class Ticket:
    """The answer to a request: the job's name, and whether it is new, was joined, goes on, or had finished."""

    id: str
    kind: Literal["new", "joined", "resumed", "finished"]


def open_service(runs: Path, environment: Mapping[str, str]) -> Service:
    """The service that the environment describes: limits as `limits_from` reads them, and with
    ``GAN_RUNNER=ray`` (default ``local``) workers on a Ray cluster (`gan.jobs.ray_runner`)."""
    runner = environment.get("GAN_RUNNER", "").strip().lower() or "local"
    if runner not in ("local", "ray"):
        raise ConfigError(f"GAN_RUNNER={runner!r} must be local or ray")
    limits = limits_from(environment)
    if runner == "local":
        return Service(runs, limits)
    return Service(runs, limits, RayRunner(environment.get("RAY_ADDRESS") or None, limits.slots))


class Service:
    """All jobs below the folder ``runs``: ``queries`` about them, and orders to them. Keeps nothing that is not
    on the disk (`gan.jobs.folder`).

    Every order is checked, written into the job's folder, and taken up by the job's worker and supervisor.
    ConfigError says why an order is refused, and what to try. A ``visitor`` of None stands for whoever runs
    the server.
    """

    def __init__(
        self, runs: Path, limits: Limits | None = None, runner: Runner | None = None
    ) -> None:
        self.runs = runs
        self.limits = limits or Limits()
        self.runner = runner or LocalRunner()
        self._supervisor = Supervisor(self.runs, self.limits, self.runner)
        self.attach = self._supervisor.attach
        self.queries = Queries(self._supervisor)
        self._storage = Storage(self.runs, self.limits, self._supervisor.table)
        self._ordering = threading.Lock()
        self._importing = threading.Lock()  # one at a time: decoding images takes memory

    def save_upload(self, files: Sequence[tuple[str, bytes]]) -> uploads.Kept:
        """Stores a visitor's images (`gan.data.uploads.keep`)."""
        with self._importing:
            limits = uploads.Limits()
            self._storage.make_room_for_uploads(limits.root_bytes - limits.uploaded_bytes)
            return uploads.keep(files, self.runs / UPLOADS, limits)

    def import_model(self, content: bytes) -> cards.ModelCard:
        """Installs a model that was exported elsewhere (`gan.zoo.bundle.install`)."""
        with self._importing:
            self._storage.make_room_for_imports()
            return bundle.install(content, self.runs)

    def submit(self, config: TrainConfig, device: str, visitor: str) -> Ticket:
        """Requests a training of ``config``. If that job is active already, the visitor joins it. If it has
        finished, it is not trained again. If it was stopped, it goes on."""
        self._check_request(config, device)
        return self._request(run_name(config), config, device, visitor)

    def rewind(self, id: str, step: int, config: TrainConfig, device: str, visitor: str) -> Ticket:
        """Requests a new job that begins where the job ``id`` was after ``step`` updates, with other settings
        of the same networks. The old job stays as it is."""
        self._check_request(config, device)
        old = self.queries.find(id).job
        history.snapshot_path(old.folder, step)  # or an error
        if old.config.model != config.model or config.total_updates <= step:
            raise ConfigError(
                f"a rewound run keeps its networks and must end after update {step:,}; "
                f"updates={config.total_updates:,} here"
            )
        origin = json.dumps([id, step, config.to_dict()], sort_keys=True)
        name = f"{run_name(config)}-r{hashlib.sha256(origin.encode()).hexdigest()[:8]}"
        return self._request(name, config, device, visitor, Parent(id, step))

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
        self._resume(seen, Control(until=seen.status.step + updates))

    def resume(self, id: str, visitor: str | None) -> None:
        """Continues a paused, stopped or failed job from its last checkpoint."""
        seen = self._find(id, visitor)
        if seen.status.state in ("paused", "stopped", "failed"):
            self._resume(seen, Control())

    def remove(self, id: str, visitor: str | None) -> None:
        """Deletes the folder of a job that is not active, and with it its model."""
        with self._one_at_a_time():
            seen = self._find(id, visitor)
            folder = seen.job.folder
            if seen.status.active or self.runner.find(folder) is not None:
                raise ConfigError(f"{id} is {seen.status.state}; stop it first")
            self._supervisor.wait_until_left(folder)
            aside = folder.with_name(f".removed-{id}-{time.time_ns()}")
            try:
                folder.rename(aside)
            except OSError as error:
                raise CheckpointError(
                    f"{folder} could not be removed ({error}); let this server write there"
                ) from error
        shutil.rmtree(aside, ignore_errors=True)

    def _request(
        self, id: str, config: TrainConfig, device: str, visitor: str, parent: Parent | None = None
    ) -> Ticket:
        """``parent``: where a rewound job begins."""
        folder = self.runs / id
        with self._one_at_a_time():
            if manifest.is_finished(folder, config):
                return Ticket(id, "finished")
            there = self.queries.view(id)
            if there is not None and there.status.active:
                if there.status.state != "paused" or not may_control(there.job, visitor):
                    return Ticket(id, "joined")
                self._continue(there, Control())
                return Ticket(id, "resumed")
            self._check_visitor(visitor)
            self._make_room(device, {id, parent.id if parent else ""})
            if parent is not None and not (folder / START).exists():
                snapshot = history.snapshot_path(self.runs / parent.id, parent.step)
                files.link_or_copy(snapshot, folder / START)
            self._supervisor.wait_until_left(folder)
            caps = Caps(self.limits.minutes * 60, self.limits.job_bytes)
            create(Job(id, folder, config, device, visitor, time.time(), caps, parent))
            self._supervisor.table.rows(fresh=True)
            self._supervisor.supervise(folder)
        return Ticket(id, "new" if there is None else "resumed")

    def _resume(self, seen: View, control: Control) -> None:
        with self._one_at_a_time():
            self._check_request(seen.job.config, seen.job.device)
            self._continue(seen, control)

    def _continue(self, seen: View, control: Control) -> None:
        """Gives an order to a job that is paused or has ended, and a new worker if it has none."""
        job = seen.job
        self._check_visitor(job.owner)
        if seen.status.state != "paused":  # its worker may be about to leave
            self._supervisor.wait_until_left(job.folder)
        has_worker = self.runner.find(job.folder) is not None
        if not has_worker:
            self._make_room(job.device, {job.id})
        write_control(job.folder, control)
        if not has_worker:
            enqueue(job)
        self._supervisor.supervise(job.folder)

    def _order(self, id: str, visitor: str | None, control: Control) -> None:
        seen = self._find(id, visitor)
        if seen.status.active or self.runner.find(seen.job.folder) is not None:
            write_control(seen.job.folder, control)
            self._supervisor.supervise(seen.job.folder)

    def _find(self, id: str, visitor: str | None) -> View:
        seen = self.queries.find(id)
        if not may_control(seen.job, visitor):
            raise ConfigError("another visitor started this job; you can only watch it")
        return seen

    def _check_request(self, config: TrainConfig, device: str) -> None:
        check_request(config, device, self.runner.devices(), self.limits, self.runs)

    def _check_visitor(self, visitor: str) -> None:
        """ConfigError if the visitor may not start a job: only one may be active at a time. Paused ones do
        not count, but their number is limited."""
        owned = [v for v in self.queries.views(fresh=True) if v.job.owner == visitor]
        for view in owned:
            if view.status.active and view.status.state != "paused":
                raise ConfigError(
                    f"you already have a job: {view.job.id} ({view.status.state}); wait for it, or stop it"
                )
        paused, most = sum(v.status.state == "paused" for v in owned), self.limits.paused
        if paused > most:
            raise ConfigError(
                f"{paused} of your jobs are paused, and at most {most} may be; resume or stop one"
            )

    def _make_room(self, device: str, keep: Collection[str]) -> None:
        """In the queue and on the disk. ``keep``: names of jobs that are not deleted for it. ConfigError if
        the queue is full, or the wait too long."""
        waiting = sum(v.status.state == "queued" for v in self.queries.views(fresh=True))
        if waiting >= self.limits.queue:
            raise ConfigError(
                f"{waiting} jobs are already waiting, and no more may; try again when some are done"
            )
        _, seconds = self.queries.wait(device)
        if seconds is not None and seconds > self.limits.wait_minutes * 60:
            raise ConfigError(
                f"the job would have to wait about {seconds / 60:.0f} minutes, more than the "
                f"{self.limits.wait_minutes:g} that are allowed; try again later"
            )
        self._storage.make_room(keep)

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Of all threads and processes, so that the limits also hold for visitors who press at once."""
        with self._ordering:
            handle = locks.lock(self.runs / ".submit.lock", patience=10.0)
            if handle is None:
                raise ConfigError("too many requests at once; try again in a moment")
            try:
                yield
            finally:
                os.close(handle)
