"""The door to other processes: run commands side by side, and leave none behind.

Heavy work runs in children (``python -m gan ...``), so that it cannot slow the caller down and
dies alone. Never `multiprocessing`: its children would run the app's script again.
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

from gan.errors import ConfigError


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


def foreground(command: Sequence[str], import_from: Path) -> int:
    """Runs a command with this terminal as its own and returns its exit code. Its Python also finds the
    packages in the folder ``import_from``. Interrupted, it ends the command first."""
    paths = os.pathsep.join(filter(None, [str(import_from), os.environ.get("PYTHONPATH")]))
    child = subprocess.Popen(list(command), env={**os.environ, "PYTHONPATH": paths})
    try:
        return child.wait()
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
