"""Run commands as child processes, and leave none behind.

Heavy work runs in children (``python -m gan ...``): it cannot slow the caller down, and a crash ends
only the child. Never use `multiprocessing` here: its children would run the app's script again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gan.errors import ConfigError


@dataclass(frozen=True)
class Outcome:
    """A child that ended: its index in the list of commands, exit code, last lines of stderr."""

    index: int
    code: int
    error: str


def output(command: Sequence[str], seconds: float = 10.0) -> str:
    """What a short command prints, stripped; "" if it is missing, fails or takes too long."""
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
    """Run a command in ``folder`` during the block, and end it afterwards. Its output is discarded."""
    child = _start(command, subprocess.DEVNULL, environment, cwd=folder)
    try:
        yield
    finally:
        _end([child])


def foreground(command: Sequence[str]) -> int:
    """Run a command in this terminal and return its exit code. Its Python also finds what lies beside this
    package. If this process is interrupted, the command ends first."""
    child = subprocess.Popen(list(command), env={**os.environ, **python_path()})
    try:
        return child.wait()
    finally:
        _end([child])


def spawn(command: Sequence[str], log: Path, pass_fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start a child that outlives its parent, does not receive Ctrl-C and finds this package. Its stderr goes to
    ``log``, or nowhere if that cannot be written. OSError if the child cannot be started."""
    with contextlib.ExitStack() as stack:
        stderr: int | IO[bytes] = subprocess.DEVNULL
        with contextlib.suppress(OSError):
            stderr = stack.enter_context(log.open("wb"))
        return _start(command, stderr, python_path(), start_new_session=True, pass_fds=pass_fds)


def kill_group(pid: int) -> None:
    """Kill the session that the process ``pid`` leads, at once. Does nothing if it has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def exists(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it belongs to another user
    return True


def python_path() -> dict[str, str]:
    """The environment in which a Python in any folder finds this package and what lies beside it."""
    checkout = str(Path(__file__).resolve().parents[2])
    return {"PYTHONPATH": os.pathsep.join(filter(None, [checkout, os.environ.get("PYTHONPATH")]))}


def gan_command(*arguments: str) -> list[str]:
    """The command line of this package's program, run by the same Python."""
    return [sys.executable, "-m", "gan", *arguments]


def usable_cores() -> int:
    """CPU cores that this process may use; where the system cannot tell, those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_all(
    commands: Sequence[Sequence[str]],
    workers: int,
    poll_seconds: float = 0.2,
    on_wait: Callable[[], None] = lambda: None,
    pass_fds: Sequence[int] = (),
) -> Generator[Outcome]:
    """Run the commands in order, ``workers`` at a time; yield an `Outcome` as each ends. ``on_wait`` is
    called every ``poll_seconds``. ``pass_fds``: descriptors that the children inherit.

    If the consumer closes this generator, or an exception such as Ctrl-C passes through, the running
    children are ended before control returns. They get 10 seconds to write their files.
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
            on_wait()
            for index, child in list(running.items()):
                if (code := child.process.poll()) is not None:
                    del running[index]
                    yield Outcome(index, code, child.close())
    finally:
        _end([child.process for child in running.values()])
        for child in running.values():
            child.close()


class _Child:
    """A process whose stderr goes to a file: a pipe that nobody empties would block it. It has a session
    of its own, so that Ctrl-C in the terminal reaches only the parent, which then ends it in order."""

    def __init__(self, command: Sequence[str], pass_fds: Sequence[int]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (see close)
        self.process = _start(command, self._errors, start_new_session=True, pass_fds=pass_fds)

    def close(self) -> str:
        """Closes the file of stderr and returns its last lines."""
        with self._errors:
            return last_lines(self._errors)


def last_lines(file: IO[bytes]) -> str:
    """The last five lines of a text file, of up to 4 KB together."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
    text = file.read().decode(errors="replace")
    return "\n".join(text.strip().splitlines()[-5:])


def _start(
    command: Sequence[str],
    stderr: int | IO[bytes],
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """A child without input, whose stdout is discarded."""
    return subprocess.Popen(
        list(command),
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        **options,
    )


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Terminate all, wait, and kill those that still run after 10 seconds."""
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
