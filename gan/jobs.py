"""The door to other processes: run commands side by side, and leave none behind.

Heavy work runs in children (``python -m gan ...``), so that it cannot slow the caller down and
dies alone. Never `multiprocessing`: its children would run the app's script again.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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


def run_all(
    commands: Sequence[Sequence[str]],
    workers: int,
    poll_seconds: float = 0.2,
    on_wait: Callable[[], None] | None = None,
) -> Iterator[Outcome]:
    """Runs the commands in order, ``workers`` at a time; yields each as it ends. ``on_wait`` is called
    every ``poll_seconds`` in between.

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
                running[index] = _Child(command)
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

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by last_words)
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
        )
        self.started = time.monotonic()

    def last_words(self) -> str:
        """The last lines of stderr; closes the file."""
        with self._errors:
            self._errors.seek(0, 2)
            self._errors.seek(max(0, self._errors.tell() - 4096))
            tail = self._errors.read().decode(errors="replace")
        return "\n".join(tail.strip().splitlines()[-5:])
