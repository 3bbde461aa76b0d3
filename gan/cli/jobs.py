"""``gan jobs``: the app's trainings."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict
from typing import Any

from gan.errors import ConfigError
from gan.jobs import service
from gan.zoo import cards

_ORDER_SECONDS = 10.0  # until an order to a job should have been obeyed


def jobs(options: argparse.Namespace) -> tuple[Any, str]:
    """Of whoever runs the machine, who may tell every job what to do."""
    opened = service.open_service(cards.RUNS, os.environ)
    if options.verb == "list":
        if options.id is not None:
            raise ConfigError(f"jobs list takes no name, got {options.id!r}; leave it out")
        rows = [
            {"id": v.job.id, "owner": v.job.owner, "ahead": v.ahead, **asdict(v.status)}
            for v in opened.queries.views()
        ]
        lines = [
            f"{row['state']:9} {row['step']:>7,} of {row['total']:>7,}  {row['id']}  {row['message']}"
            for row in rows
        ]
        return rows, "\n".join(lines) or "no trainings"
    if options.id is None:
        raise ConfigError(f"jobs {options.verb} needs the name of a job; see: jobs list")
    getattr(opened.orders, options.verb)(options.id, None)
    deadline = time.monotonic() + _ORDER_SECONDS
    done = {"pause": ("paused",), "stop": ("stopped",)}.get(options.verb, ())
    view = opened.queries.view(options.id)
    while view is not None and view.status.active and done and view.status.state not in done:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
        view = opened.queries.view(options.id)
    state = "removed" if view is None else view.status.state
    return {"id": options.id, "state": state}, f"{options.id}: {state}"
