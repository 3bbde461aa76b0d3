"""What trains a job: ``python -m gan work FOLDER``, a process of its own that outlives whoever started it.

It trains as `gan.runs.run` does and writes down on the way what there is to see (`gan.jobs.folder`). Between two
blocks of updates it looks at what it is told: to pause, to go on, to make so many updates and pause, to
stop. A paused worker keeps its networks for a while, so that a step costs nothing but the step; after
that, or as soon as another job waits, it leaves, and whoever resumes the job starts another worker.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError, DataError, GanError, TrainingError
from gan.evaluation import classifier
from gan.jobs import folder as job_folder
from gan.jobs import history
from gan.jobs.folder import (
    Control,
    Job,
    Problem,
    State,
    Table,
    bytes_of,
    read,
    read_control,
    updates_kept,
    write_status,
)
from gan.networks import dcgan, images, latents
from gan.runs import estimate, manifest, monitor, run
from gan.system import devices, files, locks
from gan.training import trainer

NICE = 15  # below everything that answers a visitor
PAUSE_SECONDS = 120.0  # how long a paused worker keeps its place where nobody waits for it
SNAPSHOTS = 8
TIMINGS = "speed.json"  # below runs/: what `gan.runs.estimate` knows
_CHECKPOINT_SECONDS = 15.0
_BLOCK_SECONDS = 0.25  # between two looks at the orders
_MOST_UPDATES = 500  # in a block, however fast
_STATUS_SECONDS = 0.5
_SAMPLE_SECONDS = 1.0
_SAMPLE_SHARE = 0.05  # of the time, at most, goes into live pictures
_DISK_SECONDS = 10.0
_FREE_BYTES = 200_000_000  # of the disk are left to everybody else


class _Leave(Exception):
    """The worker ends, and the job then stands so."""

    def __init__(self, state: State, problem: Problem = "", message: str = "") -> None:
        self.state, self.problem, self.message = state, problem, message


def work(
    folder: Path,
    device: str,
    threads: int,
    classifiers: Path = classifier.PRETRAINED,
    held: int | None = None,
) -> int:
    """Trains the job in ``folder`` until it is finished, told to leave, or cannot go on; its status says
    which. Returns an exit code. ``held``: a descriptor that has the worker's lock already. ConfigError
    where another worker has the job."""
    folder = Path(folder)
    if held is None:
        held = locks.lock(folder / job_folder.WORKER_LOCK, patience=5.0)
        if held is None:
            raise ConfigError(f"{folder} has a worker already; wait until it ends, or end it")
        locks.write_owner(held)
    try:
        _give_way()
        for path in folder.rglob(".*.tmp"):  # of a worker that was ended while it wrote
            path.unlink(missing_ok=True)
        torch.set_flush_denormal(True)
        torch.set_num_threads(threads)
        with _termination() as asked_to_end:
            return _Worker(read(folder), device, classifiers, asked_to_end).work()
    finally:
        os.close(held)


def _give_way() -> None:
    """To everything that answers visitors, also when memory runs out (Linux: it is the first to go)."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


@contextlib.contextmanager
def _termination() -> Iterator[threading.Event]:
    """An event that a termination sets instead of tearing an update."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # as a task of somebody else's: they end it as they like
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def problem_of(error: BaseException) -> Problem:
    """What kind of thing went wrong."""
    causes: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(causes) < 10:
        causes.append(link)
        link = link.__cause__
    if any(isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT) for e in causes):
        return "disk"
    text = str(error).lower()
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "can't allocate memory" in text)
    ):
        return "memory"
    kinds: tuple[tuple[type[BaseException], Problem], ...] = (
        (TrainingError, "diverged"),
        (DataError, "data"),
        (ConfigError, "settings"),
        (CheckpointError, "files"),
    )
    return next((problem for kind, problem in kinds if isinstance(error, kind)), "crashed")


class _Worker:
    """One turn at a job. ``status`` is what was last written down."""

    def __init__(
        self, asked: Job, device: str, classifiers: Path, asked_to_end: threading.Event
    ) -> None:
        self._job, self._folder, self._config = asked, asked.folder, asked.config
        self._device, self._classifiers, self._asked_to_end = device, classifiers, asked_to_end
        self._book = asked.folder.parent / TIMINGS
        self._begun = time.monotonic()
        self._waited = 0.0  # paused, which is not training
        self._status = job_folder.read_status(asked.folder)
        self._before = self._status.seconds
        self._told_at = self._disk_at = -1e9
        self._control, self._control_stamp = Control(), (-1, -1)
        self._pace = _Pace()
        self._step = self._status.step
        self._key = ""  # of the device, in the book
        self._screen = _Screen(asked)
        self._tell("starting", pid=os.getpid(), problem="", message="")

    def work(self) -> int:
        try:
            self._train()
        except _Leave as leave:
            self._tell(leave.state, self._step, problem=leave.problem, message=leave.message)
            return 0
        except (GanError, RuntimeError, OSError, MemoryError) as error:
            problem = problem_of(error)
            try:
                self._tell("failed", problem=problem, message=str(error)[:1000])
            except CheckpointError:
                raise error from None  # on a full disk the supervisor says it, from the log
            if problem == "crashed":
                raise  # the trace goes to the log
            return 1
        return 0

    def _train(self) -> None:
        config, folder = self._config, self._folder
        device = devices.choose_device(self._device)
        self._status = replace(self._status, device=devices.describe_device(device))
        self._key = estimate.device_key(device)
        self._mind_the_disk()
        self._step = step = updates_kept(folder)
        history.forget_after(folder, step)
        start = folder / job_folder.START
        if not step and not history.samples(folder):
            self._screen.before(config)  # data and optimizers take their time
        steps = run.run(
            config,
            folder,
            device,
            classifiers=self._classifiers,
            checkpoint_seconds=_CHECKPOINT_SECONDS,
            command=["python", "-m", "gan", "work", folder.name],
            block=self._block,
            start=start if start.exists() else None,
            snapshots=SNAPSHOTS,
        )
        pace = self._pace
        total = config.total_updates
        with contextlib.closing(steps):  # closed, it keeps what was trained
            while True:
                asked_at = time.monotonic()
                progress = next(steps, None)
                seconds = time.monotonic() - asked_at
                if progress is None:
                    break
                updates, step = progress.report.step - step, progress.report.step
                self._step = step
                pace.add(updates, seconds, progress.moment is not None)
                if pace.blocks == 1:
                    self._note(start=time.monotonic() - self._begun)
                self._screen.show(progress)
                self._tell("training", step=step, total=total, unless_recent=True)
                if step == total:
                    self._tell("scoring", step=step)
                    self._note(update=pace.update, look=pace.look)
                    continue
                self._obey(progress)
                self._mind_the_caps()
        if pace.blocks:
            found = files.read_json(folder / manifest.MANIFEST, "train anew")["models"]
            self._note(scoring=seconds / len(found))
        self._tell("finished", step=total, total=total)

    def _block(self, step: int) -> int:
        """How many updates until the next look at the orders."""
        if not self._pace.blocks:
            return 1  # somebody waits for the first picture
        count = round(_BLOCK_SECONDS / self._pace.recent)
        if self._orders().until > step:
            count = min(count, self._orders().until - step)
        return min(max(1, count), _MOST_UPDATES)

    # --- what it is told ---

    def _orders(self) -> Control:
        """Read anew when the file has changed."""
        try:
            found = (self._folder / job_folder.CONTROL).stat()
        except OSError:
            return self._control
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._control_stamp:
            self._control_stamp = stamp
            self._control = read_control(self._folder, self._control)
        return self._control

    def _obey(self, progress: run.Progress) -> None:
        step = progress.report.step
        control = self._orders()
        if self._asked_to_end.is_set():
            raise _Leave("queued")  # the machine goes down, or wants the place back: later, then
        if control.want == "stop":
            raise _Leave("stopped")
        if control.want == "pause" or 0 < control.until <= step:
            self._pause(progress)

    def _pause(self, progress: run.Progress) -> None:
        step = progress.report.step
        since = time.monotonic()
        progress.save()
        self._screen.draw(progress)
        self._tell("paused", step=step)
        try:
            self._wait_for_orders(step, since)
        finally:
            self._waited += time.monotonic() - since

    def _wait_for_orders(self, step: int, since: float) -> None:
        looked, others = since, Table(self._folder.parent)
        while True:
            time.sleep(0.03)
            control = self._orders()
            if control.want == "stop":
                raise _Leave("stopped")
            if control.want == "run" and not 0 < control.until <= step:
                return
            now = time.monotonic()
            if self._asked_to_end.is_set() or now - since > PAUSE_SECONDS:
                raise _Leave("paused")
            if now - looked > 1.0:
                looked = now
                if others.waiting(self._job.device):
                    raise _Leave("paused")

    def _mind_the_caps(self) -> None:
        caps = self._job.caps
        if self._seconds() - self._status.before > caps.seconds:
            raise _Leave(
                "stopped",
                "time",
                f"the job has had its {caps.seconds / 60:g} minutes of training; what it has learned "
                "is kept. Rewind it, or ask for fewer updates or smaller networks",
            )
        if time.monotonic() - self._disk_at > _DISK_SECONDS:
            self._mind_the_disk()

    def _mind_the_disk(self) -> None:
        self._disk_at = time.monotonic()
        free = shutil.disk_usage(self._folder).free
        if free < _FREE_BYTES:
            raise _Leave(
                "failed",
                "disk",
                f"only {free / 1e6:.0f} MB are free on the disk of {self._folder.parent}, "
                f"{_FREE_BYTES / 1e6:.0f} are left to others; remove old runs, then resume",
            )
        taken = bytes_of(self._folder)
        if taken > self._job.caps.bytes:
            raise _Leave(
                "stopped",
                "disk",
                f"the job takes {taken / 1e6:.0f} MB, more than its {self._job.caps.bytes / 1e6:.0f}; "
                "choose smaller networks",
            )

    # --- what it says ---

    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._begun - self._waited

    def _tell(
        self,
        state: State,
        step: int | None = None,
        total: int | None = None,
        pid: int | None = None,
        problem: Problem = "",
        message: str = "",
        unless_recent: bool = False,
    ) -> None:
        old = self._status
        now = time.monotonic()
        if unless_recent and state == old.state and now - self._told_at < _STATUS_SECONDS:
            return
        self._told_at = now
        self._status = replace(
            old,
            state=state,
            step=old.step if step is None else step,
            total=old.total if total is None else total,
            pid=old.pid if pid is None else pid,
            images_per_second=self._pace.images_per_second(self._config.effective_batch),
            seconds=self._seconds(),
            problem=problem,
            message=message,
        )
        write_status(self._folder, self._status)

    def _note(
        self,
        start: float | None = None,
        update: float | None = None,
        look: float | None = None,
        scoring: float | None = None,
    ) -> None:
        """For the estimates of jobs to come; a run does not fail for them."""
        book, key, config = self._book, self._key, self._config
        phases = {"start": start, "moment": look, "scoring": scoring}
        with contextlib.suppress(GanError):
            if update is not None:
                estimate.record(book, key, config, update)
            if any(seconds is not None for seconds in phases.values()):
                estimate.record_phases(book, key, config, **phases)


class _Pace:
    """How long updates take. The first block also sets things up, so it tells only what they take at
    most."""

    def __init__(self) -> None:
        self.blocks = 0
        self.recent = _BLOCK_SECONDS  # seconds of an update just now, looks included
        self._updates, self._seconds = 0, 0.0
        self._looks: list[tuple[int, float]] = []

    def add(self, updates: int, seconds: float, looked: bool) -> None:
        """A block; whether the monitor looked at its end."""
        self.blocks += 1
        if self.blocks == 1:
            self.recent = seconds / updates
            return
        share = 1.0 if self.blocks == 2 else 0.2
        self.recent += share * (seconds / updates - self.recent)
        if looked:
            self._looks.append((updates, seconds))
        else:
            self._updates += updates
            self._seconds += seconds

    def images_per_second(self, batch: int) -> float:
        """0 until it is known."""
        return batch / self.recent if self.blocks > 1 else 0.0

    @property
    def update(self) -> float | None:
        """Seconds of an update alone, None where no block was without a look."""
        return self._seconds / self._updates if self._updates else None

    @property
    def look(self) -> float | None:
        """Seconds of a look; None where there was none, or nothing to tell it from the updates."""
        if self.update is None or not self._looks:
            return None
        spent = sum(seconds - updates * self.update for updates, seconds in self._looks)
        return spent / len(self._looks) if spent > 0 else None


class _Screen:
    """What is there to see of a job while it trains."""

    def __init__(self, asked: Job) -> None:
        self._folder = asked.folder
        self._z = latents.sample_z(job_folder.SAMPLE_SEEDS, asked.config.model.latent_dim)
        self._drawn_at, self._cost = -1e9, 0.0
        self._begun = self._told_at = time.monotonic()
        self._reports: list[trainer.Report] = []
        self._passing: Path | None = None  # a picture that the next one replaces

    def show(self, progress: run.Progress) -> None:
        self._reports.append(progress.report)
        now = time.monotonic()
        # the longer it goes on, the fewer: 300 lines for every e-fold of the time
        if (
            now - self._told_at > (now - self._begun) / 300
            or progress.report.step == progress.report.total
        ):
            self._told_at = now
            self._tell_curves()
        patience = max(_SAMPLE_SECONDS, self._cost / _SAMPLE_SHARE)
        if progress.moment is not None or time.monotonic() - self._drawn_at > patience:
            self.draw(progress)

    def _tell_curves(self) -> None:
        """The means since the last line."""
        means = {
            name: float(torch.cat([getattr(r, name) for r in self._reports]).mean())
            for name in ("g_loss", "d_loss", "prob_real", "prob_fake")
        }
        last = self._reports[-1]
        self._reports.clear()
        line = {"step": last.step, **means, "prob_held_out": last.prob_held_out}
        history.add_line(self._folder, line)

    def before(self, config: TrainConfig) -> None:
        """What the untrained networks draw, which `gan.runs.run` is about to make."""
        generator, _ = dcgan.make_pair(config.model, config.seed)
        self._passing = self._sheet(generator.eval(), 0)

    @torch.no_grad()
    def _sheet(self, generator: dcgan.Generator, step: int) -> Path:
        """Writes what the same latents give as always; the file."""
        device = next(generator.parameters()).device
        drawn = generator(self._z.to(device)).cpu()
        path = history.sample_path(self._folder, step)
        sheet = images.grid(images.to_uint8(drawn), job_folder.SAMPLE_COLUMNS, gap=1, background=40)
        files.write_atomically(path, images.to_png(sheet))
        return path

    def draw(self, progress: run.Progress) -> None:
        """A picture, and what the monitor has just seen, if it has."""
        began = time.monotonic()
        path = self._sheet(progress.generator_ema, progress.report.step)
        if self._passing is not None and self._passing != path:
            self._passing.unlink(missing_ok=True)
        self._passing = None if progress.moment is not None else path
        if progress.moment is not None:
            moment = progress.moment
            history.add_line(
                self._folder,
                {
                    "step": moment.step,
                    "counts": list(moment.counts),
                    "n": monitor.MONITOR_SAMPLES,
                    "fd": moment.fd,
                    "spread": moment.spread,
                    "contrast": moment.contrast,
                },
            )
        self._drawn_at = time.monotonic()
        self._cost = self._drawn_at - began
