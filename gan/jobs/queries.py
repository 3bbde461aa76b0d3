"""What can be known about jobs: their list, the queue, and how long things will take."""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import re
import threading
from dataclasses import dataclass

import torch

from gan.config import TrainConfig
from gan.errors import ConfigError, GanError
from gan.jobs import worker
from gan.jobs.folder import JOB, WORKING, Job, Status
from gan.jobs.limits import check_networks
from gan.jobs.supervisor import Supervisor
from gan.runs import estimate
from gan.system import files, processes

_MEASURE_SECONDS = 120.0


@dataclass(frozen=True)
class View:
    """A job and its status. ``ahead``: how many jobs wait before it, if it is queued."""

    job: Job
    status: Status
    ahead: int = 0


class Queries:
    """About the jobs of a supervisor. Nothing here changes a job."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._runs, self._limits = supervisor.runs, supervisor.limits
        self._runner, self._supervisor = supervisor.runner, supervisor
        self._timings = self._runs / worker.TIMINGS
        self._measuring: threading.Thread | None = None

    def views(self, fresh: bool = False) -> list[View]:
        """Every job that can be read, the latest first. ``fresh``: as of now, not up to 0.2 s old."""
        views = [self._view(job, status) for job, status in self._supervisor.table.rows(fresh)]
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
        return self._view(*self._supervisor.table.row(folder))

    def _view(self, job: Job, status: Status) -> View:
        status, ahead = self._supervisor.status(job.folder, status), 0
        if status.state == "queued":
            waiting = [other.id for other in self._supervisor.table.waiting(job.device)]
            ahead = waiting.index(job.id) if job.id in waiting else 0
        return View(job, status, ahead)

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
        updates = (expected.training + expected.monitoring) * left / config.total_updates
        return expected.starting + updates + expected.scoring

    def wait(self, device: str, before: str = "") -> tuple[int, float | None]:
        """(number of jobs ahead of a new one on ``device``, or of the queued job ``before``; seconds until
        its turn, None if not known)."""
        views = [v for v in self.views() if v.job.device == device]
        working = [v for v in views if v.status.state in WORKING]
        queued = sorted((v for v in views if v.status.state == "queued"), key=lambda v: v.ahead)
        queued = list(itertools.takewhile(lambda v: v.job.id != before, queued))
        places = len(self._runner.places(device)) * self._limits.slots
        if len(working) < places and not queued:
            return 0, 0.0
        seconds = [s for v in [*working, *queued] if (s := self.remaining(v)) is not None]
        ahead = len(working) + len(queued)
        if len(seconds) < ahead:
            return ahead, None
        # a place is free when its job is done; the queue takes the first free one
        free = seconds[: len(working)] + [0.0] * (places - len(working))
        heapq.heapify(free)
        for needed in seconds[len(working) :]:
            if free:
                heapq.heapreplace(free, free[0] + needed)
        return ahead, min(free, default=0.0)

    def expected(self, config: TrainConfig, device: str) -> estimate.Estimate | None:
        """How long a new job would take on ``device``; None if nothing was measured there."""
        if not self._is_known(config):
            return None
        return self._predicted(files.stamp(self._timings), device, config)

    def updates_for(self, config: TrainConfig, device: str, seconds: float) -> int | None:
        """How many updates of ``config`` fit into ``seconds``, everything included; None as in `expected`."""
        if not self._is_known(config):
            return None
        return estimate.updates_for(self._timings, self._key(device), config, seconds)

    def measure(self, device: str) -> bool:
        """Whether the speed of ``device`` is being measured. Starts that in a process of its own, once, and
        not while a job trains, because the job will measure it."""
        if self._measuring is not None:
            return self._measuring.is_alive()
        if not self._runner.here or any(v.status.state in WORKING for v in self.views()):
            return False
        timings, threads = self._timings.resolve(), self._runner.threads(device)
        command = processes.gan_command("bench", "update", "--timings", str(timings))
        command += ["--device", device, "--threads", str(threads)]
        self._measuring = threading.Thread(
            target=processes.output, args=(command, _MEASURE_SECONDS), daemon=True
        )
        self._measuring.start()
        return True

    def _is_known(self, config: TrainConfig) -> bool:
        """Whether jobs train on this machine, and the networks are small enough to be created for counting."""
        with contextlib.suppress(ConfigError):
            check_networks(config, self._limits)
            return self._runner.here
        return False

    @functools.lru_cache(maxsize=64)  # noqa: B019 (this object lives as long as its server)
    def _predicted(
        self, stamp: tuple[int, ...], device: str, config: TrainConfig
    ) -> estimate.Estimate | None:
        """``stamp``: of the timings, which are read once for all who watch."""
        return estimate.predict(self._timings, self._key(device), config)

    @functools.lru_cache(maxsize=8)  # noqa: B019
    def _key(self, device: str) -> str:
        return estimate.device_key(torch.device(device), threads=self._runner.threads(device))
