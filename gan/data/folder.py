"""Images of a folder, resized to grey squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan.errors import DataError

_FOLDER_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}
_FOLDER_MAX_FILES = 200_000
_FOLDER_MAX_PIXELS = 50_000_000
FOLDER_MAX_SIDE = 256
_FOLDER_HELD_OUT_SHARE = 0.1


def folder_size(path: Path) -> int:
    """How many pictures below ``path`` there are to train on, those kept apart not counted. DataError
    where they are too few, or too many."""
    return len(split_folder(path, seed=0)[0])


def split_folder(path: Path, seed: int) -> tuple[list[Path], list[Path]]:
    """Every picture below ``path`` in the order that ``seed`` draws: (to train on, held out)."""
    if not path.is_dir():
        raise DataError(f"{path} is not a folder; give the folder your pictures lie in")
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in _FOLDER_SUFFIXES)
    if len(files) > _FOLDER_MAX_FILES:
        raise DataError(
            f"{path} holds {len(files):,} pictures; at most {_FOLDER_MAX_FILES:,} are read at once"
        )
    if len(files) < 3:
        raise DataError(
            f"{path} holds {len(files)} pictures; at least 3 are needed "
            f"(looked for {', '.join(sorted(_FOLDER_SUFFIXES))})"
        )
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed)).tolist()
    held_out = max(1, round(_FOLDER_HELD_OUT_SHARE * len(files)))
    shuffled = [files[i] for i in order]
    return shuffled[held_out:], shuffled[:held_out]


def grey(picture: Image.Image) -> Image.Image:
    """Eight bits of grey. Pillow clips deeper greys at 255 instead of scaling them."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:  # what is not there is background, whatever colour it hides
        drawn = picture.convert("RGBA")
        black = Image.new("RGBA", drawn.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, drawn)
    return picture.convert("L")


def read_pictures(files: list[Path], side: int) -> Tensor:
    """uint8 [N, 1, side, side]. A picture that is no square is squeezed into one: cutting would lose what
    lies at its ends (of a letter, strokes), bars would be learned along with the rest."""
    pictures = np.empty((len(files), 1, side, side), dtype=np.uint8)
    for index, file in enumerate(files):
        try:
            with Image.open(file) as picture:
                if picture.width * picture.height > _FOLDER_MAX_PIXELS:
                    raise DataError(
                        f"{file} has {picture.width} x {picture.height} pixels; "
                        f"at most {_FOLDER_MAX_PIXELS:,} are read: make it smaller"
                    )
                square = grey(picture).resize((side, side), Image.Resampling.LANCZOS)
        # Pillow reports damage as an OSError, and some of it as a SyntaxError or ValueError
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(
                f"{file} cannot be read as a picture ({error}); remove or replace it"
            ) from error
        pictures[index, 0] = np.asarray(square)
    return torch.from_numpy(pictures)
