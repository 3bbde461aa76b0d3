"""Where workers come from: `gan.worker` in a process of its own on this machine.

`gan.cluster` has the other runner, for a class on a Ray cluster, with the same interface.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Protocol

import torch

from gan import job, jobs

LOG = "worker.log"
UNKNOWN = 256  # the exit code of a worker whose end nobody saw
_POLL_SECONDS = 0.1


class Worker(Protocol):
    """Somebody who trains."""

    def ended(self) -> int | None:
        """Exit code, negative for a signal, `UNKNOWN` where nobody saw it; None while at work. Takes its
        time to answer: a tenth of a second while at work."""

    def kill(self) -> None:
        """Ends it at once and waits until it is gone."""

    def last_words(self) -> str:
        """The end of what it complained about."""


class Runner(Protocol):
    """Where workers come from."""

    here: bool  # on this machine, whose speed can be known before

    def devices(self) -> list[str]:
        """cuda, mps, cpu: those that are there, the fastest first."""

    def places(self, device: str) -> list[str]:
        """The single devices of that kind: cuda:0, cuda:1; for each there are `Limits.slots` places."""

    def threads(self, device: str) -> int:
        """CPU threads of a worker."""

    def start(self, folder: Path, device: str, place: int) -> Worker:
        """A worker for the job in ``folder``. ``place``: a descriptor whose lock it keeps while it lives."""

    def find(self, folder: Path) -> Worker | None:
        """The worker that is at the job already, started by whomever."""


class LocalRunner:
    """Workers as child processes of this one, each in a session of its own."""

    here = True

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads

    def devices(self) -> list[str]:
        found = ["cpu"]
        if torch.backends.mps.is_available():
            found.insert(0, "mps")
        if torch.cuda.is_available():
            found.insert(0, "cuda")
        return found

    def places(self, device: str) -> list[str]:
        if device == "cuda":
            return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        return [device]

    def start(self, folder: Path, device: str, place: int) -> Worker:
        command = jobs.gan_command("work", str(folder), "--device", device)
        command += ["--threads", str(self.threads(device))]
        return _Child(command, folder, place)

    def find(self, folder: Path) -> Worker | None:
        return _Orphan(folder) if jobs.is_locked(folder / job.WORKER_LOCK) else None

    def threads(self, device: str) -> int:
        """CPU threads of a worker: all cores but the one that answers visitors (threads that wait for one
        another stand still when another process has one of their cores: docs/LOG.md), or one where a
        GPU does the work."""
        return self._threads or (max(1, jobs.usable_cores() - 1) if device == "cpu" else 1)


class _Child:
    def __init__(self, command: list[str], folder: Path, place: int) -> None:
        self._log = folder / LOG
        package = str(Path(__file__).resolve().parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        with contextlib.ExitStack() as stack:
            try:
                log = stack.enter_context(self._log.open("wb"))
            except OSError:  # a full disk: its trouble is told another way
                log = stack.enter_context(Path(os.devnull).open("wb"))
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the server is not meant for it
                pass_fds=(place,),
            )

    def ended(self) -> int | None:
        try:
            return self._process.wait(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def last_words(self) -> str:
        return _tail(self._log)


class _Orphan:
    """A worker that an earlier server has started; nobody here is told how it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ended(self) -> int | None:
        time.sleep(_POLL_SECONDS)
        return None if jobs.is_locked(self._folder / job.WORKER_LOCK) else UNKNOWN

    def kill(self) -> None:
        pid = job.read_status(self._folder).pid
        # the lock says that the process which wrote its number there is alive
        if pid > 1 and jobs.is_locked(self._folder / job.WORKER_LOCK):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        until = time.monotonic() + 5.0
        while jobs.is_locked(self._folder / job.WORKER_LOCK) and time.monotonic() < until:
            time.sleep(0.02)

    def last_words(self) -> str:
        return _tail(self._folder / LOG)


def _tail(path: Path) -> str:
    try:
        text = path.read_bytes()[-4096:].decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-5:])
