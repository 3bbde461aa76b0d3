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

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import torch

from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError, GanError
from gan.runs import manifest as run_manifest
from gan.runs import run
from gan.runs.manifest import is_finished, this_command
from gan.system import devices
from gan.system import files as file_system
from gan.system.files import read_json
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
    on_wait: Callable[[], None] | None = None,
) -> Generator[Outcome]:
    """Trains each configuration in its folder as a Ray task; yields each as it ends, like
    `gan.system.processes.run_all`. A task takes ``threads`` CPUs, and a GPU where ``device`` is cuda.

    ``address=None`` starts a Ray of ``workers`` tasks here and ends it afterwards. With an address at
    most ``workers`` tasks are under way, all at once for None. ConfigError where Ray is not
    installed, does not answer, or has no GPU here.
    """
    ray = import_ray()
    device = device.partition(":")[0]  # which of several GPUs a task gets is Ray's choice
    gpus = int(device == "cuda")
    with connection(ray, address, (workers or 1) * threads):
        if gpus and address is None and not ray.cluster_resources().get("GPU"):
            raise ConfigError(f"device {device!r}: Ray finds no GPU here; leave --device out")
        task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=RETRIES)(train_run)
        waiting = list(enumerate(runs))
        running: dict[Any, tuple[int, float]] = {}
        while waiting or running:
            while waiting and len(running) < (workers or len(runs)):
                index, (config, folder) = waiting.pop(0)
                where = str(folder.resolve())
                reference = task.remote(config.to_dict(), where, device, threads, this_command())
                running[reference] = (index, time.monotonic())
            ready, _ = ray.wait(list(running), timeout=poll_seconds)
            if on_wait is not None:
                on_wait()
            for reference in ready:
                index, started = running.pop(reference)
                try:
                    error, seconds, files = ray.get(reference)
                except ray.exceptions.RayError as problem:
                    error, seconds, files = (
                        describe_problem(problem),
                        time.monotonic() - started,
                        {},
                    )
                if not error:
                    _take(runs[index], files)
                yield Outcome(index, int(bool(error)), error, seconds)


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
        steps = run.run(config, path, devices.choose_device(device), command=command)
        for _ in run.write_progress(steps, path):
            pass
        files = _finished_files(path)
    except GanError as error:
        return str(error), time.monotonic() - started, {}
    return "", time.monotonic() - started, files


def _finished_files(folder: Path) -> dict[str, bytes]:
    manifest = read_json(folder / run_manifest.MANIFEST, "run the same command again")
    names = {entry[kind] for entry in manifest["models"] for kind in ("file", "evidence", "film")}
    try:
        return {
            name: (folder / name).read_bytes() for name in sorted(names | {run_manifest.MANIFEST})
        }
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read ({error}); remove it") from error


def _take(there: tuple[TrainConfig, Path], files: dict[str, bytes]) -> None:
    """Writes the files of a run that was made elsewhere, the manifest last; nothing where the disk is
    shared and they are here already."""
    config, folder = there
    if is_finished(folder, config):
        return
    for name in sorted(files, key=lambda name: name == run_manifest.MANIFEST):
        file_system.write_atomically(folder / name, files[name])
    for name in (run.CHECKPOINT, run.PROGRESS):  # of an earlier try on this machine
        (folder / name).unlink(missing_ok=True)
