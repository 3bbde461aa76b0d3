import json
import time
from dataclasses import replace

import pytest

from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError
from gan.jobs import history
from gan.jobs.folder import (
    Caps,
    Control,
    Job,
    Parent,
    Table,
    bytes_of,
    create,
    folders,
    read,
    read_control,
    read_status,
    updates_kept,
    write_status,
)
from gan.system import tensor_files

CAPS = Caps(60.0, 10**9)


def losses(step, **values):
    return {"step": step, **dict.fromkeys(history._CURVES, 1.0), **values}


@pytest.fixture
def config(tiny_model):
    return TrainConfig(source="drawn", size=40, updates=100, batch_size=8, model=tiny_model)


@pytest.fixture
def folder(tmp_path, config):
    path = tmp_path / "runs" / "one"
    parent = Parent("other", 20)
    create(Job("one", path, config, "cpu", "me", 12.5, Caps(60.0, 1_000), parent))
    return path


def test_a_job_is_read_as_it_was_written(folder, config):
    found = read(folder)
    assert found == Job(
        "one", folder, config, "cpu", "me", 12.5, Caps(60.0, 1_000), Parent("other", 20)
    )
    status = read_status(folder)
    assert (status.state, status.step, status.total) == ("queued", 0, 100)
    assert time.time() - status.queued < 60 and status.active
    assert read_control(folder).want == "run"
    assert list(folders(folder.parent)) == [folder]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("job.json", "{"),
        ("job.json", "[]"),
        ("job.json", '{"device": "cpu"}'),
        ("config.json", "{}"),
        ("config.json", "nothing"),
    ],
)
def test_a_damaged_job_is_named(folder, name, content):
    (folder / name).write_text(content)
    with pytest.raises((CheckpointError, ConfigError), match=name):
        read(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "x", "more": 1}'])
def test_a_status_or_order_that_cannot_be_read_is_no_end_of_the_world(folder, content):
    (folder / "status.json").write_text(content)
    (folder / "control.json").write_text(content)
    assert (read_status(folder).state, read_status(folder).problem) == (
        "failed",
        "files",
    )
    assert read_control(folder) == Control()


def test_the_metrics_are_whole_lines_and_can_be_taken_back(folder):
    for step in (5, 10, 15):
        history.add_line(folder, losses(step, d_loss=float("nan")))
        path = folder / "samples" / f"{step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"png")
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 20, "g_lo')  # the power went off
    assert [line["step"] for line in history.Reader(folder).lines()] == [5, 10, 15]
    assert history.Reader(folder).lines()[0]["d_loss"] is None
    history.forget_after(folder, 10)
    assert [line["step"] for line in history.Reader(folder).lines()] == [5, 10]
    assert list(history.samples(folder)) == [5, 10]
    history.add_line(folder, losses(11))
    assert [line["step"] for line in history.Reader(folder).lines()] == [5, 10, 11]


def test_curves_are_means_over_stretches_and_measured_stand_apart():
    lines = [
        {"step": s, **dict.fromkeys(history._CURVES, float(s)), "prob_held_out": None}
        for s in range(1, 11)
    ]
    lines.insert(3, {"step": 3, "counts": [1] * 10, "n": 100, "fd": 5.0})
    assert history.curves(lines)["g_loss"] == [float(s) for s in range(1, 11)]
    short = history.curves(lines, points=4)
    assert short["step"] == [3, 6, 9, 10]
    assert short["g_loss"] == [2.0, 5.0, 8.0, 10.0] and short["prob_held_out"] == [None] * 4
    assert [m["step"] for m in history.measurements(lines)] == [3]
    assert history.curves([])["step"] == []


def test_snapshots_are_found_by_their_names_and_others_are_left_out(folder):
    (folder / "snapshots").mkdir()
    for name in ("00000040", "00000007", "x"):
        (folder / "snapshots" / f"{name}.safetensors").write_bytes(b"")
    assert list(history.snapshots(folder)) == [7, 40]
    assert history.snapshot_path(folder, 7).name == "00000007.safetensors"
    with pytest.raises(ConfigError, match="has no snapshot of update 8; there are: 7, 40"):
        history.snapshot_path(folder, 8)


def test_who_waits_for_a_device_is_seen(folder):
    runs = folder.parent
    table = Table(runs)
    assert [found.id for found in table.waiting("cpu")] == ["one"] and not table.waiting("cuda")
    write_status(folder, replace(read_status(folder), state="training"))
    assert table.rows(fresh=True)[0][1].state == "training" and not table.waiting("cpu")


def test_the_queue_is_in_the_order_of_asking_and_what_is_removed_or_damaged_is_left_out(
    folder, config
):
    runs = folder.parent
    for place, id in enumerate(("b", "a", "c")):
        path = runs / id
        create(Job(id, path, config, "cpu", "me", 0.0, CAPS))
        write_status(path, replace(read_status(path), queued=float(place)))
    table = Table(runs)
    assert [found.id for found in table.waiting("cpu")] == ["b", "a", "c", "one"]
    (runs / "a" / "job.json").write_text("{")
    (runs / "b").rename(runs / ".removed-b")
    (runs / "c" / "config.json").unlink()
    assert {found.id for found, _ in table.rows(fresh=True)} >= {"one"}
    assert [found.id for found in Table(runs).waiting("cpu")] == ["one"]


def test_a_reel_reads_on_and_begins_anew_where_the_file_is_another(folder):
    reader = history.Reader(folder)
    whole = f"{json.dumps(losses(6, g_loss=6.0))}\n".encode()
    assert reader.lines() == [] and reader.curves()["step"] == []
    for step in range(1, 6):
        history.add_line(folder, losses(step, g_loss=float(step)))
    assert [line["step"] for line in reader.lines()] == [1, 2, 3, 4, 5]
    seen, curves = reader.lines(), reader.curves()
    assert reader.curves() is curves  # once for all who watch
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(whole[:20])
    assert len(reader.lines()) == 5
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(whole[20:])
    assert reader.lines()[-1] == losses(6, g_loss=6.0) and len(seen) == 5
    assert reader.curves()["g_loss"][-1] == 6.0
    history.forget_after(folder, 3)
    history.add_line(folder, losses(4, g_loss=0.5))
    assert [line["step"] for line in reader.lines()] == [1, 2, 3, 4]
    assert reader.curves()["g_loss"] == [1.0, 2.0, 3.0, 0.5]


def test_what_lies_there_under_two_names_takes_room_once(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1_000)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert bytes_of(tmp_path) == 1_000


def _measurement(step, fd, legible=900, spread=1.0, kinds=10):
    counts = [legible // kinds] * kinds + [0] * (10 - kinds)
    return {
        "step": step,
        "fd": fd,
        "n": 1_000,
        "counts": counts,
        "spread": spread,
        "contrast": 1.0,
    }


@pytest.fixture
def snapshots(folder):
    (folder / "snapshots").mkdir()
    for step in (10, 30, 60):
        (folder / "snapshots" / f"{step:08d}.safetensors").write_bytes(b"")


@pytest.mark.usefixtures("snapshots")
def test_a_collapse_is_seen_and_the_way_back_is_shown(folder, config):
    measured = [_measurement(10, 20.0), _measurement(40, 5.0), _measurement(80, 60.0, spread=0.1)]
    found = history.advice(folder, config, measured)
    assert found == history.Advice(then=5.0, then_step=40, now=60.0, now_step=80, step=30)


@pytest.mark.usefixtures("snapshots")
@pytest.mark.parametrize(
    "measured",
    [
        [],
        [_measurement(40, 5.0)],
        [_measurement(10, 20.0), _measurement(40, 5.0)],  # getting better
        [_measurement(40, 5.0), _measurement(80, 60.0)],  # far off, but all ten digits
        [_measurement(40, 5.0), _measurement(80, 9.0, spread=0.1)],  # not far enough to be sure
        [_measurement(10, 20.0, legible=10), _measurement(80, 60.0, spread=0.1)],  # never drew any
    ],
)
def test_no_way_back_is_shown_where_it_was_never_better(folder, config, measured):
    assert history.advice(folder, config, measured) is None


def test_without_a_snapshot_from_before_only_the_worsening_is_reported(folder, config):
    measured = [_measurement(4, 5.0), _measurement(80, 60.0, spread=0.1)]
    assert history.advice(folder, config, measured).step is None


def test_updates_kept_are_those_that_need_not_be_made_again(folder, finished, config):
    assert updates_kept(folder) == 0
    tensor_files.save_tensors(folder / "start.safetensors", "training checkpoint", {}, {"step": 20})
    assert updates_kept(folder) == 20
    tensor_files.save_tensors(
        folder / "checkpoint.safetensors", "training checkpoint", {}, {"step": 33}
    )
    assert updates_kept(folder) == 33
    (folder / "checkpoint.safetensors").write_bytes(b"torn")
    assert updates_kept(folder) == 20
    (folder / "manifest.json").write_text(json.dumps({}))
    assert updates_kept(folder) == 100
