import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from gan.errors import CheckpointError, ConfigError
from gan.system import locks


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_folder_is_locked_for_one_at_a_time(tmp_path):
    with locks.exclusive(tmp_path / "new") as descriptors:
        assert len(descriptors) == 1
        with (
            pytest.raises(ConfigError, match=rf"new is in use by process {os.getpid()}"),
            locks.exclusive(tmp_path / "new"),
        ):
            pass
    with locks.exclusive(tmp_path / "new"):
        pass


def test_children_that_outlive_their_parent_are_waited_for(tmp_path):
    # a child that inherits the lock, and the note of a parent that is no more
    gone = subprocess.Popen(_python(""))
    gone.wait()
    with locks.exclusive(tmp_path) as descriptors:
        child = subprocess.Popen(_python("import time; time.sleep(60)"), pass_fds=descriptors)
    try:
        note = {"pid": gone.pid, "host": socket.gethostname()}
        (tmp_path / locks.LOCK).write_text(json.dumps(note))
        with (
            pytest.raises(ConfigError, match="which has ended, but its children still run"),
            locks.exclusive(tmp_path, patience=0.3),
        ):
            pass
    finally:
        child.kill()
        child.wait()
    with locks.exclusive(tmp_path, patience=5):
        pass


@pytest.mark.parametrize(
    ("note", "holder"), [("", "another process"), ('{"pid": 1, "host": "moon"}', "1 on moon")]
)
def test_who_has_the_lock_is_said_as_far_as_it_is_known(tmp_path, note, holder):
    with locks.exclusive(tmp_path):
        (tmp_path / locks.LOCK).write_text(note)
        with pytest.raises(ConfigError, match=holder), locks.exclusive(tmp_path):
            pass


def test_a_file_system_without_locks_goes_unguarded(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    with locks.exclusive(tmp_path) as descriptors:
        assert descriptors == ()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(CheckpointError, match="choose another folder"),
        locks.exclusive(tmp_path / "file"),
    ):
        pass


def test_a_lock_that_cannot_be_made_says_where_and_what_to_do(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match=r"file.*start the app in a folder it may write to"):
        locks.try_lock(tmp_path / "file" / "some.lock")


def test_a_lock_is_held_by_one_and_by_the_children_it_was_handed_to(tmp_path):
    path = tmp_path / "place.lock"
    assert not locks.is_locked(path)
    handle = locks.try_lock(path)
    assert locks.is_locked(path) and locks.try_lock(path) is None
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        pass_fds=(handle,),
    )
    os.close(handle)
    assert locks.is_locked(path) and locks.try_lock(path) is None  # the child has it
    child.communicate()
    assert not locks.is_locked(path)
    again = locks.try_lock(path)
    assert again is not None
    os.close(again)


def test_a_lock_can_be_waited_for(tmp_path):
    path = tmp_path / "place.lock"
    handle = locks.try_lock(path)
    started = time.monotonic()
    assert locks.lock(path, patience=0.1) is None and time.monotonic() - started >= 0.1
    threading.Timer(0.2, os.close, [handle]).start()
    late = locks.lock(path, patience=10)
    assert late is not None and time.monotonic() - started < 5
    os.close(late)


def test_asking_does_not_take_the_lock_away_from_others_who_ask(tmp_path):
    path = tmp_path / "place.lock"
    path.touch()
    answers = []

    def ask():
        answers.extend(locks.is_locked(path) for _ in range(300))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) == {False}


def test_without_locks_training_in_the_app_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with pytest.raises(ConfigError, match="python -m gan train"):
        locks.try_lock(tmp_path / "x.lock")
    assert not locks.is_locked(tmp_path / "x.lock")
