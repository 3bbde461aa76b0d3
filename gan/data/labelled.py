"""Images with their labels, and what every source of them can do."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gan.errors import DataError

RESOLUTION = 28  # pixels a side; a folder's images can be resized to another side


class Labelled(NamedTuple):
    """images uint8 [N, C, 28, 28] (of a folder [N, 1, S, S]), by convention white strokes (255) on black
    (0); labels int64 [N] or None. C is 3 for stacked digits, whose label is the three-digit number, else 1."""

    images: Tensor
    labels: Tensor | None


class Source:
    """A kind of data set, named "kind" or "kind:detail". Every kind is a subclass in its own module,
    listed in `gan.data.sources.SOURCES`. The images of ``load`` for one ``detail`` and ``seed`` are
    nested: a smaller size gives the first images of a larger one."""

    forms: tuple[str, ...]  # how a user can name it, for messages
    resizable = False

    def validate(self, detail: str | None) -> bool:
        """Whether ``detail``, the text after the colon, names a data set; None if there is no colon.
        May raise a DataError that says more."""
        return detail is None

    def require_available(self) -> None:
        """DataError if `load` would have to download the images first."""

    def load(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        """The first ``size`` training images in the order of ``seed``, ``side`` pixels a side; None: the
        default number."""
        raise NotImplementedError

    def load_held_out(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        """Images that `load` with the same arguments never contains."""
        raise NotImplementedError

    def load_singles(
        self, detail: str, size: int | None, seed: int, side: int
    ) -> tuple[Labelled, Labelled]:
        """(training, held-out) images that a generated image is compared with to find copies."""
        return self.load(detail, size, seed, side), self.load_held_out(detail, size, seed, side)

    def pool_size(self, detail: str, size: int) -> int:
        """The number of images in the largest set of single images that holds the first ``size``."""
        return size


def require_size(size: int, available: int, source: str) -> None:
    """DataError if ``size`` is more than the ``available`` number of training images."""
    if size > available:
        raise DataError(
            f"{size:,} images are too many: {source} has {available:,} to train on; "
            f"ask for {available:,} or fewer"
        )


def take(data: Labelled, index: Tensor) -> Labelled:
    """The images and labels at ``index`` [M]."""
    return Labelled(data.images[index], None if data.labels is None else data.labels[index])
