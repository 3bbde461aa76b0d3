"""Does a generator copy its training images? A check of many samples, and the nearest images of one.

Both compare with three sets of real images, as the test of Meehan, Chaudhuri and Dasgupta (2020,
arXiv:2004.05675) does: the training images, m *unseen* images that were not trained on, and other
such images, the *baseline*, which show what is normal without copying. For each image

    ratio = distance to the nearest of ALL training images / distance to the nearest of m unseen ones

with Euclidean distances of pixels in [-1, 1]. A ratio below 1 proves nothing: every 1 is near some other
1, and among more images the nearest is closer by chance (m is at most the number of training images,
but for 60,000 of them it is 5,000). So a ratio counts only beside those of the baseline images. A copy
shifted by one pixel is far away in pixels and is not detected.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gan.config import TrainConfig, source_channels
from gan.data import mnist, sources
from gan.data.labelled import Labelled
from gan.errors import ConfigError, DataError
from gan.evaluation import metrics
from gan.evaluation.figures import CopyFigures
from gan.networks.images import from_uint8

COPY_QUANTILE = 0.01  # share of the baseline images below the threshold for copies
COPY_QUERIES = 1_000  # samples that are checked
_BASELINE = 2_000
_CHUNK = 1024  # images converted to float at a time: 3 MB, which stay in a processor's cache
_MOST_BYTES = 1_000_000_000
_LEAST_DISTANCE = 1e-6  # no ratio divides by less


class HeldOutSplit(NamedTuple):
    """Disjoint indices of held-out images: ``unseen`` [m] and ``baseline`` [B]."""

    unseen: Tensor
    baseline: Tensor


def split_held_out(held_out: int, training: int, rng: torch.Generator) -> HeldOutSplit | None:
    """Splits ``held_out`` images: as many unseen images as there are ``training`` images, at most half; up
    to 2,000 others as the baseline. None with fewer than 200 held-out or 20 training images, which
    are too few for a check."""
    half = held_out // 2
    if half < 100 or training < 20:
        return None
    order = torch.randperm(held_out, generator=rng)
    return HeldOutSplit(order[: min(training, half)], order[half:][:_BASELINE])


def check_copies(
    samples: Tensor, training_images: Tensor, held_out_images: Tensor, seed: int = 0
) -> CopyFigures | None:
    """samples float [N, 1, H, W] in [-1, 1], real images uint8 [*, 1, H, W] -> `CopyFigures`, or None if
    there are too few images for `split_held_out`."""
    rng = torch.Generator().manual_seed(seed)
    split = split_held_out(len(held_out_images), len(training_images), rng)
    if split is None:
        return None
    m = len(split.unseen)
    unseen = held_out_images[split.unseen]
    baseline = from_uint8(held_out_images[split.baseline])
    # all training images, to detect a copy of any of them
    threshold = float(_ratios(baseline, training_images, unseen).quantile(COPY_QUANTILE))
    copied = _ratios(samples, training_images, unseen) < threshold
    # equal numbers, because among more images the nearest is closer by chance
    chosen = torch.randperm(len(training_images), generator=rng)[:m]
    closer = _ratios(samples, training_images[chosen], unseen) < 1
    return CopyFigures(
        closer_share=float(closer.double().mean()),
        copied_share=float(copied.double().mean()),
        n=len(samples),
        m=m,
        baseline_n=len(baseline),
    )


@dataclass(frozen=True)
class ImageSet:
    """Names the images that a `RealImages` holds; a cache key. ``size``: number of training images.
    Subsets are nested, so one set of 65,000 serves all sizes of MNIST. ``resolution``: pixels a side."""

    source: str
    data_seed: int
    resolution: int
    size: int


def image_set_of(config: TrainConfig) -> ImageSet:
    """The set that contains the training images of ``config``. DataError for an unknown source."""
    kind, detail = sources.parse_source(config.source, config.data_seed)
    size = kind.pool_size(detail, config.size)
    return ImageSet(config.source, config.data_seed, config.model.img_size, size)


@dataclass(frozen=True, eq=False)
class NearestImage:
    """The nearest of ``searched`` real images. ``pixels`` uint8 [H, W, C].

    For stacked digits it is composed of the nearest single digit for each channel; any three digits
    can meet in a triple. ``indices``: one for each channel, into the set that was searched, as
    `gan.data.sources.load_singles` returns it. ``label``: the digit, or the number of three digits;
    None for a folder.
    """

    pixels: np.ndarray
    distance: float
    indices: tuple[int, ...]
    label: int | None
    searched: int


@dataclass(frozen=True, eq=False)
class NearestImages:
    """The nearest training image and the nearest unseen image."""

    training: NearestImage
    unseen: NearestImage

    @property
    def ratio(self) -> float:
        """0 for an exact copy; compare it with a `Baseline`."""
        return self.training.distance / max(self.unseen.distance, _LEAST_DISTANCE)


@dataclass(frozen=True)
class Baseline:
    """The ``ratios`` of the baseline images, ascending."""

    ratios: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.ratios)

    @property
    def median(self) -> float:
        """Below 1 if more training images than unseen images are searched."""
        return float(torch.tensor(self.ratios).median())

    @property
    def threshold(self) -> float:
        """1 % of the ratios are below it. The verdict "copies" counts the samples below it (for stacked
        digits, single digits; these ratios are of whole images)."""
        return float(torch.tensor(self.ratios).quantile(COPY_QUANTILE))

    def count_as_close(self, ratio: float) -> int:
        """How many of the ``n`` baseline images have this ratio or a smaller one. If few have, the
        image is closer to the training images than images that were not trained on usually are."""
        return bisect_right(self.ratios, ratio)


@dataclass(frozen=True, eq=False)
class RealImages:
    """The loaded images of an `ImageSet`, uint8 (MNIST: 63 MB); never changed. ``unseen``: the held-out
    images for sizes up to 60,000; ``unseen_above``: for larger sizes, which train on half of the test
    images of MNIST (for other sources the same as ``unseen``)."""

    image_set: ImageSet
    training: Labelled
    unseen: Labelled
    unseen_above: Labelled

    @torch.no_grad()
    def nearest(self, image: Tensor, size: int) -> NearestImages:
        """The images nearest to ``image`` [C, H, W] in [-1, 1], a sample of a model with ``size`` training
        images (for stacked digits all base digits are searched). ConfigError if it has another shape,
        DataError if the set does not hold that size."""
        side = self.image_set.resolution
        expected = (source_channels(self.image_set.source), side, side)
        if tuple(image.shape) != expected:
            raise ConfigError(
                f"an image of shape {tuple(image.shape)} cannot be compared with {self.image_set.source}, "
                f"whose images have shape {expected}; take one of a model that was trained on it"
            )
        training, unseen, split = self._sets(size)
        return NearestImages(_nearest(image, training), _nearest(image, unseen, split.unseen))

    @torch.no_grad()
    def baseline(self, size: int) -> Baseline | None:
        """What ratios of `nearest` for ``size`` are compared with. Takes seconds, because up to 2,000 images
        are looked up. None if there are too few images (200 held out, 20 to train on)."""
        training, unseen, split = self._sets(size)
        channels = source_channels(self.image_set.source)
        rows = len(split.baseline) // channels * channels
        if not rows:
            return None
        queries = from_uint8(unseen.images[split.baseline[:rows]])
        ratios = _ratios(queries, training.images, unseen.images[split.unseen], channels)
        return Baseline(tuple(ratios.sort().values.tolist()))

    def _sets(self, size: int) -> tuple[Labelled, Labelled, HeldOutSplit]:
        """Training images, held-out images, and the split of the latter as the copy check makes it; where
        it makes none, all that may be compared with and no baseline."""
        training = self.training
        if source_channels(self.image_set.source) == 1:
            if not 1 <= size <= len(training.images):
                raise DataError(
                    f"{size:,} images are not among the {len(training.images):,} of "
                    f"{self.image_set.source}; load the images of that configuration"
                )
            labels = training.labels
            training = Labelled(training.images[:size], None if labels is None else labels[:size])
        unseen = self.unseen if size <= mnist.FULL_SIZE else self.unseen_above
        counts = len(unseen.images), len(training.images)
        split = split_held_out(*counts, torch.Generator().manual_seed(0))
        if split is None:
            order = torch.randperm(counts[0], generator=torch.Generator().manual_seed(0))
            split = HeldOutSplit(order[: counts[1]], order[:0])
        return training, unseen, split


def load_real_images(image_set: ImageSet) -> RealImages:
    """Loads the images of a set. DataError if they are missing (nothing is downloaded), damaged, or take
    more than 1 GB."""
    if image_set.size * image_set.resolution**2 > _MOST_BYTES:
        raise DataError(
            f"{image_set.size:,} images of {image_set.resolution} x {image_set.resolution} pixels are too "
            f"many to be searched; at most {_MOST_BYTES // 1_000_000:,} MB are held"
        )
    source, seed = image_set.source, image_set.data_seed
    sources.require_available(source)
    training, above = sources.load_singles(source, image_set.size, seed, image_set.resolution)
    unseen = sources.load_held_out(source, mnist.FULL_SIZE, seed) if source == "mnist" else above
    return RealImages(image_set, training, unseen, above)


def _ratios(queries: Tensor, training: Tensor, unseen: Tensor, channels: int = 1) -> Tensor:
    """queries float [N * channels, 1, H, W], real images uint8 -> ratios [N]."""
    rows = queries.flatten(1).float()
    to_unseen = _distances(rows, unseen, channels).clamp_min(_LEAST_DISTANCE)
    return _distances(rows, training, channels) / to_unseen


def _distances(queries: Tensor, images: Tensor, channels: int) -> Tensor:
    """queries [N * channels, D], images uint8 -> distances [N] to the nearest image, searched for each
    channel apart."""
    nearest = torch.full((len(queries),), math.inf)
    for chunk in images.split(_CHUNK):
        found = metrics.nearest_distances(queries, from_uint8(chunk).flatten(1))
        nearest = torch.minimum(nearest, found)
    return nearest.square().reshape(-1, channels).sum(dim=1).sqrt()


def _nearest(image: Tensor, real: Labelled, chosen: Tensor | None = None) -> NearestImage:
    """For each channel of ``image`` the nearest of the single ``real`` images, or of those with indices
    ``chosen``; the first of several. Subtracts instead of multiplying as `_distances` does, so that the
    distance of a copy is exactly 0."""
    images = real.images if chosen is None else real.images[chosen]
    channels = image.detach().float().cpu().flatten(1)
    parts = []
    for chunk in images.split(_CHUNK):
        pixels = from_uint8(chunk).flatten(1)
        parts.append(torch.stack([(pixels - channel).norm(dim=1) for channel in channels]))
    distances, found = torch.cat(parts, dim=1).min(dim=1)
    indices = (found if chosen is None else chosen[found]).tolist()
    label = None
    if real.labels is not None:
        label = int("".join(str(int(real.labels[i])) for i in indices))
    return NearestImage(
        pixels=images[found].squeeze(1).permute(1, 2, 0).contiguous().numpy(),
        distance=math.hypot(*distances.tolist()),
        indices=tuple(indices),
        label=label,
        searched=len(images),
    )
