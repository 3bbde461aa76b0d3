"""Files that are written whole or not at all, and their digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from gan.errors import CheckpointError


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside ``path``, sync, and rename: a reader never meets half a file, not even after a crash."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # some file systems, as of USB sticks, have no modes
        with contextlib.suppress(PermissionError):
            os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be written ({error}); the file that was there before is unharmed. "
            "Free some space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def link_or_copy(path: Path, name: Path) -> None:
    """Keep the present content of ``path`` under ``name`` too: as a hard link, or as a copy where the file
    system has no links. `write_atomically` may then replace ``path`` without changing ``name``."""
    try:
        name.parent.mkdir(parents=True, exist_ok=True)
        name.unlink(missing_ok=True)
        os.link(path, name)
    except OSError:
        write_atomically(name, path.read_bytes())


def append_line(path: Path, text: str, sync: bool = True) -> None:
    """Append a line, and sync if ``sync``. After an error the file is as long as before. A power cut can
    still leave half a line at the end, so readers must expect one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            line = f"{text}\n".encode()
            try:
                # on a full disk, write may take a part and raise nothing
                if file.write(line) != len(line):
                    raise OSError("only a part of the line was written")
                if sync:
                    os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(before)
                raise
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be extended ({error}); its earlier lines are unharmed. "
            "Free some space and run the same command again"
        ) from error


def without_nan(value: Any) -> Any:
    """``value`` for JSON, which has no NaN: None, "not measured", replaces every NaN and infinity."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, content: Any) -> None:
    """``content`` as readable JSON with sorted keys, atomically."""
    write_atomically(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def read_json(path: Path, remedy: str) -> Any:
    """The parsed file. If that fails, a CheckpointError names the file and ends with ``remedy``."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; {remedy}") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); {remedy}") from error


def sha256(path: Path) -> str:
    """Hex digest of the file. FileNotFoundError and other OSErrors pass through."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(path: Path) -> tuple[int, int, int]:
    """Changes when the file does; zeros if there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size
