"""What a visitor uploads, turned into a folder of pictures that ``folder:PATH`` can train on.

Nothing of an upload reaches the disk as it came: every picture is decoded (PNG and JPEG, no other
decoder is asked), turned to grey, made small and written anew under a name of ours. Archives are read
in memory with a bound on what really comes out of them; the names in them are only ever shown.
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

_SIDE = 128  # pixels of the longer side that are kept: twice the largest that is trained on
_FORMATS = ("PNG", "JPEG")
_PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_SCAN = b"\xff\xda"  # begins every pass of a JPEG over its pixels, and is nowhere else in them
_MAX_SCANS = 100  # of progressive ones: 10 or so
_BLOCK = 4_096  # bytes that even the smallest file takes on a disk
_TEMPORARY = ".upload-"
_STALE_SECONDS = 3_600.0
_SMALLER = "make the images smaller, 128 pixels a side are enough, or leave some out"
_SHOWN_NAME = 80  # characters of a visitor's file name that are repeated


@dataclass(frozen=True)
class Limits:
    """What is accepted. ``pixels``, ``least_side`` and ``ratio`` (longer side by shorter) are of one
    picture and leave it out; the others are of the whole upload and refuse it."""

    pictures: int = 5_000
    #: One in ten is kept apart, and fewer than seven to train on are no batch to normalise.
    least_pictures: int = 8
    uploaded_bytes: int = 25_000_000
    unpacked_bytes: int = 100_000_000  # that come out of all archives together
    members: int = 15_000  # lines in an archive's table of contents
    pixels: int = 20_000_000
    total_pixels: int = 500_000_000  # to be decoded: a few bytes can stand for millions
    least_side: int = 8
    ratio: float = 4.0  # pictures are squeezed into a square, see `gan.data.sources`
    root_bytes: int = 500_000_000  # of all uploads that are kept, as a disk counts them


@dataclass(frozen=True)
class Kept:
    """Where the ``count`` pictures lie, and which files were left out: (name, reason). The names are
    the visitor's, cut and without control characters: to be shown as plain text."""

    folder: Path
    count: int
    skipped: tuple[tuple[str, str], ...]


class _Unusable(Exception):
    """Why one file is left out, in words."""


def keep(files: Sequence[tuple[str, bytes]], root: Path, limits: Limits = Limits()) -> Kept:
    """files (name, content): pictures, zip archives of them, or both -> a folder below ``root`` with one
    grey PNG a picture, sides up to 128 pixels, named by its content.

    The same pictures in any order give the same folder, which is whole or not there. DataError: too
    much, too few, a damaged archive, or no room below ``root`` (what others keep there stays).
    CheckpointError: it could not be written.
    """
    size = sum(len(content) for _, content in files)
    if size > limits.uploaded_bytes:
        raise DataError(
            f"the upload has {size:,} bytes; at most {limits.uploaded_bytes:,} are taken: "
            "make the pictures smaller, 128 pixels a side are enough, or give fewer"
        )
    found: dict[str, tuple[str, bytes]] = {}  # digest -> (name, PNG)
    skipped: list[tuple[str, str]] = []
    pictures = pixels = 0
    for name, content in _unpacked(files, limits):
        try:
            if isinstance(content, _Unusable):
                raise content
            _require_picture(content)
            pictures += 1
            if pictures > limits.pictures:
                raise DataError(
                    f"the upload has more than {limits.pictures:,} pictures; leave some out"
                )
            with _opened(content) as picture:
                _require_size(picture, limits)
                pixels += picture.width * picture.height
                if pixels > limits.total_pixels:
                    raise DataError(
                        f"the pictures have more than {limits.total_pixels:,} pixels together; make "
                        "them smaller, 128 pixels a side are enough, or give fewer"
                    )
                png = _anew(picture)
            digest = hashlib.sha256(png).hexdigest()
            if digest in found:
                raise _Unusable(f"the same picture as {found[digest][0]}")
            found[digest] = (name, png)
        except _Unusable as reason:
            skipped.append((name, str(reason)))
    if len(found) < limits.least_pictures:
        told = "; ".join(f"{name}: {reason}" for name, reason in skipped[:3])
        raise DataError(
            f"the upload holds {len(found)} usable pictures; at least {limits.least_pictures} are "
            "needed, for one in ten is kept apart and the rest must make a batch: add PNG or JPEG "
            f"files{f' (left out: {told})' if told else ''}"
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
    """Folders and files of the system, such as ``__MACOSX/`` and ``.DS_Store``."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in (".", "..")]
    return any(p.startswith(".") or p == "__MACOSX" for p in parts)


def _shown(name: str) -> str:
    cleaned = "".join(c for c in name if c.isprintable())
    return cleaned if len(cleaned) <= _SHOWN_NAME else f"{cleaned[: _SHOWN_NAME - 3]}..."


def _require_picture(content: bytes) -> None:
    if content.startswith(zips.STARTS):
        raise _Unusable("is an archive inside an archive; unpack it first")
    if not content.startswith(_PICTURE_STARTS):
        raise _Unusable("is neither PNG nor JPEG" if content else "is empty")
    if content.startswith(_PICTURE_STARTS[1]) and content.count(_SCAN) > _MAX_SCANS:
        raise _Unusable(f"is a JPEG of more than {_MAX_SCANS} passes; save it anew")
    if zips.contains_zip(content):
        raise _Unusable("is a picture and a zip archive in one; save it anew as a picture")


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """Its header is read, no pixel yet. _Unusable for all that goes wrong inside the block."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            yield picture
    except (_Unusable, DataError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _Unusable("has far too many pixels; make it smaller") from error
    except Exception as error:  # whatever a damaged or hostile file makes of the decoder
        raise _Unusable("cannot be read as a picture; save it anew") from error


def _require_size(picture: Image.Image, limits: Limits) -> None:
    width, height = picture.size
    if width * height > limits.pixels:
        raise _Unusable(
            f"has {width} x {height} pixels; at most {limits.pixels:,} are read: make it smaller"
        )
    if min(width, height) < limits.least_side:
        raise _Unusable(f"has {width} x {height} pixels; a side needs at least {limits.least_side}")
    if max(width, height) > limits.ratio * min(width, height):
        raise _Unusable(
            f"has {width} x {height} pixels; one side may be {limits.ratio:g} times as long as the "
            "other: cut it nearer to a square"
        )


def _anew(picture: Image.Image) -> bytes:
    """The picture upright, grey and small, as a PNG that holds its pixels and nothing else."""
    picture.draft("L", (2 * _SIDE, 2 * _SIDE))  # a large JPEG is decoded at a fraction of its size
    ImageOps.exif_transpose(picture, in_place=True)
    grey = image_folder.grey(picture)
    grey.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return images.to_png(np.asarray(grey)[..., None])


def _write(pictures: dict[str, bytes], root: Path, limits: Limits) -> Path:
    """pictures: digest -> PNG. Written beside its place and renamed."""
    ordered = sorted(pictures)
    folder = root / _name(ordered)
    temporary: Path | None = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_stale(root)
        if _is_whole(folder):
            return folder
        room = limits.root_bytes - _used(root)
        needed = sum(_on_disk(len(png)) for png in pictures.values())
        if needed > room:
            raise DataError(
                f"the uploads kept here may take {limits.root_bytes:,} bytes, of which {max(room, 0):,} are "
                f"free, and this one needs {needed:,}; give fewer pictures, or ask whoever runs this "
                f"app to empty {root.name}"
            )
        temporary = Path(tempfile.mkdtemp(dir=root, prefix=_TEMPORARY))
        for number, digest in enumerate(ordered):
            (temporary / f"{number:06}.png").write_bytes(pictures[digest])
        os.chmod(temporary, 0o755)
        if folder.exists() and not _is_whole(folder):  # a power cut, or a meddler
            shutil.rmtree(folder)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not _is_whole(folder):  # else the same upload was quicker
                raise
    except OSError as error:
        raise CheckpointError(
            f"the pictures could not be written to {root} ({error}); free some space, or start the app "
            "with a folder it may write to"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _name(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def _is_whole(folder: Path) -> bool:
    """Whether the folder holds what its name says."""
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
    """What a process that was killed while it wrote has left."""
    for left in root.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
