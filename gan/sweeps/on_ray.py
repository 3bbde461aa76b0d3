"""Training runs as tasks of a Ray cluster, on this machine's cores or on many machines.

Ray (https://docs.ray.io) is imported only when it is used; ``requirements-cluster.txt`` pins it.

**What every machine needs.** This repository at the same path and commit, the same Python with
``requirements-cluster.txt`` installed, and the data: set ``GAN_DATA`` to an absolute path before
``ray start`` (and give a folder source by its absolute path). Start the command from the repository.
If the cluster wants a token, set ``RAY_AUTH_MODE`` in the environment, as Ray's manual says.

**What holds.** A task trains in the run's folder under the path that it has here, and returns the finished
files, so that the caller has them whether or not the disk is shared. A run is finished here when its manifest,
which is written last, is here. If a worker or a machine dies, Ray starts the run again, up to `RETRIES` times:

- *One shared disk:* on any machine, from the last checkpoint. It loses about a minute at most, and on the same
  kind of CPU the result is identical.
- *A disk in each machine:* from the last checkpoint only on the machine that has it, elsewhere from the
  beginning, with the same result. A run that had finished when the caller was killed is found again only on
  its machine. Copies of the finished files stay on the machines.

**What does not hold.** Ray has no lock on a disk. If the cluster takes a machine for dead and it works on,
two processes write into the same shared folder. Every file is still complete, and on the CPU the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import torch

from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError, GanError
from gan.runs import manifest, run
from gan.system import devices
from gan.system import files as file_system
from gan.system.processes import Outcome
from gan.system.ray import connection, describe_problem, import_ray

RETRIES = 3  # how often Ray starts a run again whose worker died


def run_all(
    runs: Sequence[tuple[TrainConfig, Path]],
    device: str,
    threads: int,
    workers: int | None,
    address: str | None,
    poll_seconds: float = 1.0,
    on_wait: Callable[[], None] = lambda: None,
) -> Generator[Outcome]:
    """Trains each configuration in its folder as a Ray task; yields each as it ends, like
    `gan.system.processes.run_all`. A task takes ``threads`` CPUs, and a GPU if ``device`` is cuda.

    ``address=None`` starts a Ray of ``workers`` tasks here and ends it afterwards. With an address,
    ``workers`` limits the number of tasks at a time; None is no limit. ConfigError if Ray is not
    installed, does not answer, or has no GPU here.
    """
    ray = import_ray()
    device = device.partition(":")[0]  # which of several GPUs a task gets is Ray's choice
    gpus = int(device == "cuda")
    with connection(ray, address, (workers or 1) * threads):
        if gpus and address is None and not ray.cluster_resources().get("GPU"):
            raise ConfigError(f"device {device!r}: Ray finds no GPU here; leave --device out")
        task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=RETRIES)(train_run)
        waiting, command = list(enumerate(runs)), manifest.this_command()
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < (workers or len(runs)):
                index, (config, folder) = waiting.pop(0)
                where = str(folder.resolve())
                reference = task.remote(config.to_dict(), where, device, threads, command)
                running[reference] = index
            ready, _ = ray.wait(list(running), timeout=poll_seconds)
            on_wait()
            for reference in ready:
                index = running.pop(reference)
                try:
                    error, files = ray.get(reference)
                except ray.exceptions.RayError as problem:
                    error = describe_problem(problem)
                if not error:
                    _store(*runs[index], files)
                yield Outcome(index, int(bool(error)), error)


def train_run(
    settings: dict[str, Any], folder: str, device: str, threads: int, command: Sequence[str]
) -> tuple[str, dict[str, bytes]]:
    """The work of a task. Returns (error or "", the finished files by name). A `GanError` is returned
    as its text, because a retry would fail as well; if the process is killed, Ray tries again."""
    # as the command line does
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    path = Path(folder)
    try:
        config = TrainConfig.from_dict(settings)
        steps = run.run(config, path, devices.choose_device(device), command=command)
        for _ in run.write_progress(steps, path):
            pass
        return "", _finished_files(path)
    except GanError as error:
        return str(error), {}


def _finished_files(folder: Path) -> dict[str, bytes]:
    content = file_system.read_json(folder / manifest.MANIFEST, "run the same command again")
    names = {entry[kind] for entry in content["models"] for kind in ("file", "evidence", "film")}
    try:
        return {name: (folder / name).read_bytes() for name in sorted({*names, manifest.MANIFEST})}
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read ({error}); remove it") from error


def _store(config: TrainConfig, folder: Path, files: dict[str, bytes]) -> None:
    """Writes the files of a run that was trained elsewhere, the manifest last. Does nothing if the disk is
    shared and they are here already."""
    if manifest.is_finished(folder, config):
        return
    for name in sorted(files, key=lambda name: name == manifest.MANIFEST):
        file_system.write_atomically(folder / name, files[name])
    for name in (run.CHECKPOINT, run.PROGRESS):  # of an earlier attempt on this machine
        (folder / name).unlink(missing_ok=True)
