"""Starts and finds workers: `gan.jobs.worker` in a process of its own on this machine.

`gan.jobs.ray_runner` has the other runner, with the same interface, for a Ray cluster.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Protocol

import torch

from gan.errors import ConfigError
from gan.jobs import folder as job_folder
from gan.system import devices, locks, processes

LOG = "worker.log"
UNKNOWN = 256  # the exit code of a worker that is no child of this process
_POLL_SECONDS = 0.1
_GONE_SECONDS = 10.0  # within which a killed worker is gone


class Worker(Protocol):
    """A process that trains a job."""

    def ended(self) -> int | None:
        """Exit code, negative for a signal, `UNKNOWN` if no process could see it; None while it runs, after
        a wait of 0.1 s."""

    def kill(self) -> None:
        """Kills it and waits until it is gone."""

    def error_output(self) -> str:
        """The last lines it wrote to stderr."""


class Runner(Protocol):
    """Starts workers and finds those that run."""

    here: bool  # its workers run on this machine, whose speed can be measured

    def devices(self) -> list[str]:
        """Those of cuda, mps and cpu that exist, the fastest first."""

    def places(self, device: str) -> list[str]:
        """The devices of that kind, such as cuda:0 and cuda:1; each takes `Limits.slots` jobs."""

    def threads(self, device: str) -> int:
        """CPU threads of a worker."""

    def start(self, folder: Path, device: str, place: int) -> Worker:
        """Starts a worker for the job in ``folder``. ``place``: a descriptor whose lock the worker keeps while
        it lives. ConfigError if the job has a worker, OSError if none can be started."""

    def find(self, folder: Path) -> Worker | None:
        """The worker that the job has, no matter which process started it."""


class LocalRunner:
    """Workers as child processes, each in a session of its own."""

    here = True

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads

    def devices(self) -> list[str]:
        return devices.available()

    def places(self, device: str) -> list[str]:
        if device == "cuda":
            return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        return [device]

    def start(self, folder: Path, device: str, place: int) -> Worker:
        command = processes.gan_command("work", str(folder), "--device", device)
        command += ["--threads", str(self.threads(device))]
        return _Child(command, folder, place)

    def find(self, folder: Path) -> Worker | None:
        return _Orphan(folder) if locks.is_locked(folder / job_folder.WORKER_LOCK) else None

    def threads(self, device: str) -> int:
        """CPU threads of a worker: all cores but one, which answers visitors (the threads of an operation
        wait for the slowest of them: docs/LOG.md). One thread if a GPU does the work."""
        return self._threads or (max(1, processes.usable_cores() - 1) if device == "cpu" else 1)


class _Child:
    def __init__(self, command: list[str], folder: Path, place: int) -> None:
        self._log = folder / LOG
        lock = locks.lock(folder / job_folder.WORKER_LOCK, patience=2.0)
        if lock is None:
            raise ConfigError(f"{folder} has a worker already; wait until it ends, or end it")
        try:  # the child has the lock from its start on, so it is always found
            command = [*command, "--lock", str(lock)]
            self._process = processes.spawn(
                command, self._log, processes.python_path(), (place, lock)
            )
            locks.write_owner(lock, self._process.pid)
        finally:
            os.close(lock)

    def ended(self) -> int | None:
        try:
            return self._process.wait(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        processes.kill_group(self._process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_GONE_SECONDS)

    def error_output(self) -> str:
        return _tail(self._log)


class _Orphan:
    """A worker that another server started; its exit code is unknown here."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, folder / job_folder.WORKER_LOCK

    def ended(self) -> int | None:
        time.sleep(_POLL_SECONDS)
        return None if locks.is_locked(self._lock) else UNKNOWN

    def kill(self) -> None:
        pid = locks.owner_pid(self._lock)
        if pid is not None:  # one on another machine only gets its orders
            processes.kill_group(pid)
        until = time.monotonic() + _GONE_SECONDS
        while locks.is_locked(self._lock) and time.monotonic() < until:
            time.sleep(0.02)

    def error_output(self) -> str:
        return _tail(self._folder / LOG)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return processes.last_lines(file)
    except OSError:
        return ""
