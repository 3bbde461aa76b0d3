"""Workers of the app's jobs on a Ray cluster: ``GAN_RUNNER=ray``, with the interface of `gan.jobs.runner`.

``RAY_ADDRESS`` names the cluster. Without it, Ray is started on this machine and ends with the server, and its
jobs with it. `gan.sweeps.on_ray` says what every machine of a cluster needs. Also:

- The folder ``runs/`` is on a disk that all machines share, under the same path and with file locks. On NFS a
  worker sees an order to pause after some seconds, when its cache is renewed. A worker that does not
  stop within a second is killed, and its last checkpoint, at most 15 seconds old, is kept.
- The server runs on a machine of the cluster (``ray start --address=HEAD:6379``). If the cluster's Ray ends, the
  server does not answer for a minute and then Ray ends it too. Start both again, and it finds its jobs.
- Nothing else uses the cluster: a worker that gets no CPU within five minutes is given up.

A worker gets the server's current folder, ``PYTHONPATH`` and, if set, ``GAN_DATA``. The rest of its environment
is that of ``ray start``.

On a cluster a worker is a named actor that outlives the server; the next server finds it by its name. The
actor ends soon after its job, whether or not a server has read how the job ended.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from gan.errors import CheckpointError, ConfigError
from gan.jobs import runner, worker
from gan.jobs.folder import WORKER_LOCK
from gan.jobs.runner import UNKNOWN, LocalRunner, LocalWorker, Place
from gan.system import locks, processes
from gan.system.ray import connect, describe_problem

NAMESPACE = "gan"
_CPU_THREADS = 2
_LINGER_SECONDS = 2.0  # after its job, so that a server can read how it ended
_PLACE_SECONDS = 0.5  # between two attempts to take over the place


class RayRunner:
    """As `gan.jobs.runner.LocalRunner`. ``slots``: jobs that share one CPU or GPU."""

    here = False

    def __init__(self, address: str | None, slots: int = 1) -> None:
        self._ray = connect(address)
        self._lasting = address is not None
        self._slots = slots
        self._actor = self._ray.remote(_Actor)

    def devices(self) -> list[str]:
        """cuda if the cluster has any, and cpu."""
        return ["cuda", "cpu"] if sum(self._counts("GPU")) else ["cpu"]

    def places(self, device: str) -> list[str]:
        """One for each GPU, or for as many CPUs of one machine as a worker has threads."""
        threads = self.threads(device)  # 1 for a GPU
        counts = self._counts("GPU" if device == "cuda" else "CPU")
        return [f"{device}:{n}" for n in range(max(1, sum(count // threads for count in counts)))]

    def threads(self, device: str) -> int:
        """CPU threads of a worker, at most the CPUs of the largest machine."""
        if device == "cuda":
            return 1
        return max(1, min(_CPU_THREADS, max(self._counts("CPU"), default=1)))

    def _counts(self, resource: str) -> list[int]:
        """How many of it each machine has."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return [int(machine.get(resource, 0)) for machine in machines]

    def start(self, folder: Path, place: Place) -> RayWorker:
        """This process keeps the lock on ``place`` until it sees the worker end. If this process ends first,
        the worker takes over the lock."""
        folder = folder.resolve()
        kind = place.device.partition(":")[0]  # Ray chooses among several GPUs
        threads = self.threads(kind)
        try:
            actor = self._actor.options(
                name=_name(folder),
                namespace=NAMESPACE,
                lifetime="detached" if self._lasting else None,
                # no CPU for a worker with a GPU: it would wait forever if other workers had them all
                num_cpus=0 if kind == "cuda" else self._share(threads),
                num_gpus=self._share(1) if kind == "cuda" else 0,
                max_restarts=0,
                max_concurrency=2,
                runtime_env={"env_vars": _environment()},
            ).remote(os.getcwd())
        except ValueError as error:
            raise CheckpointError(
                f"a worker of {folder} is still there ({error}); resume the job in a moment"
            ) from error
        actor.work.remote(str(folder), kind, threads, str(place.path.resolve()))
        return RayWorker(self, actor, folder, os.dup(place.handle))

    def _share(self, amount: int) -> float:
        """The part of ``amount`` for one slot; Ray counts in steps of 1e-4."""
        return math.floor(amount / self._slots * 1e4) / 1e4

    def find(self, folder: Path) -> RayWorker | None:
        try:
            actor = self._ray.get_actor(_name(folder), namespace=NAMESPACE)
        except ValueError:  # there is none
            return None
        return RayWorker(self, actor, folder)


def _name(folder: Path) -> str:
    return f"job {folder.resolve()}"


def _environment() -> dict[str, str]:
    """What a worker needs to import this module, and the folder of the server's data."""
    data = os.environ.get("GAN_DATA")
    return processes.python_path() | ({"GAN_DATA": data} if data else {})


class _Actor:
    """Runs one job, and answers how it ended."""

    def __init__(self, current: str) -> None:
        self._current = current
        self._over = threading.Event()
        self._outcome = (1, "")

    def work(self, folder: str, device: str, threads: int, place: str) -> None:
        try:
            for path in (self._current, folder):
                if not Path(path).is_dir():
                    raise ConfigError(
                        f"{path} does not exist on {socket.gethostname()}; all machines of a cluster need "
                        "the repository and runs/ under the same paths"
                    )
            os.chdir(self._current)  # so that relative paths mean the same as in the server
            threading.Thread(target=_take_over, args=(Path(place),), daemon=True).start()
            self._outcome = (worker.work(Path(folder), device, threads), "")
        except Exception as error:  # the only report of it
            self._outcome = (1, f"{type(error).__name__}: {error}")
        finally:
            self._over.set()
            leave = threading.Timer(_LINGER_SECONDS, os._exit, (0,))
            leave.daemon = True
            leave.start()

    def outcome(self) -> tuple[int, str]:
        self._over.wait()
        return self._outcome


def _take_over(place: Path) -> None:
    """Waits until the server releases the place, then holds it until this process ends."""
    with contextlib.suppress(OSError, ConfigError):
        while locks.try_lock(place) is None:
            time.sleep(_PLACE_SECONDS)


class RayWorker:
    """As `gan.jobs.runner.LocalWorker`, on another machine perhaps."""

    def __init__(
        self, runner: RayRunner, actor: Any, folder: Path, place: int | None = None
    ) -> None:
        self._runner, self._ray, self._actor = runner, runner._ray, actor
        self._folder, self._place = folder, place
        self._outcome: Any = None
        self._code: int | None = None
        self._output = ""

    def ended(self) -> int | None:
        if self._code is not None:
            return self._code
        try:
            if self._outcome is None:  # most callers only want to know whether there is a worker
                self._outcome = self._actor.outcome.remote()
            done, _ = self._ray.wait([self._outcome], timeout=runner.POLL_SECONDS)
            if not done:
                return None
            code, self._output = self._ray.get(self._outcome)
        except self._ray.exceptions.RayError as error:
            code, self._output = _code(error), describe_problem(error)
        self.kill(code)
        return code

    def error_output(self) -> str:
        return self._output

    def kill(self, code: int = UNKNOWN) -> None:
        """Returns when its process is gone and its name and place are free. ``code``: how it had ended."""
        self._code = code
        try:
            self._ray.kill(self._actor)
            until = time.monotonic() + runner.GONE_SECONDS
            while self._exists() and time.monotonic() < until:
                time.sleep(0.02)
        finally:
            if self._place is not None:
                os.close(self._place)
                self._place = None

    def _exists(self) -> bool:
        locked = locks.is_locked(self._folder / WORKER_LOCK)
        return locked or self._runner.find(self._folder) is not None


def _code(error: Exception) -> int:
    """The exit code of a worker that ended without an answer."""
    if getattr(error, "actor_init_failed", False):
        return 1  # it never started: the error says why
    if "low on memory" in str(error):
        return -signal.SIGKILL  # Ray killed it, before the system would
    return UNKNOWN


Runner = LocalRunner | RayRunner
Worker = LocalWorker | RayWorker
