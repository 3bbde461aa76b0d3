"""Stacked MNIST: three digits in one image, one a channel."""

from __future__ import annotations

import numpy as np
import torch

from gan.data.labelled import Labelled

STACKED_SIZE = 128_000  # training triples of stacked digits in the papers; see gan.evaluation.modes
STACKED_TOTAL = 10_000_000  # indices from here on are held out
STACKED_HELD_OUT = 10_000


def stack(digits: Labelled, count: int, seed: int, start: int = 0) -> Labelled:
    """Triples ``start`` to ``start + count`` of labelled ``digits`` [M, 1, 28, 28].

    images uint8 [count, 3, 28, 28], 2,352 bytes each; labels 100 a + 10 b + c of the digits a, b, c
    in channels 0, 1, 2. The three are drawn independently, with replacement. Triple i depends on
    (seed, i, digits) alone; see `_draw`.
    """
    assert digits.labels is not None
    bits = np.random.Philox(key=seed)
    bits.advance(start)  # four numbers at a time, of which a triple takes three
    uniforms = np.random.Generator(bits).random((count, 4))[:, :3]
    index = torch.from_numpy((uniforms * len(digits.images)).astype(np.int64))  # [count, 3]
    places = torch.tensor([100, 10, 1])
    return Labelled(digits.images.squeeze(1)[index], (digits.labels[index] * places).sum(dim=1))
