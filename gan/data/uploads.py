"""Turns uploaded files into a folder of images that ``folder:PATH`` can train on.

No uploaded byte reaches the disk as it came: every image is decoded (as PNG or JPEG only), converted
to grey, made small and written again under a name of ours. Archives are read in memory (`gan.system.zips`);
the names in them are only shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gan.data import folder as image_folder
from gan.errors import CheckpointError, DataError
from gan.networks import images
from gan.system import zips

_SIDE = 128  # pixels of the longer side that are kept: twice the largest training size
_FORMATS = ("PNG", "JPEG")
_IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_SCAN = b"\xff\xda"  # begins every scan of a JPEG, and occurs nowhere else in its pixels
_MAX_SCANS = 100  # a progressive JPEG has about 10
_BLOCK = 4_096  # bytes that the smallest file takes on a disk
_TEMPORARY = ".upload-"
_STALE_SECONDS = 3_600.0
_SMALLER = "make the images smaller, 128 pixels a side are enough, or leave some out"
_SHOWN_NAME = 80  # characters of a visitor's file name that are shown


@dataclass(frozen=True)
class Limits:
    """What is accepted. An image outside ``pixels``, ``least_side`` or ``ratio`` (longer side by
    shorter) is left out; an upload outside one of the others is refused as a whole."""

    images: int = 5_000
    #: One in ten is held out, and batch normalisation needs about seven to train on.
    least_images: int = 8
    uploaded_bytes: int = 25_000_000
    unpacked_bytes: int = 100_000_000  # inflated from all archives together
    members: int = 15_000  # entries of one archive
    pixels: int = 20_000_000
    total_pixels: int = 500_000_000  # to decode: a few bytes can stand for millions
    least_side: int = 8
    ratio: float = 4.0  # images are squeezed into a square, see `gan.data.sources`
    root_bytes: int = 500_000_000  # of all uploads that are kept, in whole disk blocks


@dataclass(frozen=True)
class Kept:
    """The folder of ``count`` images, and which files were left out: (name, reason). The names come
    from the visitor, shortened and without control characters: show them as plain text."""

    folder: Path
    count: int
    skipped: tuple[tuple[str, str], ...]


class _Unusable(Exception):
    """Why one file is left out, worded to follow its name."""


def keep(files: Sequence[tuple[str, bytes]], root: Path, limits: Limits = Limits()) -> Kept:
    """Keep files (name, content), images and zip archives of them, as a folder below ``root`` with one
    grey PNG for each image, sides up to 128 pixels. The folder is named after its content.

    The same images in any order give the same folder, which is complete or not there. DataError: too
    much, too few, a damaged archive, or no space below ``root`` (what others keep there stays).
    CheckpointError: it could not be written.
    """
    size = sum(len(content) for _, content in files)
    if size > limits.uploaded_bytes:
        raise DataError(
            f"the upload has {size:,} bytes, where at most {limits.uploaded_bytes:,} are allowed; {_SMALLER}"
        )
    found: dict[str, tuple[str, bytes]] = {}  # digest -> (name, PNG)
    skipped: list[tuple[str, str]] = []
    count = pixels = 0
    for name, content in _unpacked(files, limits):
        try:
            if isinstance(content, _Unusable):
                raise content
            _require_image(content)
            count += 1
            if count > limits.images:
                raise DataError(
                    f"the upload has more than {limits.images:,} images; leave some out"
                )
            with _opened(content) as image:
                _require_size(image, limits)
                pixels += image.width * image.height
                if pixels > limits.total_pixels:
                    raise DataError(
                        f"the images have more than {limits.total_pixels:,} pixels together; {_SMALLER}"
                    )
                png = _small_png(image)
            digest = hashlib.sha256(png).hexdigest()
            if digest in found:
                raise _Unusable(f"the same image as {found[digest][0]}")
            found[digest] = (name, png)
        except _Unusable as reason:
            skipped.append((name, str(reason)))
    if len(found) < limits.least_images:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped[:3])
        raise DataError(
            f"the upload holds {len(found)} usable images, where at least {limits.least_images} are "
            "needed, because one in ten is held out and the rest must make a batch; add PNG or JPEG "
            f"files{f' (left out: {reasons})' if reasons else ''}"
        )
    return Kept(
        _write({d: png for d, (_, png) in found.items()}, root, limits), len(found), tuple(skipped)
    )


def _unpacked(
    files: Sequence[tuple[str, bytes]], limits: Limits
) -> Iterator[tuple[str, bytes | _Unusable]]:
    """(name to show, content or why there is none) of every file and every member of an archive,
    without the hidden files of file systems and browsers."""
    limit = zips.InflateLimit(limits.unpacked_bytes)
    for name, content in files:
        shown = _shown(name)
        if content.startswith(zips.STARTS):
            try:
                yield from _members(shown, content, limit, limits.members)
            except zips.ZipError as error:
                raise DataError(f"{shown} {error}") from error
        elif not _hidden(name):
            yield shown, content


def _members(
    shown: str, content: bytes, limit: zips.InflateLimit, most: int
) -> Iterator[tuple[str, bytes | _Unusable]]:
    with zips.open_zip(content, most) as archive:
        for info in archive.infolist():
            if info.is_dir() or _hidden(info.filename):
                continue
            inflated: bytes | _Unusable
            try:
                inflated = zips.read_member(archive, info, limit)
            except zips.TooLargeError as error:
                raise zips.TooLargeError(f"{error}; {_SMALLER}") from error
            except zips.ZipError as reason:
                inflated = _Unusable(str(reason))
            yield f"{shown}/{_shown(info.filename)}", inflated


def _hidden(name: str) -> bool:
    """Whether it is a file or folder of the system, such as ``__MACOSX/`` and ``.DS_Store``."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in (".", "..")]
    return any(p.startswith(".") or p == "__MACOSX" for p in parts)


def _shown(name: str) -> str:
    cleaned = "".join(c for c in name if c.isprintable())
    return cleaned if len(cleaned) <= _SHOWN_NAME else f"{cleaned[: _SHOWN_NAME - 3]}..."


def _require_image(content: bytes) -> None:
    if content.startswith(zips.STARTS):
        raise _Unusable("is an archive inside an archive; unpack it first")
    if not content.startswith(_IMAGE_STARTS):
        raise _Unusable("is neither PNG nor JPEG" if content else "is empty")
    if content.startswith(_IMAGE_STARTS[1]) and content.count(_SCAN) > _MAX_SCANS:
        raise _Unusable(f"is a JPEG of more than {_MAX_SCANS} scans; save it again")
    if zips.contains_zip(content):
        raise _Unusable("is an image and a zip archive in one; save it again as an image")


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """The image with its header read, but no pixel. Every error inside the block becomes _Unusable."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            yield image
    except (_Unusable, DataError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _Unusable("has far too many pixels; make it smaller") from error
    except Exception as error:  # a damaged or hostile file can raise anything in the decoder
        raise _Unusable("cannot be read as an image; save it again") from error


def _require_size(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width * height > limits.pixels:
        raise _Unusable(
            f"has {width} x {height} pixels, where at most {limits.pixels:,} are read; make it smaller"
        )
    if min(width, height) < limits.least_side:
        raise _Unusable(
            f"has {width} x {height} pixels, but each side needs at least {limits.least_side}"
        )
    if max(width, height) > limits.ratio * min(width, height):
        raise _Unusable(
            f"has {width} x {height} pixels, but one side may be at most {limits.ratio:g} times as "
            "long as the other; crop it"
        )


def _small_png(image: Image.Image) -> bytes:
    """The image upright, grey and small, as a PNG that holds its pixels and nothing else."""
    image.draft("L", (2 * _SIDE, 2 * _SIDE))  # decodes a large JPEG at a fraction of its size
    ImageOps.exif_transpose(image, in_place=True)
    grey = image_folder.grey(image)
    grey.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return images.to_png(np.asarray(grey)[..., None])


def _write(pngs: dict[str, bytes], root: Path, limits: Limits) -> Path:
    """Write pngs (digest -> PNG) under a temporary name and rename the folder; return it."""
    ordered = sorted(pngs)
    folder = root / _name(ordered)
    temporary: Path | None = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_stale(root)
        if _is_whole(folder):
            return folder
        free = limits.root_bytes - _used(root)
        needed = sum(_on_disk(len(png)) for png in pngs.values())
        if needed > free:
            raise DataError(
                f"all uploads together may take {limits.root_bytes:,} bytes, of which {max(free, 0):,} are "
                f"free, and this one needs {needed:,}; upload fewer images, or ask whoever runs this "
                f"app to empty {root.name}"
            )
        temporary = Path(tempfile.mkdtemp(dir=root, prefix=_TEMPORARY))
        for number, digest in enumerate(ordered):
            (temporary / f"{number:06}.png").write_bytes(pngs[digest])
        os.chmod(temporary, 0o755)
        if folder.exists() and not _is_whole(folder):  # after a power cut, or a change from outside
            shutil.rmtree(folder)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not _is_whole(folder):  # otherwise the same upload was faster
                raise
    except OSError as error:
        raise CheckpointError(
            f"the images could not be written to {root} ({error}); free some space, or start the app "
            "with a folder that it may write to"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _name(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def _is_whole(folder: Path) -> bool:
    """Whether the files in the folder are those that its name is the digest of."""
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    if not all(f.is_file() for f in files):
        return False
    return _name([hashlib.sha256(f.read_bytes()).hexdigest() for f in files]) == folder.name


def _used(root: Path) -> int:
    total = 0
    for file in root.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):  # another upload has just been renamed
            total += _on_disk(file.stat().st_size)
    return total


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _remove_stale(root: Path) -> None:
    """Remove what a process left that was killed while it wrote."""
    for left in root.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
