"""Stacked MNIST: three digits in one image, one per channel."""

from __future__ import annotations

import numpy as np
import torch

from gan.data import labelled, mnist
from gan.data.labelled import Labelled, Source
from gan.errors import DataError

STACKED_SIZE = 128_000  # training triples in the papers; see gan.evaluation.modes
_HELD_OUT_FROM = 10_000_000  # triples with this index and above are held out
_HELD_OUT = 10_000


class Stacked(Source):
    """``detail``: of how many training images the triples are made; "" for all 60,000."""

    forms = ("stacked", "stacked:BASE")

    def validate(self, detail: str | None) -> bool:
        # one way to write a number, for the source is the name of the data set
        if detail is None or (
            detail.isascii()
            and detail.isdigit()
            and len(detail) <= 5
            and 1 <= int(detail) <= mnist.FULL_SIZE
            and detail[0] != "0"
        ):
            return True
        raise DataError(
            f"source {f'stacked:{detail}'!r} has no valid number of digits to stack; write a whole "
            f"number from 1 to {mnist.FULL_SIZE} such as stacked:600, or stacked for all "
            f"{mnist.FULL_SIZE:,}"
        )

    def require_available(self) -> None:
        mnist.require_files()

    def load(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        count = STACKED_SIZE if size is None else size
        labelled.require_size(count, _HELD_OUT_FROM, "stacked")
        return stack(base_digits(detail, seed), count, seed)

    def load_held_out(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        return stack(mnist.read_mnist(train=False), _HELD_OUT, seed, start=_HELD_OUT_FROM)

    def load_singles(
        self, detail: str, size: int | None, seed: int, side: int
    ) -> tuple[Labelled, Labelled]:
        return base_digits(detail, seed), mnist.read_mnist(train=False)

    def pool_size(self, detail: str, size: int) -> int:
        return int(detail or mnist.FULL_SIZE)


def base_digits(detail: str, seed: int) -> Labelled:
    """The single digits [M, 1, 28, 28] that the triples are made of: the first M training images in the
    order of ``seed``. DataError if one of the ten digits is not among them, because then some of the
    1,000 combinations do not exist."""
    digits = mnist.load_mnist(int(detail or mnist.FULL_SIZE), seed)
    assert digits.labels is not None
    counts = torch.bincount(digits.labels, minlength=10).tolist()
    missing = [str(digit) for digit, found in enumerate(counts) if not found]
    if missing:
        raise DataError(
            f"the first {detail} digits of MNIST with data seed {seed} contain no {', '.join(missing)}; "
            "take more of them, or another data seed"
        )
    return digits


def stack(digits: Labelled, count: int, seed: int, start: int = 0) -> Labelled:
    """Triples ``start`` to ``start + count`` of labelled ``digits`` [M, 1, 28, 28].

    images uint8 [count, 3, 28, 28], 2,352 bytes each; labels 100 a + 10 b + c for the digits a, b, c
    in channels 0, 1, 2. The three are drawn independently, with replacement. Triple i depends only on
    (seed, i, digits), as in `gan.data.drawn.draw`.
    """
    assert digits.labels is not None
    bits = np.random.Philox(key=seed)
    bits.advance(start)  # by four numbers at a time; a triple uses three of them
    uniforms = np.random.Generator(bits).random((count, 4))[:, :3]
    index = torch.from_numpy((uniforms * len(digits.images)).astype(np.int64))  # [count, 3]
    places = torch.tensor([100, 10, 1])
    return Labelled(digits.images.squeeze(1)[index], (digits.labels[index] * places).sum(dim=1))
