"""Measured numbers as they are stored: validated types for manifests, bundles and run folders.

Everything is checked both when it is measured and when it is read: numbers are finite and in their
range, strings and booleans are not taken for numbers, and unknown keys are refused.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from gan.config import STRICT

LARGEST = 1_000_000_000_000  # above every figure, loss or count of this program
LEAST_DIVERGENCE = -1e-6  # a divergence is >= 0, but rounding may leave slightly less
#: For `pydantic.dataclasses.dataclass`.
STORED = ConfigDict(**STRICT, allow_inf_nan=False)


def printable(text: str) -> str:
    """A pydantic validator: no line breaks, control characters or reversed writing."""
    if not text.isprintable():
        raise ValueError("it must consist of printable characters")
    return text


Positive = Annotated[float, Field(ge=0, le=LARGEST)]
Divergence = Annotated[float, Field(ge=LEAST_DIVERGENCE, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Digits = Annotated[tuple[Whole, ...], Field(min_length=10, max_length=10)]
ShortName = Annotated[str, Field(min_length=1, max_length=30), AfterValidator(printable)]


@dataclass(frozen=True, config=STORED)
class Figure:
    """A number with its protocol: the mean over ``draws`` draws of ``n`` samples each, and their
    standard deviation ``spread``. This is the spread of sampling; that of training takes several seeds."""

    value: Positive
    spread: Positive
    n: Count
    draws: Count


@dataclass(frozen=True, config=STORED)
class CopyFigures:
    """How close the samples are to the training images, compared with real images that were not trained on.

    For every sample: ratio = distance to the nearest training image / distance to the nearest of ``m``
    held-out images. ``copied_share``: share of the ``n`` samples whose ratio is below the value that
    only 1 % of ``baseline_n`` other held-out images fall below; a generator that copies nothing gets
    1 %. ``closer_share``: share that is closer to one of ``m`` training images than to one of ``m``
    held-out images; a generator that copies nothing gets 1/2.
    """

    closer_share: Share
    copied_share: Share
    n: Count
    m: Count
    baseline_n: Count
