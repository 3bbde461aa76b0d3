"""Files that browsers fetch by URL: a folder of files that are named by their content.

``<sha256><suffix>`` never changes what it holds, so a browser may keep it for ever, and any number of sessions and
processes may publish at once: whoever comes second finds the file or puts the same one in its place.
All in the folder is public.
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

#: Beside the app's script, where its server looks.
STATIC = Path(__file__).resolve().parents[2] / "static"
SUFFIXES = (".safetensors", ".json", ".png", ".bin")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def publish(folder: Path, path: Path, sha256: str, suffix: str) -> str:
    """``path``, which has the digest ``sha256``, under its name in ``folder``, which is returned: as a second name
    of the file, for no server follows a link out of the folder, or as a copy where the disk has no such names.
    CheckpointError where ``path`` is missing or has another digest, or ``folder`` cannot be written."""
    target = folder / _name(sha256, suffix)
    if _is_intact(target, sha256):
        return target.name
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; restore it from the repository")
    temporary = folder / f".{target.name}.{secrets.token_hex(8)}.tmp"
    try:
        files.link_or_copy(path.resolve(), temporary)
        found = files.sha256(temporary)  # of what will be served, whoever writes to path now
        if found == sha256:
            os.replace(temporary, target)
    except (OSError, CheckpointError) as error:
        raise _cannot_write(folder, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()  # of two names of one file, replacing leaves both
    if found != sha256:
        raise CheckpointError(
            f"{path} has the digest {found[:12]}..., not {sha256[:12]}...: it was altered; restore it"
        )
    return target.name


def publish_bytes(folder: Path, content: bytes, suffix: str) -> str:
    """``content`` under its name in ``folder``, which is returned. CheckpointError where it cannot be written."""
    digest = hashlib.sha256(content).hexdigest()
    target = folder / _name(digest, suffix)
    if not _is_intact(target, digest):
        try:
            files.write_atomically(target, content)
        except CheckpointError as error:
            raise _cannot_write(folder, error) from error
    return target.name


def tidy(folder: Path, keep: Set[str], older_than_seconds: float) -> list[str]:
    """Removes what was published before ``older_than_seconds`` and is not among the names ``keep``; returns the
    names. Nothing else that lies there is touched. What somebody still looks at is published again when
    the page runs again."""
    removed = []
    last = time.time() - older_than_seconds
    for path in sorted(folder.glob("*")):
        if path.name in keep or not _is_ours(path.name):
            continue
        with contextlib.suppress(OSError):  # somebody else was quicker
            # a second name is as old as its file, but the file's status changed when it got the name
            status = path.lstat()
            if max(status.st_ctime, status.st_mtime) <= last:
                path.unlink()
                removed.append(path.name)
    return removed


def _is_ours(name: str) -> bool:
    digest, dot, suffix = name.partition(".")
    return bool(_DIGEST.fullmatch(digest)) and f"{dot}{suffix}" in SUFFIXES


def _name(sha256: str, suffix: str) -> str:
    assert suffix in SUFFIXES
    name = f"{sha256}{suffix}"
    if not _is_ours(name):
        raise CheckpointError(f"{sha256!r} is no SHA-256 digest in hex; restore the manifest")
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
    """Read once for the file as it is: whoever writes to it changes the ``stamp``."""
    return files.sha256(target) == digest


def _cannot_write(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{folder} cannot be written ({error}); let the app write there, for browsers fetch from it, "
        "or free some space"
    )
