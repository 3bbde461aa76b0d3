"""Trains one job: ``python -m gan work FOLDER``, a process that outlives the server that started it.

It trains as `gan.runs.run` does, and writes the job's status and history (`gan.jobs.folder`) as it goes. After each
block of updates it reads the latest order: run, pause, make so many updates and pause, or stop. A paused worker
keeps its networks in memory for a while, so that a step costs no more than its update. It leaves after that
time, or as soon as another job waits; whoever resumes the job then starts a new worker.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gan.errors import CheckpointError, ConfigError, GanError
from gan.jobs import folder as job_folder
from gan.jobs import history
from gan.jobs.folder import Control, Job, Problem, State, Table, read_control, read_status
from gan.runs import estimate, manifest, run
from gan.system import devices, files, locks

NICE = 15  # lower priority than everything that answers visitors
PAUSE_SECONDS = 120.0  # how long a paused worker keeps its place if no job waits for it
SNAPSHOTS = 8
TIMINGS = "speed.json"  # below runs/: the measured times of `gan.runs.estimate`
_CHECKPOINT_SECONDS = 15.0
_BLOCK_SECONDS = 0.25  # length of a block of updates; orders are read after each
_MOST_UPDATES = 500  # in a block
_STATUS_SECONDS = 0.5  # between two writes of the status
_DISK_SECONDS = 10.0  # between two checks of the disk
_FREE_BYTES = 200_000_000  # of the disk that a job leaves free


class _Leave(Exception):
    """Ends the worker and leaves the job in ``state``."""

    def __init__(self, state: State, problem: Problem = "", message: str = "") -> None:
        self.state, self.problem, self.message = state, problem, message


def work(folder: Path, device: str, threads: int, held: int | None = None) -> int:
    """Trains the job in ``folder`` until it is finished, has to leave, or cannot go on; the job's status says
    which. Returns an exit code. ``held``: a descriptor that already holds the worker's lock. ConfigError if
    the job has another worker."""
    if held is None:
        held = locks.lock(folder / job_folder.WORKER_LOCK, patience=5.0)
        if held is None:
            raise ConfigError(f"{folder} has a worker already; wait until it ends, or end it")
        locks.write_owner(held)
    try:
        _lower_priority()
        for path in folder.rglob(".*.tmp"):  # of a worker that was killed while it wrote
            path.unlink(missing_ok=True)
        torch.set_flush_denormal(True)
        torch.set_num_threads(threads)
        with _termination() as terminated:
            return _Worker(job_folder.read(folder), device, terminated).work()
    finally:
        os.close(held)


def _lower_priority() -> None:
    """Below everything that answers visitors. If memory runs out, Linux kills the worker first."""
    os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


@contextlib.contextmanager
def _termination() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, so that it does not interrupt an update."""
    terminated = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield terminated  # signals reach only the main thread, which belongs to the caller
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: terminated.set())
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, before)


class _Worker:
    """One worker's part of a job. ``_status`` is the status it wrote last."""

    def __init__(self, job: Job, device: str, terminated: threading.Event) -> None:
        self._job, self._folder, self._config = job, job.folder, job.config
        self._device, self._terminated = device, terminated
        self._timings = job.folder.parent / TIMINGS
        self._begun = time.monotonic()  # later by every pause, which does not count as training
        self._status = read_status(job.folder)
        self._seconds_before = self._status.seconds
        self._written_at = self._disk_at = -1e9
        self._control, self._control_stamp = Control(), (-1, -1, -1)
        self._pace = _Pace()
        self._step = self._status.step
        self._key = ""  # of the device, in the timings
        self._recorder = history.Recorder(job)
        self._change("starting", pid=os.getpid())

    def work(self) -> int:
        try:
            self._train()
        except _Leave as leave:
            self._change(leave.state, problem=leave.problem, message=leave.message)
            return 0
        except (GanError, RuntimeError, OSError, MemoryError) as error:
            problem = job_folder.problem_of(error)
            try:
                self._change("failed", problem=problem, message=str(error)[:1000])
            except CheckpointError:
                raise error from None  # the disk is full: the supervisor reads the log instead
            if problem == "crashed":
                raise  # the traceback goes to the log
            return 1
        return 0

    def _train(self) -> None:
        config, folder = self._config, self._folder
        device = devices.choose_device(self._device)
        self._status = replace(self._status, device=devices.describe_device(device))
        self._key = estimate.device_key(device)
        self._check_disk()
        self._step = job_folder.updates_kept(folder)
        history.forget_after(folder, self._step)
        start = folder / job_folder.START
        if not self._step and not history.samples(folder):
            self._recorder.record_untrained()  # loading the data takes time
        steps = run.run(
            config,
            folder,
            device,
            checkpoint_seconds=_CHECKPOINT_SECONDS,
            command=["python", "-m", "gan", "work", folder.name],
            block=self._block,
            start=start if start.exists() else None,
            snapshots=SNAPSHOTS,
        )
        pace, total = self._pace, config.total_updates
        with contextlib.closing(steps):  # closing it saves a checkpoint
            while True:
                asked_at = time.monotonic()
                progress = next(steps, None)
                seconds = time.monotonic() - asked_at
                if progress is None:
                    break
                updates = progress.report.step - self._step
                self._step = progress.report.step
                pace.add(updates, seconds, progress.moment is not None)
                if pace.blocks == 1:
                    self._save_timings(start=time.monotonic() - self._begun)
                self._recorder.record(progress)
                self._change("training", now_and_then=True)
                if self._step == total:
                    self._change("scoring")
                    self._save_timings(update=pace.update, moment=pace.measurement)
                    continue
                self._obey(progress)
                self._check_caps()
        if pace.blocks:
            models = files.read_json(folder / manifest.MANIFEST, "train again")["models"]
            self._save_timings(scoring=seconds / len(models))
        self._change("finished", step=total)

    def _block(self, step: int) -> int:
        """How many updates until orders are read again."""
        if not self._pace.blocks:
            return 1  # so that the first image comes soon
        count = round(_BLOCK_SECONDS / self._pace.recent)
        if self._order().until > step:
            count = min(count, self._order().until - step)
        return min(max(1, count), _MOST_UPDATES)

    def _order(self) -> Control:
        """The latest order. Reads the file only if it has changed."""
        stamp = files.stamp(self._folder / job_folder.CONTROL)
        if stamp != self._control_stamp:
            self._control_stamp = stamp
            self._control = read_control(self._folder, self._control)
        return self._control

    def _obey(self, progress: run.Progress) -> None:
        if self._terminated.is_set():
            raise _Leave("queued")  # the machine shuts down, or needs the place: continue later
        if self._order().pauses_at(self._step):
            self._pause(progress)
        if self._order().want == "stop":
            raise _Leave("stopped")

    def _pause(self, progress: run.Progress) -> None:
        """Returns when there is another order."""
        since, others = time.monotonic(), Table(self._folder.parent)
        progress.save()
        self._recorder.record_sample(progress)
        self._change("paused")
        try:
            while self._order().pauses_at(self._step):
                too_long = time.monotonic() - since > PAUSE_SECONDS
                if self._terminated.is_set() or too_long or others.waiting(self._job.device):
                    raise _Leave("paused")
                time.sleep(0.03)
        finally:
            self._begun += time.monotonic() - since

    def _check_caps(self) -> None:
        caps = self._job.caps
        if self._seconds() - self._status.before > caps.seconds:
            raise _Leave(
                "stopped",
                "time",
                f"the job has used its {caps.seconds / 60:g} minutes of training; what it has trained is "
                "kept. Rewind it, or choose fewer updates or smaller networks",
            )
        if time.monotonic() - self._disk_at > _DISK_SECONDS:
            self._check_disk()

    def _check_disk(self) -> None:
        self._disk_at = time.monotonic()
        free = shutil.disk_usage(self._folder).free
        if free < _FREE_BYTES:
            raise _Leave(
                "failed",
                "disk",
                f"only {free / 1e6:.0f} MB are free on the disk of {self._folder.parent}, and "
                f"{_FREE_BYTES / 1e6:.0f} must stay free; remove old runs, then resume",
            )
        taken = job_folder.bytes_of(self._folder)
        if taken > self._job.caps.bytes:
            raise _Leave(
                "stopped",
                "disk",
                f"the job takes {taken / 1e6:.0f} MB, more than its {self._job.caps.bytes / 1e6:.0f}; "
                "choose smaller networks",
            )

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._begun

    def _change(self, new: State, now_and_then: bool = False, **facts: Any) -> None:
        """``now_and_then``: writes at most twice a second while the state stays the same."""
        now = time.monotonic()
        recent = now - self._written_at < _STATUS_SECONDS
        if now_and_then and recent and new == self._status.state:
            return
        self._written_at = now
        facts = {"step": self._step, "total": self._config.total_updates, **facts}
        facts["images_per_second"] = self._pace.images_per_second(self._config.effective_batch)
        facts["seconds"] = self._seconds()
        self._status = job_folder.change(self._folder, new, self._status, **facts)

    def _save_timings(self, update: float | None = None, **phases: float | None) -> None:
        """For the estimates of later jobs. A job does not fail if they cannot be written."""
        timings, key, config = self._timings, self._key, self._config
        with contextlib.suppress(GanError):
            if update is not None:
                estimate.record(timings, key, config, update)
            estimate.record_phases(timings, key, config, **phases)


class _Pace:
    """How long updates take. The first block includes some setup, so it counts only until the second."""

    def __init__(self) -> None:
        self.blocks = 0
        self.recent = _BLOCK_SECONDS  # seconds of an update in recent blocks, measurements included
        self._updates, self._seconds = 0, 0.0
        self._measured: list[tuple[int, float]] = []

    def add(self, updates: int, seconds: float, measured: bool) -> None:
        """A block of updates; ``measured``: the monitor made a measurement at its end."""
        self.blocks += 1
        if self.blocks == 1:
            self.recent = seconds / updates
            return
        share = 1.0 if self.blocks == 2 else 0.2
        self.recent += share * (seconds / updates - self.recent)
        if measured:
            self._measured.append((updates, seconds))
        else:
            self._updates += updates
            self._seconds += seconds

    def images_per_second(self, batch: int) -> float:
        """0 until it is known."""
        return batch / self.recent if self.blocks > 1 else 0.0

    @property
    def update(self) -> float | None:
        """Seconds of an update alone; None if every block had a measurement."""
        return self._seconds / self._updates if self._updates else None

    @property
    def measurement(self) -> float | None:
        """Seconds of a measurement; None if there was none, or its time cannot be told from that of updates."""
        if self.update is None or not self._measured:
            return None
        spent = sum(seconds - updates * self.update for updates, seconds in self._measured)
        return spent / len(self._measured) if spent > 0 else None
