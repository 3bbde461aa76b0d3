"""Digits drawn from a font: labelled, deterministic, offline, unlimited."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gan.data import labelled
from gan.data.labelled import Labelled, Source

DRAWN_HELD_OUT = 10_000
_DEFAULT_SIZE = 60_000
_HELD_OUT_FROM = 10_000_000  # images with this index and above are held out
_GLYPH_SIDE = 56  # pixels; drawn at twice the size, then reduced
_GLYPH_STROKES = (0, 1, 2)  # extra pen width in glyph pixels
_UNIFORMS = 8  # random numbers per image, a multiple of the 4 that Philox makes at a time


class Drawn(Source):
    """Digits from a font; there is no ``detail``."""

    forms = ("drawn",)

    def load(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        count = _DEFAULT_SIZE if size is None else size
        labelled.require_size(count, _HELD_OUT_FROM, "drawn")
        return draw(0, count, seed)

    def load_held_out(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        return draw(_HELD_OUT_FROM, DRAWN_HELD_OUT, seed)


def _glyphs() -> Tensor:
    """The ten digits at each pen width in Pillow's built-in font -> float [10 * widths, 1, S, S]."""
    font = ImageFont.load_default(size=50)
    sheets = []
    for digit in range(10):
        for stroke in _GLYPH_STROKES:
            sheet = Image.new("L", (_GLYPH_SIDE, _GLYPH_SIDE), 0)
            ImageDraw.Draw(sheet).text(
                (_GLYPH_SIDE / 2, _GLYPH_SIDE / 2),
                str(digit),
                fill=255,
                font=font,
                anchor="mm",
                stroke_width=stroke,
            )
            sheets.append(np.asarray(sheet, dtype=np.float32) / 255)
    return torch.from_numpy(np.stack(sheets)).unsqueeze(1)


def draw(start: int, count: int, seed: int) -> Labelled:
    """Images ``start`` to ``start + count``. Image i depends on (seed, i) alone: Philox is a
    counter-based generator (Salmon et al. 2011), so drawing can start at any index."""
    bits = np.random.Philox(key=seed)
    bits.advance(start * _UNIFORMS // 4)
    uniforms = torch.from_numpy(np.random.Generator(bits).random((count, _UNIFORMS)))
    labels = (uniforms[:, 0] * 10).long()
    pen = (uniforms[:, 1] * len(_GLYPH_STROKES)).long()
    signed = (uniforms[:, 2:] * 2 - 1).float()  # [N, 6] in [-1, 1]
    angle = signed[:, 0] * 0.26  # 15 degrees
    scale_x = 1.05 + 0.2 * signed[:, 1]
    scale_y = 1.05 + 0.12 * signed[:, 2]
    shear = 0.3 * signed[:, 3]
    shift = 0.14 * signed[:, 4:6]  # 2 of 28 pixels
    cos, sin = torch.cos(angle), torch.sin(angle)
    # rows of the map from output to glyph coordinates, both in [-1, 1]
    affine = torch.stack(
        [
            torch.stack([scale_x * cos, scale_x * (shear * cos - sin), shift[:, 0]], dim=1),
            torch.stack([scale_y * sin, scale_y * (shear * sin + cos), shift[:, 1]], dim=1),
        ],
        dim=1,
    )  # [N, 2, 3]
    glyphs = _glyphs()
    images = torch.empty(count, 1, labelled.RESOLUTION, labelled.RESOLUTION, dtype=torch.uint8)
    for begin in range(0, count, 4096):
        part = slice(begin, min(begin + 4096, count))
        source = glyphs[labels[part] * len(_GLYPH_STROKES) + pen[part]]
        shape = [len(source), 1, _GLYPH_SIDE, _GLYPH_SIDE]
        field = F.affine_grid(affine[part], shape, align_corners=False)
        drawn = F.grid_sample(source, field, padding_mode="zeros", align_corners=False)
        images[part] = F.avg_pool2d(drawn, 2).mul(255).round().clamp(0, 255).to(torch.uint8)
    return Labelled(images, labels)
