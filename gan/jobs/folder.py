"""A training job as a folder: what was asked for, how it stands, what it is told, what it has shown.

    job.json        who asked, when, on which device, how much it may take; anew when it is asked for again
    config.json     what is trained (`TrainConfig`)
    status.json     how it stands; written by the worker, or by its supervisor while there is none
    control.json    what it is told to do; written by whoever may
    metrics.jsonl   one line a report or look, as the training goes
    samples/        the same 64 latents after so many updates, as PNG
    snapshots/      checkpoints to go back to
    start.safetensors   of a rewound job: where it begins

and what `gan.runs.run` keeps there. Nothing about a job is known only in memory, so a reload, another tab, a
cleared cache and a restarted server all find it as it is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError
from gan.runs import manifest, names, run
from gan.system import files

State = Literal[
    "queued", "starting", "training", "paused", "scoring", "finished", "stopped", "failed"
]
#: States in which a job wants, or has, its turn.
ACTIVE: tuple[State, ...] = ("queued", "starting", "training", "paused", "scoring")
#: States in which a worker should be alive.
WORKING: tuple[State, ...] = ("starting", "training", "scoring")
Problem = Literal[
    "",
    "memory",
    "killed",
    "disk",
    "diverged",
    "data",
    "settings",
    "time",
    "hung",
    "files",
    "crashed",
    "interrupted",
]
Want = Literal["run", "pause", "stop"]
JOB, CONFIG, STATUS, CONTROL = "job.json", "config.json", "status.json", "control.json"
METRICS, SAMPLES, START = "metrics.jsonl", "samples", "start.safetensors"
WORKER_LOCK, SUPERVISOR_LOCK = ".worker.lock", ".supervisor.lock"
SAMPLE_SEEDS = range(64)  # latents of the live pictures, those of the Explore page
SAMPLE_COLUMNS = 8


@dataclass(frozen=True)
class Caps:
    """What one job may take: seconds of training each time it is asked for, bytes of its folder."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Parent:
    """Where a rewound job begins: another job's name and its update."""

    id: str
    step: int


@dataclass(frozen=True)
class Job:
    """What was asked for. ``owner`` tells visitors apart and nothing else about them."""

    id: str
    folder: Path
    config: TrainConfig
    device: str  # cuda, mps or cpu; which of several GPUs is decided when its turn comes
    owner: str
    created: float  # seconds since 1970
    caps: Caps
    parent: Parent | None = None


@dataclass(frozen=True)
class Status:
    """How it stands. ``message`` says in a sentence what went wrong, ``problem`` what kind of thing that is.

    ``queued``, ``updated``: seconds since 1970; ``seconds``: of training so far, over all its workers,
    ``before``: those of them before it was last asked for;
    ``attempts``: how often a worker was started; ``step`` of ``total`` updates; ``device`` in words."""

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


@dataclass(frozen=True)
class Control:
    """What a job is told. ``until``: number of updates after which it pauses by itself, 0 for none."""

    want: Want = "run"
    until: int = 0


def create(job: Job) -> None:
    """Writes the folder of a new job that waits for its turn. One that is there is asked for anew: what
    it has trained stays, and its last status and orders go."""
    files.write_json(job.folder / CONFIG, job.config.to_dict())
    write_control(job.folder, Control())
    step, seconds = updates_kept(job.folder), 0.0
    if (job.folder / STATUS).exists():
        seconds = read_status(job.folder).seconds
    total = job.config.total_updates
    status = Status("queued", step=step, total=total, seconds=seconds, before=seconds)
    write_status(job.folder, replace(status, queued=time.time()))
    values = asdict(job)
    for name in ("id", "folder", "config"):
        del values[name]
    # the last file: a folder without it is no job yet
    files.write_json(job.folder / JOB, values)


def read(folder: Path) -> Job:
    """The job in ``folder``. CheckpointError or ConfigError where it is none, or damaged."""
    path = folder / JOB
    values = files.read_json(path, "remove the folder, or train anew")
    try:
        parent = values["parent"]
        return Job(
            id=folder.name,
            folder=folder,
            config=names.read_config(folder / CONFIG),
            device=str(values["device"]),
            owner=str(values["owner"]),
            created=float(values["created"]),
            caps=Caps(**values["caps"]),
            parent=None if parent is None else Parent(**parent),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} describes no job ({type(error).__name__}: {error}); remove the folder"
        ) from error


def folders(runs: Path) -> Iterator[Path]:
    """Every folder below ``runs`` that is a job."""
    for path in sorted(runs.glob(f"*/{JOB}")):
        if not path.parent.name.startswith("."):  # on its way out
            yield path.parent


def read_status(folder: Path) -> Status:
    """How the job stands by its own account; "failed" where that cannot be read."""
    try:
        values = files.read_json(folder / STATUS, "train anew")
        return Status(**values)
    except (CheckpointError, TypeError) as error:
        return Status("failed", problem="files", message=str(error))


def write_status(folder: Path, status: Status) -> None:
    """CheckpointError where the disk does not take it."""
    files.write_json(folder / STATUS, asdict(replace(status, updated=time.time())))


def read_control(folder: Path, before: Control | None = None) -> Control:
    """What the job is told; where nothing readable is said what it was told ``before``, or to run."""
    try:
        return Control(**files.read_json(folder / CONTROL, ""))
    except (CheckpointError, TypeError):
        return before or Control()


def write_control(folder: Path, control: Control) -> None:
    """CheckpointError where the disk does not take it."""
    files.write_json(folder / CONTROL, asdict(control))


def updates_kept(folder: Path) -> int:
    """How many updates would not have to be made again if the worker were gone now."""
    if (folder / manifest.MANIFEST).exists():
        return read_status(folder).total
    for name in (run.CHECKPOINT, START):
        if (folder / name).exists():
            with contextlib.suppress(CheckpointError):
                return run.read_checkpoint_step(folder / name)
    return 0


def bytes_of(folder: Path) -> int:
    """How much the files below ``folder`` take; those that vanish meanwhile count nothing."""
    sizes: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        try:
            found = path.stat()
        except OSError:
            continue
        sizes[found.st_dev, found.st_ino] = found.st_size  # a second name takes no room
    return sum(sizes.values())


class Table:
    """All jobs below a folder and how they stand, read anew where a file has changed, and at most a few
    times a second, whoever asks. For many threads."""

    _SECONDS = 0.2

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._guard = threading.Lock()
        self._read_at = -1e9
        self._rows: list[tuple[Job, Status]] = []
        self._jobs: dict[Path, tuple[object, Job]] = {}
        self._states: dict[Path, tuple[object, Status]] = {}

    def rows(self, fresh: bool = False) -> list[tuple[Job, Status]]:
        """Of every job that can be read, by name. ``fresh``: as it is now."""
        with self._guard:
            if fresh or time.monotonic() - self._read_at > self._SECONDS:
                self._rows = list(self._look())
                self._read_at = time.monotonic()
            return self._rows

    def waiting(self, device: str) -> list[Job]:
        """The queue of ``device``, the next one first."""
        queued = [
            (status.queued, found.id, found)
            for found, status in self.rows()
            if status.state == "queued" and found.device == device
        ]
        return [found for _, _, found in sorted(queued, key=lambda row: row[:2])]

    def _look(self) -> Iterator[tuple[Job, Status]]:
        there = list(folders(self._runs))
        for known in (self._jobs, self._states):
            for gone in known.keys() - there:
                del known[gone]
        for folder in there:
            try:
                yield self._row(folder)
            except (OSError, CheckpointError, ConfigError):
                continue  # damaged, or removed in this moment

    def row(self, folder: Path) -> tuple[Job, Status]:
        """One of them, as it is now. OSError, CheckpointError or ConfigError where it is none."""
        with self._guard:
            return self._row(folder)

    def _row(self, folder: Path) -> tuple[Job, Status]:
        stamp = _stamp(folder / JOB)
        if self._jobs.get(folder, (None,))[0] != stamp:
            self._jobs[folder] = (stamp, read(folder))
        stamp = _stamp(folder / STATUS)
        if self._states.get(folder, (None,))[0] != stamp:
            self._states[folder] = (stamp, read_status(folder))
        return self._jobs[folder][1], self._states[folder][1]


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size
