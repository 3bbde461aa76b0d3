"""What a job has recorded: loss curves, monitor measures, sample images, snapshots."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan.config import TrainConfig, has_digits
from gan.errors import ConfigError
from gan.evaluation.verdict import NOISE_LEGIBLE, Measures, diagnose
from gan.jobs import folder as job_folder
from gan.runs import run
from gan.system import files

_GAPS = ("g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out")


def add_line(folder: Path, line: dict[str, Any]) -> None:
    """Adds to the metrics. Not synced: what a power cut takes is in the checkpoint or trained again."""
    text = json.dumps(files.without_nan(line))
    files.append_line(folder / job_folder.METRICS, text, sync=False)


def forget_after(folder: Path, step: int) -> None:
    """Takes back what was shown after update ``step``, from which the job goes on."""
    kept = [line for line in read_lines(folder) if line["step"] <= step]
    text = "".join(f"{json.dumps(line)}\n" for line in kept)
    files.write_atomically(folder / job_folder.METRICS, text.encode())
    for path in (folder / job_folder.SAMPLES).glob("*.png"):
        if sample_step(path) > step:
            path.unlink(missing_ok=True)


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of the metrics; none where there is no file. A torn last line is left out."""
    try:
        text = (folder / job_folder.METRICS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return _parsed(text)


def _parsed(text: str) -> list[dict[str, Any]]:
    lines = []
    for row in text.splitlines():
        try:
            line = json.loads(row)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def curves(lines: list[dict[str, Any]], points: int = 150) -> dict[str, list[float | None]]:
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
    return folder / job_folder.SAMPLES / f"{step:08d}.png"


def sample_step(path: Path) -> int:
    """The update after which a picture was drawn; -1 for a file of another name."""
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else -1


def samples(folder: Path) -> list[Path]:
    """The pictures there are, the earliest first."""
    found = [p for p in (folder / job_folder.SAMPLES).glob("*.png") if sample_step(p) >= 0]
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


def latest_sample(paths: Sequence[Path]) -> tuple[int, bytes] | None:
    """(update, PNG) of the last sample that can be read, or None. The worker thins them out meanwhile."""
    for path in reversed(paths[-3:]):
        with contextlib.suppress(OSError):
            return sample_step(path), path.read_bytes()
    return None


class Reel:
    """The metrics of a job as they grow: reads on from where it was. For many threads."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / job_folder.METRICS
        self._guard = threading.Lock()
        self._file: int | None = None
        self._offset = 0
        self._lines: list[dict[str, Any]] = []
        self._curves: tuple[int, dict[str, list[float | None]]] = (-1, {})

    def lines(self) -> list[dict[str, Any]]:
        """All there are now; not to be changed."""
        with self._guard:
            return self._read()

    def curves(self) -> dict[str, list[float | None]]:
        """`curves` of them, made once for all who watch."""
        with self._guard:
            lines = self._read()
            if self._curves[0] != len(lines) or not lines:
                self._curves = (len(lines), curves(lines))
            return self._curves[1]

    def _read(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._file or found.st_size < self._offset:
                    self._file, self._offset, self._lines = found.st_ino, 0, []
                    self._curves = (-1, {})
                file.seek(self._offset)
                rows = file.read()
        except OSError:
            return []
        whole = rows[: rows.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._lines = self._lines + _parsed(whole.decode(errors="replace"))
        return self._lines
