"""Images of a folder, turned grey and resized to squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan.data import labelled
from gan.data.labelled import Labelled, Source
from gan.errors import DataError

MAX_SIDE = 256  # pixels
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}
_MAX_FILES = 200_000
_MAX_PIXELS = 50_000_000  # of one image
_HELD_OUT_SHARE = 0.1


class Folder(Source):
    """``detail``: the path of the folder."""

    forms = ("folder:PATH",)
    resizable = True

    def validate(self, detail: str | None) -> bool:
        return bool(detail)

    def load(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        training, _ = _split(Path(detail), seed)
        count = len(training) if size is None else size
        labelled.require_size(count, len(training), f"folder:{detail}")
        return Labelled(_read(training[:count], side), None)

    def load_held_out(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        _, held_out = _split(Path(detail), seed)
        return Labelled(_read(held_out, side), None)


def folder_size(path: Path) -> int:
    """The number of images below ``path`` to train on, without the held-out ones. DataError if they are
    too few or too many."""
    return len(_split(path, seed=0)[0])


def _split(path: Path, seed: int) -> tuple[list[Path], list[Path]]:
    """Every image below ``path`` in the order that ``seed`` draws: (to train on, held out)."""
    if not path.is_dir():
        raise DataError(f"{path} is not a folder; give the folder that contains your images")
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
    if len(files) > _MAX_FILES:
        raise DataError(
            f"{path} holds {len(files):,} images; at most {_MAX_FILES:,} are read at once"
        )
    if len(files) < 3:
        raise DataError(
            f"{path} holds {len(files)} images; at least 3 are needed "
            f"(file names may end in {', '.join(sorted(_SUFFIXES))})"
        )
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed)).tolist()
    held_out = max(1, round(_HELD_OUT_SHARE * len(files)))
    shuffled = [files[i] for i in order]
    return shuffled[held_out:], shuffled[:held_out]


def grey(image: Image.Image) -> Image.Image:
    """The image in eight bits of grey, transparent parts black."""
    if image.mode.startswith("I;16"):  # Pillow would clip it at 255 instead of scaling
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:  # a transparent pixel may hide any colour
        layer = image.convert("RGBA")
        black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, layer)
    return image.convert("L")


def _read(files: list[Path], side: int) -> Tensor:
    """uint8 [N, 1, side, side]. An image that is not square is squeezed: cropping would lose what is at its
    ends (strokes of a letter), and added bars would be learned along with the rest."""
    pixels = np.empty((len(files), 1, side, side), dtype=np.uint8)
    for index, file in enumerate(files):
        try:
            with Image.open(file) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise DataError(
                        f"{file} has {image.width} x {image.height} pixels; "
                        f"at most {_MAX_PIXELS:,} are read: make it smaller"
                    )
                square = grey(image).resize((side, side), Image.Resampling.LANCZOS)
        # Pillow reports damage as an OSError, and some of it as a SyntaxError or ValueError
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(
                f"{file} cannot be read as an image ({error}); remove or replace it"
            ) from error
        pixels[index, 0] = np.asarray(square)
    return torch.from_numpy(pixels)
