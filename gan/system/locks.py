"""File locks between processes.

The kernel releases a lock when the last process that holds it ends, however it ends. The lock file
also names its owner: a process id and a host, so that others can say who works, or end it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from gan.errors import CheckpointError, ConfigError
from gan.system import processes

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]
LOCK = ".lock"


class NoLocksError(ConfigError):
    """The system or the file system has no locks."""


@contextlib.contextmanager
def exclusive(folder: Path, patience: float = 60.0) -> Iterator[tuple[int, ...]]:
    """Lock ``folder`` for the block, and create it where it is missing. ConfigError if another process
    holds the lock.

    The block gets the descriptors to pass on to its children (``pass_fds`` of `run_all`). Children that
    outlive a killed parent then keep the lock, and the next caller waits up to ``patience`` seconds for
    them. Where the system or the file system has no locks, the block runs unlocked, without descriptors.
    """
    path, deadline = folder / LOCK, time.monotonic() + patience
    try:
        while (handle := try_lock(path, "choose another folder")) is None:
            _require_ended_owner(path, deadline)
            time.sleep(0.1)
    except NoLocksError:
        handle = None
    if handle is None:
        yield ()
        return
    try:
        write_owner(handle)
        yield (handle,)
    finally:
        os.close(handle)


def _require_ended_owner(path: Path, deadline: float) -> None:
    """ConfigError unless the owner of a lock that is held has ended, and its children alone hold it until the
    ``deadline``."""
    owner = _read_owner(path)
    name = "another process" if owner is None else f"process {owner[0]}"
    if owner is not None and owner[1] != socket.gethostname():
        name += f" on {owner[1]}"
    elif owner is not None and not processes.exists(owner[0]):
        if time.monotonic() <= deadline:
            return
        raise ConfigError(
            f"{path.parent} was in use by {name}, which has ended, but its children still run; "
            "wait until they end, or end them"
        )
    raise ConfigError(
        f"{path.parent} is in use by {name}; wait until that ends, end it, or choose another folder"
    )


def try_lock(path: Path, remedy: str = "start the app in a folder it may write to") -> int | None:
    """A descriptor that holds the lock on ``path``; None if another process holds it. The lock lasts until
    this process and all children that inherited the descriptor have closed it.

    NoLocksError where there are none: two workers could then train the same run. CheckpointError, ending
    with the ``remedy``, if the file cannot be created.
    """
    if fcntl is None:
        raise NoLocksError(
            "training from the app needs the file locks of Linux or macOS; here, train with "
            "python -m gan train, and the model appears in the app"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be created ({error}); {remedy}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # another file has this name by now if the folder was moved away
        if os.path.samestat(os.fstat(handle), os.stat(path)):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(handle)
        raise NoLocksError(
            f"{path.parent} lies on a file system without locks ({error}); put runs/ on another one"
        ) from error
    os.close(handle)
    return None


def lock(path: Path, patience: float) -> int | None:
    """`try_lock`, repeated for up to ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while (handle := try_lock(path)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return handle


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on ``path``.

    Several processes can check at once. A check blocks `try_lock` for an instant, so use `lock` to
    acquire.
    """
    if fcntl is None:
        return False
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def write_owner(handle: int, pid: int | None = None) -> None:
    """Write into a held lock who owns it: this process, or the child ``pid`` that inherited it."""
    with contextlib.suppress(OSError):  # a full disk: then no other process can end the owner
        os.ftruncate(handle, 0)
        owner = {"pid": pid or os.getpid(), "host": socket.gethostname()}
        os.pwrite(handle, json.dumps(owner).encode(), 0)


def owner_pid(path: Path) -> int | None:
    """The process on this machine that holds the lock on ``path``; None if there is none, or it is unknown."""
    owner = _read_owner(path) if is_locked(path) else None
    if owner is None or owner[1] != socket.gethostname() or owner[0] <= 1:
        return None
    return owner[0]


def _read_owner(path: Path) -> tuple[int, str] | None:
    """Process id and host, as `write_owner` wrote them."""
    try:
        note = json.loads(path.read_text())
        return int(note["pid"]), str(note["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it has only just taken the lock
