"""Many runs from one small file: every combination of settings, trained, scored and tabulated.

A file in TOML says what varies (``[grid]``, lists), what does not (``[fixed]``, single values) and
how the whole is called; the keys are those of `TrainConfig`, and of its networks below ``model``::

    name = "sizes"
    [grid]
    size = [200, "1%"]
    seed = [0, 1, 2]
    [fixed]
    updates = 300
    [fixed.model]
    hidden_units = 128

A sweep is a folder with one folder a run (see `gan.runs.run`), the configurations its children were
given, and ``results.jsonl``: one row a finished run. The rows say nothing that the manifests of the
runs do not say; a row that is lost or torn is written again from there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gan.config import TrainConfig
from gan.data import sources
from gan.errors import CheckpointError, ConfigError, GanError
from gan.evaluation import classifier
from gan.runs import manifest, names, run
from gan.sweeps import on_ray
from gan.sweeps.results import Results, make_row
from gan.system import devices, files, locks, processes
from gan.training import stacking
from gan.zoo import build

PLACES = ("local", "ray")
TOGETHER = 16  # runs trained as one on a GPU; what is best there has not been measured


def run_folder(config: TrainConfig, work: Path) -> Path:
    """Where the run of ``config`` lies below ``work``."""
    return work / names.run_name(config)


def start(
    configs: Sequence[TrainConfig],
    folder: Path,
    workers: int | None = None,
    threads: int = 1,
    device: str = "auto",
    on: str = "local",
    address: str | None = None,
    together: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[build.Built]:
    """Trains what is not finished yet below ``folder`` and brings its table up to date after each run.

    ``on="local"``: in child processes, ``workers`` at a time, by default as many as the cores allow on
    the CPU and one on a GPU. ``on="ray"``: as tasks (see `gan.sweeps.on_ray`), on the Ray at ``address`` or on
    one started here for the purpose. ``together``: how many runs a local child trains as one
    (`gan.training.stacking`), where they differ in data and seed only; by default `TOGETHER` on a GPU and 1 on
    the CPU. Killed and called again, it goes on where it was; a run that
    failed is told with its error, does not stop the others, and is tried again by the next call.
    ``on_progress`` is told, every second, how many updates of all ``configs`` are done.
    ConfigError where another sweep works on the folder, CheckpointError where the table cannot be
    written: the finished run is on disk and gets its row from the next call.
    """
    if on not in PLACES:
        raise ConfigError(f"on={on!r} is unknown; choose one of {', '.join(PLACES)}")
    if address is not None and on != "ray":
        raise ConfigError(f"address={address!r} is that of a Ray; add --on ray, or leave it out")
    if together is not None and on == "ray":
        raise ConfigError(
            f"together={together} is for local runs; a Ray task trains one: leave it out"
        )
    with locks.exclusive(folder) as lock:
        results = Results(folder)
        done, todo = 0, []
        for config in configs:
            try:
                if manifest.is_finished(run_folder(config, folder), config):
                    make_row(run_folder(config, folder))  # a finished run without one is not sound
                    done += 1
                else:
                    todo.append(config)
            except GanError as error:
                yield build.Built(names.run_name(config), done, len(configs), 0.0, str(error))

        def tell() -> None:
            if on_progress is not None:
                on_progress(sum(run.updates_done(run_folder(c, folder), c) for c in configs))

        if not todo:
            tell()
            return
        if on == "ray":
            outcomes = _on_ray(todo, folder, workers, threads, device, address, tell)
        else:
            outcomes = _locally(todo, folder, workers, threads, device, together, lock, tell)
        with contextlib.closing(outcomes):  # the children end before the lock is let go
            for outcome in outcomes:
                name, error_text = names.run_name(todo[outcome.index]), ""
                row = None
                if outcome.code == 0:
                    try:
                        row = make_row(folder / name)
                    except CheckpointError as error:
                        error_text = str(error)
                else:
                    error_text = outcome.error or f"exit code {outcome.code}"
                if row is not None:
                    results.add(row)
                    done += 1
                yield build.Built(name, done, len(configs), outcome.seconds, error_text)


def default_workers(device: torch.device, threads: int) -> int:
    """How many runs go side by side: one a core on the CPU, one on anything else."""
    return max(1, processes.usable_cores() // threads) if device.type == "cpu" else 1


def _locally(
    todo: Sequence[TrainConfig],
    folder: Path,
    workers: int | None,
    threads: int,
    device: str,
    together: int | None,
    lock: Sequence[int],
    tell: Callable[[], None],
) -> Generator[processes.Outcome]:
    chosen = devices.choose_device(device)
    _refuse_what_is_missing(todo)
    groups = group(todo, together or (1 if chosen.type == "cpu" else TOGETHER))
    commands = []
    for members in groups:
        settings, folders = [], []
        for name in (names.run_name(todo[index]) for index in members):
            settings.append(str(folder / "configs" / f"{name}.json"))
            folders.append(str(folder / name))
        for path, index in zip(settings, members, strict=True):
            files.write_json(Path(path), todo[index].to_dict())
        arguments = ["--config", *settings, "--out", *folders]
        arguments += ["--device", device, "--threads", str(threads)]
        if lock:  # a sweep that is killed cannot end its children: they watch it
            arguments += ["--parent", str(os.getpid())]
        commands.append(processes.gan_command("train", *arguments))
    workers = workers or default_workers(chosen, threads)
    running = processes.run_all(commands, workers, poll_seconds=1.0, on_wait=tell, pass_fds=lock)
    with contextlib.closing(running):
        for outcome in running:
            for index in groups[outcome.index]:
                finished = manifest.is_finished(run_folder(todo[index], folder), todo[index])
                # of several trained as one, those that had finished before it failed are not lost
                yield replace(outcome, index=index, code=0 if finished else outcome.code or 1)


def group(configs: Sequence[TrainConfig], most: int) -> list[list[int]]:
    """The places of ``configs`` in groups of up to ``most`` that can be trained as one, in the order of
    their first."""
    groups: list[list[int]] = []
    open_of: dict[Any, list[int]] = {}
    for index, config in enumerate(configs):
        key = stacking.together(config)
        members = open_of.get(key)
        if members is None or len(members) >= most:
            members = open_of[key] = []
            groups.append(members)
        members.append(index)
    return groups


def _refuse_what_is_missing(todo: Sequence[TrainConfig]) -> None:
    """What is missing is said now, once, and not by every child."""
    for name in classifier.CLASSIFIERS:
        classifier.load_classifier(name)
        classifier.load_reference(name)
    largest: dict[tuple[str, int], int] = {}
    for config in todo:
        key = (config.source, config.data_seed)
        largest[key] = max(config.size, largest.get(key, 0))
    for (source, data_seed), size in largest.items():
        sources.load(source, size, data_seed)


def _on_ray(
    todo: Sequence[TrainConfig],
    folder: Path,
    workers: int | None,
    threads: int,
    device: str,
    address: str | None,
    tell: Callable[[], None],
) -> Generator[processes.Outcome]:
    if device == "auto":  # what this machine has: of the others nothing is known
        device = devices.choose_device().type
    if address is None:
        chosen = devices.choose_device(device)
        _refuse_what_is_missing(todo)
        if workers is None and chosen.type == "cuda":
            workers = torch.cuda.device_count()
        workers = workers or default_workers(chosen, threads)
    yield from on_ray.run_all(
        [(config, run_folder(config, folder)) for config in todo],
        device,
        threads,
        workers,
        address,
        poll_seconds=1.0,
        on_wait=tell,
    )
