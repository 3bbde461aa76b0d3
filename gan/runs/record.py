"""What a run records during training: curves, moments, the film, the best model."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gan.errors import CheckpointError
from gan.networks import dcgan
from gan.runs.monitor import Moment
from gan.system import files, tensor_files
from gan.training import trainer

_CURVE_POINTS = 150
_DIGITS = 10


class RunRecord:
    """The record of a run; the checkpoint holds it as tensors.

    ``series``: one value per update. ``held_out``: (step, mean D probability of held-out images) per
    report. ``frames``: the film, one uint8 [16, H, W] or [16, H, W, 3] per moment. ``best``: the weights
    of the generator at the moment with the lowest Frechet distance, after ``best_step`` updates.
    """

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
        """Adds the losses and probabilities of a block of updates."""
        for name in self._SERIES:
            self.series[name].append(getattr(report, name))
        self.held_out.append((report.step, report.prob_held_out))

    def add_moment(self, moment: Moment, generator_ema: dcgan.Generator, frame: Tensor) -> None:
        """Adds a moment with its frame of the film, and copies the generator if it is the best so far."""
        if not self.moments or moment.fd < min(m.fd for m in self.moments):
            weights = generator_ema.state_dict()
            self.best = {name: t.detach().cpu().clone() for name, t in weights.items()}
            self.best_step = moment.step
        self.moments.append(moment)
        self.frames.append(frame)

    def to_tensors(self) -> dict[str, Tensor]:
        """The inverse of `from_tensors`."""
        tensors = {name: torch.cat(parts) for name, parts in self.series.items() if parts}
        tensors["held_out"] = torch.tensor(self.held_out, dtype=torch.float64).reshape(-1, 2)
        tensors["seconds"] = torch.tensor([self.seconds, self.best_step], dtype=torch.float64)
        tensors["moments"] = torch.tensor(
            [[m.step, m.fd, m.spread, *m.counts, m.contrast] for m in self.moments],
            dtype=torch.float64,
        ).reshape(-1, 4 + _DIGITS)
        if self.frames:
            tensors["frames"] = torch.stack(self.frames)
        return tensors | {f"best.{k}": t for k, t in self.best.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], path: Path) -> Self:
        """The record in a checkpoint. CheckpointError, naming its ``path``, if it has none."""
        record = cls()
        try:
            record.seconds, best_step = tensors["seconds"].tolist()
            held_out, moments = tensors["held_out"].tolist(), tensors["moments"].tolist()
        except KeyError as error:
            raise CheckpointError(
                f"{path} has no record of its run ({error} is missing); name a checkpoint or a snapshot "
                "that a run has written"
            ) from error
        record.best_step = int(best_step)
        record.series |= {name: [tensors[name]] for name in cls._SERIES if name in tensors}
        record.held_out = [(int(step), value) for step, value in held_out]
        for step, fd, spread, *rest in moments:
            counts = tuple(int(count) for count in rest[:_DIGITS])
            # checkpoints from before the contrast was measured have none
            contrast = rest[_DIGITS] if rest[_DIGITS:] else math.nan
            record.moments.append(Moment(int(step), counts, fd, spread, contrast))
        record.frames = list(tensors.get("frames", torch.empty(0)))
        record.best = tensor_files.with_prefix(tensors, "best")
        return record

    def evidence(self) -> dict[str, Any]:
        """The content of `evidence.json` (see `gan.runs.entries.Evidence`): the curves as means over up
        to 150 stretches of the run, and every moment."""
        columns = {name: torch.cat(parts) for name, parts in self.series.items()}
        edges = np.linspace(0, len(columns["g_loss"]), _CURVE_POINTS + 1).round().astype(int)
        edges = np.unique(edges)
        curves: dict[str, list[float]] = {"step": edges[1:].tolist()}
        for name, column in columns.items():
            curves[name] = [
                round(float(column[a:b].mean()), 4) for a, b in itertools.pairwise(edges)
            ]
        steps, values = np.array(self.held_out, dtype=np.float64).T
        index = np.searchsorted(steps, edges[1:]).clip(max=len(steps) - 1)  # the next one measured
        curves["prob_held_out"] = values[index].round(4).tolist()
        # what was not measured is NaN here and null in JSON
        return files.without_nan({"curves": curves, "moments": [asdict(m) for m in self.moments]})
