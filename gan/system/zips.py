"""Zip archives from strangers, read in memory with a bound on everything that a header promises.

Nothing here writes a file, so a member's name can lead nowhere: callers compare it or show it.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections.abc import Iterator

from gan.errors import GanError

STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # the first bytes of a zip with members, without members
_ENTRY = b"PK\x01\x02"  # begins every entry of the central directory
_END = struct.Struct("<4s8xLLH")  # the end record: mark, directory size and offset, comment length
_END_MARK, _ZIP64_MARK, _ZIP64_SIZE = b"PK\x05\x06", b"PK\x06\x07", 20
# others reserve as much memory as a file says
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK = 1 << 16


class ZipError(GanError):
    """What is wrong with an archive or a member, worded to follow its name: "is encrypted; ..."."""


class TooLargeError(ZipError):
    """More bytes came out of an archive than its `InflateLimit` allows."""


class InflateLimit:
    """The number of bytes that may still come out of one or several archives."""

    def __init__(self, most: int) -> None:
        self.most = self._left = most

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLargeError(f"unpacks to more than the {self.most:,} bytes that are allowed")


@contextlib.contextmanager
def open_zip(content: bytes, most: int) -> Iterator[zipfile.ZipFile]:
    """The archive in ``content``. ZipError if it is damaged or has more than ``most`` entries."""
    _check_directory(content, most)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except Exception as error:  # a hostile directory can raise anything in the reader
        raise ZipError(f"is damaged ({error}); pack it again") from error
    with archive:
        yield archive


def _check_directory(content: bytes, most: int) -> None:
    """Check the list of members before `zipfile` reads it: it makes an object of every entry, and a
    list of millions would cost gigabytes."""
    end = content.rfind(_END_MARK, max(0, len(content) - _END.size - 0xFFFF))
    if end < 0 or end + _END.size > len(content):
        raise ZipError("is cut off at its end; get the whole file")
    _, size, offset, comment = _END.unpack_from(content, end)
    if content[max(0, end - _ZIP64_SIZE) : end].startswith(_ZIP64_MARK):
        # zipfile would believe the second directory that this announces
        raise ZipError("uses the zip64 format; pack it as an ordinary zip")
    if offset + size != end or end + _END.size + comment != len(content):
        raise ZipError("is damaged: it is cut off, or mixed with other data; pack it again")
    entries = content.count(_ENTRY, offset, end)
    if entries > most:
        raise ZipError(f"has {entries:,} entries, where at most {most:,} are read; leave some out")


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: InflateLimit) -> bytes:
    """The inflated member. ZipError if it is encrypted, damaged, or compressed in an unusual way;
    TooLargeError as soon as ``limit`` is reached, whatever the headers say of the size."""
    if member.flag_bits & 0x1:
        raise ZipError("is encrypted; pack it without a password")
    if member.compress_type not in _METHODS:
        raise ZipError(
            f"is compressed by method {member.compress_type}; pack it as an ordinary zip"
        )
    parts = []
    try:
        with archive.open(member) as file:
            while part := file.read(_CHUNK):
                limit.take(len(part))
                parts.append(part)
    except TooLargeError:
        raise
    except Exception as error:  # a hostile member can raise anything in the reader
        limit.take(_CHUNK)  # up to this much came out before the damage showed
        raise ZipError("is damaged in the archive; pack it again") from error
    return b"".join(parts)


def contains_zip(content: bytes) -> bool:
    """Whether a zip reader would find an archive anywhere in these bytes, for example behind an image.
    The end mark alone occurs in images by chance, so an entry must stand before it."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return False
    end = content.rfind(_END_MARK)
    return content.rfind(_ENTRY, 0, max(end, 0)) >= 0
