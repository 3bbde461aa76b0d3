"""The Train page, measured: a real training, watched in a real browser on the real server.

How soon the first image is there, what a poll of the page costs while the machine is busy, how soon a
training has stopped, and how much the training slows down while it is watched. Times are wall time on
the machine at hand, which the browser shares with the server and the training.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks import pages
from gan.data import mnist
from gan.errors import ConfigError, TrainingError
from gan.jobs import history, worker
from gan.jobs.folder import WORKER_LOCK, Control, Status, folders, read_status, write_control
from gan.system import locks, processes
from gan.zoo import cards

T = TypeVar("T")

SOURCES = ("drawn", "mnist")
IMAGE = ".st-key-live img"  # what the training has drawn last
_TRAIN, _PAUSE, _RESUME, _STOP = (
    f".st-key-{key} button" for key in ("train_go", "job_pause", "job_resume", "job_stop")
)
_UPDATES = 100_000  # more than fit into the time; the training is stopped in the end
_LOADING = 2  # polls that a page makes while it is still being built, and that are left out
_SLICE = 5.0  # seconds over which one figure of the training's speed is taken
_INTERVAL = 0.005
#: A viewer whose browser draws nothing, because the machine that serves is usually not the one that draws: opens
#: the page with the messages of a real viewer, and polls once a second.
_REPLAY = """
async ({opening, poll, protocols, count}) => {
    const socket = new WebSocket(
        location.origin.replace("http", "ws") + "/_stcore/stream", protocols);
    await new Promise((opened, failed) => { socket.onopen = opened; socket.onerror = failed; });
    const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds));
    socket.send(new Uint8Array(opening));
    await pause(5);
    for (let n = 0; n < count; n++) {
        socket.send(new Uint8Array(poll));
        await pause(1);
    }
    socket.close();
}
"""


@dataclass(frozen=True)
class Poll:
    """One poll of the page: until the whole answer had come, and how large that was."""

    milliseconds: float
    bytes: int


class Connection:
    """What goes over the websocket of a page, by the clock of the browser.

    A poll is a rerun that a timer of the page requests, not a click. Its answer ends when the server
    reports that the fragment has run. Another websocket, as after a new address, starts from zero.
    """

    def __init__(self) -> None:
        self.polls: list[Poll] = []
        self.late = 0  # polls that were sent before the answer to the one before had come
        self.protocols: list[str] = []
        self.opening = self.poll = b""  # the first request for the page, and the last poll
        self._sent: float | None = None  # when the poll was sent that has no answer yet
        self._bytes = 0

    def listen_to(self, page: Any) -> None:
        """Follows every websocket that ``page`` opens from now on, with Chromium's DevTools protocol."""
        session = page.context.new_cdp_session(page)
        session.on("Network.webSocketWillSendHandshakeRequest", self._on_handshake)
        for event, note in (
            ("Network.webSocketFrameSent", self.on_sent),
            ("Network.webSocketFrameReceived", self.on_received),
        ):
            session.on(event, lambda frame, note=note: self._on_frame(frame, note))
        session.send("Network.enable")

    def _on_handshake(self, event: dict[str, Any]) -> None:
        Connection.__init__(self)
        headers = {name.lower(): value for name, value in event["request"]["headers"].items()}
        self.protocols = headers.get("sec-websocket-protocol", "").split(", ")

    @staticmethod
    def _on_frame(event: dict[str, Any], note: Callable[[bytes, float], None]) -> None:
        if event["response"]["opcode"] == 2:  # binary
            note(base64.b64decode(event["response"]["payloadData"]), event["timestamp"])

    def on_sent(self, data: bytes, seconds: float) -> None:
        """Takes note of a message of the browser."""
        message = BackMsg.FromString(data)
        if message.WhichOneof("type") != "rerun_script":
            return
        polls = message.rerun_script.is_auto_rerun
        if polls:
            self.poll = data
        self.opening = self.opening or data
        if polls and self._sent is not None:
            self.late += 1
            return
        self._sent, self._bytes = seconds if polls else None, 0

    def on_received(self, data: bytes, seconds: float) -> None:
        """Takes note of a message of the server."""
        self._bytes += len(data)
        message = ForwardMsg.FromString(data)
        if message.WhichOneof("type") != "script_finished" or self._sent is None:
            return
        if message.script_finished == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
            self.polls.append(Poll(1000 * (seconds - self._sent), self._bytes))
        self._sent = None


def watch(seconds: float, source: str, rounds: int) -> dict[str, Any]:
    """Starts and stops ``rounds`` trainings from the page, and watches the last one.

    Its polls are timed for ``seconds`` while it trains (of a viewer whose browser draws nothing, and of
    one whose browser draws on the same cores) and for ``seconds`` while it is paused. Its speed is
    measured while it is watched and, for as long, with the page closed. Everything is in a temporary folder.
    """
    about = pages.machine()
    environment = {
        "GAN_DATA": str(mnist.data_folder().resolve()),
        "GAN_TRAINING": "on",
        "GAN_RUNNER": "local",
        "GAN_MAX_UPDATES": str(_UPDATES),
        "GAN_MAX_MINUTES": "120",
    }
    with (
        pages.browser() as chromium,
        tempfile.TemporaryDirectory(prefix="bench-watch-") as folder,
        pages.serve(environment, Path(folder)) as address,
        _no_worker_left(Path(folder) / cards.RUNS) as runs,
    ):
        # one page is one visitor, who may still stop his training after he has come back
        page = pages.new_page(chromium)
        measured = _measure(page, f"{address}/train?lang=en", runs, seconds, source, rounds)
    return {**measured, "source": source, **about}


def _measure(
    page: Any, address: str, runs: Path, seconds: float, source: str, rounds: int
) -> dict[str, Any]:
    form = f"{address}&source={source}&size=6000&updates={_UPDATES}"
    connection = Connection()
    connection.listen_to(page)
    page.goto(form)
    # on a machine without timings the page first measures one update, which would disturb
    _until(lambda: (runs / worker.TIMINGS).exists(), "measured how fast this machine is")
    firsts, stops = [], []
    for seed in range(rounds):
        page.goto(f"{form}&seed={seed}")
        job, first = _start(page, runs)
        firsts.append(first)
        if seed < rounds - 1:
            stops.append(_stop(page, job))
    _settle(page)
    half = functools.partial(_speeds, job, seconds / 2)
    polls, watched = _poll_while(page, connection, half)
    late = connection.late
    page.goto(f"{address}&job={job.name}")  # as another viewer does
    _settle(page)
    light = _replay(page, connection, f"{address.partition('/train')[0]}/_stcore/health", seconds)
    alone = _speeds(job, seconds)
    page.goto(f"{address}&job={job.name}")
    _settle(page)
    more_polls, more_watched = _poll_while(page, connection, half)
    polls, watched, late = polls + more_polls, watched + more_watched, late + connection.late
    page.click(_PAUSE)
    _until(lambda: _active(job).state == "paused", "paused the training")
    page.wait_for_selector(_RESUME)
    _settle(page)
    idle, _ = _poll_while(page, connection, lambda: time.sleep(seconds))
    page.click(_RESUME)
    _until(lambda: _active(job).state == "training", "resumed the training")
    page.wait_for_selector(_PAUSE)
    stops.append(_stop(page, job))
    return {
        "first_sample_seconds": pages.summaries(firsts),
        "light_rerun_milliseconds": spread([p.milliseconds for p in light]),
        "rerun_milliseconds": spread([p.milliseconds for p in polls]),
        "idle_rerun_milliseconds": spread([p.milliseconds for p in idle]),
        "rerun_kilobytes": spread([p.bytes / 1000 for p in polls]),
        "late_polls": late,
        "stop_seconds": pages.summaries(stops),
        "training_updates_per_second": {
            "alone": pages.summary(alone),
            "watched": pages.summary(watched),
        },
    }


@contextlib.contextmanager
def _no_worker_left(runs: Path) -> Iterator[Path]:
    """Stops the workers in the end. They outlive their server by design, but must not outlive the block."""
    try:
        yield runs
    finally:
        working = [f for f in folders(runs) if locks.is_locked(f / WORKER_LOCK)]
        for folder in working:
            write_control(folder, Control("stop"))
        for folder in working:
            # taken as soon as the worker has ended
            if (handle := locks.lock(folder / WORKER_LOCK, patience=10.0)) is not None:
                os.close(handle)


def _until(happened: Callable[[], bool], what: str) -> float:
    """Waits until it has happened; the time then, in seconds since 1970, like a browser's clock."""
    until = time.monotonic() + pages.PATIENCE
    while not happened():
        if time.monotonic() > until:
            raise ConfigError(f"the app has not {what} within {pages.PATIENCE:.0f} s; is it busy?")
        time.sleep(_INTERVAL)
    return time.time()


def _settle(page: Any) -> None:
    """Waits until the page shows the result of its last request."""
    page.wait_for_selector(pages.SETTLED)
    page.wait_for_timeout(1_000)


def _start(page: Any, runs: Path) -> tuple[Path, dict[str, float]]:
    """Presses Train. Returns the folder of the job, and the seconds until its worker was being started,
    had reported, had drawn an image, and until that was visible."""
    page.wait_for_selector(f"{_TRAIN}:not([disabled])")
    _settle(page)
    before = set(folders(runs))
    page.evaluate("watched.awaitImage", [IMAGE, None])
    page.click(_TRAIN)
    _until(lambda: set(folders(runs)) > before, "accepted the job")
    (folder,) = set(folders(runs)) - before
    start = _until(lambda: _active(folder).state != "queued", "started a worker")
    reported = _until(lambda: bool(_active(folder).pid), "got a report from its worker")
    drawn = _until(lambda: bool(_active(folder) and history.samples(folder)), "got an image")
    page.wait_for_function("watched.pictured !== null")
    pressed, seen = (t / 1000 for t in page.evaluate("[watched.pressed, watched.pictured]"))
    return folder, {
        "press_to_start": start - pressed,
        "start_to_worker": reported - start,
        "start_to_file": drawn - start,
        "start_to_picture": seen - start,
        "press_to_picture": seen - pressed,
    }


def _active(folder: Path) -> Status:
    """The status of the job. TrainingError if it is over, which here it should not be."""
    status = read_status(folder)
    if not status.active:
        raise TrainingError(
            f"the training was {status.state} after {status.step:,} updates, before it had been measured: "
            f"{status.message or 'it was too fast; take fewer --seconds'}"
        )
    return status


def _stop(page: Any, folder: Path) -> dict[str, float]:
    """Presses Stop. Returns the seconds until the status said so and until the process was gone."""
    pid = _active(folder).pid
    page.click(_STOP)
    # the worker writes the status before it ends
    stopped = _until(lambda: read_status(folder).state == "stopped", "stopped the training")
    # a dead process exists until its parent reaps it, a tenth of a second at most
    gone = _until(lambda: not processes.exists(pid), "ended the worker")
    pressed = page.evaluate("watched.pressed") / 1000
    return {"press_to_stopped": stopped - pressed, "press_to_gone": gone - pressed}


def _poll_while(page: Any, connection: Connection, wait: Callable[[], T]) -> tuple[list[Poll], T]:
    """The polls of the page while ``wait`` waited, and what that returned. ConfigError if there was none."""
    already = len(connection.polls)
    result = wait()
    page.wait_for_timeout(100)  # what the browser has reported meanwhile comes in now
    polls = connection.polls[max(_LOADING, already) :]
    if not polls:
        raise ConfigError("the page has not polled; take more --seconds")
    return polls, result


def _replay(page: Any, connection: Connection, blank: str, seconds: float) -> list[Poll]:
    """The polls of a viewer whose browser draws nothing, one a second, with the messages of the viewer
    before. ConfigError if the server answered them in another way. ``blank``: an address without an app."""
    while not connection.poll:
        page.wait_for_timeout(100)
    messages = {
        "opening": list(connection.opening),
        "poll": list(connection.poll),
        "protocols": connection.protocols[:2],
        "count": round(seconds) + _LOADING,
    }
    page.goto(blank)
    page.evaluate(_REPLAY, messages)
    polls = connection.polls[_LOADING:]
    if not polls or min(poll.bytes for poll in polls) <= 2_000:
        raise ConfigError(
            "the server did not answer a replayed poll as it answers a page; the benchmark is outdated"
        )
    return polls


def _speeds(folder: Path, seconds: float) -> list[float]:
    """Updates per second in each slice of the time, by the worker's own count and clock."""
    count = max(1, round(seconds / _SLICE))
    seen = [_active(folder)]
    for _ in range(count):
        time.sleep(seconds / count)
        seen.append(_active(folder))
    return [
        (b.step - a.step) / (b.updated - a.updated)
        for a, b in itertools.pairwise(seen)
        if b.updated > a.updated
    ]


def spread(values: list[float]) -> dict[str, Any]:
    """Median, extremes and 95th percentile, to a tenth."""
    p95 = statistics.quantiles(values, n=20, method="inclusive")[-1] if values[1:] else values[0]
    return {**pages.summary(values, digits=1), "p95": round(p95, 1)}


def describe(result: dict[str, Any]) -> str:
    """The figures of `watch` for people."""
    first, stop = result["first_sample_seconds"], result["stop_seconds"]
    speeds = result["training_updates_per_second"]
    rows = (
        ("Train to the start of a worker", first["press_to_start"], "s"),
        ("start of a worker to its first report", first["start_to_worker"], "s"),
        ("start of a worker to the first file", first["start_to_file"], "s"),
        ("start of a worker to the first image", first["start_to_picture"], "s"),
        ("Train to the first image", first["press_to_picture"], "s"),
        ("Stop to the status", stop["press_to_stopped"], "s"),
        ("Stop to the end of the worker", stop["press_to_gone"], "s"),
        ("a poll while it trains, not drawn", result["light_rerun_milliseconds"], "ms"),
        ("the same, drawn on the same cores", result["rerun_milliseconds"], "ms"),
        ("a poll while it is paused", result["idle_rerun_milliseconds"], "ms"),
        ("size of a poll while it trains", result["rerun_kilobytes"], "kB"),
        ("updates, with the page closed", speeds["alone"], "1/s"),
        ("updates, while it is watched", speeds["watched"], "1/s"),
    )
    return pages.report(result, rows, f"; {result['source']} digits")
