"""What D is shown instead of the pictures: slightly moved, turned, stretched, and with a hole.

The same random kind of change is applied to real and generated pictures, in the updates of D and
of G, and gradients pass through it (DiffAugment: Zhao et al. 2020, arXiv:2006.10738, section 3.2).
D then has many more pictures to learn by heart. What G must match is the changed real pictures; with
enough unchanged ones among them that leaves it no choice but the unchanged (ADA: Karras et al. 2020,
arXiv:2006.06676, section 2.2). With none it could draw moved digits, which for handwriting is a small
harm: a digit turned by ten degrees is one. The changes suit handwriting: never a flip or a right angle,
which would make another digit, or none; what comes in from outside is background.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Uniform random numbers that one picture takes.
UNIFORMS = 10
_SHIFT = 0.1  # of the width, each way: 2.8 of 28 pixels
_TURN = math.radians(20.0)
_SCALE = math.log(1.22)  # 0.82 to 1.22; on top of it width against height, 0.91 to 1.1 each
_SHEAR = 0.2
_HOLE = 0.3  # side of the hole, of the width
_BACKGROUND = -1.0


def augment(images: Tensor, uniforms: Tensor, probability: Tensor, hole: bool = True) -> Tensor:
    """images [N, C, H, W] in [-1, 1], uniforms [N, `UNIFORMS`] in [0, 1) -> the same shape and range.

    With its ``probability`` ([N], in [0, 1]) a picture is moved by an affine map, and again with
    ``probability`` it gets a hole; the two are decided apart. Row i depends on row i alone.
    """
    moved = _move(images, uniforms[:, 1:7])
    images = torch.where((uniforms[:, 0] < probability).view(-1, 1, 1, 1), moved, images)
    if not hole:
        return images
    pierced = (uniforms[:, 7] < probability).view(-1, 1, 1, 1) & _hole(images, uniforms[:, 8:10])
    return images.masked_fill(pierced, _BACKGROUND)


def _move(images: Tensor, uniforms: Tensor) -> Tensor:
    """Shift, rotation, one scale, shear and a little unequal scale, drawn from ``uniforms`` [N, 6]."""
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
    )  # [N, 2, 3]: from a place in the new picture to one in the old
    field = F.affine_grid(rows, list(images.shape), align_corners=False)
    # the sampler fills with 0: let that be the background
    drawn = F.grid_sample(images - _BACKGROUND, field, padding_mode="zeros", align_corners=False)
    return drawn + _BACKGROUND


def _hole(images: Tensor, uniforms: Tensor) -> Tensor:
    """True where the hole of each picture is: bool [N, 1, H, W]. Its centre, ``uniforms`` [N, 2], lies
    anywhere in the picture, so that part of it may fall outside."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device).view(1, -1, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, -1)
    centre = uniforms.view(-1, 2, 1, 1)
    inside = ((rows + 0.5) / height - centre[:, 0]).abs() < _HOLE / 2
    inside = inside & (((columns + 0.5) / width - centre[:, 1]).abs() < _HOLE / 2)
    return inside.unsqueeze(1)
