import errno
import os
import threading
import time
from functools import partial

import pytest
import torch

from gan.errors import CheckpointError, ConfigError, DataError, TrainingError
from gan.jobs import folder as job_folder
from gan.jobs import history, worker
from gan.jobs.folder import (
    Caps,
    Control,
    Job,
    Status,
    create,
    problem_of,
    read_status,
    updates_kept,
    write_control,
    write_status,
)
from gan.runs import run
from gan.system import locks
from gan.zoo import cards

CAPS = Caps(600.0, 10**9)


@pytest.fixture(autouse=True)
def small_and_not_nice(monkeypatch, classifiers):
    monkeypatch.setattr(run, "run", partial(run.run, classifiers=classifiers))
    monkeypatch.setattr(worker, "_lower_priority", lambda: None)


@pytest.fixture
def folder(tmp_path, tiny):
    path = tmp_path / "runs" / "one"
    create(Job("one", path, tiny(), "cpu", "me", time.time(), CAPS))
    return path


def test_it_trains_the_job_and_leaves_the_lock(folder):
    assert worker.work(folder, "cpu", 1) == 0
    status = read_status(folder)
    assert (status.state, status.step, status.total) == ("finished", 12, 12)
    assert status.pid == os.getpid() and status.device.startswith("cpu")
    assert not locks.is_locked(folder / job_folder.WORKER_LOCK)
    assert cards.read_manifest(folder)[0].name == "one"
    measured = history.measurements(history.Reader(folder).lines())
    assert [m["step"] for m in measured] == list(range(1, 13))
    assert all(sum(m["counts"]) <= m["n"] == 100 for m in measured)
    assert worker.work(folder, "cpu", 1) == 0  # finished is finished
    assert read_status(folder).state == "finished"


def test_one_worker_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(locks, "lock", lambda path, patience: locks.try_lock(path))
    held = locks.try_lock(folder / job_folder.WORKER_LOCK)
    with pytest.raises(ConfigError, match="has a worker already"):
        worker.work(folder, "cpu", 1)
    os.close(held)
    assert read_status(folder).state == "queued"


def test_orders_are_obeyed_between_two_blocks(folder, tiny):
    path = folder.with_name("two")
    create(Job("two", path, tiny(updates=90_000), "cpu", "me", time.time(), CAPS))
    write_control(path, Control("run", until=5))
    thread = threading.Thread(target=worker.work, args=(path, "cpu", 1))
    thread.start()

    def wait(state, step=None):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            status = read_status(path)
            if status.state == state and (step is None or status.step == step):
                return status
            time.sleep(0.02)
        raise AssertionError((state, step, read_status(path)))

    # the other job of the folder is queued for the same device: a paused worker would leave for it
    write_status(folder, Status("stopped"))
    wait("paused", 5)
    write_control(path, Control("run", until=6))
    wait("paused", 6)
    write_control(path, Control("run"))
    wait("training")
    write_control(path, Control("pause"))
    step = wait("paused").step
    assert updates_kept(path) == step
    write_control(path, Control("stop"))
    thread.join(20)
    assert read_status(path).state == "stopped" and read_status(path).step == step


def test_a_paused_worker_leaves_after_a_while(folder, monkeypatch):
    monkeypatch.setattr(worker, "PAUSE_SECONDS", 0.2)
    write_control(folder, Control("run", until=4))
    assert worker.work(folder, "cpu", 1) == 0
    assert (read_status(folder).state, updates_kept(folder)) == ("paused", 4)
    write_control(folder, Control("run"))
    assert worker.work(folder, "cpu", 1) == 0
    assert read_status(folder).state == "finished"


def test_too_little_room_on_the_disk_is_reported_before_anything_is_trained(folder, monkeypatch):
    monkeypatch.setattr(worker, "_FREE_BYTES", 10**18)
    assert worker.work(folder, "cpu", 1) == 0
    status = read_status(folder)
    assert (status.state, status.problem) == ("failed", "disk")
    assert "MB are free on the disk" in status.message and "resume" in status.message
    assert not (folder / "checkpoint.safetensors").exists()


def test_a_job_that_outgrows_its_part_of_the_disk_is_stopped(folder, tiny):
    create(Job("one", folder, tiny(), "cpu", "me", 0.0, Caps(60.0, 10)))
    assert worker.work(folder, "cpu", 1) == 0
    status = read_status(folder)
    assert (status.state, status.problem) == (
        "stopped",
        "disk",
    ) and "more than its" in status.message


def _caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (TrainingError("x"), "diverged"),
        (DataError("x"), "data"),
        (ConfigError("x"), "settings"),
        (CheckpointError("x"), "files"),
        (_caused(CheckpointError("x"), OSError(errno.ENOSPC, "full")), "disk"),
        (OSError(errno.EDQUOT, "quota"), "disk"),
        (MemoryError(), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "crashed"),
        (OSError(errno.EACCES, "no"), "crashed"),
    ],
)
def test_kinds_of_problems_are_distinguished(error, problem):
    assert problem_of(error) == problem


def test_the_pace_is_that_of_updates_without_looks():
    pace = worker._Pace()
    assert pace.update is None and pace.measurement is None
    assert pace.images_per_second(64) == 0.0
    pace.add(1, 9.0, True)  # the first sets things up
    assert pace.recent == 9.0 and pace.images_per_second(64) == 0.0
    for _ in range(10):
        pace.add(10, 1.0, False)
    assert pace.recent == pytest.approx(0.1)
    for _ in range(2):
        pace.add(10, 1.5, True)
    assert pace.update == pytest.approx(0.1) and pace.measurement == pytest.approx(0.5)
    assert 0.1 < pace.recent < 0.15
