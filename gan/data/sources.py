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

from pathlib import Path

import torch

from gan.data import drawn, folder, labelled, mnist, stacked
from gan.data.labelled import Labelled
from gan.errors import DataError

#: The sizes of the two articles, the percentages of the first counted against 60,000.
ARTICLE_SIZES = (200, 500, 600, 1_000, 6_000, 10_000, 30_000, 60_000, 65_000)


def parse_size(text: str) -> int:
    """ "600", "6,000" or "1%" (of 60,000) -> a number of images. DataError for anything else."""
    cleaned = text.strip().replace(",", "").replace("_", "")
    try:
        if cleaned.endswith("%"):
            count = round(float(cleaned[:-1]) / 100 * mnist.FULL_SIZE)
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
    source: str, size: int | None = None, seed: int = 0, resolution: int = labelled.RESOLUTION
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
        return mnist.load_mnist(mnist.FULL_SIZE if size is None else size, seed)
    if kind == "drawn":
        count = mnist.FULL_SIZE if size is None else size
        labelled.require_available(count, drawn.DRAWN_TOTAL, source)
        return drawn.draw(0, count, seed)
    if kind == "stacked":
        count = stacked.STACKED_SIZE if size is None else size
        labelled.require_available(count, stacked.STACKED_TOTAL, source)
        return stacked.stack(base_digits(source, seed), count, seed)
    training, _ = folder.split_folder(Path(rest), seed)
    count = len(training) if size is None else size
    labelled.require_available(count, len(training), source)
    return Labelled(folder.read_pictures(training[:count], resolution), None)


def load_held_out(
    source: str, size: int | None = None, seed: int = 0, resolution: int = labelled.RESOLUTION
) -> Labelled:
    """Images that ``load(source, size, seed)`` never contains.

    ``mnist``: the 10,000 test images, or past 60,000 the 5,000 of them that are not lent to
    training; ``stacked``: 10,000 triples of test images; ``drawn``: 10,000 others; a folder: the
    tenth of its pictures that is kept apart, in the ``resolution`` asked for.
    """
    kind, rest = parse_source(source, seed)
    _require_resolution(kind, source, resolution)
    if kind == "mnist":
        test = mnist.read_mnist(train=False)
        if size is None or size <= mnist.FULL_SIZE:
            return test
        return labelled.take(test, mnist.test_order()[mnist.MNIST_LENT :])
    if kind == "drawn":
        return drawn.draw(drawn.DRAWN_TOTAL, drawn.DRAWN_HELD_OUT, seed)
    if kind == "stacked":
        return stacked.stack(
            mnist.read_mnist(train=False),
            stacked.STACKED_HELD_OUT,
            seed,
            start=stacked.STACKED_TOTAL,
        )
    _, held_out = folder.split_folder(Path(rest), seed)
    return Labelled(folder.read_pictures(held_out, resolution), None)


def require_at_hand(source: str) -> None:
    """DataError where `load` would have to download first, which is for someone who waits for it: a visitor
    who looks at a picture does not."""
    raw = mnist.data_folder() / "MNIST" / "raw"
    if parse_source(source)[0] in ("mnist", "stacked") and not all(
        (raw / name).is_file() or (raw / f"{name}.gz").is_file() for name in mnist.MNIST_FILES
    ):
        raise DataError(
            f"MNIST is not in {raw}; put its four files there, or point GAN_DATA at a folder that has MNIST/raw"
        )


def parse_source(source: str, seed: int = 0) -> tuple[str, str]:
    """(kind, what stands behind the colon: a folder, or how many digits are stacked). DataError for
    anything else."""
    if seed < 0:
        raise DataError(f"seed {seed} cannot draw an order; give 0 or more")
    if source in ("mnist", "drawn"):
        return source, ""
    if source == "stacked":
        return source, str(mnist.FULL_SIZE)
    kind, _, rest = source.partition(":")
    if kind == "folder" and rest:
        return kind, rest
    if kind == "stacked":
        # one way to write a number, for the source is the name of the data
        canonical = rest.isascii() and rest.isdigit() and len(rest) <= 5 and rest[0] != "0"
        if not canonical or int(rest) > mnist.FULL_SIZE:
            raise DataError(
                f"source {source!r} names no number of digits to stack; write a whole number from "
                f"1 to {mnist.FULL_SIZE} such as stacked:600, or stacked for all {mnist.FULL_SIZE:,}"
            )
        return kind, rest
    raise DataError(
        f"source {source!r} is unknown; choose mnist, stacked, stacked:BASE, drawn or folder:PATH"
    )


def _require_resolution(kind: str, source: str, resolution: int) -> None:
    if kind != "folder" and resolution != labelled.RESOLUTION:
        raise DataError(
            f"{source} has pictures of {labelled.RESOLUTION} x {labelled.RESOLUTION} pixels, not {resolution}; "
            "only those of folder:PATH come in other sizes"
        )
    if not 4 <= resolution <= folder.FOLDER_MAX_SIDE:
        raise DataError(
            f"resolution {resolution} is no side for a picture; give 4 to {folder.FOLDER_MAX_SIDE} pixels"
        )


def base_digits(source: str, seed: int = 0) -> Labelled:
    """The single digits [M, 1, 28, 28] that the triples of a stacked source are made of: the first M
    training images in the order of ``seed``. DataError where one of the ten digits is not among
    them: the 1,000 combinations then do not all exist."""
    kind, rest = parse_source(source, seed)
    if kind != "stacked":
        raise DataError(f"source {source!r} stacks no digits; name stacked or stacked:BASE")
    digits = mnist.load_mnist(int(rest), seed)
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
    source: str, size: int | None = None, seed: int = 0, resolution: int = labelled.RESOLUTION
) -> tuple[Labelled, Labelled]:
    """(`load`, `load_held_out`), but of a stacked source the single digits: what a generated digit is
    compared with to see whether it is a copy."""
    kind = parse_source(source, seed)[0]
    _require_resolution(kind, source, resolution)
    if kind == "stacked":
        return base_digits(source, seed), mnist.read_mnist(train=False)
    training = load(source, size, seed, resolution)
    return training, load_held_out(source, size, seed, resolution)
