"""When and what the monitor, a classifier of its own, measures while a run trains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan.config import TrainConfig, has_digits
from gan.evaluation import classifier, metrics
from gan.evaluation.evaluate import FIRST_SEED, in_units_of, relative_spread, sample_images
from gan.networks import dcgan, images, latents
from gan.runs import names
from gan.training import trainer

FILM_LATENTS = 16
_MOMENTS = 24
MONITOR_SAMPLES = 1_000


@dataclass(frozen=True)
class Moment:
    """What the monitor measured on `MONITOR_SAMPLES` samples of `generator_ema` after ``step`` updates.

    ``counts``: how many samples were read as 0, 1, ... 9. ``fd``: Frechet distance to the test images in
    the features of the monitor. ``spread`` and ``contrast``: as in `gan.evaluation.evaluate.Evaluation`,
    1 for real digits, or for the training images if these are not digits; NaN if not measured.
    """

    step: int
    counts: tuple[int, ...]
    fd: float
    spread: float
    contrast: float = math.nan  # runs from before it was measured have none


def moments_to_measure(total: int) -> list[int]:
    """About 24 numbers of updates, evenly spaced in their logarithm, from a hundredth of ``total`` to
    ``total`` itself."""
    first = max(1, total // 100)
    return sorted({round(s) for s in np.geomspace(first, total, _MOMENTS)} | {total})


def block_length(total: int) -> int:
    """Updates between two reports of a run of ``total``. Short runs report more often, so that each
    moment can be measured close to its time."""
    return min(trainer.BLOCK, max(1, total // _MOMENTS))


def count_moments(total: int) -> int:
    """How many moments a run of ``total`` updates measures: at most one per report."""
    block = block_length(total)
    return len({min(total, -(-step // block) * block) for step in moments_to_measure(total)})


def snapshots_to_keep(
    moments: Sequence[int], count: int, continued_from: Sequence[Mapping[str, Any]] = ()
) -> set[int]:
    """About ``count`` of ``moments`` (`moments_to_measure`), evenly spaced among them, never the last.
    For a run that was continued: of the moments after that. The choice does not depend on how far the
    run is, so that an interrupted run keeps the same ones."""
    since = continued_from[-1]["step"] if continued_from else 0
    choice = [s for s in moments[:-1] if s > since]
    return {choice[(k + 1) * len(choice) // (count + 1)] for k in range(count) if choice}


class Monitor:
    """Measures a generator, always with the same latents. ``root``: the folder of the classifiers.
    ``training_images``: uint8 [N, C, H, W]."""

    def __init__(self, config: TrainConfig, root: Path, training_images: Tensor) -> None:
        self._classifier = classifier.load_classifier("monitor", root)
        self._reference = classifier.load_reference("monitor", names.reference_images(config), root)
        if not has_digits(config.source):
            self._reference = in_units_of(training_images, self._reference)
        self._latent_dim = config.model.latent_dim
        self._z = latents.sample_z(range(FILM_LATENTS), self._latent_dim)

    def __call__(self, generator: dcgan.Generator, step: int) -> Moment:
        # not the latents of the final score, which must not favour the best moment
        drawn = sample_images(generator, self._latent_dim, FIRST_SEED * 2, MONITOR_SAMPLES)
        reading = classifier.read(self._classifier, images.for_classifier(drawn))
        mean, cov = metrics.moments(reading.features)
        reference = self._reference
        return Moment(
            step=step,
            counts=tuple(reading.counts()),
            fd=metrics.frechet_distance_of_moments(mean, cov, reference.mean, reference.cov),
            spread=relative_spread(drawn, reference),
            contrast=metrics.contrast(images.one_channel(drawn)) / reference.contrast,
        )

    @torch.no_grad()
    def film(self, generator: dcgan.Generator) -> Tensor:
        """A frame of the film: uint8 [16, H, W], for stacked digits [16, H, W, 3]."""
        device = next(generator.parameters()).device
        return torch.from_numpy(images.to_uint8(generator(self._z.to(device)))).squeeze(-1)
