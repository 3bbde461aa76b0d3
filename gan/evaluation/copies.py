"""Is this picture a copy? The nearest training image and the nearest unseen real one, and what is usual.

A picture is compared with three sets of real ones, as in the test for data-copying of Meehan, Chaudhuri and
Dasgupta (2020, arXiv:2004.05675): those the model was trained on, those it never saw, and others that
it never saw, which stand for what is no copy. Distances are Euclidean, of pixels in [-1, 1], as in
`gan.evaluation.copies.check_copies`, whose ratio, sets and threshold these are:

    ratio = distance to the nearest of ALL training images / distance to the nearest of m unseen ones

A ratio below 1 is no proof. Every 1 is near some other 1, and of more images one is nearer by chance alone: m
is at most the number of training images, but 60,000 of these stand against 5,000. So `Yardstick` says
which ratios unseen real pictures get against the very same images. A copy that was moved by a pixel
is far away in pixels, and goes unseen.
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
from gan.evaluation.verdict import CopyFigures
from gan.networks.images import from_uint8

COPY_QUANTILE = 0.01  # of unseen real pictures are taken for copies: what sets the threshold
COPY_QUERIES = 1_000
_COPY_BASELINE = 2_000


class Halves(NamedTuple):
    """Which held-out images stand against the training images, and which tell how near unseen real ones lie:
    indices [m] and [B] that have none in common."""

    unseen: Tensor
    baseline: Tensor


def split_held_out(held_out: int, training: int, rng: torch.Generator) -> Halves | None:
    """The `Halves` of ``held_out`` images, as many of the first as there are ``training`` images, if there are.
    None where fewer than 100 baseline images or 20 training images are there: too few to tell."""
    half = held_out // 2
    if half < 100 or training < 20:
        return None
    order = torch.randperm(held_out, generator=rng)
    return Halves(order[: min(training, half)], order[half:][:_COPY_BASELINE])


def check_copies(
    samples: Tensor, training_images: Tensor, held_out_images: Tensor, seed: int = 0
) -> CopyFigures | None:
    """samples float [N, 1, H, W] in [-1, 1]; the others uint8. Pixel distances; see `CopyFigures`.

    The held-out images are halved: one half stands against the training images, the other gives the
    baseline (`split_held_out`, None where it is). A fixed distance would prove nothing on MNIST, where every 1
    is near some other 1.
    """
    rng = torch.Generator().manual_seed(seed)
    halves = split_held_out(len(held_out_images), len(training_images), rng)
    if halves is None:
        return None
    m = len(halves.unseen)
    chosen = torch.randperm(len(training_images), generator=rng)[:m]
    train = _pixels(training_images)
    unseen = _pixels(held_out_images[halves.unseen])
    baseline = _pixels(held_out_images[halves.baseline])
    samples = samples.flatten(1).float()
    # all training images: a copy of one that was left out would go unseen
    threshold = float(_nearness(baseline, train, unseen).quantile(COPY_QUANTILE))
    copied = _nearness(samples, train, unseen) < threshold
    # equal numbers: of more images one is nearer by chance alone
    closer = _nearness(samples, train[chosen], unseen) < 1
    return CopyFigures(
        closer_share=float(closer.double().mean()),
        copied_share=float(copied.double().mean()),
        n=len(samples),
        m=m,
        baseline_n=len(baseline),
    )


def _pixels(images: Tensor) -> Tensor:
    return from_uint8(images).flatten(1)


def _nearness(queries: Tensor, train: Tensor, unseen: Tensor) -> Tensor:
    """distance to the nearest training image / distance to the nearest unseen one, [N]."""
    to_unseen = metrics.nearest_distances(queries, unseen).clamp_min(1e-6)
    return metrics.nearest_distances(queries, train) / to_unseen


_CHUNK = 1024  # images that are floats at a time; 3 MB of them stay in a processor's cache
_MOST_BYTES = 1_000_000_000
_LEAST = 1e-6  # of what is divided by


@dataclass(frozen=True)
class Pool:
    """Which pictures a `Gallery` holds; what it is cached by. Subsets are nested, so all sizes of MNIST have one
    pool, of 65,000. ``size``: training images of it; ``resolution``: side in pixels."""

    source: str
    data_seed: int
    resolution: int
    size: int


def pool_of(config: TrainConfig) -> Pool:
    """The pool that the training images of ``config`` are in. DataError for a source that there is not."""
    kind, detail = sources.parse_source(config.source, config.data_seed)
    size = kind.pool_size(detail, config.size)
    return Pool(config.source, config.data_seed, config.model.img_size, size)


@dataclass(frozen=True, eq=False)
class Neighbour:
    """The nearest of ``searched`` real pictures. ``pixels`` uint8 [H, W, C].

    ``indices``: its place in the set, that is in `gan.data.sources.load` or `load_held_out`. Of stacked digits
    a triple is put together of the nearest single digits, which can all meet: three
    places, in the single digits. ``label``: what it shows, of stacked digits the number of three
    digits; None for a folder.
    """

    pixels: np.ndarray
    distance: float
    indices: tuple[int, ...]
    label: int | None
    searched: int


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest of all training images, and of the unseen ones."""

    training: Neighbour
    unseen: Neighbour

    @property
    def ratio(self) -> float:
        """0 for an exact copy; what is usual, the `Yardstick` says."""
        return self.training.distance / max(self.unseen.distance, _LEAST)


@dataclass(frozen=True)
class Yardstick:
    """The ratios that unseen real pictures get against the same images as the picture in question, ascending."""

    ratios: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.ratios)

    @property
    def usual(self) -> float:
        """Their median: below 1 where more training images than unseen ones are searched."""
        return float(torch.tensor(self.ratios).median())

    @property
    def threshold(self) -> float:
        """Below it lie 1 % of them. It is what the verdict "copies" counts samples by (of stacked digits the
        verdict counts single digits, and this is of whole pictures)."""
        return float(torch.tensor(self.ratios).quantile(COPY_QUANTILE))

    def as_near(self, ratio: float) -> int:
        """How many of the ``n`` unseen real pictures lie as near to a training image as ``ratio`` says, or nearer.
        None or few of them: the picture is nearer than the training images are to any digit like them."""
        return bisect_right(self.ratios, ratio)


@dataclass(frozen=True, eq=False)
class Gallery:
    """The real pictures of a pool as uint8, 63 MB of MNIST, never changed. ``unseen``: of the sizes up to
    60,000; ``unseen_past``: of those beyond, which train on some of these (of MNIST; else the same)."""

    pool: Pool
    training: Labelled
    unseen: Labelled
    unseen_past: Labelled

    @torch.no_grad()
    def nearest(self, picture: Tensor, size: int) -> Neighbours:
        """``picture`` [C, H, W] in [-1, 1], of a model of ``size`` training images (of stacked digits all base
        digits are searched). ConfigError for a picture of another shape, DataError for a size that is
        not in the pool."""
        side = self.pool.resolution
        expected = (source_channels(self.pool.source), side, side)
        if tuple(picture.shape) != expected:
            raise ConfigError(
                f"a picture of {tuple(picture.shape)} has no neighbours in {self.pool.source}, whose pictures "
                f"are {expected}; take one of a model that was trained on it"
            )
        training, unseen = self._training(size), self._unseen(size)
        halves = _halves(len(unseen.images), len(training.images))
        return Neighbours(
            _nearest(picture, training),
            _nearest(picture, unseen, halves.unseen),
        )

    @torch.no_grad()
    def yardstick(self, size: int) -> Yardstick | None:
        """What to measure a ratio by that `nearest` gives for ``size``. Takes seconds: 2,000 pictures are looked
        up. None where there are too few pictures to tell (200 unseen ones, 20 to train on)."""
        training, unseen = self._training(size), self._unseen(size)
        halves = _halves(len(unseen.images), len(training.images))
        channels = source_channels(self.pool.source)
        rows = len(halves.baseline) // channels * channels
        if not rows:
            return None
        queries = from_uint8(unseen.images[halves.baseline[:rows]]).flatten(1)
        to_training = _distances(queries, training.images, channels)
        to_unseen = _distances(queries, unseen.images[halves.unseen], channels)
        ratios = to_training / to_unseen.clamp_min(_LEAST)
        return Yardstick(tuple(ratios.sort().values.tolist()))

    def _training(self, size: int) -> Labelled:
        if source_channels(self.pool.source) > 1:
            return self.training
        if not 1 <= size <= len(self.training.images):
            raise DataError(
                f"{size:,} images are not among the {len(self.training.images):,} of {self.pool.source}; "
                "open the pool of that configuration"
            )
        labels = self.training.labels
        return Labelled(self.training.images[:size], None if labels is None else labels[:size])

    def _unseen(self, size: int) -> Labelled:
        return self.unseen if size <= mnist.FULL_SIZE else self.unseen_past


def open_gallery(pool: Pool) -> Gallery:
    """Reads the pictures of ``pool``. DataError where they are not at hand (nothing is downloaded), damaged, or
    too many to be held here."""
    if pool.size * pool.resolution**2 > _MOST_BYTES:
        raise DataError(
            f"{pool.size:,} pictures of {pool.resolution} x {pool.resolution} pixels are too many to be searched; "
            f"at most {_MOST_BYTES // 1_000_000:,} MB are held"
        )
    sources.require_available(pool.source)
    training, past = sources.load_singles(pool.source, pool.size, pool.data_seed, pool.resolution)
    unseen = past
    if pool.source == "mnist":
        unseen = sources.load_held_out("mnist", mnist.FULL_SIZE, pool.data_seed)
    return Gallery(pool, training, unseen, past)


def _halves(unseen: int, training: int) -> Halves:
    """Those of the copy check, or all that there are where it would not be made."""
    rng = torch.Generator().manual_seed(0)
    found = split_held_out(unseen, training, rng)
    if found is not None:
        return found
    order = torch.randperm(unseen, generator=rng)
    return Halves(order[:training], order[:0])


def _nearest(picture: Tensor, real: Labelled, chosen: Tensor | None = None) -> Neighbour:
    """Of ``real`` single pictures, or of those with the indices ``chosen``: for every channel its nearest."""
    images = real.images if chosen is None else real.images[chosen]
    distances, found = _search(picture, images)
    places = found if chosen is None else chosen[found].tolist()
    label = None
    if real.labels is not None:
        label = int("".join(str(int(real.labels[i])) for i in places))
    return Neighbour(
        pixels=images[found].squeeze(1).permute(1, 2, 0).contiguous().numpy(),
        distance=math.hypot(*distances),
        indices=tuple(places),
        label=label,
        searched=len(images),
    )


def _search(picture: Tensor, images: Tensor) -> tuple[list[float], list[int]]:
    """Distance and index of the nearest image to each channel, the first of several. Differences, not products:
    the distance of a copy is exactly 0."""
    channels = picture.detach().float().cpu().flatten(1)
    parts = []
    for some in images.split(_CHUNK):
        pixels = from_uint8(some).flatten(1)
        parts.append(torch.stack([(pixels - channel).norm(dim=1) for channel in channels]))
    nearest = torch.cat(parts, dim=1).min(dim=1)
    return nearest.values.tolist(), nearest.indices.tolist()


def _distances(queries: Tensor, images: Tensor, channels: int) -> Tensor:
    """queries [N, D] -> [N / channels], each ``channels`` of them one picture: distance to the nearest of ``images``
    uint8, channel by channel."""
    nearest = torch.full((len(queries),), math.inf)
    for some in images.split(_CHUNK):
        found = metrics.nearest_distances(queries, from_uint8(some).flatten(1))
        nearest = torch.minimum(nearest, found)
    return nearest.square().reshape(-1, channels).sum(dim=1).sqrt()
