"""Looks after jobs: whose turn it is, that limits and orders are kept, and what became of a worker.

Every job that wants something has a thread here, its *supervisor*: it waits for a place, starts a worker
(a process of its own, see `gan.jobs.runner`), and says how it ended when the worker cannot. All that is to be
known lies in the job's folder (`gan.jobs.folder`), and whose a folder, a place or a worker is, is told by locks
that the kernel lets go of when a process ends. So a second `Supervisor` over the same folder, in this
process or the next one, takes on what nobody looks after and leaves the rest alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

from gan.errors import CheckpointError, GanError
from gan.jobs import folder as job_folder
from gan.jobs.folder import (
    Caps,
    Job,
    Problem,
    State,
    Status,
    Table,
    read,
    read_control,
    updates_kept,
    write_status,
)
from gan.jobs.limits import Limits
from gan.jobs.runner import UNKNOWN, Runner, Worker
from gan.jobs.worker import problem_of
from gan.system import locks

MOST_ATTEMPTS = 3
_KILL_SECONDS = 0.8  # between an order to stop and the end of whoever does not
_LEAVE_SECONDS = 10.0  # for a worker that has said how the job stands, and only has to go
_QUEUE_SECONDS = 0.25
_NUDGE_SECONDS = 2.0
_LEFTOVER_SECONDS = 3_600.0
#: Without a sign of life, after which a worker is ended. A paused one leaves by itself.
_HUNG_SECONDS = {"starting": 300.0, "training": 180.0, "scoring": 1_800.0, "paused": 600.0}


class Supervisor:
    """Over all jobs below one folder."""

    def __init__(self, runs: Path, limits: Limits, runner: Runner) -> None:
        self._runs, self._limits, self._runner = runs, limits, runner
        self._unwritten: dict[str, Status] = {}  # where the disk takes no more
        self._attached_at = -1e9
        self.table = Table(runs)

    def status(self, folder: Path, written: Status | None = None) -> Status:
        """How a job stands, also where its worker had no chance to say it. ``written``: what its file says,
        where that has been read already."""
        status = self._unwritten.get(folder.name) or written or job_folder.read_status(folder)
        if status.state not in job_folder.WORKING or time.time() - status.updated < 5.0:
            return status
        if (
            locks.is_locked(folder / job_folder.SUPERVISOR_LOCK)
            or self._runner.find(folder) is not None
        ):
            return status
        return replace(
            status,
            state="failed",
            problem="interrupted",
            message="the worker is gone and nobody looks after the job; resume it",
        )

    def attach(self, every: float = 0.0) -> int:
        """Takes on every job that wants something and that nobody looks after; returns how many. Does
        nothing where that was done less than ``every`` seconds ago."""
        now = time.monotonic()
        if now - self._attached_at < every:
            return 0
        self._attached_at = now
        self._sweep()
        wanting = [
            found.folder
            for found, status in self.table.rows(fresh=True)
            if status.active and (status.state != "paused" or self._is_called(found.folder))
        ]
        return sum(self.look_after(folder) for folder in wanting)

    @staticmethod
    def _is_called(folder: Path) -> bool:
        """Whether a paused job is told to do something."""
        return read_control(folder).want != "pause"

    def _sweep(self) -> None:
        """What processes that were ended have left half done."""
        for pattern in (".removed-*", ".import-*"):
            for path in self._runs.glob(pattern):
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                        shutil.rmtree(path, ignore_errors=True)

    def look_after(self, folder: Path) -> bool:
        """A supervisor for the job, if it has none; whether it had none."""
        handle = locks.lock(folder / job_folder.SUPERVISOR_LOCK, patience=0.2)
        if handle is None:
            return False
        thread = threading.Thread(
            target=self._supervise,
            args=(folder, handle),
            name=f"supervisor of {folder.name}",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads: whoever comes next may try
            os.close(handle)
            return False
        return True

    def queue(self, folder: Path) -> None:
        """The job wants a worker, behind all that want one already."""
        old = job_folder.read_status(folder)
        status = Status(
            "queued",
            step=updates_kept(folder),
            total=old.total,
            seconds=old.seconds,
            before=old.seconds,
            queued=time.time(),
        )
        write_status(folder, status)
        self._unwritten.pop(folder.name, None)

    def _supervise(self, folder: Path, handle: int) -> None:
        try:
            while self._turn(folder):
                pass
        except Exception as error:  # nobody else would ever say it
            self._end(folder, "failed", problem_of(error), f"{error or type(error).__name__}")
        finally:
            os.close(handle)
        # an order that came between the last look and the end of this supervisor
        with contextlib.suppress(GanError, OSError):
            status, control = job_folder.read_status(folder), read_control(folder)
            if status.state == "queued" or (status.state == "paused" and control.want == "stop"):
                self.look_after(folder)

    def _turn(self, folder: Path) -> bool:
        """One worker's time with the job; whether it wants another."""
        asked = read(folder)
        at_work = self._runner.find(folder)
        if at_work is None:
            if not self._wants_a_worker(folder):
                return False
            place = self._wait_for_a_place(folder, asked)
            if place is None:  # it was stopped meanwhile, or somebody is at it
                return self._runner.find(folder) is not None
            handle, device = place
            try:
                status = job_folder.read_status(folder)
                attempts = status.attempts + 1
                write_status(folder, replace(status, state="starting", pid=0, attempts=attempts))
                at_work = self._runner.start(folder, device, handle)
            except OSError as error:
                raise CheckpointError(f"no worker could be started ({error})") from error
            finally:
                os.close(handle)  # the worker has it now
        why = self._watch(at_work, folder, asked.caps)
        return self._what_became_of_it(at_work, folder, why)

    def _wants_a_worker(self, folder: Path) -> bool:
        """Of a job without one, as it stands on the disk."""
        status, control = job_folder.read_status(folder), read_control(folder)
        if not status.active:
            return False
        if control.want == "stop":
            self._end(folder, "stopped")
            return False
        if status.state == "paused" and (
            control.want == "pause" or 0 < control.until <= status.step
        ):
            return False
        died = status.state in job_folder.WORKING  # worker and supervisor together
        if died and status.attempts >= MOST_ATTEMPTS:
            self._give_up(folder, status)
            return False
        if status.state != "queued":
            write_status(folder, replace(status, state="queued", queued=time.time()))
        return True

    def _wait_for_a_place(self, folder: Path, asked: Job) -> tuple[int, str] | None:
        """(descriptor of the place's lock, single device); None where it was stopped meanwhile."""
        slots = [
            (self._runs / ".slots" / f"{device.replace(':', '-')}.{index}.lock", device)
            for device in self._runner.places(asked.device)
            for index in range(self._limits.slots)
        ]
        if not slots:
            self._end(folder, "failed", "settings", f"there is no {asked.device} here any more")
            return None
        nudged_at = time.monotonic()
        while (folder / job_folder.JOB).exists() and self._runner.find(folder) is None:
            if read_control(folder).want == "stop":
                self._end(folder, "stopped")
                return None
            waiting = self.table.waiting(asked.device)
            if not waiting or waiting[0].folder == folder:
                for path, device in slots:
                    handle = locks.try_lock(path)
                    if handle is not None:
                        return handle, device
            elif time.monotonic() - nudged_at > _NUDGE_SECONDS:
                nudged_at = time.monotonic()
                self.look_after(
                    waiting[0].folder
                )  # its server may be gone: nobody waits for a ghost
            time.sleep(_QUEUE_SECONDS)
        return None

    def _watch(self, at_work: Worker, folder: Path, caps: Caps) -> str:
        """Returns when the worker is gone: "" when it went by itself, else why it was killed. By a clock
        of our own: those of the files may be set back."""
        told_at = seen_at = time.monotonic()
        seen = job_folder.read_status(folder)
        while at_work.ended() is None:
            status, now = job_folder.read_status(folder), time.monotonic()
            if status.updated != seen.updated or status.state != seen.state:
                seen, seen_at = status, now
            if read_control(folder).want != "stop":
                told_at = now
            leaving = status.state not in job_folder.ACTIVE  # it has said all, and only has to go
            patience = _LEAVE_SECONDS if leaving else _KILL_SECONDS
            why = ""
            if now - told_at > patience:
                why = "stop"
            elif now - seen_at > _HUNG_SECONDS.get(status.state, _LEAVE_SECONDS):
                why = "hung"
            elif status.seconds > caps.seconds * 1.2 + 600:
                why = "time"
            if why:
                at_work.kill()
                return why
        return ""

    def _what_became_of_it(self, at_work: Worker, folder: Path, why: str) -> bool:
        """Says how the job stands now that its worker is gone; whether it wants another."""
        status, control = job_folder.read_status(folder), read_control(folder)
        if status.state in ("finished", "stopped", "failed"):
            return False
        if why == "stop" or (status.state == "paused" and control.want == "stop"):
            self._end(folder, "stopped")
        elif why == "hung":
            self._end(folder, "failed", "hung", "the worker gave no sign of life; resume the job")
        elif why == "time":
            self._end(folder, "stopped", "time", "the job has had its time")
        elif status.state == "paused":
            if control.want == "run" and not 0 < control.until <= status.step:
                self.queue(folder)
                return True
        elif status.state == "queued":  # it was asked to leave in good order
            if status.attempts < MOST_ATTEMPTS:
                return True
            self._give_up(folder, status)
        else:
            self._died(at_work, folder)
        return False

    def _give_up(self, folder: Path, status: Status) -> None:
        often = (
            f"it was interrupted {status.attempts} times; resume it if you think it will do better"
        )
        self._end(folder, "failed", "interrupted", often)

    def _died(self, at_work: Worker, folder: Path) -> None:
        """It went without a word in its status."""
        code = at_work.ended()
        words = at_work.last_words()
        last = words.splitlines()[-1][:500] if words else ""
        kept = updates_kept(folder)
        back = (
            f"what it had learned up to update {kept:,} is kept; resume it" if kept else "resume it"
        )
        free = shutil.disk_usage(folder).free if folder.exists() else 0
        if "No space left" in words or free < 20_000_000:
            self._end(folder, "failed", "disk", f"the disk is full; free some space. {back}")
        elif code == UNKNOWN:
            self._end(folder, "failed", "interrupted", f"the worker is gone; {back}")
        elif code is not None and code < 0:
            self._end(
                folder,
                "failed",
                "killed",
                f"the worker was ended from outside (signal {-code}), as a system does that has no memory "
                f"left; {back}, with a smaller batch or networks if it happens again",
            )
        else:
            self._end(folder, "failed", "crashed", f"{last or f'exit code {code}'}; {back}")

    def _end(self, folder: Path, state: State, problem: Problem = "", message: str = "") -> None:
        if not (folder / job_folder.JOB).exists():
            return  # removed
        status = job_folder.read_status(folder)
        status = replace(
            status, state=state, problem=problem, message=message, step=updates_kept(folder)
        )
        try:
            write_status(folder, status)
            self._unwritten.pop(folder.name, None)
        except CheckpointError:
            self._unwritten[folder.name] = replace(status, updated=time.time())
