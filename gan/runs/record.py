"""What a run records along the way: curves, moments, the film, the best model."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan.errors import CheckpointError
from gan.networks import dcgan
from gan.runs.monitor import Moment
from gan.system import files, tensor_files
from gan.training import trainer

_CURVE_POINTS = 150


def record_from(extra: dict[str, Tensor], path: Path) -> RunRecord:
    try:
        return RunRecord.from_tensors(extra)
    except KeyError as error:
        raise CheckpointError(
            f"{path} does not say what its run has seen ({error} is missing); name a checkpoint or a "
            "snapshot that a run has written"
        ) from error


class RunRecord:
    """What is written down during a run; travels in the checkpoint as tensors."""

    _SERIES = ("g_loss", "d_loss", "prob_real", "prob_fake")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.series: dict[str, list[Tensor]] = {name: [] for name in self._SERIES}
        self.held_out: list[tuple[int, float]] = []
        self.moments: list[Moment] = []
        self.frames: list[Tensor] = []
        self.best: dict[str, Tensor] = {}
        self.best_step = 0

    def add(self, report: trainer.Report) -> None:
        for name in self._SERIES:
            self.series[name].append(getattr(report, name))
        self.held_out.append((report.step, report.prob_held_out))

    def see(self, moment: Moment, average: dcgan.Generator, frame: Tensor) -> None:
        if not self.moments or moment.fd < min(m.fd for m in self.moments):
            self.best = {k: t.detach().cpu().clone() for k, t in average.state_dict().items()}
            self.best_step = moment.step
        self.moments.append(moment)
        self.frames.append(frame)

    def to_tensors(self) -> dict[str, Tensor]:
        tensors = {name: torch.cat(parts) for name, parts in self.series.items() if parts}
        tensors["held_out"] = torch.tensor(self.held_out, dtype=torch.float64).reshape(-1, 2)
        tensors["seconds"] = torch.tensor([self.seconds, self.best_step], dtype=torch.float64)
        tensors["moments"] = torch.tensor(
            [[m.step, m.fd, m.spread, *m.counts, m.contrast] for m in self.moments],
            dtype=torch.float64,
        ).reshape(-1, 14)
        if self.frames:
            tensors["frames"] = torch.stack(self.frames)
        return tensors | {f"best.{k}": t for k, t in self.best.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> RunRecord:
        book = cls()
        book.seconds, best_step = tensors["seconds"].tolist()
        book.best_step = int(best_step)
        for name in cls._SERIES:
            if name in tensors:
                book.series[name] = [tensors[name]]
        book.held_out = [(int(step), value) for step, value in tensors["held_out"].tolist()]
        for step, fd, spread, *rest in tensors["moments"].tolist():
            counts, contrast = rest[:10], rest[10:] or [math.nan]
            book.moments.append(
                Moment(int(step), tuple(int(c) for c in counts), fd, spread, contrast[0])
            )
        book.frames = list(tensors.get("frames", torch.empty(0)))
        book.best = tensor_files.with_prefix(tensors, "best")
        return book

    def evidence(self) -> dict[str, Any]:
        """The curves as means over up to 150 stretches of the run, and every moment."""
        columns = {name: torch.cat(parts) for name, parts in self.series.items()}
        edges = np.linspace(0, len(columns["g_loss"]), _CURVE_POINTS + 1).round().astype(int)
        edges = np.unique(edges)
        curves: dict[str, list[float | None]] = {"step": edges[1:].tolist()}
        for name, column in columns.items():
            curves[name] = [
                round(float(column[a:b].mean()), 4) for a, b in itertools.pairwise(edges)
            ]
        steps, values = np.array(self.held_out, dtype=np.float64).T
        place = np.searchsorted(steps, edges[1:]).clip(max=len(steps) - 1)  # next one measured
        # too few held-out images for a batch: not measured, and JSON has no word for NaN but null
        curves["prob_held_out"] = [
            None if math.isnan(v) else round(float(v), 4) for v in values[place]
        ]
        moments = files.without_nan([asdict(m) for m in self.moments])
        return {"curves": curves, "moments": moments}
