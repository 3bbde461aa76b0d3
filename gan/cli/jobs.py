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


@jobs.command()
@click.argument("name")
@answers
def pause(name: str) -> tuple[Any, str]:
    """Pause a training. It can be resumed in the app."""
    return _order("pause", name, until="paused")


@jobs.command()
@click.argument("name")
@answers
def stop(name: str) -> tuple[Any, str]:
    """Stop a training for good. What it has drawn so far stays."""
    return _order("stop", name, until="stopped")


@jobs.command()
@click.argument("name")
@answers
def remove(name: str) -> tuple[Any, str]:
    """Remove a training that is over, with its files."""
    return _order("remove", name)


def _order(verb: str, name: str, until: str | None = None) -> tuple[Any, str]:
    """Gives the order, waits until the job is in the state ``until``, and says its state now."""
    opened = service.open_service(cards.RUNS, os.environ)
    getattr(opened.orders, verb)(
        name, None
    )  # no owner: whoever has the terminal may order every job
    deadline = time.monotonic() + _PATIENCE
    view = opened.queries.view(name)
    while until and view is not None and view.status.active and view.status.state != until:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
        view = opened.queries.view(name)
    state = "removed" if view is None else view.status.state
    return {"id": name, "state": state}, f"{name}: {state}"
