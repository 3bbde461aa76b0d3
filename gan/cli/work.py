"""``gan work``: trains one job of the app, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gan.cli import options
from gan.errors import TrainingError
from gan.jobs import worker
from gan.jobs.folder import read_status
from gan.system.terminal import answers


@click.command(hidden=True)
@click.argument("folder", type=options.PATH)
@click.option("--lock", type=int, help="File descriptor that already holds the worker's lock.")
@options.device
@options.threads(passed_on=True)
@answers
def work(folder: Path, lock: int | None, device: str, threads: int) -> tuple[Any, str]:
    """Train the job in FOLDER. The app starts this command."""
    code = worker.work(folder, device, threads, held=lock)
    status = read_status(folder)
    if code:
        raise TrainingError(status.message or f"{folder} could not be trained")
    return {"folder": str(folder), "state": status.state}, f"{folder}: {status.state}"
