"""Data sets by name, each as one uint8 tensor, and nested subsets of them.

``mnist``         the 60,000 training images of MNIST; sizes above 60,000 add up to 5,000 test images
``stacked``       three MNIST digits as the three channels of one image: 1,000 combinations;
                  ``stacked:600`` takes the digits from the first 600 training images only
``drawn``         digits drawn from a font with random distortions: offline, labelled, unlimited
``folder:PATH``   your own images, also in sub-folders, turned grey and resized to squares

Subsets of one seed are nested: the first 200 images are among the first 600, and those among
the first 6,000. Images that a run never trains on are *held out*: the check for memorised training
images and the curves of the discriminator compare with them.
"""

from __future__ import annotations

from gan.data import drawn, folder, labelled, mnist, stacked
from gan.data.labelled import Labelled, Source
from gan.errors import DataError

#: A new source needs a line here. If its images are not single digits, `gan.config` must know as well:
#: see `gan.config.source_channels` and `gan.config.has_digits`.
SOURCES: dict[str, Source] = {
    "mnist": mnist.Mnist(),
    "stacked": stacked.Stacked(),
    "drawn": drawn.Drawn(),
    "folder": folder.Folder(),
}
#: The sizes of the two articles. The first counts in percent of 60,000.
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
            "or a share of 60,000 such as 1%"
        )
    return count


def parse_source(source: str, seed: int = 0) -> tuple[Source, str]:
    """The kind of a source, and the text after the colon ("" if there is none). DataError if there is no
    such source, or the seed is negative."""
    if seed < 0:
        raise DataError(f"seed {seed} cannot draw an order; give 0 or more")
    kind, colon, detail = source.partition(":")
    if kind in SOURCES and SOURCES[kind].validate(detail if colon else None):
        return SOURCES[kind], detail
    *forms, last = (form for known in SOURCES.values() for form in known.forms)
    raise DataError(f"source {source!r} is unknown; choose {', '.join(forms)} or {last}")


def load(
    source: str, size: int | None = None, seed: int = 0, resolution: int = labelled.RESOLUTION
) -> Labelled:
    """The first ``size`` training images of ``source`` in the order that ``seed`` draws.

    ``size=None``: 60,000 of ``mnist`` and ``drawn``, 128,000 of ``stacked``, and all images of a
    folder that are not held out. ``resolution``: side in pixels to which a folder's images are resized.
    DataError if the source is unknown, missing, damaged or too small, or has no images of that
    resolution.
    """
    kind, detail = _open(source, seed, resolution)
    if size is not None and size < 1:
        raise DataError(f"size {size} is not an amount of data; ask for at least 1 image")
    return kind.load(detail, size, seed, resolution)


def load_held_out(
    source: str, size: int | None = None, seed: int = 0, resolution: int = labelled.RESOLUTION
) -> Labelled:
    """Images that ``load(source, size, seed)`` never contains.

    ``mnist``: the 10,000 test images, or for sizes above 60,000 the 5,000 of them that are never
    trained on; ``stacked``: 10,000 triples of test images; ``drawn``: 10,000 others; a folder: a tenth
    of its images.
    """
    kind, detail = _open(source, seed, resolution)
    return kind.load_held_out(detail, size, seed, resolution)


def load_singles(
    source: str, size: int | None = None, seed: int = 0, resolution: int = labelled.RESOLUTION
) -> tuple[Labelled, Labelled]:
    """(`load`, `load_held_out`), but for a stacked source its single digits: the copy check compares
    generated digits with them."""
    kind, detail = _open(source, seed, resolution)
    return kind.load_singles(detail, size, seed, resolution)


def require_available(source: str) -> None:
    """DataError if `load` would have to download first, so that no page waits for a download."""
    parse_source(source)[0].require_available()


def _open(source: str, seed: int, resolution: int) -> tuple[Source, str]:
    kind, detail = parse_source(source, seed)
    if not kind.resizable and resolution != labelled.RESOLUTION:
        raise DataError(
            f"{source} has images of {labelled.RESOLUTION} x {labelled.RESOLUTION} pixels, not "
            f"{resolution}; only those of folder:PATH can be resized"
        )
    if not 4 <= resolution <= folder.MAX_SIDE:
        raise DataError(
            f"resolution {resolution} is not possible; give 4 to {folder.MAX_SIDE} pixels a side"
        )
    return kind, detail
