"""The history of a job: loss curves, measurements of the monitor, sample images and snapshots."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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


def add_line(folder: Path, line: Mapping[str, Any]) -> None:
    """Appends to the metrics. Not synced: after a power cut the lost lines are in the checkpoint, or their
    updates are made again."""
    files.append_line(folder / METRICS, json.dumps(files.without_nan(line)), sync=False)


def forget_after(folder: Path, step: int) -> None:
    """Removes the history after update ``step``, from which the job continues."""
    kept = [line for line in Reader(folder).lines() if line["step"] <= step]
    text = "".join(f"{json.dumps(line)}\n" for line in kept)
    files.write_atomically(folder / METRICS, text.encode())
    for made_at, path in samples(folder).items():
        if made_at > step:
            path.unlink(missing_ok=True)


def curves(lines: Sequence[Line], points: int = 150) -> dict[str, list[float | None]]:
    """The loss lines as columns "step", "g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out": means
    over at most ``points`` stretches of equal length; None where nothing was measured."""
    reports: list[Mapping[str, Any]] = [line for line in lines if "g_loss" in line]
    columns: dict[str, list[float | None]] = {"step": [], **{name: [] for name in _CURVES}}
    size = max(1, math.ceil(len(reports) / points))
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
    legible = [m for m in seen if sum(m["counts"]) >= NOISE_LEGIBLE * m["n"]]
    if not legible or not has_digits(config.source):
        return None
    best, now = min(legible, key=lambda m: m["fd"]), seen[-1]
    worse = best["step"] < now["step"] and best["fd"] * 2 <= now["fd"]
    kinds = {v.kind for v in diagnose(measures(config, now))}
    if not worse or not kinds & {"one_picture", "noise", "few_kinds"}:
        return None
    before = [step for step in snapshots(folder) if step <= best["step"]]
    return Advice(best["fd"], best["step"], now["fd"], now["step"], max(before, default=None))


def samples(folder: Path) -> dict[int, Path]:
    """The sample images by the update after which they were made, the earliest first."""
    return _by_step(folder / SAMPLES, "png")


def snapshots(folder: Path) -> dict[int, Path]:
    """The checkpoints that a job can be rewound to by their update, the earliest first."""
    return _by_step(folder / run.SNAPSHOTS, "safetensors")


def snapshot_path(folder: Path, step: int) -> Path:
    """ConfigError if there is no snapshot of that update."""
    found = snapshots(folder)
    if step not in found:
        known = ", ".join(f"{s:,}" for s in found) or "none"
        raise ConfigError(f"{folder.name} has no snapshot of update {step:,}; there are: {known}")
    return found[step]


def _by_step(folder: Path, suffix: str) -> dict[int, Path]:
    """Leaves out files that are not named after an update."""
    found = {int(p.stem): p for p in folder.glob(f"*.{suffix}") if p.stem.isdecimal()}
    return dict(sorted(found.items()))


def latest_sample(made: Mapping[int, Path]) -> tuple[int, bytes] | None:
    """(update, PNG) of the last sample image that can be read, or None. The worker may delete some meanwhile."""
    for step in reversed(list(made)[-3:]):
        with contextlib.suppress(OSError):
            return step, made[step].read_bytes()
    return None


class Reader:
    """Reads the metrics of a job as they grow, each line once. For many threads."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS
        self._guard = threading.Lock()
        self._file, self._offset = 0, 0  # inode; what of it has been read
        self._lines: list[Line] = []
        self._curves: dict[str, list[float | None]] | None = None  # of these lines

    def lines(self) -> list[Line]:
        """All lines so far that can be read; none without a file. Do not change the list."""
        with self._guard:
            return self._read()

    def curves(self) -> dict[str, list[float | None]]:
        """`curves` of the lines, computed once for all who watch."""
        with self._guard:
            lines = self._read()
            if self._curves is None:
                self._curves = curves(lines)
            return self._curves

    def _read(self) -> list[Line]:
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._file or found.st_size < self._offset:
                    self._file, self._offset, self._lines = found.st_ino, 0, []
                file.seek(self._offset)
                rows = file.read()
        except OSError:
            self._file, self._offset, self._lines, rows = 0, 0, [], b""
        whole = rows[: rows.rfind(b"\n") + 1]  # the worker is just writing the rest
        self._offset += len(whole)
        lines = []
        for row in whole.splitlines():
            with contextlib.suppress(ValidationError):  # a line is torn after a power cut
                lines.append(_LINE.validate_json(row))
        if lines or not self._lines:
            self._lines, self._curves = self._lines + lines, None
        return self._lines


class Recorder:
    """Writes the history of a job while its worker trains it."""

    def __init__(self, job: Job) -> None:
        self._folder, self._config = job.folder, job.config
        self._z = latents.sample_z(SAMPLE_SEEDS, job.config.model.latent_dim)
        self._drawn_at, self._drawn_step, self._cost = -1e9, -1, 0.0
        self._begun = self._reported_at = time.monotonic()
        self._reports: list[trainer.Report] = []
        self._temporary: Path | None = None  # a sample image that the next one replaces

    def record_untrained(self) -> None:
        """A sample image of the untrained networks, before `gan.runs.run` has loaded the data."""
        generator, _ = dcgan.make_pair(self._config.model, self._config.seed)
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
            add_line(self._folder, {**asdict(moment), "n": monitor.MONITOR_SAMPLES})
        self._drawn_at, self._drawn_step = time.monotonic(), progress.report.step
        self._cost = self._drawn_at - began

    def _add_losses(self) -> None:
        last = self._reports[-1]
        line = {"step": last.step, "prob_held_out": last.prob_held_out}
        for name in ("g_loss", "d_loss", "prob_real", "prob_fake"):
            line[name] = float(torch.cat([getattr(r, name) for r in self._reports]).mean())
        self._reports.clear()
        add_line(self._folder, line)

    @torch.no_grad()
    def _write_sample(self, generator: dcgan.Generator, step: int) -> Path:
        """Images of the same latents as always, in one file; returns its path."""
        device = next(generator.parameters()).device
        drawn = generator(self._z.to(device)).cpu()
        path = self._folder / SAMPLES / f"{step:08d}.png"
        sheet = images.grid(images.to_uint8(drawn), SAMPLE_COLUMNS, gap=1, background=40)
        files.write_atomically(path, images.to_png(sheet))
        return path
