import ast
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

import gan
from gan.errors import CheckpointError
from gan.jobs import folder as job_folder
from gan.jobs.folder import (
    ACTIVE,
    TRANSITIONS,
    Caps,
    Control,
    Job,
    State,
    Status,
    change,
    create,
    enqueue,
    read,
    read_control,
    read_status,
    write_control,
    write_status,
)
from gan.jobs.limits import Limits
from gan.jobs.queries import Queries
from gan.jobs.runner import LocalRunner
from gan.jobs.supervisor import Supervisor
from gan.system import files, locks

ENDS = {"finished", "stopped", "failed"}


@pytest.fixture
def folder(tmp_path, tiny):
    path = tmp_path / "runs" / "one"
    create(Job("one", path, tiny(), "cpu", "me", 1.0, Caps(60.0, 10**9)))
    return path


def test_every_state_has_its_transitions():
    assert set(TRANSITIONS) == set(get_args(State)) == ENDS | set(ACTIVE)
    for ended in ENDS:  # only a new request, or a worker started by hand, changes an end
        assert set(TRANSITIONS[ended]) == {"queued", "starting"}
    for active in ACTIVE:
        assert {"queued", "stopped", "failed"} <= set(TRANSITIONS[active])
    assert [s for s in ACTIVE if "finished" in TRANSITIONS[s]] == ["starting", "scoring"]


@pytest.mark.parametrize("before", get_args(State))
@pytest.mark.parametrize("after", get_args(State))
def test_a_transition_is_written_or_changes_nothing(folder, before, after):
    write_status(folder, Status(before, step=3, total=9, problem="hung", message="why"))
    was = (folder / "status.json").read_bytes()
    if after in TRANSITIONS[before]:
        found = change(folder, after, step=4)
        assert (found.state, found.step, found.total, found.problem) == (after, 4, 9, "")
        assert replace(read_status(folder), updated=0) == replace(found, updated=0)
        return
    if before in ENDS:
        assert change(folder, after, step=4) == read_status(folder)
    else:
        with pytest.raises(ValueError, match=f"that is {before} cannot become {after}"):
            change(folder, after, step=4)
    assert (folder / "status.json").read_bytes() == was


def test_the_first_of_two_ends_is_kept(folder):
    write_status(folder, Status("scoring"))
    change(folder, "finished", step=12)
    change(folder, "failed", problem="killed", message="too late")
    assert (read_status(folder).state, read_status(folder).problem) == ("finished", "")
    enqueue(read(folder))
    assert read_status(folder).state == "queued"


def test_a_supervisor_leaves_the_end_to_a_living_worker(folder):
    supervisor = Supervisor(folder.parent, Limits(), LocalRunner())
    write_status(folder, Status("training"))
    worker = locks.try_lock(folder / ".worker.lock")
    supervisor._end(folder, "failed", "crashed", "not yet")
    assert read_status(folder).state == "training"
    os.close(worker)
    supervisor._end(folder, "failed", "crashed", "now")
    assert (read_status(folder).state, read_status(folder).message) == ("failed", "now")


def test_an_end_that_the_disk_does_not_take_is_remembered(folder, monkeypatch):
    supervisor = Supervisor(folder.parent, Limits(), LocalRunner())
    write_status(folder, Status("training"))

    def full(path, content):
        raise CheckpointError("no space")

    monkeypatch.setattr(files, "write_json", full)
    supervisor._end(folder, "failed", "disk", "the disk is full")
    written = read_status(folder)
    assert written.state == "training"
    assert supervisor.status(folder, written).message == "the disk is full"


def test_a_process_killed_while_it_writes_leaves_the_last_status(folder, monkeypatch):
    write_status(folder, Status("training", step=3))
    monkeypatch.setattr(os, "replace", lambda *paths: os._exit(9))
    pid = os.fork()
    if not pid:
        try:
            change(folder, "scoring", step=4)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert (read_status(folder).state, read_status(folder).step) == ("training", 3)


def test_no_other_module_writes_a_status():
    for path in Path(gan.__file__).parent.rglob("*.py"):
        if path != Path(job_folder.__file__):
            names = {
                getattr(n, "id", getattr(n, "attr", ""))
                for n in ast.walk(ast.parse(path.read_text()))
            }
            assert "write_status" not in names, path


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("status.json", '{"state": "asleep"}', "asleep"),
        ("status.json", '{"state": "paused", "step": "many"}', "many"),
        ("status.json", '{"state": "paused", "mood": 1}', "mood"),
        ("job.json", '{"device": "cpu", "mood": 1}', "a job lacks owner"),
        ("job.json", None, "no job 'one'"),
    ],
)
def test_a_damaged_file_is_reported_for_its_job_only(folder, tiny, name, content, says):
    other = folder.with_name("other")
    create(Job("other", other, tiny(), "cpu", "me", 2.0, Caps(60.0, 10**9)))
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    supervisor = Supervisor(folder.parent, Limits(), LocalRunner())
    queries = Queries(supervisor)
    assert queries.view("other").status.state == "queued"
    assert "other" in [view.job.id for view in queries.views()]
    if name == "status.json":
        found = queries.view("one").status
        assert (found.state, found.problem) == ("failed", "files") and says in found.message
        assert "status.json" in found.message
    else:
        assert queries.view("one") is None
        with pytest.raises(Exception, match=says) as error:
            queries.find("one")
        assert isinstance(error.value, gan.errors.GanError)


def test_an_order_that_cannot_be_read_leaves_the_last_one(folder):
    (folder / "control.json").write_text(json.dumps({"want": "dance"}))
    assert read_control(folder) == Control()
    assert read_control(folder, Control("pause")) == Control("pause")
    write_control(folder, Control("run", until=5))
    assert [read_control(folder).pauses_at(step) for step in (4, 5, 6)] == [False, True, True]
