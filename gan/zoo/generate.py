"""The function behind the Explore page: a frozen request in, pictures out.

Pure: the same request and model give the same bytes, and the model is left as it was. So the
request is the cache key, the link, and the test case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan.evaluation.classifier import Classifier, read
from gan.networks import latent_request
from gan.networks.images import to_uint8
from gan.networks.latent_request import LatentRequest, Seeds
from gan.zoo.cards import Model

MAX_COUNT = latent_request.MAX_COUNT
MAX_SHIFT = latent_request.MAX_SHIFT  # standard deviations of z


@dataclass(frozen=True)
class GenerateRequest:
    """``count`` pictures, of the latents of the seeds ``first_seed``, ``first_seed + 1``, ...

    shifts: how far every latent is moved along the first, second, ... principal direction of the
    model, in units of z's standard deviation. axes: (index, value) pairs added to single raw
    components of z. Both at most `MAX_SHIFT` in size. ConfigError where a value is out of range.
    """

    first_seed: int = 0
    count: int = 64
    shifts: tuple[float, ...] = ()
    axes: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        latent_request.check_count(self.count)
        _ = self.pose  # which checks the rest

    @property
    def pose(self) -> LatentRequest:
        """The same as a pose: latents of seeds in a row, moved."""
        return LatentRequest(Seeds(self.first_seed), shifts=self.shifts, axes=self.axes)


@dataclass(frozen=True)
class GenerateResult:
    """z [N, Z]; images [N, C, H, W] in [-1, 1]; pixels, the same as uint8 [N, H, W, C]."""

    z: Tensor
    images: Tensor
    pixels: np.ndarray


def request_z(request: GenerateRequest, directions: Tensor) -> Tensor:
    """The latents of a request [N, Z], given the model's directions [Z, Z]."""
    return latent_request.resolve_latents(request.pose, request.count, directions)


@torch.no_grad()
def generate(model: Model, request: GenerateRequest) -> GenerateResult:
    """Draws what ``request`` asks for with ``model``."""
    return generate_z(model, request_z(request, model.directions))


@torch.no_grad()
def generate_z(model: Model, z: Tensor) -> GenerateResult:
    """Draws the latents z [N, Z] themselves: that is how one z is shown at every data size."""
    drawn = model.generator(z)
    return GenerateResult(z, drawn, to_uint8(drawn))


def read_one(classifier: Classifier, picture: Tensor) -> tuple[int, float]:
    """picture [C, H, W] in [-1, 1] -> (digit, confidence 0..1) as the classifier reads it."""
    reading = read(classifier, picture.unsqueeze(0))
    return int(reading.digit[0]), float(reading.confidence[0])
