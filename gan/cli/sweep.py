"""``gan sweep``: every combination of settings in a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from gan.cli import options
from gan.cli.zoo import train_all
from gan.sweeps import grid
from gan.sweeps import results as sweep_results
from gan.sweeps import sweep as sweeping
from gan.system.terminal import answers
from gan.zoo import cards


@click.command()
@click.argument("file", type=options.PATH)
@click.option("--work", type=options.PATH, help="Folder (default runs/sweeps/<name>).")
@click.option("--workers", type=options.COUNT, help="Runs side by side (default one a core).")
@options.device
@options.threads(passed_on=True)
@click.option(
    "--together",
    type=options.COUNT,
    help=f"Runs trained as one (default 1 on the CPU, else {sweeping.TOGETHER}).",
)
@click.option(
    "--on",
    type=click.Choice(get_args(sweeping.Place)),
    default="local",
    help="On this machine (default), or as Ray tasks.",
)
@click.option("--address", help="Address of a running Ray; without it one is started here.")
@answers
def sweep(file: Path, work: Path | None, **how: Any) -> tuple[Any, str]:
    """Train every combination of settings in FILE, such as docs/sweeps/example.toml, and tabulate the scores."""
    plan = grid.read(file)
    folder = work or cards.RUNS / "sweeps" / plan.name
    start = partial(sweeping.start, plan.configs, folder, **how)
    done, text = train_all(plan.configs, start, folder)
    results = folder / sweep_results.RESULTS
    result = {"name": plan.name, "folder": str(folder), "results": str(results), **done}
    return result, "\n".join([f"{text}, tabulated in {results.name}", *done["failed"]])
