"""The history of a job: loss curves, measurements of the monitor, sample images and snapshots."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from gan.config import TrainConfig, has_digits
from gan.errors import ConfigError
from gan.evaluation.verdict import NOISE_LEGIBLE, Measures, diagnose
from gan.jobs.folder import METRICS, SAMPLES, Job
from gan.networks import dcgan, images, latents
from gan.runs import monitor, run
from gan.system import files
from gan.training import trainer

SAMPLE_SEEDS = range(64)  # latents of the sample images, those of the Explore page
SAMPLE_COLUMNS = 8
_SAMPLE_SECONDS = 1.0  # between two sample images, at least
_SAMPLE_SHARE = 0.05  # of the time, at most, is spent on sample images
_CURVES = ("g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out")
_Step = Annotated[int, Field(strict=True, ge=0)]


@final  # so that a key tells the two apart
@with_config(ConfigDict(extra="forbid"))
class Losses(TypedDict):
    """A line of reports of the trainer: means since the line before it; None for what was not measured."""

    step: _Step
    g_loss: float | None
    d_loss: float | None
    prob_real: float | None
    prob_fake: float | None
    prob_held_out: float | None


@final
@with_config(ConfigDict(extra="forbid"))
class Measurement(TypedDict):
    """A line of the monitor (`gan.runs.monitor.Moment`): ``counts`` of the digits 0 to 9 among ``n`` samples."""

    step: _Step
    counts: Annotated[list[int], Field(min_length=10, max_length=10)]
    n: int
    fd: float
    spread: float
    contrast: float


Line = Losses | Measurement
_LINE: TypeAdapter[Line] = TypeAdapter(Line)


def add_line(folder: Path, line: Line) -> None:
    """Appends to the metrics. Not synced: after a power cut the lost lines are in the checkpoint, or their
    updates are made again."""
    files.append_line(folder / METRICS, json.dumps(files.without_nan(line)), sync=False)


def forget_after(folder: Path, step: int) -> None:
    """Removes the history after update ``step``, from which the job continues."""
    kept = [line for line in read_lines(folder) if line["step"] <= step]
    text = "".join(f"{json.dumps(line)}\n" for line in kept)
    files.write_atomically(folder / METRICS, text.encode())
    for path in (folder / SAMPLES).glob("*.png"):
        if sample_step(path) > step:
            path.unlink(missing_ok=True)


def read_lines(folder: Path) -> list[Line]:
    """All lines of the metrics that can be read; none if there is no file."""
    try:
        return _parsed((folder / METRICS).read_bytes())
    except OSError:
        return []


def _parsed(content: bytes) -> list[Line]:
    """Leaves out damaged lines: the last one is torn after a power cut."""
    lines = []
    for row in content.splitlines():
        try:
            lines.append(_LINE.validate_json(row))
        except ValidationError:
            continue
    return lines


def curves(lines: Sequence[Line], points: int = 150) -> dict[str, list[float | None]]:
    """The loss lines as columns "step", "g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out": means
    over at most ``points`` stretches of equal length; None where nothing was measured."""
    reports: list[Mapping[str, Any]] = [line for line in lines if "g_loss" in line]
    size = max(1, -(-len(reports) // points))
    columns: dict[str, list[float | None]] = {"step": [], **{name: [] for name in _CURVES}}
    for start in range(0, len(reports), size):
        part = reports[start : start + size]
        columns["step"].append(part[-1]["step"])
        for name in _CURVES:
            values = [row[name] for row in part if row[name] is not None]
            columns[name].append(sum(values) / len(values) if values else None)
    return columns


def measurements(lines: Sequence[Line]) -> list[Measurement]:
    """The monitor's lines."""
    return [line for line in lines if "counts" in line]


def measures(config: TrainConfig, measurement: Measurement) -> Measures:
    """The values that a verdict on a measurement needs. Copies are searched for only after the training."""
    return Measures(
        n=measurement["n"],
        counts=tuple(measurement["counts"]),
        spread=measurement["spread"],
        contrast=measurement["contrast"],
        copies=None,
        digits=has_digits(config.source),
    )


@dataclass(frozen=True)
class Advice:
    """The job was better before: its Frechet distance was ``then`` after ``then_step`` updates and is ``now``
    after ``now_step``. ``step``: the latest snapshot from before it got worse, None if none is kept."""

    then: float
    then_step: int
    now: float
    now_step: int
    step: int | None


def advice(folder: Path, config: TrainConfig, lines: Sequence[Line]) -> Advice | None:
    """Whether a job on digits has become clearly worse, by the monitor's measurements among its ``lines``;
    None if it has not, or never drew digits."""
    seen = measurements(lines)
    if len(seen) < 2 or not has_digits(config.source):
        return None
    legible = [m for m in seen if sum(m["counts"]) >= NOISE_LEGIBLE * m["n"]]
    if not legible:
        return None
    best, now = min(legible, key=lambda m: m["fd"]), seen[-1]
    kinds = {v.kind for v in diagnose(measures(config, now))}
    if (
        best["step"] >= now["step"]
        or best["fd"] * 2 > now["fd"]
        or not kinds & {"one_picture", "noise", "few_kinds"}
    ):
        return None
    before = [step for step in snapshots(folder) if step <= best["step"]]
    return Advice(best["fd"], best["step"], now["fd"], now["step"], before[-1] if before else None)


def sample_path(folder: Path, step: int) -> Path:
    """Path of the sample image after update ``step``."""
    return folder / SAMPLES / f"{step:08d}.png"


def sample_step(path: Path) -> int:
    """The update after which a sample image was made; -1 for a file of another name."""
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else -1


def samples(folder: Path) -> list[Path]:
    """All sample images, the earliest first."""
    found = [p for p in (folder / SAMPLES).glob("*.png") if sample_step(p) >= 0]
    return sorted(found, key=sample_step)


def snapshots(folder: Path) -> list[int]:
    """The updates a job can be rewound to."""
    found = (folder / run.SNAPSHOTS).glob("*.safetensors")
    return sorted(int(p.stem) for p in found if p.stem.isascii() and p.stem.isdigit())


def snapshot_path(folder: Path, step: int) -> Path:
    """ConfigError if there is no snapshot of that update."""
    if step not in snapshots(folder):
        known = ", ".join(f"{s:,}" for s in snapshots(folder)) or "none"
        raise ConfigError(f"{folder.name} has no snapshot of update {step:,}; there are: {known}")
    return folder / run.SNAPSHOTS / f"{step:08d}.safetensors"


def latest_sample(paths: Sequence[Path]) -> tuple[int, bytes] | None:
    """(update, PNG) of the last sample image that can be read, or None. The worker may delete some meanwhile."""
    for path in reversed(paths[-3:]):
        with contextlib.suppress(OSError):
            return sample_step(path), path.read_bytes()
    return None


class Reader:
    """Reads the metrics of a job as they grow, each line once. For many threads."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS
        self._guard = threading.Lock()
        self._file: int | None = None
        self._offset = 0
        self._lines: list[Line] = []
        self._curves: tuple[int, dict[str, list[float | None]]] = (-1, {})

    def lines(self) -> list[Line]:
        """All lines so far. Do not change the list."""
        with self._guard:
            return self._read()

    def curves(self) -> dict[str, list[float | None]]:
        """`curves` of the lines, computed once for all who watch."""
        with self._guard:
            lines = self._read()
            if self._curves[0] != len(lines) or not lines:
                self._curves = (len(lines), curves(lines))
            return self._curves[1]

    def _read(self) -> list[Line]:
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
        self._lines = self._lines + _parsed(whole)
        return self._lines


class Recorder:
    """Writes the history of a job while its worker trains it."""

    def __init__(self, job: Job) -> None:
        self._folder = job.folder
        self._z = latents.sample_z(SAMPLE_SEEDS, job.config.model.latent_dim)
        self._drawn_at, self._drawn_step, self._cost = -1e9, -1, 0.0
        self._begun = self._reported_at = time.monotonic()
        self._reports: list[trainer.Report] = []
        self._temporary: Path | None = None  # a sample image that the next one replaces

    def record_untrained(self, config: TrainConfig) -> None:
        """A sample image of the untrained networks, before `gan.runs.run` has loaded the data."""
        generator, _ = dcgan.make_pair(config.model, config.seed)
        self._temporary = self._write_sample(generator.eval(), 0)

    def record(self, progress: run.Progress) -> None:
        """A block of updates: losses, and from time to time a sample image."""
        report = progress.report
        self._reports.append(report)
        now = time.monotonic()
        # lines get rarer as the job goes on: 300 for every factor e of time
        if now - self._reported_at > (now - self._begun) / 300 or report.step == report.total:
            self._reported_at = now
            self._add_losses()
        pause = max(_SAMPLE_SECONDS, self._cost / _SAMPLE_SHARE)
        if progress.moment is not None or time.monotonic() - self._drawn_at > pause:
            self.record_sample(progress)

    def record_sample(self, progress: run.Progress) -> None:
        """A sample image, and the monitor's measurement if there is one. An image is kept if a measurement
        belongs to it."""
        if progress.report.step == self._drawn_step:
            return
        began, moment = time.monotonic(), progress.moment
        path = self._write_sample(progress.generator_ema, progress.report.step)
        if self._temporary is not None and self._temporary != path:
            self._temporary.unlink(missing_ok=True)
        self._temporary = path if moment is None else None
        if moment is not None:
            line = Measurement(
                step=moment.step,
                counts=list(moment.counts),
                n=monitor.MONITOR_SAMPLES,
                fd=moment.fd,
                spread=moment.spread,
                contrast=moment.contrast,
            )
            add_line(self._folder, line)
        self._drawn_at, self._drawn_step = time.monotonic(), progress.report.step
        self._cost = self._drawn_at - began

    def _add_losses(self) -> None:
        def mean(name: str) -> float:
            return float(torch.cat([getattr(r, name) for r in self._reports]).mean())

        last = self._reports[-1]
        line = Losses(
            step=last.step,
            g_loss=mean("g_loss"),
            d_loss=mean("d_loss"),
            prob_real=mean("prob_real"),
            prob_fake=mean("prob_fake"),
            prob_held_out=last.prob_held_out,
        )
        self._reports.clear()
        add_line(self._folder, line)

    @torch.no_grad()
    def _write_sample(self, generator: dcgan.Generator, step: int) -> Path:
        """Images of the same latents as always, in one file; returns its path."""
        device = next(generator.parameters()).device
        drawn = generator(self._z.to(device)).cpu()
        path = sample_path(self._folder, step)
        sheet = images.grid(images.to_uint8(drawn), SAMPLE_COLUMNS, gap=1, background=40)
        files.write_atomically(path, images.to_png(sheet))
        return path
