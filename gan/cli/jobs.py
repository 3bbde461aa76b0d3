"""``gan jobs``: the trainings that the app has started, of all its visitors."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import Any

import click

from gan.jobs import service
from gan.system.terminal import answers
from gan.zoo import cards

_PATIENCE = 10.0  # seconds within which a job should have obeyed


@click.group()
def jobs() -> None:
    """List the app's trainings, or pause, stop or remove one."""


@jobs.command("list")
@answers
def list_jobs() -> tuple[Any, str]:
    """List every training of the app: its state, updates done, name and message."""
    rows = [
        {"id": v.job.id, "owner": v.job.owner, "ahead": v.ahead, **asdict(v.status)}
        for v in service.open_service(cards.RUNS, os.environ).queries.views()
    ]
    lines = [
        f"{row['state']:9} {row['step']:>7,} of {row['total']:>7,}  {row['id']}  {row['message']}"
        for row in rows
    ]
    return rows, "\n".join(lines) or "no trainings"


def _order(verb: str, until: str, text: str) -> None:
    """Adds the command ``verb``: gives the order, waits until the job is in the state ``until``, and says its
    state now."""

    @jobs.command(verb, help=text)
    @click.argument("name")
    @answers
    def order(name: str) -> tuple[Any, str]:
        opened = service.open_service(cards.RUNS, os.environ)
        # no owner: whoever has the terminal may order every job
        getattr(opened, verb)(name, None)
        deadline = time.monotonic() + _PATIENCE
        while view := opened.queries.view(name):
            waits = view.status.active and view.status.state != until
            if not waits or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        state = view.status.state if view else "removed"
        return {"id": name, "state": state}, f"{name}: {state}"


_order("pause", "paused", "Pause a training. It can be resumed in the app.")
_order("stop", "stopped", "Stop a training for good. What it has drawn so far stays.")
_order("remove", "removed", "Remove a training that is over, with its files.")
