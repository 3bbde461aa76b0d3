"""What can be known about jobs: their list, the queue, and how long things will take."""

from __future__ import annotations

import functools
import re
import threading
from dataclasses import dataclass
from pathlib import Path

import torch

from gan.config import TrainConfig
from gan.errors import ConfigError, GanError
from gan.jobs import worker
from gan.jobs.folder import JOB, Job
from gan.jobs.limits import Limits, check_networks
from gan.jobs.runner import Runner
from gan.jobs.state import WORKING, Status
from gan.jobs.supervisor import Supervisor
from gan.runs import estimate
from gan.system import processes

_MEASURE_SECONDS = 120.0


@dataclass(frozen=True)
class View:
    """A job and its status. ``ahead``: how many jobs wait before it, if it is queued."""

    job: Job
    status: Status
    ahead: int = 0


class Queries:
    """About the jobs below one folder. Nothing here changes a job."""

    def __init__(self, runs: Path, limits: Limits, runner: Runner, supervisor: Supervisor) -> None:
        self._runs, self._limits, self._runner = runs, limits, runner
        self._supervisor = supervisor
        self._timings = runs / worker.TIMINGS
        self._measured, self._measuring = False, threading.Event()

    def views(self, fresh: bool = False) -> list[View]:
        """Every job that can be read, the latest first. ``fresh``: as of now, not up to 0.2 s old."""
        table = self._supervisor.table
        rows = [(job, self._supervisor.status(job.folder, s)) for job, s in table.rows(fresh)]
        ahead = {
            waiting.id: place
            for device in {job.device for job, _ in rows}
            for place, waiting in enumerate(table.waiting(device))
        }
        views = [View(job, status, ahead.get(job.id, 0)) for job, status in rows]
        return sorted(views, key=lambda v: v.job.created, reverse=True)

    def view(self, id: str) -> View | None:
        """The job of that name; None if there is none, or it is damaged."""
        try:
            return self.find(id)
        except GanError:
            return None

    def find(self, id: str) -> View:
        """As `view`, but raises ConfigError or CheckpointError with the reason."""
        folder = self._runs / id
        if not re.fullmatch(r"[\w-][\w.-]{0,199}", id, re.ASCII) or not (folder / JOB).is_file():
            raise ConfigError(f"there is no job {id!r} here")
        job, status = self._supervisor.table.row(folder)
        found = View(job, self._supervisor.status(folder, status))
        if found.status.state != "queued":
            return found
        return next((v for v in self.views() if v.job.id == id), found)

    def remaining(self, view: View) -> float | None:
        """Seconds until an active job is finished, without its wait; None if not known."""
        config, status = view.job.config, view.status
        expected = self.expected(config, view.job.device)
        left = max(0, config.total_updates - status.step)
        if status.state == "training" and status.images_per_second > 0:
            training = left * config.effective_batch / status.images_per_second
            return training + (expected.scoring if expected else 0.0)
        if expected is None:
            return None
        share = left / config.total_updates
        return (
            expected.starting + (expected.training + expected.monitoring) * share + expected.scoring
        )

    def wait(self, device: str, before: str = "") -> tuple[int, float | None]:
        """(number of jobs ahead of a new one on ``device``, or of the queued job ``before``; seconds until
        its turn, None if not known)."""
        views = [v for v in self.views() if v.job.device == device]
        queued = sorted((v for v in views if v.status.state == "queued"), key=lambda v: v.ahead)
        names = [v.job.id for v in queued]
        if before in names:
            queued = queued[: names.index(before)]
        working = [v for v in views if v.status.state in WORKING]
        places = len(self._runner.places(device)) * self._limits.slots
        if len(working) < places and not queued:
            return 0, 0.0
        ahead = len(queued) + len(working)
        remaining = {v.job.id: self.remaining(v) for v in working + queued}
        if None in remaining.values():
            return ahead, None
        # a place is free when its job is done; the queue takes the first free one
        free = sorted(remaining[v.job.id] or 0.0 for v in working)
        free += [0.0] * max(0, places - len(free))
        for view in queued:
            free.sort()
            if free:
                free[0] += remaining[view.job.id] or 0.0
        return ahead, min(free, default=0.0)

    # --- times ---

    def expected(self, config: TrainConfig, device: str) -> estimate.Estimate | None:
        """How long a new job would take on ``device``; None if nothing was measured there."""
        if not self._is_known(config):
            return None
        return self._predicted(_stamp(self._timings), device, config)

    def updates_for(self, config: TrainConfig, device: str, seconds: float) -> int | None:
        """How many updates of ``config`` fit into ``seconds``, everything included; None as in `expected`."""
        if not self._is_known(config):
            return None
        return estimate.updates_for(self._timings, self._key(device), config, seconds)

    def measure(self, device: str) -> bool:
        """Whether the speed of ``device`` is being measured. Starts that in a process of its own, once, and
        not while a job trains, because the job will measure it."""
        if self._measuring.is_set():
            return True
        if (
            not self._runner.here
            or self._measured
            or any(v.status.state in WORKING for v in self.views())
        ):
            return False
        self._measured = True
        self._measuring.set()
        command = processes.gan_command(
            "bench", "update", "--timings", str(self._timings.resolve())
        )
        command += ["--device", device, "--threads", str(self._runner.threads(device))]
        threading.Thread(target=self._measure, args=(command,), daemon=True).start()
        return True

    def _measure(self, command: list[str]) -> None:
        try:
            processes.output(command, seconds=_MEASURE_SECONDS)
        finally:
            self._measuring.clear()

    def _is_known(self, config: TrainConfig) -> bool:
        """Whether jobs train on this machine, and the networks are small enough to be created for counting."""
        if not self._runner.here:
            return False
        try:
            check_networks(config, self._limits)
        except ConfigError:
            return False
        return True

    @functools.lru_cache(maxsize=64)  # noqa: B019 (this object lives as long as its server)
    def _predicted(self, stamp: int, device: str, config: TrainConfig) -> estimate.Estimate | None:
        """``stamp``: of the timings, which are read once for all who watch."""
        return estimate.predict(self._timings, self._key(device), config)

    @functools.lru_cache(maxsize=8)  # noqa: B019
    def _key(self, device: str) -> str:
        return estimate.device_key(torch.device(device), threads=self._runner.threads(device))


def _stamp(path: Path) -> int:
    """Changes when the file does; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
