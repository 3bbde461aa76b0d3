"""A job as a folder: what to train, its state, its orders and its history.

    job.json        owner, time, device and caps; written again when the job is requested again
    config.json     what is trained (`TrainConfig`)
    status.json     the state (`gan.jobs.state`)
    control.json    the latest order (`Control`); written by the app or the command line
    metrics.jsonl   one line for each report and each measurement of the monitor (`gan.jobs.history`)
    samples/        images of the same 64 latents after so many updates, as PNG
    snapshots/      checkpoints to go back to
    start.safetensors   of a rewound job: the checkpoint it begins with

and the files of `gan.runs.run`. Nothing about a job is kept in memory only. So after a reload, in another tab,
after a cleared cache and after a restart of the server, the page finds the job as it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass

from gan.config import TrainConfig, read_as
from gan.errors import CheckpointError, ConfigError
from gan.jobs import state
from gan.jobs.state import STATUS, Status, read_status
from gan.runs import manifest, names, run
from gan.system import files

Want = Literal["run", "pause", "stop"]
JOB, CONFIG, CONTROL = "job.json", "config.json", "control.json"
METRICS, SAMPLES, START = "metrics.jsonl", "samples", "start.safetensors"
WORKER_LOCK, SUPERVISOR_LOCK = ".worker.lock", ".supervisor.lock"
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

    want: Want = "run"
    until: int = 0

    def pauses_at(self, step: int) -> bool:
        """Whether a job that has made ``step`` updates has to pause."""
        return self.want == "pause" or 0 < self.until <= step


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
    enqueue(job.folder, job.config.total_updates)
    values = {f: getattr(job, f) for f in _JobFile.model_fields}
    # the last file: a folder without it is no job yet
    files.write_json(job.folder / JOB, _JobFile(**values).model_dump())


def enqueue(folder: Path, total: int | None = None) -> Status:
    """Puts the job behind all that wait already. ``total``: updates of its configuration, if it is new."""
    exists = (folder / STATUS).exists()
    old = read_status(folder) if exists else Status("stopped")
    new = Status(old.state, seconds=old.seconds, before=old.seconds, queued=time.time())
    step = updates_kept(folder)
    return state.change(
        folder, "queued", new, step=step, total=old.total if total is None else total
    )


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
        try:
            found = path.stat()
        except OSError:
            continue
        sizes[found.st_dev, found.st_ino] = found.st_size  # a hard link takes no room
    return sum(sizes.values())


class Table:
    """All jobs below a folder with their states. A file is read again only after it has changed, and the
    folder is scanned at most five times a second, however many ask. For many threads."""

    _SECONDS = 0.2

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._guard = threading.Lock()
        self._read_at = -1e9
        self._rows: list[tuple[Job, Status]] = []
        self._read: dict[Path, tuple[object, Any]] = {}  # of each file: its stamp and content

    def rows(self, fresh: bool = False) -> list[tuple[Job, Status]]:
        """Every job that can be read, by name. ``fresh``: as of now, not of the last scan."""
        with self._guard:
            if fresh or time.monotonic() - self._read_at > self._SECONDS:
                self._rows = list(self._scan())
                self._read_at = time.monotonic()
            return self._rows

    def waiting(self, device: str) -> list[Job]:
        """The queue of ``device``, the next job first."""
        queued = [
            (status.queued, job.id, job)
            for job, status in self.rows()
            if status.state == "queued" and job.device == device
        ]
        return [job for _, _, job in sorted(queued, key=lambda row: row[:2])]

    def row(self, folder: Path) -> tuple[Job, Status]:
        """One job, as of now. CheckpointError or ConfigError if it cannot be read."""
        with self._guard:
            return self._row(folder)

    def _scan(self) -> Iterator[tuple[Job, Status]]:
        there = list(folders(self._runs))
        self._read = {path: row for path, row in self._read.items() if path.parent in there}
        for folder in there:
            try:
                yield self._row(folder)
            except (CheckpointError, ConfigError):
                continue  # damaged, or removed at this moment

    def _row(self, folder: Path) -> tuple[Job, Status]:
        for path, reader in ((folder / JOB, read), (folder / STATUS, read_status)):
            stamp = _stamp(path)
            if self._read.get(path, (None,))[0] != stamp:
                self._read[path] = (stamp, reader(folder))
        return self._read[folder / JOB][1], self._read[folder / STATUS][1]


def _stamp(path: Path) -> tuple[int, int, int]:
    """Changes when the file does; zeros if there is none, which reading it then reports."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size
