"""Files that browsers fetch by URL: a public folder of files named by their content.

The content of ``<sha256><suffix>`` never changes. So a browser may cache it for ever, and any number of sessions and
processes may publish at once: the second finds the file or replaces it with the same content.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import time
from collections.abc import Set
from pathlib import Path

from gan.errors import CheckpointError
from gan.system import files

#: Beside the app's script, where Streamlit serves files from.
STATIC = Path(__file__).resolve().parents[2] / "static"
_PUBLISHED = re.compile(r"[0-9a-f]{64}\.(safetensors|json|png|bin|js)")


def publish(folder: Path, path: Path, sha256: str, suffix: str) -> str:
    """Publishes the file ``path``, which must have the digest ``sha256``, in ``folder``; returns its name there.

    The new file is a hard link or, if the disk has none, a copy; servers do not follow symbolic links out of the folder.
    CheckpointError if ``path`` is missing or has another digest, or if ``folder`` cannot be written.
    """
    target = folder / _name(sha256, suffix)
    if _is_intact(target, sha256):
        return target.name
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; restore it from the repository")
    temporary = folder / f".{target.name}.{secrets.token_hex(8)}.tmp"
    try:
        files.link_or_copy(path.resolve(), temporary)
        found = files.sha256(temporary)  # of the file to be served, even if path changes meanwhile
        if found == sha256:
            os.replace(temporary, target)
    except (OSError, CheckpointError) as error:
        raise _cannot_write(folder, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()  # os.replace leaves it if both are links to the same file
    if found != sha256:
        raise CheckpointError(
            f"{path} has the digest {found[:12]}..., not {sha256[:12]}...: it was altered; restore it"
        )
    return target.name


def publish_bytes(folder: Path, content: bytes, suffix: str) -> str:
    """Publishes ``content`` in ``folder``; returns its name there. CheckpointError if it cannot be written."""
    digest = hashlib.sha256(content).hexdigest()
    target = folder / _name(digest, suffix)
    if not _is_intact(target, digest):
        try:
            files.write_atomically(target, content)
        except CheckpointError as error:
            raise _cannot_write(folder, error) from error
    return target.name


def tidy(folder: Path, keep: Set[str], older_than_seconds: float) -> list[str]:
    """Removes published files older than ``older_than_seconds`` whose names are not in ``keep``; returns their names.
    Other files in the folder stay. A removed file that is still needed is published again when the page runs next."""
    removed = []
    last = time.time() - older_than_seconds
    for path in sorted(folder.glob("*")):
        if path.name in keep or not _PUBLISHED.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError):  # another process may have removed it
            # a hard link has the mtime of its file, but making the link sets the ctime
            status = path.lstat()
            if max(status.st_ctime, status.st_mtime) <= last:
                path.unlink()
                removed.append(path.name)
    return removed


def _name(sha256: str, suffix: str) -> str:
    name = f"{sha256}{suffix}"
    if not _PUBLISHED.fullmatch(name):
        raise CheckpointError(f"{sha256!r} is not a SHA-256 digest in hex; restore the manifest")
    return name


def _is_intact(target: Path, digest: str) -> bool:
    try:
        status = target.stat()
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return _has_digest(target, digest, stamp)
    except OSError:
        return False


@functools.lru_cache(maxsize=4096)
def _has_digest(target: Path, digest: str, stamp: tuple[int, int, int]) -> bool:
    """Hashed once per version of the file: writing to it changes the ``stamp``."""
    return files.sha256(target) == digest


def _cannot_write(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{folder} cannot be written ({error}); browsers fetch files from it, so give the app write access or free "
        "some disk space"
    )
