"""Starts and finds workers: `gan.jobs.worker` in a process of its own on this machine.

`gan.jobs.ray_runner` has the other runner, with the same interface, for a Ray cluster.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import torch

from gan.errors import ConfigError
from gan.jobs.folder import WORKER_LOCK
from gan.system import devices, locks, processes

LOG = "worker.log"
UNKNOWN = 256  # the exit code of a worker that is no child of this process
POLL_SECONDS = 0.1
GONE_SECONDS = 10.0  # within which a killed worker is gone


class Place(NamedTuple):
    """Where a worker trains. It keeps the lock on ``path`` while it lives; ``handle`` is a descriptor of it."""

    device: str  # such as cpu or cuda:1
    path: Path
    handle: int


class LocalRunner:
    """Starts workers as child processes, each in a session of its own, and finds those that run."""

    here = True  # its workers run on this machine, whose speed can be measured

    def devices(self) -> list[str]:
        """Those of cuda, mps and cpu that exist, the fastest first."""
        return devices.available()

    def places(self, device: str) -> list[str]:
        """The devices of that kind, such as cuda:0 and cuda:1; each takes `Limits.slots` jobs."""
        if device == "cuda":
            return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        return [device]

    def threads(self, device: str) -> int:
        """CPU threads of a worker: all cores but one, which answers visitors (the threads of an operation
        wait for the slowest of them: docs/LOG.md). One thread if a GPU does the work."""
        return max(1, processes.usable_cores() - 1) if device == "cpu" else 1

    def start(self, folder: Path, place: Place) -> LocalWorker:
        """Starts a worker for the job in ``folder``. ConfigError if the job has a worker, OSError if none can
        be started."""
        threads = str(self.threads(place.device))
        command = ("work", str(folder), "--device", place.device, "--threads", threads)
        return _Child(folder, processes.gan_command(*command), place)

    def find(self, folder: Path) -> LocalWorker | None:
        """The worker that the job has, no matter which process started it."""
        return LocalWorker(folder) if locks.is_locked(folder / WORKER_LOCK) else None


class LocalWorker:
    """A process that trains a job, known by its lock. Another server may have started it."""

    def __init__(self, folder: Path) -> None:
        self._log, self._lock = folder / LOG, folder / WORKER_LOCK

    def ended(self) -> int | None:
        """Exit code, negative for a signal, `UNKNOWN` if no process could see it; None while it runs, after
        a wait of 0.1 s."""
        time.sleep(POLL_SECONDS)
        return None if locks.is_locked(self._lock) else UNKNOWN

    def kill(self) -> None:
        """Kills it and waits until it is gone."""
        pid = locks.owner_pid(self._lock)
        if pid is not None:  # one on another machine only gets its orders
            processes.kill_group(pid)
        until = time.monotonic() + GONE_SECONDS
        while locks.is_locked(self._lock) and time.monotonic() < until:
            time.sleep(0.02)

    def error_output(self) -> str:
        """The last lines it wrote to stderr."""
        with contextlib.suppress(OSError), self._log.open("rb") as file:
            return processes.last_lines(file)
        return ""


class _Child(LocalWorker):
    """A worker that this process starts."""

    def __init__(self, folder: Path, command: list[str], place: Place) -> None:
        super().__init__(folder)
        lock = locks.lock(self._lock, patience=2.0)
        if lock is None:
            raise ConfigError(f"{folder} has a worker already; wait until it ends, or end it")
        try:  # the child has the lock from its start on, so it is always found
            command = [*command, "--lock", str(lock)]
            inherited = (place.handle, lock)
            self._process = processes.spawn(command, self._log, inherited)
            locks.write_owner(lock, self._process.pid)
        finally:
            os.close(lock)

    def ended(self) -> int | None:
        try:
            return self._process.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        processes.kill_group(self._process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=GONE_SECONDS)
