"""Workers of the app's jobs on a Ray cluster: ``GAN_RUNNER=ray``, with the interface of `gan.runners`.

``RAY_ADDRESS`` names the cluster; without it a Ray is started on this machine, which ends with the
server. What every machine needs is said in `gan.cluster`; here the folder ``runs/`` must also lie on a
disk that all machines share, under the same path, for a job is what its folder says. A worker on a cluster
is a named actor of its own that outlives the server; the next server finds it by that name.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from gan import cluster, worker
from gan.runners import UNKNOWN, Worker

NAMESPACE = "gan"
_POLL_SECONDS = 0.1
_CPU_THREADS = 2


class RayRunner:
    """See `gan.runners.Runner`."""

    here = False

    def __init__(self, address: str | None) -> None:
        self._ray = cluster.connect(address, NAMESPACE)
        self._lasting = address is not None

    def devices(self) -> list[str]:
        """cuda where the cluster has any, and cpu."""
        resources = self._ray.cluster_resources()
        return ["cuda", "cpu"] if resources.get("GPU", 0) >= 1 else ["cpu"]

    def places(self, device: str) -> list[str]:
        """As many as there are GPUs, or CPUs for the threads of a worker, in the whole cluster."""
        resources = self._ray.cluster_resources()
        if device == "cuda":
            count = int(resources.get("GPU", 0))
        else:
            count = int(resources.get("CPU", 1)) // self.threads(device)
        return [f"{device}:{index}" for index in range(max(1, count))]

    def threads(self, device: str) -> int:
        if device == "cuda":
            return 1
        return max(1, min(_CPU_THREADS, int(self._ray.cluster_resources().get("CPU", 1))))

    def start(self, folder: Path, device: str, place: int) -> Worker:
        """The lock on ``place`` stays here, for as long as the worker is known to live."""
        kind = device.partition(":")[0]  # which of several GPUs it gets is Ray's choice
        threads = self.threads(kind)
        actor = (
            self._ray.remote(_Seat)
            .options(
                name=_name(folder),
                namespace=NAMESPACE,
                lifetime="detached" if self._lasting else None,
                num_cpus=threads,
                num_gpus=int(kind == "cuda"),
                max_restarts=0,
                max_concurrency=2,
            )
            .remote()
        )
        actor.work.remote(str(folder.resolve()), kind, threads)
        return _RayWorker(self._ray, actor, os.dup(place))

    def find(self, folder: Path) -> Worker | None:
        try:
            return _RayWorker(self._ray, self._ray.get_actor(_name(folder), namespace=NAMESPACE))
        except ValueError:  # Ray's word for "there is none"
            return None


def _name(folder: Path) -> str:
    return f"job {folder.resolve()}"


class _Seat:
    """The actor: one job, and somebody who can be asked how it ended."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._outcome = (1, "")

    def work(self, folder: str, device: str, threads: int) -> None:
        try:
            self._outcome = (worker.work(Path(folder), device, threads), "")
        except Exception as error:  # it is all that anybody will hear of it
            self._outcome = (1, f"{type(error).__name__}: {error}")
        finally:
            self._over.set()

    def outcome(self) -> tuple[int, str]:
        self._over.wait()
        return self._outcome


class _RayWorker:
    def __init__(self, ray: Any, actor: Any, place: int | None = None) -> None:
        self._ray, self._actor, self._place = ray, actor, place
        self._asked = actor.outcome.remote()
        self._code: int | None = None
        self._words = ""

    def ended(self) -> int | None:
        if self._code is not None:
            return self._code
        done, _ = self._ray.wait([self._asked], timeout=_POLL_SECONDS)
        if not done:
            return None
        try:
            self._code, self._words = self._ray.get(self._asked)
        except self._ray.exceptions.RayError as error:
            self._code, self._words = UNKNOWN, str(error)
        self._dismiss()
        return self._code

    def kill(self) -> None:
        self._dismiss()
        self._code = UNKNOWN

    def last_words(self) -> str:
        return self._words

    def _dismiss(self) -> None:
        """Gives its CPUs and its name back."""
        self._ray.kill(self._actor)
        time.sleep(_POLL_SECONDS)
        if self._place is not None:
            os.close(self._place)
            self._place = None
