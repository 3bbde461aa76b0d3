"""Images of a trained model: a frozen request in, images out.

The same request and model give the same bytes, and the model stays as it was. The request can therefore be the cache
key, the link and the test case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan.evaluation.classifier import Classifier, read
from gan.networks.images import to_uint8
from gan.networks.latent_request import LatentRequest, resolve_latents
from gan.zoo.cards import Model


@dataclass(frozen=True)
class GenerateResult:
    """z [N, Z]; images [N, C, H, W] in [-1, 1]; pixels: the same as uint8 [N, H, W, C]."""

    z: Tensor
    images: Tensor
    pixels: np.ndarray


def generate(model: Model, request: LatentRequest, count: int) -> GenerateResult:
    """The images of the first ``count`` latents of ``request``. ConfigError for what the model lacks."""
    return generate_z(model, resolve_latents(request, count, model.directions))


@torch.no_grad()
def generate_z(model: Model, z: Tensor) -> GenerateResult:
    """The images of the latents z [N, Z]."""
    images = model.generator(z)
    return GenerateResult(z, images, to_uint8(images))


def read_one(classifier: Classifier, image: Tensor) -> tuple[int, float]:
    """image [C, H, W] in [-1, 1] -> (digit, confidence 0..1) of the classifier."""
    reading = read(classifier, image.unsqueeze(0))
    return int(reading.digit[0]), float(reading.confidence[0])
