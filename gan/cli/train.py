"""``gan train``: one GAN, or several in one stack."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from gan.cli import score
from gan.config import TrainConfig, has_digits, recipe_config, source_channels
from gan.data import stacked
from gan.errors import ConfigError, TrainingError
from gan.jobs import worker
from gan.jobs.folder import WORKER_LOCK
from gan.jobs.state import read_status
from gan.runs import manifest, names, run
from gan.sweeps import sweep
from gan.system import devices, locks
from gan.zoo import build
from gan.zoo import cards as model_cards
from gan.zoo.cards import read_manifest

#: The options of ``train`` that make up a configuration.
_SETTINGS = (
    "source",
    "size",
    "budget",
    "epochs",
    "updates",
    "recipe",
    "loss",
    "seed",
    "data_seed",
    "img_size",
)


def train(options: argparse.Namespace) -> tuple[Any, str]:
    configs, folders = _what_and_where(options)
    for folder in folders:
        if locks.is_locked(folder / WORKER_LOCK):
            raise ConfigError(
                f"{folder} is being trained by the app; stop it there, or choose another folder with --out"
            )
    device = devices.choose_device(options.device)
    how: dict[str, Any] = {"command": manifest.this_command(), "precision": options.precision}
    if len(configs) > 1:
        steps = run.run_together(configs, folders, device, **how)
    else:
        steps = _rows(run.noted(run.run(configs[0], folders[0], device, **how), folders[0]))
    total = sum(config.total_updates for config in configs)
    done: dict[int, int] = {}
    with (
        _polite_stop() as stop,
        contextlib.closing(steps),
        tqdm(total=total, unit="update", disable=None) as bar,
    ):
        for row in steps:
            if stop.is_set() or (options.parent and os.getppid() != options.parent):
                raise KeyboardInterrupt
            bar.update(sum(max(0, p.report.step - done.get(p.run, 0)) for p in row))
            done |= {p.run: p.report.step for p in row}
            last = row[0]
            bar.set_postfix(
                G=f"{float(last.report.g_loss[-1]):.2f}",
                D=f"{float(last.report.d_loss[-1]):.2f}",
                img_s=f"{sum(p.images_per_second for p in row):.0f}",
            )
    results, texts = zip(
        *(_trained(c, f) for c, f in zip(configs, folders, strict=True)), strict=True
    )
    if len(configs) > 1:
        return {"runs": list(results)}, "\n".join(texts)
    return results[0], texts[0]


def _rows(steps: Generator[run.Progress]) -> Generator[list[run.Progress]]:
    """Of a single run, what `run.run_together` gives of several."""
    with contextlib.closing(steps):
        for progress in steps:
            yield [progress]


def _trained(config: TrainConfig, folder: Path) -> tuple[dict[str, Any], str]:
    """What came out of a finished run."""
    cards = read_manifest(folder)
    lines = [f"{folder}: {config.total_updates:,} updates on {config.size:,} images"]
    if config.source.partition(":")[0] not in ("mnist", "stacked"):
        lines.append("judged against the handwriting of MNIST: of other pictures that says little")
    if not has_digits(config.source):
        lines.append("spread and contrast are against those of the training images")
    for card in cards:
        lines += [f"{card.snapshot} (update {card.step:,}):", *score.score_lines(card.metrics)]
    result = {
        "folder": str(folder),
        "models": [
            {"name": c.name, "snapshot": c.snapshot, "evaluation": c.metrics.to_dict()}
            for c in cards
        ],
        "provenance": cards[0].provenance,
    }
    return result, "\n".join(lines)


def _what_and_where(options: argparse.Namespace) -> tuple[list[TrainConfig], list[Path]]:
    """The configurations that ``train`` was given (several only from files), and a folder for each."""
    given = {name: value for name in _SETTINGS if (value := getattr(options, name)) is not None}
    if options.config is None:
        stacks = source_channels(given.get("source", "mnist")) > 1
        size = {"size": stacked.STACKED_SIZE if stacks else 600}
        if "img_size" in given:
            given["model"] = {"img_size": given.pop("img_size")}
        config = recipe_config(given.pop("recipe", "plain"), **(size | given))
        configs, folders = [config], [build.run_folder(config, model_cards.RUNS)]
    elif given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        files = " ".join(map(str, options.config))
        raise ConfigError(
            f"--config {files} is the whole configuration; leave {named} out, or change the file"
        )
    else:
        configs = [names.read_config(path) for path in options.config]
        folders = [sweep.run_folder(config, model_cards.RUNS) for config in configs]
    if options.out is not None:
        folders = options.out
    if len(folders) != len(configs):
        raise ConfigError(
            f"--out names {len(folders)} folder(s) for {len(configs)} run(s); give each run one"
        )
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("two runs would share a folder; give each its own with --out")
    return configs, folders


@contextlib.contextmanager
def _polite_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a termination sets, so that the update under way is finished and kept
    instead of torn. A second Ctrl-C does not wait."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def work(options: argparse.Namespace) -> tuple[Any, str]:
    code = worker.work(options.folder, options.device, options.threads, held=options.lock)
    if code:
        status = read_status(options.folder)
        raise TrainingError(status.message or f"{options.folder} could not be trained")
    state = read_status(options.folder).state
    return {"folder": str(options.folder), "state": state}, f"{options.folder}: {state}"
