"""``gan bench``: how fast the app, its parts in the browser and the training are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import gan
from gan.cli import options
from gan.config import TrainConfig
from gan.errors import ConfigError
from gan.runs import estimate, names
from gan.system import devices, processes
from gan.system.terminal import answers
from gan.training import cost

_CHECKOUT = Path(gan.__file__).resolve().parent.parent


@click.group()
def bench() -> None:
    """Measure how fast the app and the training are."""


def _benchmark(name: str, module: str, text: str) -> None:
    """Adds the command ``name``, which starts ``python -m benchmarks`` with all its options."""

    @bench.command(
        name,
        help=f"{text} For its options: gan bench {name} --help.",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def start(arguments: tuple[str, ...]) -> None:
        if not (_CHECKOUT / "benchmarks" / "__main__.py").exists():
            raise ConfigError(
                f"the benchmarks are not part of the installed package, and {_CHECKOUT} has no benchmarks/; "
                f"run python -m benchmarks {module} in a checkout of the repository"
            )
        command = [sys.executable, "-m", "benchmarks", module, *arguments]
        raise click.exceptions.Exit(processes.foreground(command))


_benchmark("app", "pages", "How soon the app answers in a real browser.")
_benchmark("pad", "pad", "How fast the latent pad draws in a real browser.")
_benchmark("watch", "watch", "How a training is watched in a real browser.")
_benchmark("train", "training", "Training against the loop of the tutorials.")


@bench.command()
@click.option("--config", type=options.PATH, help="A JSON file as of train (default settings).")
@options.device
@click.option(
    "--precision",
    type=click.Choice(("auto", *devices.PRECISIONS)),
    default="auto",
    help="Of the matrix products (default auto).",
)
@options.threads(default=None)
@click.option("--timings", type=options.PATH, help="Record the speed in this file.")
@answers
def update(
    config: Path | None, device: str, precision: str, timings: Path | None
) -> tuple[dict[str, Any], str]:
    """How long one update takes, from which the app estimates how long a training will take."""
    settings = TrainConfig() if config is None else names.read_config(config)
    chosen = devices.choose_device(device)
    key = estimate.device_key(chosen, precision)
    seconds = estimate.measure(settings, chosen, precision)
    if timings is not None:
        estimate.record(timings, key, settings, seconds)
    result = {
        "seconds_per_update": seconds,
        "device": key,
        "batch": settings.effective_batch,
        "operations_per_update": cost.operations_per_update(settings),
        "timings": None if timings is None else str(timings),
    }
    return result, f"{key}: {seconds * 1e3:.2f} ms an update of {settings.effective_batch} images"
