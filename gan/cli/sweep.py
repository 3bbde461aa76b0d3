"""``gan sweep``: every combination of settings in a file."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from tqdm import tqdm

from gan.sweeps import grid
from gan.sweeps import results as sweep_results
from gan.sweeps import sweep as sweeping
from gan.zoo import cards


def sweep(options: argparse.Namespace) -> tuple[Any, str]:
    plan = grid.read(options.file)
    folder = options.work or cards.RUNS / "sweeps" / plan.name
    failed = []
    total = sum(config.total_updates for config in plan.configs)
    with tqdm(total=total, unit="update", disable=None) as bar:
        ended = sweeping.start(
            plan.configs,
            folder,
            options.workers,
            options.threads,
            options.device,
            options.on,
            options.address,
            options.together,
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
