"""The door to other processes: run commands side by side, and leave none behind.

Heavy work runs in children (``python -m gan ...``), so that it cannot slow the caller down and
dies alone. Never `multiprocessing`: its children would run the app's script again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gan.errors import CheckpointError, ConfigError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@dataclass(frozen=True)
class Outcome:
    """A child that ended: its place in the list of commands, exit code, last lines of stderr, seconds."""

    index: int
    code: int
    error: str
    seconds: float


def answer(command: Sequence[str], seconds: float = 10.0) -> str:
    """What a short command prints, stripped; "" where it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, timeout=seconds, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


@contextlib.contextmanager
def background(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Runs a command in ``folder`` beside the block and ends it after. Nobody hears what it prints."""
    child = subprocess.Popen(
        list(command),
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        _end([child])


def _end(children: Sequence[subprocess.Popen[bytes]], patience: float = 10.0) -> None:
    """Asks all to stop, waits, and kills who does not."""
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def gan_command(*arguments: str) -> list[str]:
    """The command line of this package's own program, run by the same Python."""
    return [sys.executable, "-m", "gan", *arguments]


def usable_cores() -> int:
    """CPU cores this process may run on; of the whole machine where the system cannot tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


def spawn(
    command: Sequence[str], log: Path, environment: Mapping[str, str], pass_fds: Sequence[int]
) -> subprocess.Popen[bytes]:
    """A child in a session of its own, which Ctrl-C does not reach and which outlives its parent. It
    complains to ``log``, or to nobody where that cannot be written. OSError where it cannot be started."""
    with contextlib.ExitStack() as stack:
        try:
            complaints = stack.enter_context(log.open("wb"))
        except OSError:
            complaints = stack.enter_context(Path(os.devnull).open("wb"))
        return subprocess.Popen(
            list(command),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,
            pass_fds=pass_fds,
        )


def kill_group(pid: int) -> None:
    """Ends the session that the process ``pid`` leads, at once. Nothing where it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


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


def run_all(
    commands: Sequence[Sequence[str]],
    workers: int,
    poll_seconds: float = 0.2,
    on_wait: Callable[[], None] | None = None,
    pass_fds: Sequence[int] = (),
) -> Generator[Outcome]:
    """Runs the commands in order, ``workers`` at a time; yields each as it ends. ``on_wait`` is called
    every ``poll_seconds`` in between. ``pass_fds``: descriptors that the children inherit.

    When the consumer stops asking, or an exception such as Ctrl-C passes through, the children still
    running are ended (they get 10 seconds to write what they must) before control returns.
    """
    if workers < 1:
        raise ConfigError(f"workers={workers} must be at least 1")
    waiting = list(enumerate(commands))
    running: dict[int, _Child] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, command = waiting.pop(0)
                running[index] = _Child(command, pass_fds)
            time.sleep(poll_seconds)
            if on_wait is not None:
                on_wait()
            for index, child in list(running.items()):
                code = child.process.poll()
                if code is None:
                    continue
                del running[index]
                error = child.last_words()
                yield Outcome(index, code, error, time.monotonic() - child.started)
    finally:
        _end([child.process for child in running.values()])
        for child in running.values():
            child.last_words()


class _Child:
    """A process whose complaints go to a file (a pipe that nobody empties would block it), in a session
    of its own: a Ctrl-C in the terminal reaches the parent alone, which then ends it in good order."""

    def __init__(self, command: Sequence[str], pass_fds: Sequence[int]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by last_words)
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self.started = time.monotonic()

    def last_words(self) -> str:
        """The last lines of stderr; closes the file."""
        with self._errors:
            self._errors.seek(0, 2)
            self._errors.seek(max(0, self._errors.tell() - 4096))
            tail = self._errors.read().decode(errors="replace")
        return "\n".join(tail.strip().splitlines()[-5:])
