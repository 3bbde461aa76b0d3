"""``python -m benchmarks pages | pad | watch | training``: the benchmarks as programs.

They show how fast things are on the machine at hand; nothing here passes or fails. The first three
need playwright (requirements-dev.txt) and a Chromium on the machine.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import click
import torch

from benchmarks import pad, pages, training, watch
from gan.system import devices, terminal
from gan.system.terminal import answers


class _Seconds(click.FloatRange):
    """A number of seconds in a range, which NaN is not."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail("nan is not a number of seconds", param, ctx)
        return seconds


_rounds = click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=5,
    help="Measurements of which the medians are taken (default 5).",
)


@click.group()
def program() -> None:
    """Measure how fast the app and the training are."""


@program.command("pages")
@_rounds
@answers
def run_pages(rounds: int) -> tuple[Any, str]:
    """How soon the app shows its first digits, and others after a change of the data size."""
    result = pages.app(rounds)
    return result, pages.describe(result)


@program.command("pad")
@_rounds
@click.option(
    "--seconds", type=_Seconds(0.5, 60), default=3.0, help="Length of a drag (default 3)."
)
@answers
def run_pad(rounds: int, seconds: float) -> tuple[Any, str]:
    """How fast the latent pad draws while it is dragged, and what it transfers."""
    result = pad.pad(rounds, seconds)
    return result, pad.describe(result)


@program.command("watch")
@_rounds
@click.option(
    "--seconds",
    type=_Seconds(5, 600),
    default=30.0,
    help="How long each state is watched (default 30).",
)
@click.option(
    "--source",
    type=click.Choice(watch.SOURCES),
    default="drawn",
    help="Training images (default drawn).",
)
@answers
def run_watch(rounds: int, seconds: float, source: str) -> tuple[Any, str]:
    """How a training is watched: first image, cost of a poll, speed meanwhile, stop."""
    result = watch.watch(seconds, source, rounds)
    return result, watch.describe(result)


@program.command("training")
@_rounds
@click.option(
    "--updates", type=click.IntRange(min=1), default=100, help="Updates a round (default 100)."
)
@click.option("--no-example", is_flag=True, help="Leave out the DCGAN example in 64 x 64 pixels.")
@click.option(
    "--source", type=click.Choice(("mnist", "drawn")), help="Default MNIST if it is there."
)
@click.option("--device", default="auto", help="auto (default), cuda, mps or cpu.")
@click.option(
    "--precision",
    type=click.Choice(("auto", *devices.PRECISIONS)),
    default="auto",
    help="Of our matrix products (default auto).",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads (default all cores).")
@answers
def run_training(
    rounds: int,
    updates: int,
    no_example: bool,
    source: str | None,
    device: str,
    precision: str,
    threads: int | None,
) -> tuple[Any, str]:
    """Training against the loop of the tutorials, and against the limit of the machine."""
    if threads:
        torch.set_num_threads(threads)
    chosen = devices.choose_device(device)
    example_updates = 0 if no_example else 3
    result = training.train(chosen, precision, rounds, updates, example_updates, source)
    return result, training.describe(result)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line ``arguments`` (those of this process by default); returns the exit code."""
    torch.set_flush_denormal(True)  # denormal numbers make a collapsed run many times slower
    given = sys.argv[1:] if arguments is None else arguments
    return terminal.run(program, given, "python -m benchmarks")


if __name__ == "__main__":
    sys.exit(main())
