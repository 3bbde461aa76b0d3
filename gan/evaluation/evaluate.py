"""Scoring a generator: draw samples, read them with a classifier, and measure; every figure keeps its protocol."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Annotated, Any, Self

import torch
from pydantic import AliasChoices, BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass
from torch import Tensor

from gan.config import read_as
from gan.errors import ConfigError
from gan.evaluation import copies as copy_check
from gan.evaluation import metrics
from gan.evaluation import modes as digit_modes
from gan.evaluation.classifier import Classifier, ClassifierName, Reference, read
from gan.evaluation.figures import (
    STORED,
    CopyFigures,
    Count,
    Digits,
    Figure,
    ShortName,
)
from gan.evaluation.modes import ModeFigures
from gan.evaluation.verdict import Measures, Verdict, diagnose
from gan.networks.images import for_classifier, from_uint8, one_channel
from gan.networks.latents import sample_z

FIRST_SEED = 1_000_000  # latents of the evaluation; the app's seeds start at 0
SAMPLES = 2_000
DRAWS = 5
_LEAST = 1e-6  # no spread or contrast of a reference is smaller, as it is divided by
#: The figures that the pages show.
FIGURES = (
    *("legible", "fd", "precision", "recall", "density", "coverage"),
    *("vendi", "spread", "contrast"),
)
_SHARES = ("legible", "precision", "recall", "coverage")


#: Version 0.1 called the classifier "judge", both the key and the value.
_ClassifierName = Annotated[
    ClassifierName,
    Field(validation_alias=AliasChoices("classifier", "judge")),
    BeforeValidator(lambda name: "classifier" if name == "judge" else name),
]


@dataclass(frozen=True, config=STORED)
class Evaluation:
    """All measurements of one generator's samples, as manifests and bundles store them.

    ``classifier``: which of `gan.evaluation.classifier.CLASSIFIERS` read the samples. ``reference``:
    "test" and the number of test images they were compared with. ``counts``: of all ``samples`` = n *
    draws, how many were read as 0, 1, ... 9 with confidence 0.9.

    ``figures``: legible (share), fd (Frechet distance in the classifier's features to ``reference``),
    precision, recall, density, coverage (k = 5, against 2,000 test images), vendi, and two that
    are 1 for real digits: spread (median pixel distance between two samples) and contrast (pixel
    deviation within a sample). `FIGURES` must be there; a later version may have more, at most 30.

    For a model of stacked digits, each sample is read as one digit (`gan.networks.images.one_channel`), also
    in the copy check; only ``spread`` is of whole images, because only they show a collapse.
    ``modes``: how many of the 1,000 combinations it draws; None if they were not counted.

    ``digits``: whether the model was trained on digits. If not, spread and contrast are 1 for the
    training images (`in_units_of`), and no verdict rests on what the classifier reads in the samples,
    which are resized to 28 x 28 pixels for it.
    """

    classifier: _ClassifierName
    reference: Annotated[str, Field(pattern=r"^test[1-9][0-9]{0,8}$")]
    samples: Count
    counts: Digits
    figures: Annotated[dict[ShortName, Figure], Field(max_length=30)]
    copies: CopyFigures | None
    modes: ModeFigures | None = None  # absent in files from before there were stacked digits
    digits: bool = True  # absent in files from before other images could be trained on

    @model_validator(mode="after")
    def _check(self) -> Self:
        if missing := [name for name in FIGURES if name not in self.figures]:
            raise ValueError(f"figures lacks {', '.join(missing)}")
        for name in _SHARES:
            if (value := self.figures[name].value) > 1:
                raise ValueError(f"{name}={value:g} is a share and must be at most 1")
        if sum(self.counts) > self.samples:
            raise ValueError(f"counts has more digits than the {self.samples:,} samples")
        return self

    @property
    def test_images(self) -> int:
        """How many images ``reference`` has."""
        return int(self.reference.removeprefix("test"))

    def measures(self) -> Measures:
        figures = self.figures
        return Measures(
            self.samples,
            self.counts,
            figures["spread"].value,
            figures["contrast"].value,
            self.copies,
            self.digits,
        )

    def verdicts(self) -> list[Verdict]:
        return diagnose(self.measures())

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """The inverse of `to_dict`. ConfigError if a value is missing, unknown or out of range."""
        return read_as(cls, values, what="evaluation")


@torch.no_grad()
def sample_images(
    generator: Callable[[Tensor], Tensor], latent_dim: int, first_seed: int, count: int
) -> Tensor:
    """Images of the seeds from ``first_seed`` on: float [count, C, H, W] in [-1, 1] on the CPU."""
    device = torch.device("cpu")
    if isinstance(generator, torch.nn.Module):
        device = next(generator.parameters()).device
    parts = []
    for start in range(0, count, 500):
        seeds = range(first_seed + start, first_seed + min(start + 500, count))
        parts.append(generator(sample_z(seeds, latent_dim).to(device)).cpu())
    return torch.cat(parts)


def evaluate(
    generator: Callable[[Tensor], Tensor],
    latent_dim: int,
    classifier: Classifier,
    reference: Reference,
    samples: int = SAMPLES,
    draws: int = DRAWS,
    training_images: Tensor | None = None,
    held_out_images: Tensor | None = None,
    mode_probabilities: Tensor | None = None,
    mode_samples: int = digit_modes.SAMPLES,
    digits: bool = True,
    progress: Callable[[int, int], None] = lambda done, draws: None,
) -> Evaluation:
    """Scores ``draws`` draws of ``samples`` images each. The latents are fixed, so the same generator gets
    the same figures. With uint8 training and held-out images [N, 1, H, W], copies are checked; with
    ``mode_probabilities`` [1000], the modes of stacked digits are counted. ``digits=False``: trained on
    other images, see `Evaluation`. ``progress(done, draws)`` is called after each draw.

    ConfigError for fewer than 200 samples or 2 draws, and for other images without ``training_images``,
    because their spread and contrast are compared with those."""
    if samples < 200 or draws < 2:
        raise ConfigError(
            f"samples={samples}, draws={draws}: a score needs at least 200 samples and 2 draws"
        )
    if not digits:
        if training_images is None:
            raise ConfigError(
                "images that are not digits can only be scored with their training images; "
                "give training_images"
            )
        reference = in_units_of(training_images, reference)
    values: dict[str, list[float]] = {}
    counts = [0] * 10
    first = torch.empty(0)
    for draw in range(draws):
        images = sample_images(generator, latent_dim, FIRST_SEED + draw * samples, samples)
        first = one_channel(images) if draw == 0 else first
        drawn, row = _measure(images, classifier, reference)
        counts = [a + b for a, b in zip(counts, drawn, strict=True)]
        for name, value in row.items():
            values.setdefault(name, []).append(value)
        progress(draw + 1, draws)
    copies = None
    if training_images is not None and held_out_images is not None:
        queries = first[: copy_check.COPY_QUERIES]
        copies = copy_check.check_copies(queries, training_images, held_out_images)
    modes = None
    if mode_probabilities is not None:
        modes = evaluate_modes(generator, latent_dim, classifier, mode_probabilities, mode_samples)
    return Evaluation(
        classifier="classifier",
        reference=reference.name,
        samples=samples * draws,
        counts=tuple(counts),
        figures={name: _figure(drawn, samples) for name, drawn in values.items()},
        copies=copies,
        modes=modes,
        digits=digits,
    )


def _measure(
    images: Tensor, classifier: Classifier, reference: Reference
) -> tuple[list[int], dict[str, float]]:
    """Digit counts and figures of one draw of images."""
    reading = read(classifier, for_classifier(images))
    counts = reading.counts()
    prdc = metrics.precision_recall_density_coverage(reference.sample, reading.features)
    moments = metrics.moments(reading.features)
    return counts, {
        "legible": sum(counts) / len(images),
        "fd": metrics.frechet_distance_of_moments(*moments, reference.mean, reference.cov),
        "vendi": metrics.vendi_score(reading.features + 1e-9),  # a row of zeros has no direction
        "spread": relative_spread(images, reference),
        "contrast": metrics.contrast(one_channel(images)) / reference.contrast,
        **prdc._asdict(),
    }


def evaluate_modes(
    generator: Callable[[Tensor], Tensor],
    latent_dim: int,
    classifier: Classifier,
    probabilities: Tensor,
    samples: int = digit_modes.SAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> ModeFigures:
    """Counts the modes of a generator of stacked digits in ``samples`` images of fixed latents; p_data is
    ``probabilities`` [1000]. See `gan.evaluation.modes`. ConfigError for a generator of other images."""

    def draw(start: int, count: int) -> Tensor:
        return sample_images(generator, latent_dim, FIRST_SEED + start, count)

    return digit_modes.count_modes(
        classifier, digit_modes.in_chunks(draw, samples, progress), probabilities
    )


def in_units_of(training_images: Tensor, reference: Reference) -> Reference:
    """``reference`` with the spread and contrast of uint8 ``training_images`` [N, C, H, W], N >= 2, instead
    of those of digits, for samples of the same resolution."""
    pixels = from_uint8(training_images)
    whole = math.sqrt(pixels.shape[1])  # `relative_spread` expects the spread of one channel
    return replace(
        reference,
        pixel_spread=max(metrics.pairwise_spread(pixels) / whole, _LEAST),
        contrast=max(metrics.contrast(pixels), _LEAST),
    )


def relative_spread(images: Tensor, reference: Reference) -> float:
    """Median pixel distance between two images [N, C, H, W], divided by that of two real digits. The squared
    distances of the C channels add up, so triples of real digits also get about 1."""
    return metrics.pairwise_spread(images) / (reference.pixel_spread * math.sqrt(images.shape[1]))


def _figure(values: list[float], samples: int) -> Figure:
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return Figure(mean, spread, samples, len(values))
