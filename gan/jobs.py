"""The door to other processes: run commands side by side, and leave none behind.

Heavy work runs in children (``python -m gan ...``), so that it cannot slow the caller down and
dies alone. Never `multiprocessing`: its children would run the app's script again.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """A child that ended: its place in the list of commands, exit code, last lines of stderr, seconds."""

    index: int
    code: int
    error: str
    seconds: float


def gan_command(*arguments: str) -> list[str]:
    """The command line of this package's own program, run by the same Python."""
    return [sys.executable, "-m", "gan", *arguments]


def run_all(
    commands: Sequence[Sequence[str]], workers: int, poll_seconds: float = 0.2
) -> Iterator[Outcome]:
    """Runs the commands in order, ``workers`` at a time; yields each as it ends.

    When the consumer stops asking, or an exception such as Ctrl-C passes through, the children still
    running are ended (they get 10 seconds to write what they must) before control returns.
    """
    waiting = list(enumerate(commands))
    running: dict[int, tuple[subprocess.Popen[str], float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, command = waiting.pop(0)
                child = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                running[index] = (child, time.monotonic())
            time.sleep(poll_seconds)
            for index, (child, started) in list(running.items()):
                if child.poll() is None:
                    continue
                _, error = child.communicate()
                del running[index]
                tail = "\n".join(error.strip().splitlines()[-5:])
                yield Outcome(index, child.returncode, tail, time.monotonic() - started)
    finally:
        for child, _ in running.values():
            child.terminate()
        for child, _ in running.values():
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
