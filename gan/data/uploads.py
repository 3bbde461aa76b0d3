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
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gan.data import folder as image_folder
from gan.errors import CheckpointError, DataError
from gan.networks import images

_SIDE = 128  # pixels of the longer side that are kept: twice the largest that is trained on
_FORMATS = ("PNG", "JPEG")
_PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_ARCHIVE_STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # with members, without
_ENTRY = b"PK\x01\x02"  # begins every line of an archive's table of contents
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others reserve memory as a file tells them
_CHUNK = 1 << 16
_SCAN = b"\xff\xda"  # begins every pass of a JPEG over its pixels, and is nowhere else in them
_MAX_SCANS = 100  # of progressive ones: 10 or so
_BLOCK = 4_096  # bytes that even the smallest file takes on a disk
_TEMPORARY = ".upload-"
_STALE_SECONDS = 3_600.0
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


class _Meter:
    """Counts what comes out of the archives of an upload, also of members that turn out to be damaged:
    unpacking them takes as long."""

    def __init__(self, limits: Limits) -> None:
        self._most = self._left = limits.unpacked_bytes

    def take(self, size: int, archive: str) -> None:
        self._left -= size
        if self._left < 0:
            raise DataError(
                f"{archive} unpacks to more than the {self._most:,} bytes that are taken; make the "
                "pictures smaller, 128 pixels a side are enough, or leave some out"
            )


def _unpacked(
    files: Sequence[tuple[str, bytes]], limits: Limits
) -> Iterator[tuple[str, bytes | _Unusable]]:
    """(name to show, content, or why there is none) of every file and every member of an archive;
    what file systems and browsers hide is passed over."""
    meter = _Meter(limits)
    for name, content in files:
        shown = _shown(name)
        if content.startswith(_ARCHIVE_STARTS):
            yield from _members(shown, content, meter, limits)
        elif not _hidden(name):
            yield shown, content


def _members(
    archive: str, content: bytes, meter: _Meter, limits: Limits
) -> Iterator[tuple[str, bytes | _Unusable]]:
    # counted before the table is read, for each line becomes an object
    lines = content.count(_ENTRY)
    if lines > limits.members:
        raise DataError(
            f"{archive} has {lines:,} entries; at most {limits.members:,} are read: leave some out"
        )
    try:
        opened = zipfile.ZipFile(io.BytesIO(content))
    except Exception as error:  # whatever a damaged or hostile table makes of the reader
        raise DataError(
            f"{archive} is a damaged zip archive ({error}); pack it anew, or upload the pictures "
            "themselves"
        ) from error
    with opened:
        for info in opened.infolist():
            if info.is_dir() or _hidden(info.filename):
                continue
            inflated: bytes | _Unusable
            try:
                inflated = _inflate(opened, info, meter, archive)
            except _Unusable as reason:
                inflated = reason
            yield f"{archive}/{_shown(info.filename)}", inflated


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: _Meter, shown: str) -> bytes:
    """The member, measured as it comes out: what the archive says of its size is not relied on."""
    if info.flag_bits & 0x1:
        raise _Unusable("is encrypted; pack it without a password")
    if info.compress_type not in _METHODS:
        raise _Unusable(f"is packed by method {info.compress_type}; pack it as an ordinary zip")
    parts = []
    try:
        with archive.open(info) as member:
            while part := member.read(_CHUNK):
                meter.take(len(part), shown)
                parts.append(part)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged or hostile member makes of the reader
        meter.take(_CHUNK, shown)  # up to this much had come out when the damage was seen
        raise _Unusable("is damaged in the archive; pack it anew") from error
    return b"".join(parts)


def _hidden(name: str) -> bool:
    """Folders and files of the system, such as ``__MACOSX/`` and ``.DS_Store``."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in (".", "..")]
    return any(p.startswith(".") or p == "__MACOSX" for p in parts)


def _shown(name: str) -> str:
    cleaned = "".join(c for c in name if c.isprintable())
    return cleaned if len(cleaned) <= _SHOWN_NAME else f"{cleaned[: _SHOWN_NAME - 3]}..."


def _require_picture(content: bytes) -> None:
    if content.startswith(_ARCHIVE_STARTS):
        raise _Unusable("is an archive inside an archive; unpack it first")
    if not content.startswith(_PICTURE_STARTS):
        raise _Unusable("is neither PNG nor JPEG" if content else "is empty")
    if content.startswith(_PICTURE_STARTS[1]) and content.count(_SCAN) > _MAX_SCANS:
        raise _Unusable(f"is a JPEG of more than {_MAX_SCANS} passes; save it anew")
    if _is_archive_too(content):
        raise _Unusable("is a picture and a zip archive in one; save it anew as a picture")


def _is_archive_too(content: bytes) -> bool:
    """The end mark alone occurs in pictures by chance; an archive also lists its members."""
    if not zipfile.is_zipfile(io.BytesIO(content)) or _ENTRY not in content:
        return False
    try:
        # counted, not opened: the table may be as long as it likes
        return content.rindex(_ENTRY) < content.rindex(b"PK\x05\x06")
    except ValueError:
        return False


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
