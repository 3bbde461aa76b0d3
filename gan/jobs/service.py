"""The app's side of training: asking for it, watching it, telling it what to do.

What the pages call. A `Studio` knows nothing that is not on the disk (`gan.jobs.folder`), so a reload, another
tab, a cleared cache, a hot reload and a restarted server find every job as it is.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gan.config import TrainConfig
from gan.data import uploads
from gan.errors import CheckpointError, ConfigError, GanError
from gan.jobs import folder as job_folder
from gan.jobs import history, worker
from gan.jobs.folder import Caps, Control, Job, Parent, Status, create, read, write_control
from gan.jobs.limits import UPLOADS, Limits, check, check_networks, limits_from
from gan.jobs.ray_runner import RayRunner
from gan.jobs.runner import LocalRunner, Runner
from gan.jobs.storage import Storage
from gan.jobs.supervisor import Supervisor
from gan.runs import estimate, manifest
from gan.runs.names import run_name
from gan.system import locks, processes
from gan.system.files import link_or_copy
from gan.zoo import bundle, cards


@dataclass(frozen=True)
class View:
    """A job and how it stands; ``ahead``: how many jobs wait before it, of a queued one."""

    job: Job
    status: Status
    ahead: int = 0


@dataclass(frozen=True)
class Ticket:
    """The answer to a wish: the job's name, and whether it is new, joined or finished long ago."""

    id: str
    kind: str  # "new", "joined", "resumed", "finished"


def open_service(runs: Path, environment: Mapping[str, str]) -> Service:
    """The studio that the environment asks for: limits as `limits_from` reads them, and where
    ``GAN_RUNNER=ray`` (``local`` otherwise) workers on a Ray cluster (`gan.sweeps.on_ray`)."""
    runner = environment.get("GAN_RUNNER", "").strip().lower() or "local"
    if runner not in ("local", "ray"):
        raise ConfigError(f"GAN_RUNNER={runner!r} must be local or ray")
    limits = limits_from(environment)
    if runner == "ray":
        return Service(
            runs, limits, RayRunner(environment.get("RAY_ADDRESS") or None, limits.slots)
        )
    return Service(runs, limits)


class Service:
    """All jobs below one folder."""

    def __init__(
        self,
        runs: Path = cards.RUNS,
        limits: Limits | None = None,
        runner: Runner | None = None,
    ) -> None:
        self.runs = Path(runs)
        self.limits = limits or Limits()
        self.runner = runner or LocalRunner()
        self._supervisor = Supervisor(self.runs, self.limits, self.runner)
        self._keeper = Storage(self.runs, self.limits, self._supervisor.table)
        self._guard, self._uploading = threading.Lock(), threading.Lock()
        self._book = self.runs / worker.TIMINGS
        self._measured, self._measuring = False, threading.Event()

    def attach(self, every: float = 0.0) -> int:
        """Takes on every job that wants something and that nobody looks after; returns how many. To be
        called when a server starts, and then now and again: other servers go. Nothing is done where it
        was less than ``every`` seconds ago."""
        return self._supervisor.attach(every)

    # --- looking ---

    def views(self, fresh: bool = False) -> list[View]:
        """Every job, the latest first. What cannot be read is left out. ``fresh``: as they are at this
        moment, not a fifth of a second ago."""
        rows = self._supervisor.table.rows(fresh)
        found = [View(asked, self._supervisor.status(asked.folder, said)) for asked, said in rows]
        places = {
            waiting.id: place
            for device in {v.job.device for v in found}
            for place, waiting in enumerate(self._supervisor.table.waiting(device))
        }
        found = [replace(v, ahead=places.get(v.job.id, 0)) for v in found]
        return sorted(found, key=lambda v: v.job.created, reverse=True)

    def view(self, id: str) -> View | None:
        """The job of that name; None where there is none."""
        if not re.fullmatch(r"[\w-][\w.-]{0,199}", id, re.ASCII):
            return None
        folder = self.runs / id
        try:
            seen = View(*self._supervisor.table.row(folder))
        except (GanError, OSError):
            return None
        status = self._supervisor.status(folder, seen.status)
        if status.state != "queued":
            return View(seen.job, status)
        return next((v for v in self.views() if v.job.id == id), seen)

    def remaining(self, view: View) -> float | None:
        """Seconds until an active job is finished, without its wait; None where nobody can tell."""
        config, status = view.job.config, view.status
        expected = self.expected(config, view.job.device)
        left = max(0, config.total_updates - status.step)
        if status.state == "training" and status.images_per_second > 0:
            training = left * config.effective_batch / status.images_per_second
            return training + (expected.scoring if expected else 0.0)
        if expected is None:
            return None
        share = left / config.total_updates
        return expected.starting + (expected.training + expected.monitoring) * share + expected.scoring

    def wait(self, device: str, before: str = "") -> tuple[int, float | None]:
        """(jobs that come before a new one on ``device``, or before the queued job ``before``; seconds
        until its turn, None where nobody can tell)."""
        views = [v for v in self.views() if v.job.device == device]
        queued = sorted((v for v in views if v.status.state == "queued"), key=lambda v: v.ahead)
        names = [v.job.id for v in queued]
        if before in names:
            queued = queued[: names.index(before)]
        at_work = [v for v in views if v.status.state in job_folder.WORKING]
        places = len(self.runner.places(device)) * self.limits.slots
        ahead = len(queued) + len(at_work)
        if len(at_work) < places and not queued:
            return len(queued), 0.0
        # every place is free again when its job is done; the queue goes to the first free one
        free = sorted(self.remaining(v) or 0.0 for v in at_work)
        free += [0.0] * max(0, places - len(free))
        known = all(self.remaining(v) is not None for v in at_work + queued)
        for view in queued:
            free.sort()
            if free:
                free[0] += self.remaining(view) or 0.0
        return ahead, min(free, default=0.0) if known else None

    def expected(self, config: TrainConfig, device: str) -> estimate.Estimate | None:
        """How long a new job would take on ``device``; None where nothing was measured there."""
        if not self._can_tell(config):
            return None
        return self._predicted(_stamp(self._book), device, config)

    def _can_tell(self, config: TrainConfig) -> bool:
        """Whether the machine is known, and the networks small enough to be made for counting."""
        if not self.runner.here:
            return False
        try:
            check_networks(config, self.limits)
        except ConfigError:
            return False
        return True

    def updates_for(self, config: TrainConfig, device: str, seconds: float) -> int | None:
        """How many updates of ``config`` fit into ``seconds``, everything included; None likewise."""
        if not self._can_tell(config):
            return None
        return estimate.updates_for(self._book, self._key(device), config, seconds)

    def measure(self, device: str) -> bool:
        """Sees to it that the speed of ``device`` becomes known: in a process of its own, once, and not
        beside a job, which will tell by itself. Whether it is being measured."""
        if self._measuring.is_set():
            return True
        if (
            not self.runner.here
            or self._measured
            or any(v.status.state in job_folder.WORKING for v in self.views())
        ):
            return False
        self._measured = True
        self._measuring.set()
        command = processes.gan_command("bench", "update", "--timings", str(self._book.resolve()))
        command += ["--device", device, "--threads", str(self.runner.threads(device))]
        threading.Thread(target=self._measure, args=(command,), daemon=True).start()
        return True

    def _measure(self, command: list[str]) -> None:
        try:
            processes.output(command, seconds=120.0)
        finally:
            self._measuring.clear()

    @functools.lru_cache(maxsize=64)  # noqa: B019 (a studio lives as long as its server)
    def _predicted(self, stamp: int, device: str, config: TrainConfig) -> estimate.Estimate | None:
        """``stamp``: of the book, which is read once for all who watch."""
        return estimate.predict(self._book, self._key(device), config)

    @functools.lru_cache(maxsize=8)  # noqa: B019
    def _key(self, device: str) -> str:
        return estimate.device_key(torch.device(device), threads=self.runner.threads(device))

    # --- asking ---

    def submit(self, config: TrainConfig, device: str, owner: str) -> Ticket:
        """Asks for ``config``. Who asks for what is under way joins it; what is finished is not trained
        again; what was stopped goes on. ConfigError, with the remedy, where it may not be."""
        self._may(config, device)
        return self._enter(run_name(config), config, device, owner, None, None)

    def rewind(self, id: str, step: int, config: TrainConfig, device: str, owner: str) -> Ticket:
        """A new job that begins where the job ``id`` was after ``step`` updates, under another
        configuration of the same networks. The old one stays as it is."""
        self._may(config, device)
        folder = self._folder(id)
        snapshot = history.snapshot_path(folder, step)
        before = read(folder).config
        if before.model != config.model or config.total_updates <= step:
            raise ConfigError(
                f"a rewound run keeps its networks and must end after update {step:,}; "
                f"updates={config.total_updates:,} here"
            )
        origin = json.dumps([id, step, config.to_dict()], sort_keys=True)
        name = f"{run_name(config)}-r{hashlib.sha256(origin.encode()).hexdigest()[:8]}"
        return self._enter(name, config, device, owner, Parent(id, step), snapshot)

    def _may(self, config: TrainConfig, device: str) -> None:
        if not self.limits.enabled:
            raise ConfigError("training is switched off here; run the app yourself to train")
        if device not in self.runner.devices():
            known = ", ".join(self.runner.devices())
            raise ConfigError(f"device {device!r} is not here; choose one of {known}")
        check(config, self.limits, self.runs)

    def _enter(
        self,
        id: str,
        config: TrainConfig,
        device: str,
        owner: str,
        parent: Parent | None,
        snapshot: Path | None,
    ) -> Ticket:
        folder = self.runs / id
        with self._alone():
            if manifest.is_finished(folder, config):
                return Ticket(id, "finished")
            views = {v.job.id: v for v in self.views(fresh=True)}
            there = views.get(id)
            mine = there is not None and self.may_control(there, owner)
            if there is not None and there.status.active:
                if there.status.state == "paused" and mine:
                    self._has_a_free_hand(owner)
                    self._wake(there, Control("run"))
                    return Ticket(id, "resumed")
                return Ticket(id, "joined")
            self._has_a_free_hand(owner)
            self._has_room(device, {id, "" if parent is None else parent.id})
            if snapshot is not None and not (folder / job_folder.START).exists():
                link_or_copy(snapshot, folder / job_folder.START)
            caps = Caps(self.limits.minutes * 60, self.limits.job_bytes)
            # a supervisor that is just leaving would take the new status for its own
            self._let_go(folder)
            create(Job(id, folder, config, device, owner, time.time(), caps, parent))
            self._supervisor.table.rows(fresh=True)
            self._supervisor.look_after(folder)
        return Ticket(id, "new" if there is None else "resumed")

    def _has_a_free_hand(self, owner: str) -> None:
        """One job a visitor; paused ones do not count, but there may be few of them."""
        own = [v for v in self.views(fresh=True) if v.job.owner == owner and v.status.active]
        paused = [v for v in own if v.status.state == "paused"]
        for view in own:
            if view not in paused:
                raise ConfigError(
                    f"you have a job already: {view.job.id} ({view.status.state}); wait for it, or stop it"
                )
        if len(paused) > self.limits.paused:
            raise ConfigError(
                f"{len(paused)} of your jobs are paused, more than the {self.limits.paused} that may be; "
                "resume or stop one"
            )

    def _has_room(self, device: str, sparing: Collection[str]) -> None:
        """In the queue and on the disk. ``sparing``: jobs that are not cleared away for it."""
        waiting = sum(v.status.state == "queued" for v in self.views(fresh=True))
        if waiting >= self.limits.queue:
            raise ConfigError(
                f"{waiting} jobs wait already, as many as may; try again when some are done"
            )
        _, wait = self.wait(device)
        if wait is not None and wait > self.limits.wait_minutes * 60:
            raise ConfigError(
                f"it would have to wait about {wait / 60:.0f} minutes, more than the "
                f"{self.limits.wait_minutes:g} that are allowed; try again later"
            )
        self._keeper.make_room(sparing)

    def _let_go(self, folder: Path) -> None:
        """Waits until nobody looks after a job that is not under way."""
        if folder.exists():
            handle = locks.lock(folder / job_folder.SUPERVISOR_LOCK, patience=3.0)
            if handle is None:
                raise ConfigError(f"{folder.name} is just ending; try again in a moment")
            os.close(handle)

    # --- bringing ---

    def take_in(self, files: Sequence[tuple[str, bytes]]) -> uploads.Kept:
        """A visitor's pictures (`gan.data.uploads.keep`), one visitor's at a time: decoding takes memory."""
        with self._uploading:
            limits = uploads.Limits()
            self._keeper.make_room_for_uploads(limits.root_bytes - limits.uploaded_bytes)
            return uploads.keep(files, self.runs / UPLOADS, limits)

    def install(self, content: bytes) -> cards.ModelCard:
        """A model from elsewhere (`gan.zoo.bundle.install`)."""
        with self._uploading:
            self._keeper.make_room_for_imports()
            return bundle.install(content, self.runs)

    # --- telling ---

    def pause(self, id: str, owner: str | None) -> None:
        """After the block under way. ``owner`` None: whoever runs the machine."""
        self._tell(id, owner, Control("pause"))

    def stop(self, id: str, owner: str | None) -> None:
        """For good, within a second; what was trained up to the last checkpoint stays."""
        self._tell(id, owner, Control("stop"))

    def step(self, id: str, owner: str | None, updates: int = 1) -> None:
        """So many updates more, then pause."""
        seen = self._tell(id, owner, None)
        if seen.status.state != "paused":
            raise ConfigError(f"{id} is {seen.status.state}; pause it first, then take steps")
        self._again(seen, Control("run", until=seen.status.step + updates))

    def resume(self, id: str, owner: str | None) -> None:
        """A paused, stopped or failed job goes on from its last checkpoint."""
        seen = self._tell(id, owner, None)
        if seen.status.state in ("paused", "stopped", "failed"):
            self._again(seen, Control("run"))

    def _again(self, seen: View, control: Control) -> None:
        with self._alone():
            self._may(seen.job.config, seen.job.device)
            self._has_a_free_hand(seen.job.owner)
            self._wake(seen, control)

    def _wake(self, seen: View, control: Control) -> None:
        """A job that is paused or over gets its orders, and a worker where it has none."""
        folder = seen.job.folder
        if seen.status.state != "paused":  # its worker may just be leaving
            self._let_go(folder)
        if self.runner.find(folder) is None:
            self._has_room(seen.job.device, {seen.job.id})
            write_control(folder, control)
            self._supervisor.queue(folder)
            self._supervisor.table.rows(fresh=True)
        else:
            write_control(folder, control)
        self._supervisor.look_after(folder)

    def _tell(self, id: str, owner: str | None, control: Control | None) -> View:
        seen = self.view(id)
        if seen is None:
            raise ConfigError(f"there is no job {id!r} here any more")
        if owner is not None and not self.may_control(seen, owner):
            raise ConfigError("another visitor started this job; you can watch it")
        folder = seen.job.folder
        if control is not None and (seen.status.active or self.runner.find(folder) is not None):
            write_control(folder, control)
            self._supervisor.look_after(folder)
        return seen

    @staticmethod
    def may_control(view: View, owner: str) -> bool:
        return view.job.owner == owner

    def remove(self, id: str, owner: str | None) -> None:
        """Deletes the folder of a job that is not under way, and with it its model."""
        with self._alone():
            seen = self._tell(id, owner, None)
            folder = seen.job.folder
            if seen.status.active or self.runner.find(folder) is not None:
                raise ConfigError(f"{id} is {seen.status.state}; stop it first")
            self._let_go(folder)
            aside = folder.with_name(f".removed-{id}-{time.time_ns()}")
            try:
                folder.rename(aside)
            except OSError as error:
                raise CheckpointError(
                    f"{folder} could not be removed ({error}); let this server write there"
                ) from error
        shutil.rmtree(aside, ignore_errors=True)

    def _folder(self, id: str) -> Path:
        seen = self.view(id)
        if seen is None:
            raise ConfigError(f"there is no job {id!r} here any more")
        return seen.job.folder

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time, of all threads and processes: ten who press at once get ten answers that fit."""
        with self._guard:
            handle = locks.lock(self.runs / ".submit.lock", patience=10.0)
            if handle is None:
                raise ConfigError("too many people ask at once; try again in a moment")
            try:
                yield
            finally:
                os.close(handle)


def _stamp(path: Path) -> int:
    """Changes when the file does; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
