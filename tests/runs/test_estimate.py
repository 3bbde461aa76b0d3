import json
import math
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gan.cli import main
from gan.config import ModelConfig, TrainConfig
from gan.errors import CheckpointError, ConfigError
from gan.runs import estimate, monitor
from gan.system.devices import describe_device
from gan.training import cost, trainer

CPU = torch.device("cpu")
HERE = "cpu (a test, 1 thread), float32"
CONFIG = TrainConfig(size=600, updates=1_000)


@pytest.fixture
def timings(tmp_path):
    return tmp_path / "runs" / "speed.json"


def of_width(width, **changes):
    model = ModelConfig(base_channels=width, hidden_units=8 * width)
    return replace(CONFIG, model=model, **changes)


def test_a_device_without_measurements_has_no_estimate(timings):
    assert estimate.predict(timings, HERE, CONFIG) is None
    assert estimate.updates_for(timings, HERE, CONFIG, 60) is None
    estimate.record(timings, HERE, CONFIG, 0.01)
    estimate.record_phases(timings, "another", CONFIG, start=3.0)
    for other in ("another", HERE.replace("1 thread", "2 threads")):
        assert estimate.predict(timings, other, CONFIG) is None
        assert estimate.updates_for(timings, other, CONFIG, 60) is None


def test_an_estimate_of_a_measured_run_is_what_was_measured(timings):
    estimate.record(timings, HERE, CONFIG, 0.01)
    estimate.record_phases(timings, HERE, CONFIG, start=3.0, moment=0.5, scoring=8.0)
    expected = estimate.predict(timings, HERE, CONFIG)
    assert expected.starting == pytest.approx(3.0)
    assert expected.training == pytest.approx(1_000 * 0.01)
    assert expected.monitoring == pytest.approx(0.5 * monitor.count_moments(1_000))
    assert expected.scoring == pytest.approx(8.0)
    assert expected.total == pytest.approx(3 + 10 + 0.5 * monitor.count_moments(1_000) + 8)


def test_settings_that_do_not_change_the_work_of_an_update_keep_its_shape(timings):
    estimate.record(timings, HERE, CONFIG, 0.01)
    estimate.record_phases(timings, HERE, CONFIG, start=3.0, moment=0.5, scoring=8.0)
    same = replace(CONFIG, seed=3, size=6_000, lr_g=1e-4, budget="epochs", epochs=2)
    assert estimate.predict(timings, HERE, same).training == pytest.approx(0.01 * 2 * 93)
    for other in (
        replace(CONFIG, batch_size=32),
        replace(CONFIG, size=63),
        replace(CONFIG, augment="fixed"),
        replace(CONFIG, r1_gamma=1.0),
        replace(CONFIG, model=ModelConfig(d_norm="none")),
    ):
        assert estimate._shape(other) != estimate._shape(CONFIG)


def test_one_disturbed_measurement_of_three_does_not_count(timings):
    for seconds in (0.01, 0.9, 0.012):
        estimate.record(timings, HERE, CONFIG, seconds)
        estimate.record_phases(timings, HERE, CONFIG, scoring=800 * seconds)
    expected = estimate.predict(timings, HERE, CONFIG)
    assert expected.training == pytest.approx(1_000 * 0.012)
    assert expected.scoring == pytest.approx(800 * 0.012)


def test_a_stopped_run_records_the_phases_it_reached(timings):
    estimate.record(timings, HERE, CONFIG, 0.01)
    before = estimate.predict(timings, HERE, CONFIG)
    estimate.record_phases(timings, HERE, CONFIG, start=2.0)
    expected = estimate.predict(timings, HERE, CONFIG)
    assert expected.starting == pytest.approx(2.0)
    assert (expected.monitoring, expected.scoring) == (before.monitoring, before.scoring)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf, 1e10])
def test_impossible_times_are_refused(timings, seconds):
    with pytest.raises(ConfigError, match=r"seconds_per_update=.* must be a positive"):
        estimate.record(timings, HERE, CONFIG, seconds)
    with pytest.raises(ConfigError, match=r"scoring=.* must be a positive"):
        estimate.record_phases(timings, HERE, CONFIG, start=1.0, scoring=seconds)
    with pytest.raises(ConfigError, match="give start, moment or scoring"):
        estimate.record_phases(timings, HERE, CONFIG)
    assert not timings.exists()


@pytest.mark.parametrize(
    "measured",
    [
        {32: 0.03},
        {8: 0.004, 32: 0.03},
        {8: 0.05, 32: 0.03, 64: 0.2},  # the first disturbed
    ],
)
def test_wider_networks_and_larger_batches_never_take_less(timings, measured):
    for width, seconds in measured.items():
        estimate.record(timings, HERE, of_width(width, batch_size=48), seconds)
    for row in (
        [of_width(width) for width in (2, 4, 8, 12, 16, 32, 48, 64, 96)],
        [replace(CONFIG, batch_size=batch) for batch in (2, 8, 16, 32, 64, 128, 512)],
    ):
        expected = [estimate.predict(timings, HERE, config) for config in row]
        for phase in ("training", "monitoring", "scoring", "total"):
            values = [round(getattr(s, phase), 9) for s in expected]
            assert values == sorted(values)
        assert expected[0].training < expected[-1].training


def test_twice_the_work_takes_twice_as_long_and_half_of_it_more_than_half(timings):
    estimate.record(timings, HERE, CONFIG, 0.02)
    double = estimate.predict(timings, HERE, replace(CONFIG, batch_size=128))
    assert double.training == pytest.approx(1_000 * 0.04)
    half = estimate.predict(timings, HERE, replace(CONFIG, batch_size=32))
    assert 1_000 * 0.01 < half.training < 1_000 * 0.02


def test_between_two_measured_shapes_the_estimate_is_interpolated(timings):
    for batch, seconds in ((8, 0.004), (16, 0.006), (64, 0.02), (256, 5.0)):
        estimate.record(timings, HERE, replace(CONFIG, batch_size=batch), seconds)
    expected = estimate.predict(timings, HERE, replace(CONFIG, batch_size=32))
    assert expected.training == pytest.approx(1_000 * math.sqrt(0.006 * 0.02))


def test_scoring_takes_longer_against_more_training_images(timings):
    estimate.record(timings, HERE, CONFIG, 0.01)
    estimate.record_phases(timings, HERE, CONFIG, scoring=7.0)
    times = [
        estimate.predict(timings, HERE, replace(CONFIG, size=size)).scoring
        for size in (200, 600, 6_000, 60_000)
    ]
    assert times == sorted(times)
    assert times[1] == pytest.approx(7.0)
    assert times[3] > times[0] + 5


@pytest.mark.parametrize("seconds", [60.0, 300.0, 3_600.0])
@pytest.mark.parametrize("each", [0.0005, 0.02])
def test_updates_for_fills_the_time(timings, seconds, each):
    estimate.record(timings, HERE, CONFIG, each)
    updates = estimate.updates_for(timings, HERE, CONFIG, seconds)
    assert len(str(updates).rstrip("0")) <= 2

    def total(count):
        return estimate.predict(timings, HERE, replace(CONFIG, updates=count)).total

    assert total(updates) <= seconds < total(math.ceil(updates * 1.1) + 1)


def test_updates_for_stays_within_the_limits_of_a_run(timings):
    estimate.record(timings, HERE, CONFIG, 1e-6)
    assert estimate.updates_for(timings, HERE, CONFIG, 1.0) == estimate.LEAST_UPDATES == 20
    most = estimate.updates_for(timings, HERE, CONFIG, 1e9)
    assert replace(CONFIG, updates=most).updates == 10_000_000


def test_updates_for_ignores_the_budget_of_the_configuration(timings):
    estimate.record(timings, HERE, CONFIG, 0.01)
    epochs = replace(CONFIG, budget="epochs", epochs=500)
    assert estimate.updates_for(timings, HERE, epochs, 60) == estimate.updates_for(
        timings, HERE, CONFIG, 60
    )


def _damaged():
    row = {"when": 1.0, "shape": "a", "operations": 1, "batch": 1, "augmented": False}
    rows = [
        *(row | {"seconds": s} for s in (0, -1.0, "1", None, math.nan, math.inf, [])),
        row | {"seconds": 1.0, "operations": 0},
        row | {"seconds": 1.0, "operations": 10**400},
        row | {"seconds": 1.0, "batch": 1.5},
        row | {"seconds": 1.0, "more": 1},
        *(row, None, 3, [], "a"),
    ]
    yield from ("", "{", "[]", "null", "3", "{}", "[" * 100_000, "9" * 5_000, "\x00\xff")
    yield json.dumps({"version": 2, "devices": {HERE: {"speeds": [], "phases": []}}})
    for speeds in (rows, None, 3, {"a": 1}, "rows"):
        devices = {HERE: {"speeds": speeds, "phases": []}}
        yield json.dumps({"version": 1, "devices": devices})
    for devices in ([], None, {HERE: None}, {HERE: {"speeds": []}}, {HERE: []}):
        yield json.dumps({"version": 1, "devices": devices})


@pytest.mark.parametrize("text", list(_damaged()), ids=lambda text: repr(text[:30]))
def test_a_damaged_or_foreign_file_counts_as_empty(timings, text):
    timings.parent.mkdir()
    timings.write_text(text, encoding="latin-1")
    assert estimate.predict(timings, HERE, CONFIG) is None
    assert estimate.updates_for(timings, HERE, CONFIG, 60) is None
    estimate.record(timings, HERE, CONFIG, 0.01)
    assert estimate.predict(timings, HERE, CONFIG).training == pytest.approx(10)


def test_a_folder_or_a_very_large_file_counts_as_empty(timings, monkeypatch):
    assert estimate.predict(timings.parent, HERE, CONFIG) is None
    estimate.record(timings, HERE, CONFIG, 0.01)
    monkeypatch.setattr(estimate, "_MAX_BYTES", 10)
    assert estimate.predict(timings, HERE, CONFIG) is None


def test_bad_rows_are_dropped_and_the_others_kept(timings):
    estimate.record(timings, HERE, CONFIG, 0.01)
    content = json.loads(timings.read_text())
    content["devices"][HERE]["speeds"].insert(0, {"seconds": "soon"})
    timings.write_text(json.dumps(content))
    assert estimate.predict(timings, HERE, CONFIG).training == pytest.approx(10)


def test_the_file_of_version_0_1_is_read_and_keeps_its_form(timings):
    timings.parent.mkdir()
    shutil.copy(Path(__file__).parents[1] / "fixtures/v0.1/runs/speed.json", timings)
    old = json.loads(timings.read_text())
    (device,) = old["devices"]
    estimate.record(timings, device, CONFIG, 0.01)
    before = estimate.predict(timings, HERE, CONFIG), estimate.predict(timings, device, CONFIG)
    assert before[0] is None and before[1].training == pytest.approx(10)
    new = json.loads(timings.read_text())
    (row,) = new["devices"][device].pop("speeds")
    assert set(row) == {"when", "shape", "operations", "batch", "augmented", "seconds"}
    del old["devices"][device]["speeds"]
    assert new == old


def test_the_oldest_rows_are_dropped(timings, monkeypatch):
    now = iter(range(1, 10_000))
    monkeypatch.setattr(estimate, "time", SimpleNamespace(time=lambda: float(next(now))))
    monkeypatch.setattr(estimate, "_ROWS_OF_A_DEVICE", 6)
    monkeypatch.setattr(estimate, "_DEVICES", 3)
    for seconds in range(1, 9):
        estimate.record(timings, HERE, CONFIG, float(seconds))
    rows = json.loads(timings.read_text())["devices"][HERE]["speeds"]
    assert [row["seconds"] for row in rows] == [6.0, 7.0, 8.0]
    for batch in range(2, 12):
        estimate.record(timings, HERE, replace(CONFIG, batch_size=batch), 1.0)
        estimate.record_phases(timings, HERE, CONFIG, start=1.0)
    device = json.loads(timings.read_text())["devices"][HERE]
    assert [row["batch"] for row in device["speeds"]] == [6, 7, 8, 9, 10, 11]
    assert len(device["phases"]) == 6
    for name in "abc":
        estimate.record(timings, name, CONFIG, 1.0)
    assert sorted(json.loads(timings.read_text())["devices"]) == ["a", "b", "c"]


def test_many_writers_and_readers_never_see_half_a_file(timings):
    estimate.record(timings, HERE, CONFIG, 0.01)
    troubles = []

    def write(name):
        for _ in range(15):
            estimate.record(timings, name, CONFIG, 0.01)

    def read():
        while any(writer.is_alive() for writer in writers):
            try:
                json.loads(timings.read_text())
                assert estimate.predict(timings, HERE, CONFIG).training == pytest.approx(10)
            except Exception as error:
                troubles.append(error)

    writers = [threading.Thread(target=write, args=(f"device {i}",)) for i in range(4)]
    reader = threading.Thread(target=read)
    for thread in (*writers, reader):
        thread.start()
    for thread in (*writers, reader):
        thread.join()
    assert troubles == []
    assert [path.name for path in timings.parent.iterdir()] == [timings.name]
    assert estimate.predict(timings, HERE, CONFIG) is not None


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "a file").write_text("")
    timings = tmp_path / "a file" / "speed.json"
    assert estimate.predict(timings, HERE, CONFIG) is None
    with pytest.raises(CheckpointError, match=r"speed\.json could not be written"):
        estimate.record(timings, HERE, CONFIG, 0.01)


def _files():
    return sorted(Path.cwd().rglob("*"))


@pytest.mark.parametrize("changes", [{}, {"augment": "adaptive", "lr_g": 1.0, "lr_d": 1.0}])
def test_measuring_takes_about_the_given_time_and_writes_nothing(tiny, changes):
    before = _files()
    started = time.perf_counter()
    seconds = estimate.measure(tiny(**changes), CPU, "float32", 0.2)
    spent = time.perf_counter() - started
    assert 1e-5 < seconds < spent
    assert spent > 0.2
    assert _files() == before


def test_one_slow_update_is_measured_by_itself(tiny, monkeypatch):
    clock = iter(range(0, 10_000, 7))
    now = SimpleNamespace(perf_counter=lambda: float(next(clock)))
    monkeypatch.setattr(estimate, "time", now)
    blocks, real_train = [], trainer.train

    def train(state, images, held_out, block):
        blocks.append(block)
        return real_train(state, images, held_out, block)

    monkeypatch.setattr(trainer, "train", train)
    assert estimate.measure(tiny(), CPU, "float32", 2.0) == 7.0
    assert blocks == [1, 1]


def test_the_updates_of_whole_reports_are_counted(tiny, monkeypatch):
    clock = iter([0.0, 0.001, 0.0, 0.02, 0.0, 0.03])
    monkeypatch.setattr(estimate, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    each = estimate.measure(tiny(), CPU, "float32", 0.05)
    assert each == pytest.approx(0.05 / (2 * trainer.BLOCK))


def test_the_key_names_device_threads_and_precision():
    one = estimate.device_key(CPU, "float32")
    assert one == f"{describe_device(CPU)}, float32"
    assert "1 thread)" in one
    two = estimate.device_key(CPU, "bfloat16", threads=2)
    assert "2 threads)" in two and two.endswith(", bfloat16")
    with pytest.raises(ConfigError, match="float16"):
        estimate.device_key(CPU, "float16")


def test_the_command_measures_and_records(tiny, timings, capsys, tmp_path, monkeypatch):
    config = tiny(updates=500)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_dict()))
    command = ["bench", "update", "--json", "--config", str(path), "--timings", str(timings)]
    monkeypatch.setattr(estimate.measure, "__defaults__", ("auto", 0.1))
    assert main.main([*command, "--device", "cpu", "--threads", "1", "--precision", "float32"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["device"] == estimate.device_key(CPU, "float32", threads=1)
    assert printed["operations_per_update"] == cost.operations_per_update(config)
    assert printed["batch"] == 8
    expected = estimate.predict(timings, printed["device"], config)
    assert expected.training == pytest.approx(500 * printed["seconds_per_update"])


def test_the_command_measures_the_defaults_without_a_file(capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(estimate, "measure", lambda *a: asked.append(a) or 0.0125)
    before = _files()
    assert main.main(["bench", "update", "--device", "cpu"]) == 0
    assert asked == [(TrainConfig(), CPU, "auto")]
    assert "12.50 ms an update of 64 images" in capsys.readouterr().out
    assert _files() == before
