"""A job as a folder: what to train, its state, its orders and its history.

    job.json        owner, time, device and caps; written again when the job is requested again
    config.json     what is trained (`TrainConfig`)
    status.json     the state (`Status`)
    control.json    the latest order (`Control`); written by the app or the command line
    metrics.jsonl   one line for each report and each measurement of the monitor (`gan.jobs.history`)
    samples/        images of the same 64 latents after so many updates, as PNG
    snapshots/      checkpoints to go back to
    start.safetensors   of a rewound job: the checkpoint it begins with

and the files of `gan.runs.run`. Nothing about a job is kept in memory only. So after a reload, in another tab,
after a cleared cache and after a restart of the server, the page finds the job as it is.

`change` is the only writer of ``status.json``. While a worker lives, the worker alone calls it. Before a worker
starts and after it is gone, the caller holds one of the job's locks (`gan.jobs.supervisor`, `gan.jobs.service`).
Every write replaces the whole file, so a process may be killed at any point: the file then holds its last
status, and whoever supervises the job next sees from the worker's lock that the worker is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass

from gan.config import TrainConfig, read_as
from gan.errors import CheckpointError, ConfigError, DataError, TrainingError
from gan.runs import manifest, names, run
from gan.system import files

JOB, CONFIG, STATUS, CONTROL = "job.json", "config.json", "status.json", "control.json"
METRICS, SAMPLES, START = "metrics.jsonl", "samples", "start.safetensors"
WORKER_LOCK, SUPERVISOR_LOCK = ".worker.lock", ".supervisor.lock"
State = Literal[
    "queued", "starting", "training", "paused", "scoring", "finished", "stopped", "failed"
]
#: States in which a job has a worker or waits for one.
ACTIVE: tuple[State, ...] = ("queued", "starting", "training", "paused", "scoring")
#: States in which a worker should be alive.
WORKING: tuple[State, ...] = ("starting", "training", "scoring")
#: Any active job may be started, put back into the queue, or end early.
_ALWAYS: tuple[State, ...] = ("queued", "starting", "stopped", "failed")
#: The states that may follow each state. A job that has ended keeps its end until someone requests it again.
TRANSITIONS: dict[State, tuple[State, ...]] = {
    "queued": _ALWAYS,
    "starting": (*_ALWAYS, "training", "finished"),
    "training": (*_ALWAYS, "training", "paused", "scoring"),
    "paused": (*_ALWAYS, "paused", "training"),
    "scoring": (*_ALWAYS, "finished"),
    "finished": ("queued", "starting"),
    "stopped": ("queued", "starting"),
    "failed": ("queued", "starting"),
}
Problem = (
    Literal["", "memory", "disk", "time", "data", "settings", "files"]
    | Literal["diverged", "crashed", "hung", "killed", "interrupted"]
)
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class Caps:
    """What one job may take: seconds of training after each request, bytes of its folder."""

    seconds: float
    bytes: int


@dataclass(frozen=True, config=_STRICT)
class Parent:
    """Where a rewound job begins: the name of another job, and its update."""

    id: str
    step: int


@dataclass(frozen=True, config=_STRICT)
class Control:
    """An order to a job. ``until``: the number of updates after which it pauses by itself, 0 for none."""

    want: Literal["run", "pause", "stop"] = "run"
    until: int = 0

    def pauses_at(self, step: int) -> bool:
        """Whether a job that has made ``step`` updates has to pause."""
        return self.want == "pause" or 0 < self.until <= step


@dataclass(frozen=True, config=_STRICT)
class Status:
    """The state of a job, its progress and, if something went wrong, what.

    ``step`` of ``total`` updates are done. ``seconds`` of training over all workers so far; ``before``: those
    of them before the job was last requested. ``queued``, ``updated``: seconds since 1970. ``attempts``: how
    many workers have been started. ``device`` in words. ``problem``: the kind of problem, ``message``: one
    sentence about it.
    """

    state: State
    step: int = 0
    total: int = 0
    images_per_second: float = 0.0
    seconds: float = 0.0
    before: float = 0.0
    device: str = ""
    pid: int = 0
    problem: Problem = ""
    message: str = ""
    queued: float = 0.0
    updated: float = 0.0
    attempts: int = 0

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


class _JobFile(BaseModel):
    """The content of job.json."""

    model_config = ConfigDict(extra="forbid", title="a job")
    device: str
    owner: str
    created: float
    caps: Caps
    parent: Parent | None


@dataclasses.dataclass(frozen=True)
class Job:
    """A request for a training. ``owner`` tells visitors apart and says nothing else about them."""

    id: str
    folder: Path
    config: TrainConfig
    device: str  # cuda, mps or cpu; which of several GPUs is chosen when its turn comes
    owner: str
    created: float  # seconds since 1970
    caps: Caps
    parent: Parent | None = None


def create(job: Job) -> None:
    """Writes the folder of a new job and puts it into the queue. If the folder exists, its training is kept,
    and its last state and orders are replaced."""
    files.write_json(job.folder / CONFIG, job.config.to_dict())
    write_control(job.folder, Control())
    enqueue(job)
    values = {f: getattr(job, f) for f in _JobFile.model_fields}
    # the last file: a folder without it is no job yet
    files.write_json(job.folder / JOB, _JobFile(**values).model_dump())


def enqueue(job: Job) -> None:
    """Puts the job behind all that wait already."""
    old = read_status(job.folder)
    new = Status(old.state, seconds=old.seconds, before=old.seconds, queued=time.time())
    step, total = updates_kept(job.folder), job.config.total_updates
    change(job.folder, "queued", new, step=step, total=total)


def read(folder: Path) -> Job:
    """The job in ``folder``. CheckpointError or ConfigError if there is none, or it is damaged."""
    path = folder / JOB
    values = files.read_json(path, "remove the folder, or train again")
    found = read_as(_JobFile, values, what=str(path), error=CheckpointError)
    return Job(folder.name, folder, names.read_config(folder / CONFIG), **dict(found))


def folders(runs: Path) -> Iterator[Path]:
    """Every folder below ``runs`` that is a job."""
    for path in sorted(runs.glob(f"*/{JOB}")):
        if not path.parent.name.startswith("."):  # about to be deleted
            yield path.parent


def read_control(folder: Path, last: Control | None = None) -> Control:
    """The order to the job. If it cannot be read: the ``last`` one, or to run."""
    path = folder / CONTROL
    try:
        return read_as(Control, files.read_json(path, ""), what=str(path), error=CheckpointError)
    except CheckpointError:
        return last or Control()


def write_control(folder: Path, control: Control) -> None:
    """CheckpointError if the disk does not take it."""
    files.write_json(folder / CONTROL, dataclasses.asdict(control))


def read_status(folder: Path) -> Status:
    """The status in the job's folder; "failed" with the problem "files" if it cannot be read."""
    path = folder / STATUS
    try:
        values = files.read_json(path, "train again")
        return read_as(Status, values, what=str(path), error=CheckpointError)
    except CheckpointError as error:
        return Status("failed", problem="files", message=str(error))


def write_status(folder: Path, status: Status) -> None:
    """Writes ``status`` with the time of now, whatever was there. `change` is for everyone but tests.
    CheckpointError if the disk does not take it."""
    files.write_json(folder / STATUS, dataclasses.asdict(replace(status, updated=time.time())))


def change(folder: Path, state: State, last: Status | None = None, **facts: Any) -> Status:
    """Writes a transition to ``state`` and returns the new status. ``last``: the status that the caller has
    just read or written, if no one else can have written since. ``facts``: fields that change too; a problem
    and its message last for one transition only.

    A job that has ended keeps its end, and ``last`` is returned: of several processes that see a job end, the
    first one decides. ValueError for a transition of an active job that `TRANSITIONS` does not list.
    CheckpointError if the disk does not take it.
    """
    last = last or read_status(folder)
    if state in TRANSITIONS[last.state]:
        status = replace(last, state=state, **{"problem": "", "message": "", **facts})
        write_status(folder, status)
        return status
    if last.active:
        raise ValueError(f"a job that is {last.state} cannot become {state}")
    return last


def problem_of(error: BaseException) -> Problem:
    """The kind of problem behind an exception."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return "disk"
        cause = cause.__cause__
    no_memory = ("out of memory", "can't allocate memory")
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in no_memory)
    ):
        return "memory"
    kinds: tuple[tuple[type[BaseException], Problem], ...] = (
        (TrainingError, "diverged"),
        (DataError, "data"),
        (ConfigError, "settings"),
        (CheckpointError, "files"),
    )
    return next((problem for kind, problem in kinds if isinstance(error, kind)), "crashed")


def updates_kept(folder: Path) -> int:
    """How many updates would be kept if the worker were killed now."""
    if (folder / manifest.MANIFEST).exists():
        return read_status(folder).total
    for name in (run.CHECKPOINT, START):
        if (folder / name).exists():
            with contextlib.suppress(CheckpointError):
                return run.read_checkpoint_step(folder / name)
    return 0


def bytes_of(folder: Path) -> int:
    """Size of all files below ``folder``. Files that vanish meanwhile do not count."""
    sizes: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            found = path.stat()
            sizes[found.st_dev, found.st_ino] = found.st_size  # a hard link takes no room
    return sum(sizes.values())


class Table:
    """All jobs below a folder with their states. A file is read again only after it has changed, and the
    folder is scanned at most five times a second, however many ask. For many threads."""

    _SECONDS = 0.2
    _FILES = 4_096  # that are kept in memory

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._guard = threading.Lock()
        self._read_at = -1e9
        self._rows: list[tuple[Job, Status]] = []
        self._read = functools.lru_cache(self._FILES)(lambda reader, folder, stamp: reader(folder))

    def rows(self, fresh: bool = False) -> list[tuple[Job, Status]]:
        """Every job that can be read, by name. ``fresh``: as of now, not of the last scan."""
        with self._guard:
            if fresh or time.monotonic() - self._read_at > self._SECONDS:
                rows = []
                for folder in folders(self._runs):
                    # damaged, or removed at this moment
                    with contextlib.suppress(CheckpointError, ConfigError):
                        rows.append(self.row(folder))
                self._rows, self._read_at = rows, time.monotonic()
            return self._rows

    def row(self, folder: Path) -> tuple[Job, Status]:
        """One job, as of now. CheckpointError or ConfigError if it cannot be read."""
        job: Job = self._read(read, folder, files.stamp(folder / JOB))
        status: Status = self._read(read_status, folder, files.stamp(folder / STATUS))
        return job, status

    def waiting(self, device: str) -> list[Job]:
        """The queue of ``device``, the next job first."""
        rows = sorted(self.rows(), key=lambda row: (row[1].queued, row[0].id))
        return [job for job, status in rows if status.state == "queued" and job.device == device]
