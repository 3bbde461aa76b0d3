"""Counting the modes of Stacked MNIST: with three digits as the channels of an image, there are 1,000.

The usual test for mode collapse (Metz et al. 2017, arXiv:1611.02163; Srivastava et al. 2017,
arXiv:1705.07761; Lin et al. 2018, arXiv:1712.04086). A classifier reads each channel of a sample
separately; the three most likely digits, with whatever confidence, are its *mode*. The result is the
number of modes among 26,000 samples, and KL(p_model || p_data) over the modes in nats.

p_data is not exactly uniform: it is the product of the frequencies of the single digits from which the
training triples are drawn. The papers use the labels of their training triples instead, which are a
sample of it. Published figures also differ in networks, training and classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from gan.data import labelled, stacked
from gan.errors import ConfigError
from gan.evaluation import metrics
from gan.evaluation.classifier import CONFIDENCE, Classifier, read
from gan.evaluation.figures import STORED, Count, Divergence, Share

CHANNELS = 3
MODES = 1_000
SAMPLES = 26_000  # as in the papers; the floor of the KL depends on it
_CHUNK = 1_000  # samples held at once
_CONTROL_SEED = 26_000  # of the real triples that generated ones are compared with

Modes = Annotated[int, Field(ge=0, le=MODES)]


@dataclass(frozen=True, config=STORED)
class ModeFigures:
    """Modes of stacked digits: how many of the 1,000 were seen in ``n`` samples, and ``kl``,
    KL(p_model || p_data) in nats. ``legible``: share of the 3 n single digits read with confidence 0.9;
    the modes themselves need no confidence. See `gan.evaluation.modes`."""

    modes: Modes
    kl: Divergence
    legible: Share
    n: Count

    @property
    def floor(self) -> float:
        """The mean KL of n samples of p_data itself: (1000 - 1) / (2 n), the first term of its
        expansion in 1 / n (Miller 1955); .0192 for n = 26,000. A KL below it is luck or a mistake."""
        return (MODES - 1) / (2 * self.n)


def mode_probabilities(labels: Tensor) -> Tensor:
    """labels [M] of single digits -> p_data [1000], float64. Mode 100 a + 10 b + c has the product of the
    shares of the digits a, b and c."""
    share = torch.bincount(labels, minlength=10).double() / len(labels)
    return torch.einsum("a,b,c->abc", share, share, share).flatten()


def count_modes(classifier: Classifier, batches: Iterable[Tensor], expected: Tensor) -> ModeFigures:
    """batches of images [n, 3, 28, 28], uint8 or float in [-1, 1]; expected [1000], p_data.
    ConfigError for images with another number of channels."""
    counts = torch.zeros(MODES, dtype=torch.int64)
    legible = total = 0
    for batch in batches:
        if batch.shape[1] != CHANNELS:
            raise ConfigError(
                f"images with {batch.shape[1]} channel(s) do not contain three digits; "
                "count the modes of a model of stacked digits (train --source stacked)"
            )
        reading = read(classifier, batch.flatten(0, 1).unsqueeze(1))
        digit = reading.digit.reshape(-1, CHANNELS)
        mode = 100 * digit[:, 0] + 10 * digit[:, 1] + digit[:, 2]
        counts += torch.bincount(mode, minlength=MODES)
        legible += int((reading.confidence >= CONFIDENCE).sum())
        total += len(batch)
    found = metrics.modes_and_kl(counts, expected)
    return ModeFigures(found.modes, found.kl, legible / (CHANNELS * total), total)


def in_chunks(
    draw: Callable[[int, int], Tensor],
    samples: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Tensor]:
    """``draw(start, count)`` for all ``samples``, 1,000 at a time, because 26,000 at once take 245 MB.
    ConfigError for fewer than 1 sample."""
    if samples < 1:
        raise ConfigError(f"samples={samples}: modes are counted among at least 1 sample")
    for start in range(0, samples, _CHUNK):
        count = min(_CHUNK, samples - start)
        yield draw(start, count)
        if progress is not None:
            progress(start + count, samples)


def of_real_digits(
    classifier: Classifier,
    digits: labelled.Labelled,
    samples: int = SAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> ModeFigures:
    """What a perfect sampler gets with this classifier: triples of real ``digits`` [M, 1, 28, 28] that it
    was not trained on, against those digits' own frequencies. Above the floor by what it misreads."""
    assert digits.labels is not None

    def draw(start: int, count: int) -> Tensor:
        return stacked.stack(digits, count, _CONTROL_SEED, start).images

    chunks = in_chunks(draw, samples, progress)
    return count_modes(classifier, chunks, mode_probabilities(digits.labels))


class Published(NamedTuple):
    """A result from a paper. Networks, training and classifier differ between papers."""

    method: str
    modes: float
    kl: float
    source: str


_VEEGAN = "Srivastava et al. 2017, arXiv:1705.07761"
_PACGAN = "Lin et al. 2018, arXiv:1712.04086, table 2: means of 10 trainings"
_R3GAN = "Huang et al. 2025, arXiv:2501.05441"
PUBLISHED = (
    Published("DCGAN", 99.0, 3.40, _VEEGAN),
    Published("ALI", 16.0, 5.40, _VEEGAN),
    Published("Unrolled GAN", 48.7, 4.32, _VEEGAN),
    Published("VEEGAN", 150.0, 2.95, _VEEGAN),
    Published("DCGAN", 78.9, 4.50, _PACGAN),
    Published("PacDCGAN2", 1000.0, 0.06, _PACGAN),
    Published("PacDCGAN3", 1000.0, 0.06, _PACGAN),
    Published("PacDCGAN4", 1000.0, 0.07, _PACGAN),
    Published("WGAN-GP", 959.0, 0.73, _R3GAN),
    Published("PacGAN", 992.0, 0.28, _R3GAN),
    Published("StyleGAN2", 940.0, 0.42, _R3GAN),
    Published("PresGAN", 1000.0, 0.12, _R3GAN),
    Published("VAEBM", 1000.0, 0.087, _R3GAN),
    Published("DDGAN", 1000.0, 0.071, _R3GAN),
    Published("MEG", 1000.0, 0.031, _R3GAN),
    Published("R3GAN-E", 1000.0, 0.029, _R3GAN),
)
