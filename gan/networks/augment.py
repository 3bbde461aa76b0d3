"""Augmentation of D's input: images slightly shifted, rotated, scaled, sheared, and with a hole.

Real and generated images are changed with the same probability, in the updates of D and of G, and
gradients pass through the change (DiffAugment: Zhao et al. 2020, arXiv:2006.10738, section 3.2). D then
cannot easily memorise the training images. G must match the changed real images. If enough of these
stay unchanged, G must draw unchanged images itself (ADA: Karras et al. 2020, arXiv:2006.06676, section
2.2). If none do, G could draw rotated digits, which does little harm in handwriting. There are no flips
and no turns by 90 degrees: they would make another digit, or none. New pixels at the edges are background.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Uniform random numbers per image.
UNIFORMS = 10
_SHIFT = 0.1  # of the width, each way: 2.8 of 28 pixels
_TURN = math.radians(20.0)
_SCALE = math.log(1.22)  # 0.82 to 1.22; then width and height apart, by 0.91 to 1.1 each
_SHEAR = 0.2
_HOLE = 0.3  # side of the hole, of the width
_BACKGROUND = -1.0


def augment(images: Tensor, uniforms: Tensor, probability: Tensor, hole: bool = True) -> Tensor:
    """images [N, C, H, W] in [-1, 1], uniforms [N, `UNIFORMS`] in [0, 1) -> the same shape and range.

    Each image is transformed by an affine map with its ``probability`` ([N], in [0, 1]) and, independently,
    gets a hole with the same probability. Row i depends on row i alone.
    """
    transformed = _transform(images, uniforms[:, 1:7])
    images = torch.where((uniforms[:, 0] < probability).view(-1, 1, 1, 1), transformed, images)
    if not hole:
        return images
    masked = (uniforms[:, 7] < probability).view(-1, 1, 1, 1) & _hole(images, uniforms[:, 8:10])
    return images.masked_fill(masked, _BACKGROUND)


def _transform(images: Tensor, uniforms: Tensor) -> Tensor:
    """Apply shift, rotation, scale, shear and a little stretch, given by ``uniforms`` [N, 6]."""
    signed = uniforms * 2 - 1
    angle = signed[:, 0] * _TURN
    scale = torch.exp(signed[:, 1] * _SCALE)
    shear = signed[:, 2] * _SHEAR
    stretch = torch.exp(signed[:, 3] * _SCALE / 2)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = signed[:, 4:6] * 2 * _SHIFT  # the map's coordinates run from -1 to 1
    rows = torch.stack(
        [
            torch.stack([cos * stretch, (shear * cos - sin) * stretch, shift[:, 0]], dim=1),
            torch.stack([sin / stretch, (shear * sin + cos) / stretch, shift[:, 1]], dim=1),
        ],
        dim=1,
    )  # [N, 2, 3]: from a position in the new image to one in the old
    field = F.affine_grid(rows, list(images.shape), align_corners=False)
    # the sampler fills with 0, so make that the background
    sampled = F.grid_sample(images - _BACKGROUND, field, padding_mode="zeros", align_corners=False)
    return sampled + _BACKGROUND


def _hole(images: Tensor, uniforms: Tensor) -> Tensor:
    """The mask of each image's hole: bool [N, 1, H, W]. Its centre, ``uniforms`` [N, 2], is anywhere in the
    image, so part of the hole may lie outside."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device).view(1, -1, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, -1)
    centre = uniforms.view(-1, 2, 1, 1)
    inside = ((rows + 0.5) / height - centre[:, 0]).abs() < _HOLE / 2
    inside = inside & (((columns + 0.5) / width - centre[:, 1]).abs() < _HOLE / 2)
    return inside.unsqueeze(1)
