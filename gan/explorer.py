"""The function behind the Explore page: a frozen request in, pictures out.

Pure: the same request and model give the same bytes, and the model is left as it was. So the
request is the cache key, the link, and the test case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan import images, judge, pose
from gan.pose import Pose, Seeds
from gan.zoo import Model

MAX_COUNT = pose.MAX_COUNT
MAX_SHIFT = pose.MAX_SHIFT  # standard deviations of z


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
        pose.check_count(self.count)
        _ = self.pose  # which checks the rest

    @property
    def pose(self) -> Pose:
        """The same as a pose: latents of seeds in a row, moved."""
        return Pose(Seeds(self.first_seed), shifts=self.shifts, axes=self.axes)


@dataclass(frozen=True)
class GenerateResult:
    """z [N, Z]; images [N, C, H, W] in [-1, 1]; pixels, the same as uint8 [N, H, W, C]."""

    z: Tensor
    images: Tensor
    pixels: np.ndarray


def request_z(request: GenerateRequest, directions: Tensor) -> Tensor:
    """The latents of a request [N, Z], given the model's directions [Z, Z]."""
    return pose.pose_z(request.pose, request.count, directions)


@torch.no_grad()
def generate(model: Model, request: GenerateRequest) -> GenerateResult:
    """Draws what ``request`` asks for with ``model``."""
    return generate_z(model, request_z(request, model.directions))


@torch.no_grad()
def generate_z(model: Model, z: Tensor) -> GenerateResult:
    """Draws the latents z [N, Z] themselves: that is how one z is shown at every data size."""
    drawn = model.generator(z)
    return GenerateResult(z, drawn, images.to_uint8(drawn))


def read_one(classifier: judge.Judge, picture: Tensor) -> tuple[int, float]:
    """picture [C, H, W] in [-1, 1] -> (digit, confidence 0..1) as the judge reads it."""
    reading = judge.read(classifier, picture.unsqueeze(0))
    return int(reading.digit[0]), float(reading.confidence[0])
