import os
import time
from dataclasses import replace

import pytest

from gan.config import TrainConfig
from gan.errors import ConfigError
from gan.jobs import history
from gan.jobs.folder import Caps, Job, Table, bytes_of, create, read_status, write_status
from gan.jobs.limits import Limits, Storage

DAY = 86_400.0


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def add(runs, tiny_model, monkeypatch):
    """add(name, state, days, step) -> the folder of a job that was last heard of so many days ago, with
    1,000 bytes and as many of snapshots."""
    config = TrainConfig(source="drawn", size=40, updates=100, batch_size=8, model=tiny_model)
    now = time.time()

    def make(name, state="finished", days=2.0, step=100, source="drawn"):
        folder = runs / name
        asked = replace(config, source=source)
        create(Job(name, folder, asked, "cpu", "me", 0.0, Caps(60.0, 1_000)))
        (folder / "model").write_bytes(b"x" * 1_000)
        (folder / "snapshots").mkdir()
        (folder / "snapshots" / "00000005.safetensors").write_bytes(b"x" * 1_000)
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: now - days * DAY)
            write_status(folder, replace(read_status(folder), state=state, step=step))
        os.utime(folder, (now - days * DAY,) * 2)
        return folder

    return make


def make_room(runs, **limits):
    Storage(runs, Limits(**limits), Table(runs)).make_room()


def test_where_there_is_room_nothing_goes(runs, add):
    folder = add("one")
    make_room(runs)
    assert list(history.snapshots(folder)) == [5]


def test_what_is_worth_least_goes_first(runs, add):
    empty = add("empty", "stopped", days=1.5, step=0)
    given_up = add("given-up", "failed", days=2)
    old, new = add("old", days=3), add("new", days=0.5)
    imported = runs / "import-abc-final"
    imported.mkdir()
    (imported / "model").write_bytes(b"x" * 1_000)
    os.utime(imported, (time.time() - 2 * DAY,) * 2)
    everything = (empty, given_up, old, new, imported)

    def one_less():
        """A byte too much: the next thing goes."""
        make_room(runs, runs_bytes=sum(bytes_of(f) for f in everything) - 1)
        return [p.name for p in everything if p.exists()]

    assert one_less() == ["given-up", "old", "new", "import-abc-final"]
    assert one_less() == ["given-up", "old", "new"]
    assert one_less() == ["given-up", "old", "new"] and list(history.snapshots(old)) == []
    assert list(history.snapshots(new)) == [5]
    assert one_less() == ["given-up", "old", "new"] and list(history.snapshots(new)) == []
    assert one_less() == ["old", "new"]
    assert one_less() == ["new"]
    with pytest.raises(ConfigError, match=r"is full: .* remove old models"):
        one_less()
    assert new.exists()  # a model of today stays


def test_what_is_under_way_or_was_just_now_stays(runs, add):
    folders = [
        add(state, state, days=0.0, step=0) for state in ("training", "paused", "queued", "failed")
    ]
    with pytest.raises(ConfigError, match="is full"):
        make_room(runs, runs_bytes=10)
    assert all(folder.exists() for folder in folders)


def test_what_is_about_to_be_needed_is_spared(runs, add):
    parent, other = add("parent", days=9), add("other", days=2)
    taken = bytes_of(parent) + bytes_of(other)
    kept = Storage(runs, Limits(runs_bytes=taken - 1), Table(runs))
    kept.make_room({"parent"})
    assert list(history.snapshots(parent)) == [5] and list(history.snapshots(other)) == []


def test_too_many_folders_are_too_much_as_well(runs, add):
    for number in range(5):
        add(f"job-{number}", "stopped", step=0, days=1 + number)
    make_room(runs, folders=3)
    assert sorted(p.name for p in runs.iterdir()) == ["job-0", "job-1"]


def test_the_sweeps_of_a_researcher_are_neither_counted_nor_cleared(runs, add):
    add("one")
    (runs / "sweeps" / "big").mkdir(parents=True)
    (runs / "sweeps" / "big" / "x").write_bytes(b"x" * 100_000)
    make_room(runs, runs_bytes=50_000)
    assert (runs / "sweeps" / "big" / "x").exists() and list(history.snapshots(runs / "one")) == [5]


def test_the_oldest_uploads_go_but_not_those_of_a_job_under_way(runs, add):
    for age, name in enumerate(("a", "b", "c")):
        folder = runs / "uploads" / name
        folder.mkdir(parents=True)
        (folder / "x").write_bytes(b"x" * 1_000)
        os.utime(folder, (time.time() - (9 - age) * DAY,) * 2)
    add("one", "queued", source=f"folder:{runs / 'uploads' / 'a'}")
    kept = Storage(runs, Limits(), Table(runs))
    kept.make_room_for_uploads(2_500)
    assert sorted(p.name for p in (runs / "uploads").iterdir()) == ["a", "c"]


def test_the_oldest_imports_make_room_for_one_more(runs):
    for age in range(4):
        folder = runs / f"import-{age}-final"
        folder.mkdir()
        os.utime(folder, (time.time() - age * DAY,) * 2)
    Storage(runs, Limits(imports=3), Table(runs)).make_room_for_imports()
    assert sorted(p.name for p in runs.iterdir()) == ["import-0-final", "import-1-final"]
