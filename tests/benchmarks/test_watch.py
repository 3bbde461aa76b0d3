import contextlib
import threading

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.server import serve

from benchmarks import __main__, pages, watch
from gan.errors import TrainingError
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


def _poll():
    message = BackMsg()
    message.rerun_script.is_auto_rerun = True
    return message.SerializeToString()


BEGIN = ForwardMsg(hash="x").SerializeToString()
END = ForwardMsg(script_finished="FINISHED_FRAGMENT_RUN_SUCCESSFULLY").SerializeToString()
END_OF_PAGE = ForwardMsg(script_finished="FINISHED_SUCCESSFULLY").SerializeToString()


def test_a_poll_lasts_from_its_request_to_the_end_of_its_run():
    connection = watch.Connection()
    connection.on_received(END, 1.0)  # of a run that no poll has requested
    connection.on_sent(_poll(), 2.0)
    connection.on_received(BEGIN, 2.02)
    connection.on_received(END, 2.05)
    connection.on_received(END, 2.5)
    (poll,) = connection.polls
    assert poll.milliseconds == pytest.approx(50) and poll.bytes == len(BEGIN + END)
    assert connection.late == 0


def test_what_is_no_poll_is_not_timed_and_a_late_one_is_counted():
    connection = watch.Connection()
    connection.on_sent(_poll(), 1.0)
    connection.on_sent(_poll(), 2.0)  # before the answer to the first
    connection.on_received(END_OF_PAGE, 2.5)  # the whole page has run, not a fragment
    connection.on_received(END, 3.0)
    click = BackMsg()
    click.rerun_script.fragment_id = "a button"
    connection.on_sent(click.SerializeToString(), 4.0)
    connection.on_received(END, 4.1)
    connection.on_sent(BackMsg(stop_script=True).SerializeToString(), 5.0)
    assert (connection.polls, connection.late) == ([], 1)
    assert connection.opening == connection.poll == _poll()


@contextlib.contextmanager
def _server():
    """An empty page, and a websocket beside it that answers every message with the end of a fragment's run."""

    def answer(connection):
        for _ in connection:
            connection.send(END)

    def page(connection, request):
        return connection.respond(200, "") if request.path == "/" else None

    with serve(answer, "127.0.0.1", 0, process_request=page, subprotocols=["streamlit"]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}/"


@pytest.mark.browser
def test_a_browsers_frames_are_heard_and_another_websocket_starts_from_zero(chromium):
    page = chromium.new_page()
    connection = watch.Connection()
    connection.listen_to(page)
    with _server() as address:
        for _ in range(2):
            page.goto(address)
            page.evaluate(
                """poll => new Promise((heard, failed) => {
                    const address = location.href.replace("http", "ws") + "stream";
                    const socket = new WebSocket(address, ["streamlit", "token"]);
                    socket.onopen = () => socket.send(new Uint8Array(poll));
                    socket.onmessage = heard;
                    socket.onerror = failed;
                })""",
                list(_poll()),
            )
            page.wait_for_timeout(100)
            (poll,) = connection.polls
            assert 0 < poll.milliseconds < 5_000 and poll.bytes == len(END)
            assert connection.protocols == ["streamlit", "token"]
        page.close()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.04], {"median": 7.0, "p95": 7.0, "min": 7.0, "max": 7.0, "n": 1}),
        ([3.0, 1.0], {"median": 2.0, "p95": 2.9, "min": 1.0, "max": 3.0, "n": 2}),
        (list(range(101)), {"median": 50, "p95": 95.0, "min": 0, "max": 100, "n": 101}),
    ],
)
def test_the_spread_of_some_values(values, expected):
    assert watch.spread(values) == expected


def test_the_speed_is_by_the_workers_own_clock(tmp_path, monkeypatch):
    seen = iter([(100, 10.0), (150, 11.0), (150, 11.0), (250, 15.0)])

    def read(folder):
        step, updated = next(seen)
        return Status("training", step=step, updated=updated)

    monkeypatch.setattr(watch, "read_status", read)
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: None)
    # of the second slice nothing is known, because the worker has not reported again
    assert watch._speeds(tmp_path, 15.0) == [50.0, 25.0]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (Status("finished", step=900), "finished after 900 updates.*fewer --seconds"),
        (Status("failed", step=3, message="the disk is full"), "failed after 3.*disk is full"),
    ],
)
def test_a_training_that_is_over_too_soon_says_why(status, message, tmp_path):
    write_status(tmp_path, status)
    with pytest.raises(TrainingError, match=message):
        watch._active(tmp_path)


def test_the_result_is_described_in_words():
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
            **pages.machine(),
            "load_average_before": 0.5,
        }
    )
    assert "load 0.50 before" in text and "1.50 s" in text and "p95 39.0" in text
