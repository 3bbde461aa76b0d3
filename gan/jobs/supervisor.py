"""Supervises jobs: their turn in the queue, their limits and orders, and the end of their workers.

Every job that needs a worker has a thread here, its *supervisor*. It waits for a place, starts a worker (a
process of its own, see `gan.jobs.runner`), and records the end if the worker could not. Everything it needs is in
the job's folder (`gan.jobs.folder`). Who has a folder, a place or a worker is decided by file locks, which the
kernel releases when a process ends. So a second `Supervisor` over the same folder, in this process or in the next
one, takes over the jobs that have no supervisor and leaves the others alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from gan.errors import CheckpointError, ConfigError, GanError
from gan.jobs import folder as job_folder
from gan.jobs.folder import WORKING, Job, Problem, State, Status, Table, read_control, read_status
from gan.jobs.limits import Limits
from gan.jobs.ray_runner import Runner, Worker
from gan.jobs.runner import UNKNOWN, Place
from gan.system import locks

MOST_ATTEMPTS = 3
_KILL_SECONDS = 0.8  # from an order to stop until a worker that ignores it is killed
_LEAVE_SECONDS = 10.0  # for a worker that has written how the job ended, and only has to exit
_QUEUE_SECONDS = 0.25
_CHECK_FIRST_SECONDS = 2.0
_LEFTOVER_SECONDS = 3_600.0
#: Without a change of the status, after which a worker is killed. A paused one leaves by itself.
_HUNG_SECONDS = {"starting": 300.0, "training": 180.0, "scoring": 1_800.0, "paused": 600.0}


class Supervisor:
    """Of all jobs below one folder."""

    def __init__(self, runs: Path, limits: Limits, runner: Runner) -> None:
        self.runs, self.limits, self.runner = runs, limits, runner
        self.table = Table(runs)
        self._unwritten: dict[str, Status] = {}  # ends that a full disk did not take
        self._attached_at = -1e9

    def status(self, folder: Path, written: Status) -> Status:
        """The status of a job whose file says ``written``, also if worker and supervisor are gone and none of
        them could write its end."""
        unwritten = self._unwritten.get(folder.name, written)
        status = max(written, unwritten, key=lambda s: s.updated)
        if status.state not in WORKING or time.time() - status.updated < 5.0:
            return status
        supervised = locks.is_locked(folder / job_folder.SUPERVISOR_LOCK)
        if supervised or self.runner.find(folder) is not None:
            return status
        message = "the worker is gone and the job has no supervisor; resume it"
        return replace(status, state="failed", problem="interrupted", message=message)

    def attach(self, every: float = 0.0) -> int:
        """Supervises every job that needs it and has no supervisor; returns how many. Call it when a server
        starts and then now and again, because other servers may end. Does nothing if the last call was less
        than ``every`` seconds ago."""
        now = time.monotonic()
        if now - self._attached_at < every:
            return 0
        self._attached_at = now
        self._remove_leftovers()
        needing = [
            job.folder
            for job, status in self.table.rows(fresh=True)
            if status.active
            and (status.state != "paused" or read_control(job.folder).want != "pause")
        ]
        return sum(self.supervise(folder) for folder in needing)

    def _remove_leftovers(self) -> None:
        """Folders that a process was moving or removing when it was killed."""
        for path in (*self.runs.glob(".removed-*"), *self.runs.glob(".import-*")):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)

    def supervise(self, folder: Path) -> bool:
        """Starts a supervisor for the job if it has none; returns whether it had none."""
        handle = locks.lock(folder / job_folder.SUPERVISOR_LOCK, patience=0.2)
        if handle is None:
            return False
        name = f"supervisor of {folder.name}"
        thread = threading.Thread(
            target=self._supervise, args=(folder, handle), name=name, daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads: the next call may try again
            os.close(handle)
            return False
        return True

    @staticmethod
    def wait_until_left(folder: Path) -> None:
        """Waits until no supervisor has a job that has ended: one that is about to leave would take the new
        state for the end of the old one."""
        if folder.exists():
            handle = locks.lock(folder / job_folder.SUPERVISOR_LOCK, patience=3.0)
            if handle is None:
                raise ConfigError(f"{folder.name} is just ending; try again in a moment")
            os.close(handle)

    def _supervise(self, folder: Path, handle: int) -> None:
        try:
            while self._run_worker(folder):
                pass
        except Exception as error:  # no one else would report it
            problem = job_folder.problem_of(error)
            self._end(folder, "failed", problem, f"{error or type(error).__name__}")
        finally:
            os.close(handle)
        # an order that came after the last check, while this supervisor still had the lock
        with contextlib.suppress(GanError, OSError):
            status, control = read_status(folder), read_control(folder)
            if status.state == "queued" or (status.state == "paused" and control.want == "stop"):
                self.supervise(folder)

    def _run_worker(self, folder: Path) -> bool:
        """Sees one worker through, from its turn to its end; returns whether the job may need another."""
        job = job_folder.read(folder)
        worker = self.runner.find(folder)
        if worker is None:
            if not self._needs_worker(job):
                return False
            place = self._wait_for_place(job)
            if place is None:
                return True
            try:
                status = read_status(folder)
                attempts = status.attempts + 1
                job_folder.change(folder, "starting", status, pid=0, attempts=attempts)
                worker = self.runner.start(folder, place)
            except OSError as error:
                raise CheckpointError(f"no worker could be started ({error})") from error
            finally:
                os.close(place.handle)  # the worker has it now
        if not self._watch(worker, job):
            return False
        status = read_status(folder)
        if status.state in WORKING:
            self._end(folder, "failed", *self._crash(worker, folder))
        if status.state == "queued":  # its worker saved and left, as ordered
            return self._may_try_again(folder, status)
        return status.state == "paused"

    def _needs_worker(self, job: Job) -> bool:
        """Whether a job without a worker needs one. Puts it into the queue if so."""
        folder = job.folder
        status, control = read_status(folder), read_control(folder)
        if not status.active:
            return False
        if control.want == "stop":
            self._end(folder, "stopped")
            return False
        if status.state == "paused":
            if control.pauses_at(status.step):
                return False
            job_folder.enqueue(job)
        elif status.state in WORKING and not self._may_try_again(folder, status):
            return False
        elif status.state != "queued":
            job_folder.change(folder, "queued", status, queued=time.time())
        if not self.runner.places(job.device):
            self._end(folder, "failed", "settings", f"there is no {job.device} here any more")
            return False
        return True

    def _may_try_again(self, folder: Path, status: Status) -> bool:
        """Gives a job up that was interrupted too often."""
        if status.attempts < MOST_ATTEMPTS:
            return True
        message = f"it was interrupted {status.attempts} times; resume it to try again"
        self._end(folder, "failed", "interrupted", message)
        return False

    def _wait_for_place(self, job: Job) -> Place | None:
        """None if the job was stopped or removed meanwhile, or has got a worker."""
        folder = job.folder
        slots = [
            (self.runs / ".slots" / f"{device.replace(':', '-')}.{index}.lock", device)
            for device in self.runner.places(job.device)
            for index in range(self.limits.slots)
        ]
        checked_at = time.monotonic()
        while (folder / job_folder.JOB).exists() and self.runner.find(folder) is None:
            if read_control(folder).want == "stop":
                return None
            waiting = self.table.waiting(job.device)
            if not waiting or waiting[0].folder == folder:
                for path, device in slots:
                    handle = locks.try_lock(path)
                    if handle is not None:
                        return Place(device, path, handle)
            elif time.monotonic() - checked_at > _CHECK_FIRST_SECONDS:
                checked_at = time.monotonic()
                # the server of the first one may be gone, and the queue would wait for it forever
                self.supervise(waiting[0].folder)
            time.sleep(_QUEUE_SECONDS)
        return None

    def _watch(self, worker: Worker, job: Job) -> bool:
        """Returns when the worker is gone: whether it left by itself. Otherwise it was killed, and the job has
        ended. Uses the monotonic clock, because the times in the files may be set back."""
        folder = job.folder
        stop_since = changed_at = time.monotonic()
        last = read_status(folder)
        while worker.ended() is None:
            status, now = read_status(folder), time.monotonic()
            if (status.updated, status.state) != (last.updated, last.state):
                last, changed_at = status, now
            if read_control(folder).want != "stop":
                stop_since = now
            end: tuple[State, Problem, str]
            if now - stop_since > (_KILL_SECONDS if status.active else _LEAVE_SECONDS):
                end = "stopped", "", ""
            elif now - changed_at > _HUNG_SECONDS.get(status.state, _LEAVE_SECONDS):
                end = "failed", "hung", "the worker stopped responding; resume the job"
            elif status.seconds > job.caps.seconds * 1.2 + 600:
                end = "stopped", "time", "the job has used up its time"
            else:
                continue
            worker.kill()
            self._end(folder, *end)
            return False
        return True

    @staticmethod
    def _crash(worker: Worker, folder: Path) -> tuple[Problem, str]:
        """(problem, message) for a worker that is gone and has not written why."""
        code, output = worker.ended(), worker.error_output()
        kept = job_folder.updates_kept(folder)
        remedy = f"the training up to update {kept:,} is kept; resume it" if kept else "resume it"
        free = shutil.disk_usage(folder).free
        if "No space left" in output or free < 20_000_000:
            return "disk", f"the disk is full; free some space. {remedy}"
        if code == UNKNOWN:
            return "interrupted", f"the worker is gone; {remedy}"
        if code is not None and code < 0:
            return "killed", (
                f"the worker was killed from outside (signal {-code}), perhaps because the system ran out of "
                f"memory; {remedy}, with a smaller batch or networks if it happens again"
            )
        last = output.splitlines()[-1][:500] if output else f"exit code {code}"
        return "crashed", f"{last}; {remedy}"

    def _end(self, folder: Path, end: State, problem: Problem = "", message: str = "") -> None:
        """Writes the end of a job whose worker is gone. If the disk takes nothing, remembers it."""
        if not (folder / job_folder.JOB).exists() or locks.is_locked(
            folder / job_folder.WORKER_LOCK
        ):
            return  # the job was removed, or its worker is alive and will write its end itself
        last = read_status(folder)
        facts: dict[str, Any] = {"problem": problem, "message": message}
        facts["step"] = job_folder.updates_kept(folder)
        try:
            job_folder.change(folder, end, last, **facts)
        except CheckpointError:
            self._unwritten[folder.name] = replace(last, state=end, updated=time.time(), **facts)
