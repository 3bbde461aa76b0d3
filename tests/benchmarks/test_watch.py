import os
import subprocess
import sys

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks import __main__, pages, watch
from gan.errors import TrainingError
from gan.jobs import folder as job_folder
from gan.jobs.folder import Status, write_status


@pytest.fixture
def no_browser(monkeypatch):
    """What is refused is refused before anything is started."""

    def start():
        raise AssertionError("a browser was started")

    monkeypatch.setattr(pages, "browser", start)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("watch --seconds 4.9", "4.9 is not in the range 5<=x<=600"),
        ("watch --seconds 601", "601.0 is not in the range"),
        ("watch --seconds nan", "nan is not a number of seconds"),
        ("watch --source stacked", "'stacked' is not one of 'drawn', 'mnist'"),
        ("watch --rounds 0", "0 is not in the range 1<=x<=100"),
        ("pages --rounds 101", "101 is not in the range"),
        ("pad --seconds 0.4", "0.4 is not in the range 0.5<=x<=60"),
        ("pages --seconds 9", "No such option"),
    ],
)
def test_nonsense_is_refused_before_anything_is_started(capsys, command, named, no_browser):
    assert __main__.main(command.split()) == 2
    assert named in capsys.readouterr().err


def test_the_command_hands_its_options_on(capsys, monkeypatch):
    monkeypatch.setattr(watch, "watch", lambda *options: {"options": options})
    monkeypatch.setattr(watch, "describe", lambda result: f"{result['options']}")
    assert __main__.main(["watch", "--seconds", "7", "--source", "mnist", "--rounds", "2"]) == 0
    assert capsys.readouterr().out.strip() == "(7.0, 'mnist', 2)"
    assert __main__.main(["watch"]) == 0
    assert capsys.readouterr().out.strip() == "(30.0, 'drawn', 5)"


def test_the_field_numbers_are_those_of_the_installed_streamlit():
    known = watch.FIELDS
    for message, name in (
        (ForwardMsg, "script_finished"),
        (BackMsg, "rerun_script"),
        (ClientState, "is_auto_rerun"),
    ):
        assert message.DESCRIPTOR.fields_by_name[name].number == known[name]
    assert known["finished_fragment"] == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([7.04], {"median": 7.0, "p95": 7.0, "min": 7.0, "max": 7.0, "n": 1}),
        ([3.0, 1.0], {"median": 2.0, "p95": 2.9, "min": 1.0, "max": 3.0, "n": 2}),
        (list(range(101)), {"median": 50, "p95": 95.0, "min": 0, "max": 100, "n": 101}),
    ],
)
def test_the_spread_of_some_values(values, told):
    assert watch.spread(values) == told


def test_the_speed_is_told_by_the_workers_own_clock(tmp_path, monkeypatch):
    seen = iter([(100, 10.0), (150, 11.0), (150, 11.0), (250, 15.0)])

    def read(folder):
        step, updated = next(seen)
        return Status("training", step=step, updated=updated)

    monkeypatch.setattr(job_folder, "read_status", read)
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: None)
    # of the second slice nothing is known: the worker has said nothing new
    assert watch._speeds(tmp_path, 15.0) == [50.0, 25.0]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (Status("finished", step=900), "finished after 900 updates.*fewer --seconds"),
        (Status("failed", step=3, message="the disk is full"), "failed after 3.*disk is full"),
    ],
)
def test_a_training_that_is_over_too_soon_says_why(status, told, tmp_path):
    write_status(tmp_path, status)
    with pytest.raises(TrainingError, match=told):
        watch._alive(tmp_path)


def test_a_process_is_known_to_be_there():
    assert watch._is_there(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not watch._is_there(child.pid)


def test_what_was_measured_is_told_in_words():
    once, some = pages.summary([1.5]), watch.spread([20.0, 40.0])
    steps = ("press_to_start", "start_to_worker", "start_to_file", "start_to_picture")
    text = watch.describe(
        {
            "first_sample_seconds": dict.fromkeys((*steps, "press_to_picture"), once),
            "light_rerun_milliseconds": some,
            "rerun_milliseconds": some,
            "idle_rerun_milliseconds": some,
            "rerun_kilobytes": some,
            "late_polls": 0,
            "stop_seconds": {"press_to_stopped": once, "press_to_gone": once},
            "training_updates_per_second": {"alone": once, "watched": once},
            "source": "drawn",
            "load_average_before": 0.5,
            **pages.machine(),
        }
    )
    assert "load 0.50 before" in text and "1.50 s" in text and "p95 39.0" in text
