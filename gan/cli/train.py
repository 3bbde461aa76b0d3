"""``gan train``: one GAN, or several trained as one."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click
from tqdm import tqdm

from gan.cli import options
from gan.cli.evaluate import score_lines
from gan.config import (
    BUDGETS,
    LOSSES,
    RECIPES,
    TrainConfig,
    has_digits,
    recipe_config,
    source_channels,
)
from gan.data import stacked
from gan.errors import ConfigError
from gan.jobs.folder import WORKER_LOCK
from gan.runs import manifest, names, run
from gan.system import devices, locks
from gan.system.terminal import answers
from gan.zoo import cards as model_cards
from gan.zoo.cards import read_manifest


@click.command(cls=options.Spread)
@click.option("--source", help="mnist (default), stacked, stacked:BASE, drawn or folder:PATH.")
@click.option(
    "--size",
    type=options.Size(),
    help=f"Images: 600, or a share: 1% (default 600; of stacked {stacked.STACKED_SIZE:,}).",
)
@click.option("--budget", type=click.Choice(BUDGETS), help="Default updates.")
@click.option("--epochs", type=int, help="Passes over the data (default 20).")
@click.option("--updates", type=int, help="Optimizer steps (default 6000).")
@click.option("--recipe", type=click.Choice(sorted(RECIPES)), help="Default plain.")
@click.option("--loss", type=click.Choice(LOSSES), help="Default logistic.")
@click.option("--seed", type=int, help="Weights, batch order and latents (default 0).")
@click.option("--data-seed", type=int, help="Which images are in the subset (default 0).")
@click.option(
    "--img-size",
    type=int,
    help="Side in pixels, a multiple of 4 from 16 to 64, of folder:PATH only (default 28).",
)
@click.option(
    "--config",
    "configs",
    type=options.PATH,
    multiple=True,
    help="A JSON file with all settings, instead of the options above; of several files the runs are trained as one.",
)
@click.option(
    "--out",
    "folders",
    type=options.PATH,
    multiple=True,
    help="Folder of each run (default runs/<name of the run>).",
)
@click.option(
    "--parent",
    type=options.COUNT,
    help="Id of the parent process; when it is gone, stop and keep the work so far.",
)
@options.device
@options.threads()
@click.option(
    "--precision",
    type=click.Choice(("auto", *devices.PRECISIONS)),
    default="auto",
    help="Of the matrix products; auto (default): bfloat16 on devices that are fast at it.",
)
@answers
def train(
    configs: Sequence[Path],
    folders: Sequence[Path],
    parent: int | None,
    device: str,
    precision: str,
    **settings: Any,
) -> tuple[Any, str]:
    """Train one GAN, or continue an interrupted run."""
    given = {name: value for name, value in settings.items() if value is not None}
    runs, places = _runs_and_folders(given, configs, folders)
    for folder in places:
        if locks.is_locked(folder / WORKER_LOCK):
            raise ConfigError(
                f"the app is training in {folder}; stop that training, or choose another folder with --out"
            )
    chosen = devices.choose_device(device)
    how: dict[str, Any] = {"command": manifest.this_command(), "precision": precision}
    if len(runs) > 1:
        steps = run.run_together(runs, places, chosen, **how)
    else:
        steps = run.write_progress(run.run(runs[0], places[0], chosen, **how), places[0])
    _follow(steps, sum(config.total_updates for config in runs), parent)
    results, texts = zip(*map(_trained, runs, places), strict=True)
    if len(runs) > 1:
        return {"runs": list(results)}, "\n".join(texts)
    return results[0], texts[0]


def _follow(steps: Generator[list[run.Progress]], total: int, parent: int | None) -> None:
    """Trains to the end, with a progress bar. KeyboardInterrupt after the update under way, if a signal
    came or the process ``parent`` is gone."""
    done: dict[int, int] = {}
    with (
        _signals() as stop,
        contextlib.closing(steps),
        tqdm(total=total, unit="update", disable=None) as bar,
    ):
        for row in steps:
            if stop.is_set() or (parent and os.getppid() != parent):
                raise KeyboardInterrupt
            bar.update(sum(max(0, p.report.step - done.get(p.run, 0)) for p in row))
            done |= {p.run: p.report.step for p in row}
            last = row[0]
            bar.set_postfix(
                G=f"{float(last.report.g_loss[-1]):.2f}",
                D=f"{float(last.report.d_loss[-1]):.2f}",
                img_s=f"{sum(p.images_per_second for p in row):.0f}",
            )


def _trained(config: TrainConfig, folder: Path) -> tuple[dict[str, Any], str]:
    """The scores of a finished run."""
    cards = read_manifest(folder)
    lines = [f"{folder}: {config.total_updates:,} updates on {config.size:,} images"]
    if config.source.partition(":")[0] not in ("mnist", "stacked"):
        lines.append(
            "scored against the handwriting of MNIST, which says little about other images"
        )
    if not has_digits(config.source):
        lines.append("spread and contrast are compared with those of the training images")
    for card in cards:
        lines += [f"{card.snapshot} (update {card.step:,}):", *score_lines(card.metrics)]
    result = {
        "folder": str(folder),
        "models": [
            {"name": c.name, "snapshot": c.snapshot, "evaluation": c.metrics.to_dict()}
            for c in cards
        ],
        "provenance": cards[0].provenance,
    }
    return result, "\n".join(lines)


def _runs_and_folders(
    given: Mapping[str, Any], files: Sequence[Path], folders: Sequence[Path]
) -> tuple[list[TrainConfig], list[Path]]:
    """The configurations, from the options ``given`` or from ``files``, and a folder for each."""
    if given and files:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(
            f"--config {' '.join(map(str, files))} is the whole configuration; leave {named} out, or "
            "change the file"
        )
    if files:
        configs = [names.read_config(path) for path in files]
    else:
        changes = dict(given)
        stacks = source_channels(given.get("source", "mnist")) > 1
        changes.setdefault("size", stacked.STACKED_SIZE if stacks else 600)
        if "img_size" in given:
            changes["model"] = {"img_size": changes.pop("img_size")}
        configs = [recipe_config(changes.pop("recipe", "plain"), **changes)]
    places = list(folders) or [run.run_folder(c, model_cards.RUNS) for c in configs]
    if len(places) != len(configs):
        raise ConfigError(
            f"--out names {len(places)} folder(s) for {len(configs)} run(s); give each run one"
        )
    if len({folder.resolve() for folder in places}) < len(places):
        raise ConfigError("two runs would share a folder; give each its own with --out")
    return configs, places


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a termination signal sets, so that the update under way is finished and
    saved. A second signal interrupts at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
