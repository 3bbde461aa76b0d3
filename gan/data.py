"""Data sets as one uint8 tensor, and nested subsets of them.

Sources
    ``mnist``        60,000 training images and, past that, 5,000 of the 10,000 test images
    ``stacked``      three training images of MNIST as the three channels of one picture: 1,000
                     combinations of digits; ``stacked:600`` takes them from the first 600 only
    ``drawn``        digits drawn from a font with random affine jitter: offline, labelled, endless
    ``folder:PATH``  anyone's own pictures, turned grey and resized to a square of 28 pixels a side
                     or another; sub-folders do not matter

Subsets of one seed are nested: the first 200 images are among the first 600, and those among
the first 6,000. What a run of a given size never trains on is *held out*: it is what the
discriminator's memory and the copy check are measured against.

This is the one door to downloads and to reading pictures. ``GAN_DATA`` names the folder
MNIST lies in (default ``data/``).
"""

from __future__ import annotations

import os
import urllib.error
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gan.errors import DataError
from gan.torchvision_compat import import_datasets

RESOLUTION = 28  # pixels: the side of the squares, of a folder unless another is asked for
FULL_SIZE = 60_000  # what "100 %" means: MNIST's training set
MNIST_LENT = 5_000  # test images that sizes past 60,000 may train on
STACKED_SIZE = 128_000  # training triples of stacked digits in the papers; see gan.stacked
#: The sizes of the two articles, the percentages of the first counted against 60,000.
ARTICLE_SIZES = (200, 500, 600, 1_000, 6_000, 10_000, 30_000, 60_000, 65_000)

_MNIST_TEST = 10_000
_MNIST_FILES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
_DRAWN_TOTAL = 10_000_000  # indices from here on are held out
_DRAWN_HELD_OUT = 10_000
_STACKED_TOTAL = 10_000_000  # indices from here on are held out
_STACKED_HELD_OUT = 10_000
_FOLDER_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}
_FOLDER_MAX_FILES = 200_000
_FOLDER_MAX_PIXELS = 50_000_000
_FOLDER_MAX_SIDE = 256
_FOLDER_HELD_OUT_SHARE = 0.1


class Labelled(NamedTuple):
    """images uint8 [N, C, 28, 28] (of a folder [N, 1, S, S], its own pictures), white strokes (255) on black (0); labels int64 [N] or None.
    C is 3 for stacked digits, of which the label is the three-digit number, else 1."""

    images: Tensor
    labels: Tensor | None


def data_folder() -> Path:
    """Where data sets are looked for: ``$GAN_DATA``, or ``data`` below the current folder."""
    return Path(os.environ.get("GAN_DATA") or "data")


def parse_size(text: str) -> int:
    """ "600", "6,000" or "1%" (of 60,000) -> a number of images. DataError for anything else."""
    cleaned = text.strip().replace(",", "").replace("_", "")
    try:
        if cleaned.endswith("%"):
            count = round(float(cleaned[:-1]) / 100 * FULL_SIZE)
        else:
            count = int(cleaned)
    except (ValueError, OverflowError):
        count = 0
    if count < 1:
        raise DataError(
            f"size {text!r} is not an amount of data; give a count such as 600, "
            "or a share of the 60,000 such as 1%"
        )
    return count


def load(
    source: str, size: int | None = None, seed: int = 0, resolution: int = RESOLUTION
) -> Labelled:
    """The first ``size`` training images of ``source`` in the order that ``seed`` draws.

    ``size=None`` means all of them: 60,000 for ``mnist`` and ``drawn``, 128,000 for ``stacked``,
    every picture that is not held out for a folder. ``resolution``: side in pixels that the pictures
    of a folder are brought to. DataError when the source is unknown, missing, damaged or too small, or
    has no pictures of that resolution.
    """
    kind, rest = parse_source(source, seed)
    _require_resolution(kind, source, resolution)
    if size is not None and size < 1:
        raise DataError(f"size {size} is not an amount of data; ask for at least 1 image")
    if kind == "mnist":
        return _load_mnist(FULL_SIZE if size is None else size, seed)
    if kind == "drawn":
        count = FULL_SIZE if size is None else size
        _require_available(count, _DRAWN_TOTAL, source)
        return _draw(0, count, seed)
    if kind == "stacked":
        count = STACKED_SIZE if size is None else size
        _require_available(count, _STACKED_TOTAL, source)
        return stack(base_digits(source, seed), count, seed)
    training, _ = _split_folder(Path(rest), seed)
    count = len(training) if size is None else size
    _require_available(count, len(training), source)
    return Labelled(_read_pictures(training[:count], resolution), None)


def load_held_out(
    source: str, size: int | None = None, seed: int = 0, resolution: int = RESOLUTION
) -> Labelled:
    """Images that ``load(source, size, seed)`` never contains.

    ``mnist``: the 10,000 test images, or past 60,000 the 5,000 of them that are not lent to
    training; ``stacked``: 10,000 triples of test images; ``drawn``: 10,000 others; a folder: the
    tenth of its pictures that is kept apart, in the ``resolution`` asked for.
    """
    kind, rest = parse_source(source, seed)
    _require_resolution(kind, source, resolution)
    if kind == "mnist":
        test = _read_mnist(train=False)
        if size is None or size <= FULL_SIZE:
            return test
        return _take(test, _test_order()[MNIST_LENT:])
    if kind == "drawn":
        return _draw(_DRAWN_TOTAL, _DRAWN_HELD_OUT, seed)
    if kind == "stacked":
        return stack(_read_mnist(train=False), _STACKED_HELD_OUT, seed, start=_STACKED_TOTAL)
    _, held_out = _split_folder(Path(rest), seed)
    return Labelled(_read_pictures(held_out, resolution), None)


def require_at_hand(source: str) -> None:
    """DataError where `load` would have to download first, which is for someone who waits for it: a visitor
    who looks at a picture does not."""
    raw = data_folder() / "MNIST" / "raw"
    if parse_source(source)[0] in ("mnist", "stacked") and not all(
        (raw / name).is_file() or (raw / f"{name}.gz").is_file() for name in _MNIST_FILES
    ):
        raise DataError(
            f"MNIST is not in {raw}; put its four files there, or point GAN_DATA at a folder that has MNIST/raw"
        )


def folder_size(path: Path) -> int:
    """How many pictures below ``path`` there are to train on, those kept apart not counted. DataError
    where they are too few, or too many."""
    return len(_split_folder(path, seed=0)[0])


def parse_source(source: str, seed: int = 0) -> tuple[str, str]:
    """(kind, what stands behind the colon: a folder, or how many digits are stacked). DataError for
    anything else."""
    if seed < 0:
        raise DataError(f"seed {seed} cannot draw an order; give 0 or more")
    if source in ("mnist", "drawn"):
        return source, ""
    if source == "stacked":
        return source, str(FULL_SIZE)
    kind, _, rest = source.partition(":")
    if kind == "folder" and rest:
        return kind, rest
    if kind == "stacked":
        # one way to write a number, for the source is the name of the data
        canonical = rest.isascii() and rest.isdigit() and len(rest) <= 5 and rest[0] != "0"
        if not canonical or int(rest) > FULL_SIZE:
            raise DataError(
                f"source {source!r} names no number of digits to stack; write a whole number from "
                f"1 to {FULL_SIZE} such as stacked:600, or stacked for all {FULL_SIZE:,}"
            )
        return kind, rest
    raise DataError(
        f"source {source!r} is unknown; choose mnist, stacked, stacked:BASE, drawn or folder:PATH"
    )


def _require_available(asked: int, available: int, source: str) -> None:
    if asked > available:
        raise DataError(
            f"{asked:,} images were asked for, but {source} has {available:,} to train on; "
            f"ask for {available:,} or fewer"
        )


def _require_resolution(kind: str, source: str, resolution: int) -> None:
    if kind != "folder" and resolution != RESOLUTION:
        raise DataError(
            f"{source} has pictures of {RESOLUTION} x {RESOLUTION} pixels, not {resolution}; "
            "only those of folder:PATH come in other sizes"
        )
    if not 4 <= resolution <= _FOLDER_MAX_SIDE:
        raise DataError(
            f"resolution {resolution} is no side for a picture; give 4 to {_FOLDER_MAX_SIDE} pixels"
        )


def _take(data: Labelled, index: Tensor) -> Labelled:
    return Labelled(data.images[index], None if data.labels is None else data.labels[index])


# --- mnist ---------------------------------------------------------------------------------


def _load_mnist(size: int, seed: int) -> Labelled:
    _require_available(size, FULL_SIZE + MNIST_LENT, "mnist")
    train = _read_mnist(train=True)
    order = torch.randperm(FULL_SIZE, generator=torch.Generator().manual_seed(seed))
    chosen = _take(train, order[: min(size, FULL_SIZE)])
    if size <= FULL_SIZE:
        return chosen
    lent = _take(_read_mnist(train=False), _test_order()[: size - FULL_SIZE])
    assert chosen.labels is not None and lent.labels is not None
    return Labelled(
        torch.cat([chosen.images, lent.images]), torch.cat([chosen.labels, lent.labels])
    )


def _test_order() -> Tensor:
    """The one split of the test pool, the same for every seed, so that scores stay comparable."""
    return torch.randperm(_MNIST_TEST, generator=torch.Generator().manual_seed(5_000))


def _read_mnist(train: bool) -> Labelled:
    root = data_folder()
    datasets = import_datasets()
    remedy = (
        "put the four MNIST files into "
        f"{root / 'MNIST' / 'raw'}, or point GAN_DATA at a folder that has MNIST/raw, "
        "or train on the built-in digits with --source drawn"
    )
    try:
        found = datasets.MNIST(root, train=train, download=False)
    except RuntimeError:  # torchvision's word for "not there"
        try:
            found = datasets.MNIST(root, train=train, download=True)
        except (RuntimeError, OSError, urllib.error.URLError) as error:
            raise DataError(
                f"MNIST is not in {root} and could not be downloaded ({error}); {remedy}"
            ) from error
    except (OSError, ValueError, AssertionError) as error:
        raise DataError(f"MNIST in {root} cannot be read ({error}); {remedy}") from error
    images, labels = found.data, found.targets
    expected = FULL_SIZE if train else _MNIST_TEST
    if tuple(images.shape) != (expected, RESOLUTION, RESOLUTION) or len(labels) != expected:
        raise DataError(
            f"MNIST in {root} holds {tuple(images.shape)} instead of "
            f"({expected}, 28, 28): the files are damaged or of another data set; {remedy}"
        )
    return Labelled(images.unsqueeze(1), labels.to(torch.int64))


# --- stacked -------------------------------------------------------------------------------


def stack(digits: Labelled, count: int, seed: int, start: int = 0) -> Labelled:
    """Triples ``start`` to ``start + count`` of labelled ``digits`` [M, 1, 28, 28].

    images uint8 [count, 3, 28, 28], 2,352 bytes each; labels 100 a + 10 b + c of the digits a, b, c
    in channels 0, 1, 2. The three are drawn independently, with replacement. Triple i depends on
    (seed, i, digits) alone; see `_draw`.
    """
    assert digits.labels is not None
    bits = np.random.Philox(key=seed)
    bits.advance(start)  # four numbers at a time, of which a triple takes three
    uniforms = np.random.Generator(bits).random((count, 4))[:, :3]
    index = torch.from_numpy((uniforms * len(digits.images)).astype(np.int64))  # [count, 3]
    places = torch.tensor([100, 10, 1])
    return Labelled(digits.images.squeeze(1)[index], (digits.labels[index] * places).sum(dim=1))


def base_digits(source: str, seed: int = 0) -> Labelled:
    """The single digits [M, 1, 28, 28] that the triples of a stacked source are made of: the first M
    training images in the order of ``seed``. DataError where one of the ten digits is not among
    them: the 1,000 combinations then do not all exist."""
    kind, rest = parse_source(source, seed)
    if kind != "stacked":
        raise DataError(f"source {source!r} stacks no digits; name stacked or stacked:BASE")
    digits = _load_mnist(int(rest), seed)
    assert digits.labels is not None
    counts = torch.bincount(digits.labels, minlength=10).tolist()
    missing = [str(digit) for digit, found in enumerate(counts) if not found]
    if missing:
        raise DataError(
            f"the {rest} digits of {source} (data seed {seed}) hold no {', '.join(missing)}; "
            "take more of them, or another data seed"
        )
    return digits


def load_singles(
    source: str, size: int | None = None, seed: int = 0, resolution: int = RESOLUTION
) -> tuple[Labelled, Labelled]:
    """(`load`, `load_held_out`), but of a stacked source the single digits: what a generated digit is
    compared with to see whether it is a copy."""
    kind = parse_source(source, seed)[0]
    _require_resolution(kind, source, resolution)
    if kind == "stacked":
        return base_digits(source, seed), _read_mnist(train=False)
    training = load(source, size, seed, resolution)
    return training, load_held_out(source, size, seed, resolution)


# --- drawn ---------------------------------------------------------------------------------

_GLYPH_SIDE = 56  # drawn at twice the size, then sampled down
_GLYPH_STROKES = (0, 1, 2)  # extra pen width in glyph pixels
_UNIFORMS = 8  # random numbers per picture, a multiple of the 4 that Philox makes at a time


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


def _draw(start: int, count: int, seed: int) -> Labelled:
    """Pictures ``start`` to ``start + count``. Picture i depends on (seed, i) alone: Philox is a
    counter-based generator (Salmon et al. 2011), so its stream can be entered anywhere."""
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
    images = torch.empty(count, 1, RESOLUTION, RESOLUTION, dtype=torch.uint8)
    for begin in range(0, count, 4096):
        part = slice(begin, min(begin + 4096, count))
        source = glyphs[labels[part] * len(_GLYPH_STROKES) + pen[part]]
        shape = [len(source), 1, _GLYPH_SIDE, _GLYPH_SIDE]
        field = F.affine_grid(affine[part], shape, align_corners=False)
        drawn = F.grid_sample(source, field, padding_mode="zeros", align_corners=False)
        images[part] = F.avg_pool2d(drawn, 2).mul(255).round().clamp(0, 255).to(torch.uint8)
    return Labelled(images, labels)


# --- folder --------------------------------------------------------------------------------


def _split_folder(path: Path, seed: int) -> tuple[list[Path], list[Path]]:
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


def _read_pictures(files: list[Path], side: int) -> Tensor:
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
