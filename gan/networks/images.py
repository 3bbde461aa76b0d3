"""Conversions between ``[-1, 1]`` and pixels (nothing else converts), image grids, PNG bytes."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

CLASSIFIER_SIDE = 28  # pixels of the classifiers' input


def to_uint8(images: Tensor) -> np.ndarray:
    """images [N, C, H, W] in [-1, 1] -> uint8 [N, H, W, C] on the CPU. Values outside are clamped."""
    scaled = images.detach().float().clamp(-1.0, 1.0).add(1.0).mul(127.5).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def from_uint8(pixels: Tensor) -> Tensor:
    """pixels uint8, any shape -> float32 in [-1, 1], same shape and device."""
    return pixels.to(torch.float32).div_(127.5).sub_(1.0)


def one_channel(images: Tensor) -> Tensor:
    """images [N, C, H, W] -> [N, 1, H, W]: channel i mod C of image i.

    The digits of stacked images are scored this way: one per image, each from another latent, every
    channel equally often. Images of one channel stay as they are.
    """
    count, channels = images.shape[:2]
    index = torch.arange(count, device=images.device)
    return images[index, index % channels].unsqueeze(1)


def for_classifier(images: Tensor) -> Tensor:
    """float images [N, C, H, W] -> [N, 1, 28, 28] for a classifier: `one_channel`, resized so that each pixel
    is the mean of those it covers. Images of 28 x 28 keep their pixels."""
    single = one_channel(images)
    if single.shape[-2:] == (CLASSIFIER_SIDE, CLASSIFIER_SIDE):
        return single
    return F.adaptive_avg_pool2d(single, CLASSIFIER_SIDE)


def grid(pixels: np.ndarray, columns: int, gap: int = 2, background: int = 0) -> np.ndarray:
    """pixels uint8 [N, H, W, C] -> one image uint8 [rows*(H+gap)+gap, columns*(W+gap)+gap, C].

    Filled row by row; gaps and empty cells are ``background``.
    """
    if pixels.ndim != 4 or columns < 1:
        raise ValueError(f"need [N, H, W, C] and columns >= 1, got {pixels.shape} and {columns}")
    count, height, width, channels = pixels.shape
    rows = math.ceil(count / columns)
    sheet = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, channels),
        background,
        dtype=np.uint8,
    )
    for index in range(count):
        row, column = divmod(index, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = pixels[index]
    return sheet


def to_png(pixels: np.ndarray, scale: int = 1) -> bytes:
    """pixels uint8 [H, W, 1 or 3] -> PNG bytes, each pixel drawn as ``scale`` x ``scale``."""
    if scale > 1:
        pixels = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False, compress_level=6)
    return buffer.getvalue()
