"""Many runs from one small file: every combination of settings, trained, scored and tabulated.

`gan.sweeps.grid` reads the file, such as ``docs/sweeps/example.toml``.

A sweep is a folder with one folder per run (see `gan.runs.run`), the configuration files of its child
processes, and ``results.jsonl`` with one row per finished run. The rows repeat what the manifests of the
runs say; a row that is lost or torn is written again from there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError, GanError
from gan.runs import manifest, run
from gan.sweeps import on_ray
from gan.sweeps.results import Results, make_row
from gan.system import devices, files, locks, processes
from gan.training import stacking
from gan.zoo import build

Place = Literal["local", "ray"]
TOGETHER = 16  # runs trained as one on a GPU; the best number has not been measured

_Run = tuple[TrainConfig, Path]  # and the folder that it is trained in


def start(
    configs: Sequence[TrainConfig],
    folder: Path,
    workers: int | None = None,
    threads: int = 1,
    device: str = "auto",
    on: Place = "local",
    address: str | None = None,
    together: int | None = None,
    on_progress: Callable[[int], None] = lambda updates: None,
) -> Iterator[build.Built]:
    """Trains what is not finished yet below ``folder``, and updates the table after each run.

    ``on="local"``: in ``workers`` child processes at a time, by default as many as the cores allow on the
    CPU and one on a GPU. ``on="ray"``: as tasks (see `gan.sweeps.on_ray`), on the Ray at ``address`` or on
    one started here for the purpose. ``together``: how many runs one local child trains as one
    (`gan.training.stacking`), if they differ in data and seed only; by default `TOGETHER` on a GPU and 1 on
    the CPU. ``on_progress`` gets, every second, the number of updates done of all ``configs``.

    A sweep that was killed goes on where it was. A run that failed is yielded with its error, does not stop
    the others, and is tried again by the next call. ConfigError if another sweep works in the folder;
    CheckpointError if the table cannot be written: the run is then on disk and gets its row from the next call.
    """
    if address is not None and on != "ray":
        raise ConfigError(f"address={address!r} is that of a Ray; add --on ray, or leave it out")
    if together is not None and on == "ray":
        raise ConfigError(
            f"together={together} is for local runs; a Ray task trains one: leave it out"
        )
    with locks.exclusive(folder) as lock:
        results = Results(folder)
        runs = [(config, run.run_folder(config, folder)) for config in configs]
        done, todo = 0, []
        for config, place in runs:
            try:
                if manifest.is_finished(place, config):
                    make_row(place)  # a finished run from which no row can be made is damaged
                    done += 1
                else:
                    todo.append((config, place))
            except GanError as error:
                yield build.Built(place.name, done, len(runs), str(error))

        def report() -> None:
            on_progress(run.updates_done(runs))

        if not todo:
            report()
            return
        if on == "ray":
            outcomes = _on_ray(todo, workers, threads, device, address, report)
        else:
            outcomes = _locally(todo, folder, workers, threads, device, together, lock, report)
        with contextlib.closing(outcomes):  # the children end before the lock is released
            for outcome in outcomes:
                place = todo[outcome.index][1]
                error_text = _tabulate(results, place, outcome)
                done += not error_text
                yield build.Built(place.name, done, len(runs), error_text)


def _tabulate(results: Results, place: Path, outcome: processes.Outcome) -> str:
    """Adds the row of a run that has ended. Returns what went wrong, or ""."""
    if outcome.code:
        return outcome.error or f"exit code {outcome.code}"
    try:
        row = make_row(place)
    except CheckpointError as error:
        return str(error)
    results.add(row)
    return ""


def default_workers(device: torch.device, threads: int) -> int:
    """How many runs are trained side by side: one a core on the CPU, one on any other device."""
    return max(1, processes.usable_cores() // threads) if device.type == "cpu" else 1


def _locally(
    todo: Sequence[_Run],
    folder: Path,
    workers: int | None,
    threads: int,
    device: str,
    together: int | None,
    lock: Sequence[int],
    on_wait: Callable[[], None],
) -> Generator[processes.Outcome]:
    chosen = devices.choose_device(device)
    configs = [config for config, _ in todo]
    build.check_inputs(configs)
    groups = group(configs, together or (1 if chosen.type == "cpu" else TOGETHER))
    commands = []
    for members in groups:
        settings = [folder / "configs" / f"{todo[index][1].name}.json" for index in members]
        for path, index in zip(settings, members, strict=True):
            files.write_json(path, configs[index].to_dict())
        arguments = ["--config", *map(str, settings)]
        arguments += ["--out", *(str(todo[index][1]) for index in members)]
        arguments += ["--device", device, "--threads", str(threads)]
        if lock:  # a sweep that is killed cannot end its children: they watch their parent
            arguments += ["--parent", str(os.getpid())]
        commands.append(processes.gan_command("train", *arguments))
    workers = workers or default_workers(chosen, threads)
    running = processes.run_all(commands, workers, poll_seconds=1.0, on_wait=on_wait, pass_fds=lock)
    with contextlib.closing(running):
        for outcome in running:
            for index in groups[outcome.index]:
                config, place = todo[index]
                # if runs trained as one fail, those that had finished before are kept
                code = 0 if manifest.is_finished(place, config) else outcome.code or 1
                yield replace(outcome, index=index, code=code)


def group(configs: Sequence[TrainConfig], most: int) -> list[list[int]]:
    """The indices of ``configs`` in groups of up to ``most`` that can be trained as one, in the order of
    their first members."""
    alike: dict[Any, list[int]] = {}
    for index, config in enumerate(configs):
        alike.setdefault(stacking.stack_key(config), []).append(index)
    return sorted(
        members[first : first + most]
        for members in alike.values()
        for first in range(0, len(members), most)
    )


def _on_ray(
    todo: Sequence[_Run],
    workers: int | None,
    threads: int,
    device: str,
    address: str | None,
    on_wait: Callable[[], None],
) -> Generator[processes.Outcome]:
    if device == "auto":  # as on this machine: what the others have is not known
        device = devices.choose_device().type
    if address is None:
        chosen = devices.choose_device(device)
        build.check_inputs([config for config, _ in todo])
        if workers is None and chosen.type == "cuda":
            workers = torch.cuda.device_count()
        workers = workers or default_workers(chosen, threads)
    yield from on_ray.run_all(
        todo, device, threads, workers, address, poll_seconds=1.0, on_wait=on_wait
    )
