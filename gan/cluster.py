"""The door to a Ray cluster: training runs as tasks, on this machine's cores or on many machines.

Ray (https://docs.ray.io) is imported only when it is asked for; ``requirements-cluster.txt`` pins it.

**What every machine needs.** This repository at the same path and commit, the same Python with
``requirements-cluster.txt`` installed, and the data: ``GAN_DATA`` set to an absolute path before
``ray start`` (a folder source likewise by its absolute path). Start the command from the repository.
A cluster that wants a token is told so as Ray's manual says, with ``RAY_AUTH_MODE`` in the environment.

**What is promised.** A task trains in the run's folder under the path it has here, and hands the
finished files back as well, so that the caller has them whether or not the disk is shared.

- On a *shared* disk a run whose worker or machine dies is started again, anywhere, by Ray (up to
  `RETRIES` times) and goes on from its last checkpoint: at most about a minute is lost, and on the
  same kind of CPU the result is the same to the bit.
- Where each machine has a *disk of its own*, a run that is started again goes on only if it comes to the
  machine that has its checkpoint; elsewhere it begins anew and ends the same. A finished run whose
  caller was killed before it came back is found again only in that way, too. The copies of the
  finished files stay behind on the machines.
- Either way a run is finished here when its manifest is, which is written last.

What is not promised: Ray knows no lock on a disk. Should a machine go on working that the cluster has
given up for dead, two write into the same shared folder; every file is whole, and on the CPU the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from gan import checkpoint, run, trainer
from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError, GanError
from gan.jobs import Outcome, usable_cores

# it reports to nobody
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
RETRIES = 3  # how often Ray starts a run again whose worker died
_KNOCK_SECONDS = 5.0


def run_all(
    runs: Sequence[tuple[TrainConfig, Path]],
    device: str,
    threads: int,
    workers: int | None,
    address: str | None,
    poll_seconds: float = 1.0,
    on_wait: Callable[[], None] | None = None,
) -> Generator[Outcome]:
    """Trains each configuration in its folder as a Ray task; yields each as it ends, like
    `gan.jobs.run_all`. A task takes ``threads`` CPUs, and a GPU where ``device`` is cuda.

    ``address=None`` starts a Ray of ``workers`` tasks here and ends it afterwards. With an address at
    most ``workers`` tasks are under way, all at once for None. ConfigError where Ray is not
    installed, does not answer, or has no GPU here.
    """
    ray = _import_ray()
    device = device.partition(":")[0]  # which of several GPUs a task gets is Ray's choice
    gpus = int(device == "cuda")
    with _connection(ray, address, (workers or 1) * threads):
        if gpus and address is None and not ray.cluster_resources().get("GPU"):
            raise ConfigError(f"device {device!r}: Ray finds no GPU here; leave --device out")
        task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=RETRIES)(train_run)
        waiting = list(enumerate(runs))
        running: dict[Any, tuple[int, float]] = {}
        while waiting or running:
            while waiting and len(running) < (workers or len(runs)):
                index, (config, folder) = waiting.pop(0)
                where = str(folder.resolve())
                reference = task.remote(
                    config.to_dict(), where, device, threads, run.this_command()
                )
                running[reference] = (index, time.monotonic())
            ready, _ = ray.wait(list(running), timeout=poll_seconds)
            if on_wait is not None:
                on_wait()
            for reference in ready:
                index, started = running.pop(reference)
                try:
                    error, seconds, files = ray.get(reference)
                except ray.exceptions.RayError as problem:
                    error, seconds, files = told(problem), time.monotonic() - started, {}
                if not error:
                    _take(runs[index], files)
                yield Outcome(index, int(bool(error)), error, seconds)


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigError(
            f"Ray cannot be imported ({error}); install it with: pip install -r requirements-cluster.txt"
        ) from error
    return ray


@contextlib.contextmanager
def _connection(ray: Any, address: str | None, cores: int) -> Iterator[None]:
    """A Ray for the block: the one at ``address``, or one of ``cores`` CPUs here that ends with it."""
    # a Ray that is started here reads these when it starts
    before = {name: os.environ.get(name) for name in _QUIET}
    try:
        _init(ray, address, {} if address else {"num_cpus": cores})
        yield
    finally:
        ray.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def connect(address: str | None) -> Any:
    """The module ray, connected for as long as this process lives: to ``address``, or to a Ray started here,
    which leaves one core to whoever answers visitors. ConfigError where it is not installed or does not
    answer."""
    ray = _import_ray()
    if not ray.is_initialized():  # a hot reload has one already
        here = {} if address else {"num_cpus": max(1, usable_cores() - 1)}
        _init(ray, address, here, "correct RAY_ADDRESS, or leave it out for a Ray here")
    return ray


def _init(
    ray: Any,
    address: str | None,
    settings: dict[str, Any],
    otherwise: str = "leave --address out",
) -> None:
    on_termination = signal.getsignal(signal.SIGTERM)
    os.environ.update(_QUIET)
    if address is None:
        settings = {**settings, "include_dashboard": False}
    try:
        _knock(address)
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **settings
        )
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ConfigError(
            f"no Ray could be reached at {address or 'this machine'} ({error}); start one with "
            f"`ray start --head`, or {otherwise}"
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_termination)  # Ray's own aborts the process


def _knock(address: str | None) -> None:
    """OSError where nobody listens at HOST:PORT: Ray itself would look for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


def told(problem: Exception) -> str:
    """The last lines of what Ray says, as of a child that ended."""
    lines = [line for line in str(problem).strip().splitlines() if line.strip()]
    return "\n".join(lines[-5:]) or type(problem).__name__


def train_run(
    settings: dict[str, Any], folder: str, device: str, threads: int, command: Sequence[str]
) -> tuple[str, float, dict[str, bytes]]:
    """What a task does: (error or "", seconds, the finished files by name). A `GanError` comes back as
    its text, because it would fail again; what kills the process is Ray's to try again."""
    started = time.monotonic()
    # as the command line does for a run of its own
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    path = Path(folder)
    try:
        config = TrainConfig.from_dict(settings)
        steps = run.run(config, path, trainer.choose_device(device), command=command)
        for _ in run.noted(steps, path):
            pass
        files = _finished_files(path)
    except GanError as error:
        return str(error), time.monotonic() - started, {}
    return "", time.monotonic() - started, files


def _finished_files(folder: Path) -> dict[str, bytes]:
    manifest = checkpoint.read_json(folder / run.MANIFEST, "run the same command again")
    names = {entry[kind] for entry in manifest["models"] for kind in ("file", "evidence", "film")}
    try:
        return {name: (folder / name).read_bytes() for name in sorted(names | {run.MANIFEST})}
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read ({error}); remove it") from error


def _take(there: tuple[TrainConfig, Path], files: dict[str, bytes]) -> None:
    """Writes the files of a run that was made elsewhere, the manifest last; nothing where the disk is
    shared and they are here already."""
    config, folder = there
    if run.is_finished(folder, config):
        return
    for name in sorted(files, key=lambda name: name == run.MANIFEST):
        checkpoint.write_atomically(folder / name, files[name])
    for name in (run.CHECKPOINT, run.PROGRESS):  # of an earlier try on this machine
        (folder / name).unlink(missing_ok=True)
