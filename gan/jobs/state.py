"""The state of a job: `Status`, the file that holds it, and the transitions between states.

`change` is the only writer of ``status.json``, and `TRANSITIONS` says what it may write. While a worker lives,
the worker alone calls it. Before a worker starts and after it is gone, the caller holds one of the job's
locks (`gan.jobs.supervisor`, `gan.jobs.orders`). Every write replaces the whole file, so a process may be
killed at any point: the file then holds its last status, and whoever supervises the job next sees from the
worker's lock that the worker is gone.
"""

from __future__ import annotations

import errno
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from gan.config import read_as
from gan.errors import CheckpointError, ConfigError, DataError, TrainingError
from gan.system import files

STATUS = "status.json"
State = Literal[
    "queued", "starting", "training", "paused", "scoring", "finished", "stopped", "failed"
]
#: States in which a job has a worker or waits for one.
ACTIVE: tuple[State, ...] = ("queued", "starting", "training", "paused", "scoring")
#: States in which a worker should be alive.
WORKING: tuple[State, ...] = ("starting", "training", "scoring")
#: Any active job may be started, put back into the queue, or end early.
_ALWAYS: tuple[State, ...] = ("queued", "starting", "stopped", "failed")
#: The states that may follow each state. A job that has ended keeps its end until someone requests it again.
TRANSITIONS: dict[State, tuple[State, ...]] = {
    "queued": _ALWAYS,
    "starting": (*_ALWAYS, "training", "finished"),
    "training": (*_ALWAYS, "training", "paused", "scoring"),
    "paused": (*_ALWAYS, "paused", "training"),
    "scoring": (*_ALWAYS, "finished"),
    "finished": ("queued", "starting"),
    "stopped": ("queued", "starting"),
    "failed": ("queued", "starting"),
}
Problem = (
    Literal["", "memory", "disk", "time", "data", "settings", "files"]
    | Literal["diverged", "crashed", "hung", "killed", "interrupted"]
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Status:
    """The state of a job, its progress and, if something went wrong, what.

    ``step`` of ``total`` updates are done. ``seconds`` of training over all workers so far; ``before``: those
    of them before the job was last requested. ``queued``, ``updated``: seconds since 1970. ``attempts``: how
    many workers have been started. ``device`` in words. ``problem``: the kind of problem, ``message``: one
    sentence about it.
    """

    state: State
    step: int = 0
    total: int = 0
    images_per_second: float = 0.0
    seconds: float = 0.0
    before: float = 0.0
    device: str = ""
    pid: int = 0
    problem: Problem = ""
    message: str = ""
    queued: float = 0.0
    updated: float = 0.0
    attempts: int = 0

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


def read_status(folder: Path) -> Status:
    """The status in the job's folder; "failed" with the problem "files" if it cannot be read."""
    path = folder / STATUS
    try:
        values = files.read_json(path, "train again")
        return read_as(Status, values, what=str(path), error=CheckpointError)
    except CheckpointError as error:
        return Status("failed", problem="files", message=str(error))


def write_status(folder: Path, status: Status) -> None:
    """Writes ``status`` with the time of now, whatever was there. `change` is for everyone but tests.
    CheckpointError if the disk does not take it."""
    files.write_json(folder / STATUS, asdict(replace(status, updated=time.time())))


def change(folder: Path, state: State, last: Status | None = None, **facts: Any) -> Status:
    """Writes a transition to ``state`` and returns the new status. ``last``: the status that the caller has
    just read or written, if no one else can have written since. ``facts``: fields that change too; a problem
    and its message last for one transition only.

    A job that has ended keeps its end, and ``last`` is returned: of several processes that see a job end, the
    first one decides. ValueError for a transition of an active job that `TRANSITIONS` does not list.
    CheckpointError if the disk does not take it.
    """
    last = last or read_status(folder)
    if state in TRANSITIONS[last.state]:
        status = replace(last, state=state, **{"problem": "", "message": "", **facts})
        write_status(folder, status)
        return status
    if last.active:
        raise ValueError(f"a job that is {last.state} cannot become {state}")
    return last


def problem_of(error: BaseException) -> Problem:
    """The kind of problem behind an exception."""
    causes: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(causes) < 10:
        causes.append(link)
        link = link.__cause__
    if any(isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT) for e in causes):
        return "disk"
    text = str(error).lower()
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "can't allocate memory" in text)
    ):
        return "memory"
    kinds: tuple[tuple[type[BaseException], Problem], ...] = (
        (TrainingError, "diverged"),
        (DataError, "data"),
        (ConfigError, "settings"),
        (CheckpointError, "files"),
    )
    return next((problem for kind, problem in kinds if isinstance(error, kind)), "crashed")
