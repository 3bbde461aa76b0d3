"""A training job as a folder: what was asked for, how it stands, what it is told, what it has shown.

    job.json        who asked, when, on which device, how much it may take; written once
    config.json     what is trained (`TrainConfig`); written once
    status.json     how it stands; written by the worker, or by its supervisor while there is none
    control.json    what it is told to do; written by whoever may
    metrics.jsonl   one line a report or look, as the training goes
    samples/        the same 64 latents after so many updates, as PNG
    snapshots/      checkpoints to go back to
    start.safetensors   of a rewound job: where it begins

and what `gan.run` keeps there. Nothing about a job is known only in memory, so a reload, another tab, a
cleared cache and a restarted server all find it as it is.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from gan import checkpoint, run
from gan.collapse import NOISE_LEGIBLE, Measures, diagnose
from gan.config import TrainConfig, has_digits
from gan.errors import CheckpointError, ConfigError

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
_GAPS = ("g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out")


@dataclass(frozen=True)
class Caps:
    """What one job may take: seconds of training, bytes of its folder."""

    seconds: float = 7_200.0
    bytes: int = 500_000_000


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
    caps: Caps = field(default_factory=Caps)
    parent: Parent | None = None


@dataclass(frozen=True)
class Status:
    """How it stands. ``message`` says in a sentence what went wrong, ``problem`` what kind of thing that is.

    ``queued``, ``updated``: seconds since 1970; ``seconds``: of training so far, over all its workers;
    ``attempts``: how often a worker was started; ``step`` of ``total`` updates; ``device`` in words."""

    state: State
    step: int = 0
    total: int = 0
    images_per_second: float = 0.0
    seconds: float = 0.0
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
    """What a job is told. ``until``: number of updates after which it pauses by itself, 0 for none.
    ``at``: seconds since 1970."""

    want: Want = "run"
    until: int = 0
    at: float = 0.0


def create(job: Job) -> None:
    """Writes the folder of a new job that waits for its turn. One that is there is asked for anew: what
    it has trained stays, and its last status and orders go."""
    checkpoint.write_json(job.folder / CONFIG, job.config.to_dict())
    write_control(job.folder, Control())
    now = time.time()
    step = updates_kept(job.folder)
    write_status(
        job.folder, Status("queued", step=step, total=job.config.total_updates, queued=now)
    )
    values = asdict(job)
    for name in ("id", "folder", "config"):
        del values[name]
    # the last file: a folder without it is no job yet
    checkpoint.write_json(job.folder / JOB, values)


def read(folder: Path) -> Job:
    """The job in ``folder``. CheckpointError or ConfigError where it is none, or damaged."""
    path = folder / JOB
    values = checkpoint.read_json(path, "remove the folder, or train anew")
    try:
        parent = values["parent"]
        return Job(
            id=folder.name,
            folder=folder,
            config=run.read_config(folder / CONFIG),
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
    yield from (path.parent for path in sorted(runs.glob(f"*/{JOB}")))


def read_status(folder: Path) -> Status:
    """How the job stands by its own account; "failed" where that cannot be read."""
    try:
        values = checkpoint.read_json(folder / STATUS, "train anew")
        return Status(**values)
    except (CheckpointError, TypeError) as error:
        return Status("failed", problem="files", message=str(error))


def write_status(folder: Path, status: Status) -> None:
    """CheckpointError where the disk does not take it."""
    checkpoint.write_json(folder / STATUS, asdict(replace(status, updated=time.time())))


def read_control(folder: Path) -> Control:
    """What the job is told; to run where nothing readable is said."""
    try:
        return Control(**checkpoint.read_json(folder / CONTROL, ""))
    except (CheckpointError, TypeError):
        return Control()


def write_control(folder: Path, control: Control) -> None:
    """CheckpointError where the disk does not take it."""
    checkpoint.write_json(folder / CONTROL, asdict(replace(control, at=time.time())))


def updates_kept(folder: Path) -> int:
    """How many updates would not have to be made again if the worker were gone now."""
    if (folder / run.MANIFEST).exists():
        return read_status(folder).total
    for name in (run.CHECKPOINT, START):
        if (folder / name).exists():
            with contextlib.suppress(CheckpointError):
                return run.read_checkpoint_step(folder / name)
    return 0


def bytes_of(folder: Path) -> int:
    """How much the files below ``folder`` take; those that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


# --- what it has shown ---------------------------------------------------------------------


def add_line(folder: Path, line: dict[str, Any]) -> None:
    """Adds to the metrics. Not synced: what a power cut takes is in the checkpoint or trained again."""
    text = json.dumps(checkpoint.without_nan(line))
    checkpoint.append_line(folder / METRICS, text, sync=False)


def forget_after(folder: Path, step: int) -> None:
    """Takes back what was shown after update ``step``, from which the job goes on."""
    kept = [line for line in read_lines(folder) if line["step"] <= step]
    text = "".join(f"{json.dumps(line)}\n" for line in kept)
    checkpoint.write_atomically(folder / METRICS, text.encode())
    for path in (folder / SAMPLES).glob("*.png"):
        if sample_step(path) > step:
            path.unlink(missing_ok=True)


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of the metrics; none where there is no file. A torn last line is left out."""
    try:
        text = (folder / METRICS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = []
    for row in text.splitlines():
        try:
            line = json.loads(row)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def curves(lines: list[dict[str, Any]], points: int = 300) -> dict[str, list[float | None]]:
    """The reports among ``lines`` as columns "step", "g_loss", "d_loss", "prob_real", "prob_fake",
    "prob_held_out": means over at most ``points`` stretches of equal length; None where nothing was
    measured."""
    reports = [line for line in lines if "g_loss" in line]
    size = max(1, -(-len(reports) // points))
    columns: dict[str, list[float | None]] = {"step": [], **{name: [] for name in _GAPS}}
    for start in range(0, len(reports), size):
        part = reports[start : start + size]
        columns["step"].append(part[-1]["step"])
        for name in _GAPS:
            values = [row[name] for row in part if row.get(name) is not None]
            columns[name].append(sum(values) / len(values) if values else None)
    return columns


def looks(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the monitor saw: {"step", "counts" (of digits 0 to 9 among "n" samples), "fd", "spread",
    "contrast", "n"} each."""
    return [line for line in lines if "counts" in line]


def measures(config: TrainConfig, look: Mapping[str, Any]) -> Measures:
    """What a verdict is decided on, of one of the `looks`; copies are looked for at the end only."""
    return Measures(
        n=look["n"],
        counts=tuple(look["counts"]),
        spread=look["spread"],
        contrast=look["contrast"],
        copies=None,
        digits=has_digits(config.source),
    )


@dataclass(frozen=True)
class Advice:
    """That it was better before: the distance ``then`` after ``then_step`` updates, ``now`` after
    ``now_step``; and ``step``, the latest snapshot from before it got worse, None where none is kept."""

    then: float
    then_step: int
    now: float
    now_step: int
    step: int | None


def advice(folder: Path, config: TrainConfig, lines: list[dict[str, Any]]) -> Advice | None:
    """Whether a job of digits has got clearly worse than it was, by the monitor's looks among its
    ``lines``; None where it has not, or never drew digits."""
    seen = looks(lines)
    if len(seen) < 2 or not has_digits(config.source):
        return None
    drew_digits = [s for s in seen if sum(s["counts"]) >= NOISE_LEGIBLE * s["n"]]
    if not drew_digits:
        return None
    best, now = min(drew_digits, key=lambda s: s["fd"]), seen[-1]
    fails = {v.kind for v in diagnose(measures(config, now))} & {
        "one_picture",
        "noise",
        "few_kinds",
    }
    if best["step"] >= now["step"] or best["fd"] * 2 > now["fd"] or not fails:
        return None
    before = [step for step in snapshots(folder) if step <= best["step"]]
    return Advice(best["fd"], best["step"], now["fd"], now["step"], before[-1] if before else None)


def sample_path(folder: Path, step: int) -> Path:
    """Where the picture of that update lies."""
    return folder / SAMPLES / f"{step:08d}.png"


def sample_step(path: Path) -> int:
    """The update after which a picture was drawn; -1 for a file of another name."""
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else -1


def samples(folder: Path) -> list[Path]:
    """The pictures there are, the earliest first."""
    found = [p for p in (folder / SAMPLES).glob("*.png") if sample_step(p) >= 0]
    return sorted(found, key=sample_step)


def snapshots(folder: Path) -> list[int]:
    """The updates a job can be taken back to."""
    found = (folder / run.SNAPSHOTS).glob("*.safetensors")
    return sorted(int(p.stem) for p in found if p.stem.isascii() and p.stem.isdigit())


def snapshot_path(folder: Path, step: int) -> Path:
    """ConfigError where there is none of that update."""
    if step not in snapshots(folder):
        known = ", ".join(f"{s:,}" for s in snapshots(folder)) or "none"
        raise ConfigError(f"{folder.name} keeps no snapshot of update {step:,}; there are: {known}")
    return folder / run.SNAPSHOTS / f"{step:08d}.safetensors"


def anyone_waits(runs: Path, device: str) -> bool:
    """Whether a job is queued for a place on ``device``."""
    for folder in folders(runs):
        if read_status(folder).state == "queued":
            try:
                if read(folder).device == device:
                    return True
            except (CheckpointError, ConfigError):
                continue
    return False
