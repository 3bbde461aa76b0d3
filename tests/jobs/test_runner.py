import os
import signal
import sys
import time

import pytest

from gan.jobs import folder as job_folder
from gan.jobs.folder import Status, write_status
from gan.jobs.runner import UNKNOWN, LocalRunner, Place
from gan.system import locks, processes


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "runs" / "one"
    path.mkdir(parents=True)
    return path


def start(folder, monkeypatch, code):
    """A worker that runs ``code`` instead; and the path of its place."""
    monkeypatch.setattr(processes, "gan_command", lambda *a: [sys.executable, "-c", code, *a])
    path = folder.parent / "place.lock"
    handle = locks.try_lock(path)
    worker = LocalRunner().start(folder, Place("cpu", path, handle))
    os.close(handle)
    return worker, path


def end_of(worker):
    until = time.monotonic() + 20
    while (code := worker.ended()) is None:
        assert time.monotonic() < until
    return code


def test_a_worker_keeps_its_place_until_it_ends(folder, monkeypatch):
    worker, place = start(folder, monkeypatch, "input() if 0 else __import__('time').sleep(30)")
    assert worker.ended() is None and locks.is_locked(place) and locks.try_lock(place) is None
    worker.kill()
    assert worker.ended() == -signal.SIGKILL and not locks.is_locked(place)


def test_what_it_complained_about_is_heard(folder, monkeypatch):
    worker, _ = start(folder, monkeypatch, "import sys; sys.exit('the last words')")
    assert end_of(worker) == 1 and worker.error_output() == "the last words"


def test_killing_takes_its_children_too(folder, monkeypatch):
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'], close_fds=False)\n"
        "open('ready', 'w').close(); time.sleep(30)"
    )
    worker, place = start(folder, monkeypatch, code)
    until = time.monotonic() + 20
    while not os.path.exists("ready") and time.monotonic() < until:
        time.sleep(0.02)
    worker.kill()
    until = time.monotonic() + 5
    while locks.is_locked(place) and time.monotonic() < until:
        time.sleep(0.02)
    assert not locks.is_locked(place)


def test_a_worker_of_an_earlier_server_is_found_by_its_lock(folder, monkeypatch):
    runner = LocalRunner()
    assert runner.find(folder) is None
    code = (
        f"import sys, time; sys.path.insert(0, {str(job_folder.__file__.rpartition('/gan/jobs/')[0])!r})\n"
        "from pathlib import Path\n"
        "from gan.system import locks\n"
        f"locks.try_lock(Path({str(folder / job_folder.WORKER_LOCK)!r}))\n"
        "time.sleep(30)"
    )
    worker, _ = start(folder, monkeypatch, code)
    until = time.monotonic() + 20
    while runner.find(folder) is None and time.monotonic() < until:
        time.sleep(0.02)
    orphan = runner.find(folder)
    assert orphan.ended() is None
    write_status(folder, Status("training", pid=worker._process.pid))
    orphan.kill()
    assert orphan.ended() == UNKNOWN and end_of(worker) == -signal.SIGKILL
    assert runner.find(folder) is None


def test_one_core_is_left_to_those_who_watch(monkeypatch):
    monkeypatch.setattr(processes, "usable_cores", lambda: 8)
    assert LocalRunner().threads("cpu") == 7 and LocalRunner().threads("cuda") == 1
    monkeypatch.setattr(processes, "usable_cores", lambda: 1)
    assert LocalRunner().threads("cpu") == 1
