"""File locks between processes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from gan.errors import CheckpointError, ConfigError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]
LOCK = ".lock"


@contextlib.contextmanager
def only_one(folder: Path, patience: float = 60.0) -> Iterator[tuple[int, ...]]:
    """Locks ``folder`` (made where missing) for the block, or raises ConfigError: somebody else has it.

    The kernel lets go of the lock when the last process that has it ends, however it ends. The block
    gets the descriptors to hand to its children (``pass_fds`` of `run_all`): then children that
    outlive a killed parent keep it, and the next caller waits up to ``patience`` seconds for them.
    Where the system or the file system has no locks, nothing is locked and no descriptor handed out.
    """
    if fcntl is None:
        yield ()
        return
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be made ({error}); choose another folder") from error
    try:
        locked = _take_lock(handle, path, time.monotonic() + patience)
        if locked:
            sign(handle)
        yield (handle,) if locked else ()
    finally:
        os.close(handle)


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock on ``path`` until it is closed, by this process and by every child
    it was handed to; None where somebody else has it. The kernel lets go of it however they end.

    ConfigError where the system or the file system has no locks: nothing would tell two workers apart.
    CheckpointError where the file cannot be made.
    """
    if fcntl is None:
        raise ConfigError(
            "training from the app needs the file locks of Linux or macOS; here, train with "
            "python -m gan train, and the model appears in the app"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be made ({error}); start the app in a folder it may write to"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.stat(path)):  # not of a folder that was moved away
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(handle)
        raise ConfigError(
            f"{path.parent} lies on a file system without locks ({error}); put runs/ on another one"
        ) from error
    os.close(handle)
    return None


def sign(handle: int) -> None:
    """Writes into a lock that is held which process and machine it belongs to; see `signed`."""
    sign_for(handle, os.getpid())


def sign_for(handle: int, pid: int) -> None:
    """As `sign`, for a child the lock was handed to."""
    with contextlib.suppress(OSError):  # on a full disk: then nobody can end it but itself
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": pid, "host": socket.gethostname()}).encode(), 0)


def signed(path: Path) -> int | None:
    """The process on this machine that has the lock on ``path``; None where nobody has it, or that is
    not known."""
    if not is_locked(path):
        return None
    try:
        note = json.loads(path.read_text())
        pid, host = int(note["pid"]), str(note["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if host == socket.gethostname() and pid > 1 else None


def lock(path: Path, patience: float) -> int | None:
    """`try_lock` for up to ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while (handle := try_lock(path)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return handle


def is_locked(path: Path) -> bool:
    """Whether somebody has the lock on ``path``. Asking does not keep others who ask from an answer,
    but for a moment whoever wants the lock; so take it with `lock`."""
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


def _take_lock(handle: int, path: Path, deadline: float) -> bool:
    """False where the file system knows no locks."""
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            holder, gone = _holder(path)
        except OSError:
            return False
        if not gone:
            raise ConfigError(
                f"{path.parent} is being worked on by {holder}; wait until that ends, end it, or "
                "choose another folder"
            )
        if time.monotonic() > deadline:
            raise ConfigError(
                f"{path.parent} was worked on by {holder}, which is gone, but children of it still "
                "run; wait until they end, or end them"
            )
        time.sleep(0.1)


def _holder(path: Path) -> tuple[str, bool]:
    """Who wrote the lock's note, in words, and whether that process is known to be gone."""
    try:
        note = json.loads(path.read_text())
        pid, host = int(note["pid"]), str(note["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another process", False  # it has only just taken the lock
    if host != socket.gethostname():
        return f"process {pid} on {host}", False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return f"process {pid}", True
    except OSError:
        pass  # somebody else's, but there
    return f"process {pid}", False
