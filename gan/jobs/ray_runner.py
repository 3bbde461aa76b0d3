"""Workers of the app's jobs on a Ray cluster: ``GAN_RUNNER=ray``, with the interface of `gan.jobs.runner`.

``RAY_ADDRESS`` names the cluster; without it a Ray is started on this machine, which ends with the
server, and its jobs with it. What every machine needs is said in `gan.sweeps.on_ray`. Here, besides:

- The folder ``runs/`` lies on a disk that all machines share, under the same path and with file locks, for
  a job is what its folder says. Where that disk is NFS, an order to pause is seen when its cache is stale
  (seconds); who does not stop within a second is ended, and its last checkpoint, at most 15 seconds
  old, is what stays.
- The server runs on a machine of the cluster (``ray start --address=HEAD:6379``). When the cluster's Ray is
  gone, it gives no answer for a minute and ends, for Ray ends it: start both again, and it finds its jobs.
- The cluster is the app's alone: a worker for whom there is no CPU within five minutes is given up.

A worker gets the server's current folder, ``PYTHONPATH`` and, where it is set, ``GAN_DATA``; the rest of its
environment is that of ``ray start``.

A worker on a cluster is a named actor of its own that outlives the server; the next server finds it by
that name. When its job is over the actor ends, whether or not anybody asked how it went.
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
from gan.jobs import folder as job_folder
from gan.jobs import worker
from gan.jobs.runner import UNKNOWN, Worker
from gan.system import locks
from gan.system.ray import connect, describe_problem

NAMESPACE = "gan"
_POLL_SECONDS = 0.1
_CPU_THREADS = 2
_LINGER_SECONDS = 2.0  # after its job, for whoever waits to hear how it went
_GONE_SECONDS = 10.0  # within which whoever is killed is gone
_PLACE_SECONDS = 0.5  # between two tries to take the place over


class RayRunner:
    """See `gan.jobs.runner.Runner`. ``slots``: jobs that share one of its places."""

    here = False

    def __init__(self, address: str | None, slots: int = 1) -> None:
        self._ray = connect(address)
        self._lasting = address is not None
        self._slots = slots
        self._seat = self._ray.remote(_Seat)

    def devices(self) -> list[str]:
        """cuda where the cluster has any, and cpu."""
        return ["cuda", "cpu"] if self._each("GPU", 1) else ["cpu"]

    def places(self, device: str) -> list[str]:
        """As many as there are GPUs, or CPUs for the threads of a worker, counted machine by machine."""
        count = (
            self._each("GPU", 1) if device == "cuda" else self._each("CPU", self.threads(device))
        )
        return [f"{device}:{index}" for index in range(max(1, count))]

    def threads(self, device: str) -> int:
        """CPU threads of a worker, no more than the largest machine has CPUs."""
        if device == "cuda":
            return 1
        most = max((int(machine.get("CPU", 0)) for machine in self._machines()), default=1)
        return max(1, min(_CPU_THREADS, most))

    def _each(self, resource: str, amount: int) -> int:
        return sum(int(machine.get(resource, 0)) // amount for machine in self._machines())

    def _machines(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def start(self, folder: Path, device: str, place: int) -> Worker:
        """The lock on ``place`` stays here for as long as the worker is known to live; should this process
        end before, the worker takes it over."""
        folder = folder.resolve()
        kind = device.partition(":")[0]  # which of several GPUs it gets is Ray's choice
        threads = self.threads(kind)
        try:
            actor = self._seat.options(
                name=_name(folder),
                namespace=NAMESPACE,
                lifetime="detached" if self._lasting else None,
                # a GPU's worker asks for no CPU: where others have them all, it would wait for ever
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
        actor.work.remote(str(folder), kind, threads, _path_of(place, folder.parent))
        return _RayWorker(self._ray, actor, folder, os.dup(place))

    def _share(self, amount: int) -> float:
        """Of what a place has, for each of its slots; Ray counts in steps of 1e-4."""
        return math.floor(amount / self._slots * 1e4) / 1e4

    def find(self, folder: Path) -> Worker | None:
        folder = folder.resolve()
        actor = _actor(self._ray, folder)
        return None if actor is None else _RayWorker(self._ray, actor, folder)


def _name(folder: Path) -> str:
    return f"job {folder}"


def _actor(ray: Any, folder: Path) -> Any:
    try:
        return ray.get_actor(_name(folder), namespace=NAMESPACE)
    except ValueError:  # Ray's word for "there is none"
        return None


def _environment() -> dict[str, str]:
    """What a worker must have before it can look for this module, and where the server's data are."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    data = {name: os.environ[name] for name in ("GAN_DATA",) if os.environ.get(name)}
    return {"PYTHONPATH": os.pathsep.join(paths), **data}


def _path_of(place: int, runs: Path) -> str | None:
    """The file below ``runs`` that the descriptor stands for: a machine knows no other's descriptors."""
    held = os.fstat(place)
    for path in runs.glob(".slots/*.lock"):
        with contextlib.suppress(OSError):
            if os.path.samestat(held, path.stat()):
                return str(path)
    return None


class _Seat:
    """The actor: one job, and somebody who can be asked how it ended."""

    def __init__(self, current: str) -> None:
        self._current = current
        self._over = threading.Event()
        self._outcome = (1, "")

    def work(self, folder: str, device: str, threads: int, place: str | None) -> None:
        try:
            for path in (self._current, folder):
                if not Path(path).is_dir():
                    raise ConfigError(
                        f"{path} is not there on {socket.gethostname()}; all machines of a cluster need "
                        "the repository and runs/ under the same paths"
                    )
            os.chdir(self._current)  # relative paths mean what they mean at the server
            if place is not None:
                threading.Thread(target=_take_over, args=(Path(place),), daemon=True).start()
            self._outcome = (worker.work(Path(folder), device, threads), "")
        except Exception as error:  # it is all that anybody will hear of it
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
    """Waits until the server lets go of the place, then has it until this process ends."""
    with contextlib.suppress(OSError, ConfigError):
        while locks.try_lock(place) is None:
            time.sleep(_PLACE_SECONDS)


class _RayWorker:
    def __init__(self, ray: Any, actor: Any, folder: Path, place: int | None = None) -> None:
        self._ray, self._actor, self._folder, self._place = ray, actor, folder, place
        self._asked: Any = None
        self._code: int | None = None
        self._words = ""

    def ended(self) -> int | None:
        if self._code is not None:
            return self._code
        try:
            if self._asked is None:  # not before: most who find a worker only want to know of it
                self._asked = self._actor.outcome.remote()
            done, _ = self._ray.wait([self._asked], timeout=_POLL_SECONDS)
            if not done:
                return None
            code, self._words = self._ray.get(self._asked)
        except self._ray.exceptions.RayError as error:
            code, self._words = _code(error), describe_problem(error)
        self._dismiss()
        self._code = code
        return code

    def kill(self) -> None:
        self._dismiss()
        self._code = UNKNOWN

    def last_words(self) -> str:
        return self._words

    def _dismiss(self) -> None:
        """Returns when its process, its name and its place are free."""
        try:
            self._ray.kill(self._actor)
            until = time.monotonic() + _GONE_SECONDS
            while self._is_there() and time.monotonic() < until:
                time.sleep(0.02)
        finally:
            if self._place is not None:
                os.close(self._place)
                self._place = None

    def _is_there(self) -> bool:
        return (
            locks.is_locked(self._folder / job_folder.WORKER_LOCK)
            or _actor(self._ray, self._folder) is not None
        )


def _code(error: Exception) -> int:
    """Of a worker that went without an answer."""
    if getattr(error, "actor_init_failed", False):
        return 1  # it never began: its words say why
    if "low on memory" in str(error):
        return -signal.SIGKILL  # by Ray, before the system does it
    return UNKNOWN
