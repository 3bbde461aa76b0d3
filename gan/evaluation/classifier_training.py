"""How the digit classifiers are trained: on digits, and on junk to be unsure about.

Junk training is outlier exposure (Hendrycks et al. 2019, arXiv:1812.04606, eq. 1 with the
cross-entropy to the uniform distribution). No generated image is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gan.evaluation.classifier import Classifier, read
from gan.networks.images import from_uint8

EPOCHS = 6
JUNK_WEIGHT = 0.1  # of the loss on junk, relative to that on digits


@dataclass(frozen=True)
class Progress:
    """State after an epoch: its number (from 1) of ``epochs``, the mean loss, and the test accuracy."""

    epoch: int
    epochs: int
    loss: float
    accuracy: float


def train(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    epochs: int = EPOCHS,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> Iterator[Progress]:
    """Trains in place on uint8 images [N, 1, 28, 28]; yields after every epoch.

    The test images only measure; no choice depends on them. AdamW, one-cycle learning rate. Junk is added
    in the last quarter, with BatchNorm frozen: its statistics differ from those of digits, and a network
    trained on batches of both was unstable on digits alone (test accuracy between 0.3 and 0.9 from
    one epoch to the next).
    """
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=0.02)
    steps = epochs * (len(images) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    for epoch in range(1, epochs + 1):
        with_junk = epoch > 0.75 * epochs
        classifier.train(not with_junk)
        order = torch.randperm(len(images), generator=rng)
        total = 0.0
        for start in range(0, len(images) - batch_size + 1, batch_size):
            index = order[start : start + batch_size]
            digits, target = from_uint8(images[index]), labels[index]
            half = batch_size // 2  # the other half stays sharp like test images
            seen = torch.cat([_jitter(digits[:half], rng), digits[half:]])
            loss = F.cross_entropy(classifier(seen), target)
            if with_junk:
                junk = make_junk(digits[: batch_size // 2], target[: batch_size // 2], rng)
                # cross-entropy to the uniform distribution: the mean over the classes
                loss = loss - JUNK_WEIGHT * F.log_softmax(classifier(junk), dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * batch_size
        classifier.eval()
        accuracy = float((read(classifier, test_images).digit == test_labels).double().mean())
        yield Progress(epoch, epochs, total / len(images), accuracy)


def _jitter(images: Tensor, rng: torch.Generator) -> Tensor:
    """Rotation up to 11 degrees, scale 0.9 to 1.1, shift up to 1.4 pixels; filled with background."""
    count = len(images)
    u = torch.rand(count, 4, generator=rng) * 2 - 1
    angle, scale = 0.2 * u[:, 0], 1 + 0.1 * u[:, 1]
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    affine = torch.stack(
        [
            torch.stack([cos, -sin, 0.1 * u[:, 2]], dim=1),
            torch.stack([sin, cos, 0.1 * u[:, 3]], dim=1),
        ],
        dim=1,
    )
    field = F.affine_grid(affine, list(images.shape), align_corners=False)
    # the background is -1 while sampling pads with 0, so sample around it
    return F.grid_sample(images + 1, field, align_corners=False) - 1


def legible_junk(classifier: Classifier, images: Tensor, labels: Tensor, seed: int = 0) -> float:
    """Share of junk, made of uint8 images [N, 1, 28, 28], that is read as a digit with confidence."""
    rng = torch.Generator().manual_seed(seed)
    junk = make_junk(from_uint8(images), labels, rng)
    return sum(read(classifier, junk).counts()) / len(junk)


def make_junk(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Images that are not digits, made of digits [N, 1, 28, 28] in [-1, 1] and noise -> [N, 1, 28, 28].

    A fifth each: pixel noise, smooth blobs, two different digits on top of each other, the sixteen
    squares of a digit in another order, and a single grey.
    """
    count, _, height, width = images.shape
    other = torch.randperm(count, generator=rng)
    makers: list[Callable[[Tensor], Tensor]] = [
        lambda part: _noise(len(part), height, width, rng),
        lambda part: _blobs(len(part), height, width, rng),
        lambda part: torch.maximum(images[part], images[other[part]]),
        lambda part: _shuffled_squares(images[part], rng),
        lambda part: (torch.rand(len(part), 1, 1, 1, generator=rng) * 2 - 1).expand(
            -1, 1, height, width
        ),
    ]
    kind = torch.arange(count) % len(makers)
    # two digits of one class on top of each other may still look like that digit: use noise
    kind = torch.where((kind == 2) & (labels == labels[other]), 0, kind)
    junk = torch.empty_like(images)
    for index, maker in enumerate(makers):
        part = torch.nonzero(kind == index).squeeze(1)
        if len(part):
            junk[part] = maker(part)
    return junk


def _noise(count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """Independent pixels, from sparse dots to dense noise."""
    threshold = torch.rand(count, 1, 1, 1, generator=rng)
    lit = torch.rand(count, 1, height, width, generator=rng) < threshold
    return torch.where(lit, torch.rand(count, 1, height, width, generator=rng) * 2 - 1, -1.0)


def _blobs(count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """Noise on a 4 x 4 or 7 x 7 grid, smoothly enlarged, with random contrast."""
    raster = 4 if float(torch.rand((), generator=rng)) < 0.5 else 7
    coarse = torch.randn(count, 1, raster, raster, generator=rng)
    smooth = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    contrast = 0.5 + 3 * torch.rand(count, 1, 1, 1, generator=rng)
    offset = torch.rand(count, 1, 1, 1, generator=rng) * 2 - 1.5
    return torch.tanh(contrast * (smooth + offset))


def _shuffled_squares(images: Tensor, rng: torch.Generator) -> Tensor:
    """Each image cut into 4 x 4 squares, which are reassembled in one random order per batch."""
    count, _, height, width = images.shape
    squares = images.reshape(count, 4, height // 4, 4, width // 4).permute(0, 1, 3, 2, 4)
    squares = squares.reshape(count, 16, height // 4, width // 4)
    squares = squares[:, torch.randperm(16, generator=rng)]
    squares = squares.reshape(count, 4, 4, height // 4, width // 4).permute(0, 1, 3, 2, 4)
    return squares.reshape(count, 1, height, width)
