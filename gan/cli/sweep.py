"""``gan sweep``: every combination of settings in a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from gan.cli import options
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
    type=click.Choice(sweeping.PLACES),
    default="local",
    help="On this machine (default), or as Ray tasks.",
)
@click.option("--address", help="Address of a running Ray; without it one is started here.")
@answers
def sweep(
    file: Path,
    work: Path | None,
    workers: int | None,
    device: str,
    threads: int,
    together: int | None,
    on: str,
    address: str | None,
) -> tuple[Any, str]:
    """Train every combination of settings in FILE, such as docs/sweeps/example.toml, and tabulate the scores."""
    plan = grid.read(file)
    folder = work or cards.RUNS / "sweeps" / plan.name
    failed = []
    total = sum(config.total_updates for config in plan.configs)
    with tqdm(total=total, unit="update", disable=None) as bar:
        ended = sweeping.start(
            plan.configs,
            folder,
            workers,
            threads,
            device,
            on,
            address,
            together,
            on_progress=lambda updates: bar.update(updates - bar.n),
        )
        for built in ended:
            bar.set_postfix_str(f"{built.done} of {built.total} runs, {built.name}")
            if built.error:
                failed.append(f"{built.name}: {built.error}")
                tqdm.write(failed[-1], file=sys.stderr)
    done = len(plan.configs) - len(failed)
    results = folder / sweep_results.RESULTS
    text = f"{done} of {len(plan.configs)} runs are in {folder}, tabulated in {results.name}"
    result = {
        "name": plan.name,
        "folder": str(folder),
        "results": str(results),
        "done": done,
        "total": len(plan.configs),
        "failed": failed,
    }
    return result, "\n".join([text, *failed])
