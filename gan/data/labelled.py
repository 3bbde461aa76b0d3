"""Images with their labels."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gan.errors import DataError

RESOLUTION = 28  # pixels: the side of the squares, of a folder unless another is asked for


class Labelled(NamedTuple):
    """images uint8 [N, C, 28, 28] (of a folder [N, 1, S, S], its own pictures), white strokes (255) on black (0); labels int64 [N] or None.
    C is 3 for stacked digits, of which the label is the three-digit number, else 1."""

    images: Tensor
    labels: Tensor | None


def require_available(asked: int, available: int, source: str) -> None:
    if asked > available:
        raise DataError(
            f"{asked:,} images were asked for, but {source} has {available:,} to train on; "
            f"ask for {available:,} or fewer"
        )


def take(data: Labelled, index: Tensor) -> Labelled:
    return Labelled(data.images[index], None if data.labels is None else data.labels[index])
