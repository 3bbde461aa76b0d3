"""What the Train page promises, measured: a real training, watched in a real browser on the real server.

How soon the first picture is there, what it takes to look on while the machine is busy, how soon a
training has stopped, and what being looked at costs it. Times are wall time on the machine at hand,
which the browser shares with the rest; nothing here passes or fails. Needs what `benchmarks.pages` needs.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import pages
from gan.data import mnist
from gan.errors import ConfigError, TrainingError
from gan.jobs import history, state, worker
from gan.jobs.folder import WORKER_LOCK, Control, folders, write_control
from gan.jobs.state import Status
from gan.system import locks
from gan.zoo import cards

SOURCES = ("drawn", "mnist")
PICTURE = ".st-key-live img"  # what the training has drawn last
_TRAIN, _PAUSE, _RESUME, _STOP = (
    f".st-key-{key} button" for key in ("train_go", "job_pause", "job_resume", "job_stop")
)
_SETTLED = "[data-test-script-state=notRunning]"
_UPDATES = 100_000  # more than fit into the time; it is stopped in the end
_PATIENCE = 120.0  # seconds until a step counts as failed
_LOADING = 2  # polls that a page makes while it is still being built, and that are left out
_SLICE = 5.0  # seconds over which one figure of the training's speed is taken
_POLL = 0.005
#: Numbers of protobuf fields and values, as Streamlit's ForwardMsg.proto, BackMsg.proto and
#: ClientState.proto number them: the server's word that a run is over (6), which says 3 of a fragment's
#: run that went well; the browser's wish for a run (11), which says in its field 6 whether a timer asked
#: for it, as the polling fragment's does, and no click. A test compares them with the installed ones.
FIELDS = {
    "script_finished": 6,
    "finished_fragment": 3,
    "rerun_script": 11,
    "is_auto_rerun": 6,
}
#: The value of a field of a protobuf message: a number, the bytes of a nested message, or undefined where
#: the message has no such field. Fields are (8 * number + kind), then what the kind says.
FIELD = """
function field(bytes, wanted) {
    let at = 0;
    const varint = () => {
        let value = 0, scale = 1;
        for (;;) {
            const byte = bytes[at++];
            value += (byte & 127) * scale;
            if (!(byte >= 128)) return value;  // also past the end of a torn message
            scale *= 128;
        }
    };
    while (at < bytes.length) {
        const key = varint(), kind = key % 8;
        let value = null;
        if (kind === 0) value = varint();
        else if (kind === 1) at += 8;
        else if (kind === 5) at += 4;
        else if (kind === 2) {
            const size = varint();
            value = bytes.subarray(at, at + size);
            at += size;
        } else return undefined;
        if (Math.floor(key / 8) === wanted) return value;
    }
    return undefined;
}
"""
#: Before anything of the page runs: listens in on its connection and writes down, for every poll, how
#: long its answer took and how many bytes that had; and when a button was pressed last.
_LISTEN = """
(() => {
    const known = FIELDS;
    FIELD_FUNCTION
    const watched = window.watched = {polls: [], late: 0, pressed: null, pictured: null};
    let asked = null, received = 0;
    const bytesOf = data =>
        ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
                                 : new Uint8Array(data);
    const heard = (data, now) => {
        const bytes = bytesOf(data);
        received += bytes.length;
        const end = field(bytes, known.script_finished);
        if (end === undefined || asked === null) return;
        if (end === known.finished_fragment)
            watched.polls.push({milliseconds: now - asked, bytes: received});
        asked = null;
    };
    const said = data => {
        if (typeof data === "string") return;
        const wish = field(bytesOf(data), known.rerun_script);
        if (!wish) return;
        const polls = field(wish, known.is_auto_rerun) === 1;
        if (polls) watched.poll = [...bytesOf(data)];
        else if (!watched.opening) watched.opening = [...bytesOf(data)];
        if (polls && asked !== null) {  // the answer to the one before is not there yet
            watched.late += 1;
            return;
        }
        received = 0;
        asked = polls ? performance.now() : null;
    };
    window.WebSocket = class extends WebSocket {
        constructor(...given) {
            super(...given);
            watched.protocols = [].concat(given[1] ?? []);
            this.addEventListener("message", event => {
                const now = performance.now();
                if (event.data instanceof Blob)
                    event.data.arrayBuffer().then(data => heard(data, now));
                else if (typeof event.data !== "string") heard(event.data, now);
            });
        }
        send(data) {
            said(data);
            super.send(data);
        }
    };
    addEventListener("click", () => { watched.pressed = Date.now(); }, {capture: true});
    watched.awaitPicture = selector => {
        watched.pictured = null;
        const look = () => {
            if (document.querySelector(selector)?.complete) watched.pictured = Date.now();
            else requestAnimationFrame(look);
        };
        look();
    };
})();
"""
#: A viewer who draws nothing, for the machine that serves is not the one that draws: opens the page as
#: the real one did, by the very same messages, polls as that did, and says how long each answer took.
_REPLAY = """
async ({opening, poll, protocols, count, pause}) => {
    const known = FIELDS;
    FIELD_FUNCTION
    const socket = new WebSocket(
        location.origin.replace("http", "ws") + "/_stcore/stream", protocols);
    socket.binaryType = "arraybuffer";
    await new Promise((opened, failed) => { socket.onopen = opened; socket.onerror = failed; });
    let bytes = 0, over = null;
    socket.onmessage = event => {
        bytes += event.data.byteLength;
        const end = field(new Uint8Array(event.data), known.script_finished);
        if (end !== undefined && over) over(end);
    };
    const ask = async message => {
        bytes = 0;
        const asked = performance.now();
        const ended = new Promise(done => { over = done; });
        socket.send(new Uint8Array(message));
        const late = new Promise((_, fail) => setTimeout(() => fail(new Error("no answer")), 30000));
        const end = await Promise.race([ended, late]);
        return {milliseconds: performance.now() - asked, bytes, fragment: end === known.finished_fragment};
    };
    await ask(opening);
    const polls = [];
    for (let n = 0; n < count; n++) {
        await new Promise(done => setTimeout(done, pause));
        polls.push(await ask(poll));
    }
    socket.close();
    return polls;
}
"""


def watch(seconds: float = 30.0, source: str = "drawn", rounds: int = 3) -> dict[str, Any]:
    """Trains and looks on: ``rounds`` trainings are started and stopped from the page; of the last one
    the polls are timed for ``seconds`` while it trains (of a viewer who draws nothing, and of one whose
    browser has to draw on the same cores) and for ``seconds`` while it is paused, and its speed is taken
    watched and, for as long, with the page closed. In a folder of its own, removed after.
    """
    if not 5 <= seconds <= 600:
        raise ConfigError(f"seconds={seconds:g} must be from 5 to 600")
    if source not in SOURCES:
        raise ConfigError(f"source={source!r} must be one of {', '.join(SOURCES)}")
    if not 1 <= rounds <= 100:
        raise ConfigError(f"rounds={rounds} must be from 1 to 100")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    environment = {
        "GAN_DATA": str(mnist.data_folder().resolve()),
        "GAN_TRAINING": "on",
        "GAN_RUNNER": "local",
    }
    environment |= {"GAN_MAX_UPDATES": str(_UPDATES), "GAN_MAX_MINUTES": "120"}
    with (
        pages.browser() as chromium,
        tempfile.TemporaryDirectory(prefix="bench-watch-") as folder,
        pages.serve(environment, Path(folder)) as address,
        _no_worker_left(Path(folder) / cards.RUNS),
    ):
        pages.wait_until_up(address)
        # one context: one visitor, who may steer what he has started also after he has come back
        page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.set_default_timeout(_PATIENCE * 1000)
        page.add_init_script(listening())
        measured = _measure(page, f"{address}/train?lang=en", Path(folder), seconds, source, rounds)
    return {**measured, "source": source, "load_average_before": load, **pages.machine()}


def listening() -> str:
    """The script that a page is to run before all others; it leaves what it hears in ``watched``."""
    return _LISTEN.replace("FIELDS", repr(FIELDS)).replace("FIELD_FUNCTION", FIELD)


def _measure(
    page: Any, address: str, folder: Path, seconds: float, source: str, rounds: int
) -> dict[str, Any]:
    runs = folder / cards.RUNS
    wish = f"{address}&source={source}&size=6000&updates={_UPDATES}"
    page.goto(wish)
    # a page that knows nothing of the machine first sees how fast it is, beside all else
    _until(lambda: (runs / worker.TIMINGS).exists(), "measured how fast this machine is")
    firsts, stops = [], []
    for seed in range(rounds):
        page.goto(f"{wish}&seed={seed}")
        started, first = _start(page, runs)
        firsts.append(first)
        if seed < rounds - 1:
            stops.append(_stop(page, started))
    _settle(page)
    polls, watched = _watch(page, started, seconds / 2)
    late = page.evaluate("watched.late")
    page.goto(f"{address}&job={started.name}")  # as a viewer comes
    _settle(page)
    page.wait_for_function("watched.poll")
    said = page.evaluate("(({opening, poll, protocols}) => ({opening, poll, protocols}))(watched)")
    page.goto(f"{address.partition('/train')[0]}/_stcore/health")
    light = _replayed(page, said, round(seconds))
    alone = _speeds(started, seconds)
    page.goto(f"{address}&job={started.name}")
    _settle(page)
    more_polls, more_watched = _watch(page, started, seconds / 2)
    late += page.evaluate("watched.late")
    page.click(_PAUSE)
    _until(lambda: _alive(started).state == "paused", "paused the training")
    page.wait_for_selector(_RESUME)
    _settle(page)
    idle = _polls(page, lambda: time.sleep(seconds))
    page.click(_RESUME)
    _until(lambda: _alive(started).state == "training", "gone on with the training")
    page.wait_for_selector(_PAUSE)
    stops.append(_stop(page, started))
    return {
        "first_sample_seconds": _columns(firsts),
        "light_rerun_milliseconds": spread([p["milliseconds"] for p in light]),
        "rerun_milliseconds": spread([p["milliseconds"] for p in polls + more_polls]),
        "idle_rerun_milliseconds": spread([p["milliseconds"] for p in idle]),
        "rerun_kilobytes": spread([p["bytes"] / 1000 for p in polls + more_polls]),
        "late_polls": late,
        "stop_seconds": _columns(stops),
        "training_updates_per_second": {
            "alone": pages.summary(alone),
            "watched": pages.summary(watched + more_watched),
        },
    }


@contextlib.contextmanager
def _no_worker_left(runs: Path) -> Iterator[None]:
    """Workers outlive their server by design; these must not outlive the block."""
    try:
        yield
    finally:
        working = [f for f in folders(runs) if locks.is_locked(f / WORKER_LOCK)]
        for folder in working:
            write_control(folder, Control("stop"))
        until = time.monotonic() + 10.0
        for folder in working:
            while locks.is_locked(folder / WORKER_LOCK) and time.monotonic() < until:
                time.sleep(0.05)


def _until(happened: Callable[[], bool], what: str) -> float:
    """The time (seconds since 1970, like a browser's clock) at which it has happened."""
    until = time.monotonic() + _PATIENCE
    while not happened():
        if time.monotonic() > until:
            raise ConfigError(f"the app has not {what} within {_PATIENCE:.0f} s; is it busy?")
        time.sleep(_POLL)
    return time.time()


def _settle(page: Any) -> None:
    """Until what the page was asked for last is on it."""
    page.wait_for_selector(_SETTLED)
    page.wait_for_timeout(1_000)


def _start(page: Any, runs: Path) -> tuple[Path, dict[str, float]]:
    """Presses Train. Returns the folder of the job, and the seconds until its worker was being started,
    could speak, had drawn a picture, and that was seen."""
    page.wait_for_selector(f"{_TRAIN}:not([disabled])")
    _settle(page)
    before = set(folders(runs))
    page.evaluate("selector => watched.awaitPicture(selector)", PICTURE)
    page.click(_TRAIN)
    _until(lambda: set(folders(runs)) > before, "taken the job")
    (folder,) = set(folders(runs)) - before

    def began(pid_known: bool) -> bool:
        status = _alive(folder)
        return status.state != "queued" and bool(status.pid or not pid_known)

    start = _until(lambda: began(False), "started a worker")
    spoke = _until(lambda: began(True), "heard of its worker")
    drawn = _until(lambda: bool(_alive(folder) and history.samples(folder)), "got a picture")
    page.wait_for_function("watched.pictured !== null")
    pressed, seen = (t / 1000 for t in page.evaluate("[watched.pressed, watched.pictured]"))
    return folder, {
        "press_to_start": start - pressed,
        "start_to_worker": spoke - start,
        "start_to_file": drawn - start,
        "start_to_picture": seen - start,
        "press_to_picture": seen - pressed,
    }


def _alive(folder: Path) -> Status:
    """How the job stands. TrainingError where it is over, which here it should not be."""
    status = state.read_status(folder)
    if not status.active:
        raise TrainingError(
            f"the training was {status.state} after {status.step:,} updates, before it had been measured: "
            f"{status.message or 'it was too fast; take fewer --seconds'}"
        )
    return status


def _stop(page: Any, folder: Path) -> dict[str, float]:
    """Presses Stop. Returns the seconds until the status said so and until the process was gone."""
    pid = _alive(folder).pid
    page.click(_STOP)
    moments: dict[str, float] = {}

    def both() -> bool:
        if "press_to_stopped" not in moments and state.read_status(folder).state == "stopped":
            moments["press_to_stopped"] = time.time()
        if "press_to_gone" not in moments and not _is_there(pid):
            moments["press_to_gone"] = time.time()
        return len(moments) == 2

    _until(both, "stopped the training")
    pressed = page.evaluate("watched.pressed") / 1000
    return {key: moments[key] - pressed for key in ("press_to_stopped", "press_to_gone")}


def _is_there(pid: int) -> bool:
    """Whether the process exists. A dead one does until its parent looks, a tenth of a second at most."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _watch(page: Any, folder: Path, seconds: float) -> tuple[list[dict[str, float]], list[float]]:
    """The polls of the page and the speeds of the training meanwhile."""
    speeds: list[float] = []
    polls = _polls(page, lambda: speeds.extend(_speeds(folder, seconds)))
    return polls, speeds


def _polls(page: Any, wait: Callable[[], None]) -> list[dict[str, float]]:
    """What the page has heard while ``wait`` waited. ConfigError where that was nothing."""
    already = page.evaluate("watched.polls.length")
    wait()
    heard: list[dict[str, float]] = page.evaluate("watched.polls")[max(_LOADING, already) :]
    if not heard:
        raise ConfigError("the page has not polled; take more --seconds")
    return heard


def _replayed(page: Any, said: dict[str, Any], count: int) -> list[dict[str, float]]:
    """The polls of a viewer who draws nothing, one a second. ConfigError where the server did not take
    them for what they are."""
    script = _REPLAY.replace("FIELDS", repr(FIELDS)).replace("FIELD_FUNCTION", FIELD)
    asked = {**said, "protocols": said["protocols"][:2], "count": count + _LOADING, "pause": 1_000}
    polls: list[dict[str, float]] = page.evaluate(script, asked)[_LOADING:]
    if not all(p["fragment"] and p["bytes"] > 2_000 for p in polls):
        raise ConfigError(
            "the server has answered a poll with something else; the bench is outdated"
        )
    return polls


def _speeds(folder: Path, seconds: float) -> list[float]:
    """Updates a second of each slice of the time, by the worker's own account and clock."""
    count = max(1, round(seconds / _SLICE))
    seen = [_alive(folder)]
    for _ in range(count):
        time.sleep(seconds / count)
        seen.append(_alive(folder))
    return [
        (b.step - a.step) / (b.updated - a.updated)
        for a, b in itertools.pairwise(seen)
        if b.updated > a.updated
    ]


def spread(values: list[float]) -> dict[str, Any]:
    """Median, 95th percentile and extremes, to a tenth."""
    ordered = sorted(values)
    p95 = statistics.quantiles(ordered, n=20, method="inclusive")[-1] if values[1:] else values[0]
    return {
        "median": round(statistics.median(ordered), 1),
        "p95": round(p95, 1),
        "min": round(ordered[0], 1),
        "max": round(ordered[-1], 1),
        "n": len(ordered),
    }


def _columns(rows: list[dict[str, float]]) -> dict[str, Any]:
    return {name: pages.summary([row[name] for row in rows]) for name in rows[0]}


def describe(result: dict[str, Any]) -> str:
    """The figures of `watch` for people."""
    load = result["load_average_before"]
    busy = "" if load is None else f", load {load:.2f} before"
    lines = [f"on {result['machine']}, Python {result['python']}{busy}; {result['source']} digits"]
    for part, key, name in (
        ("first_sample_seconds", "press_to_start", "Train to the start of a worker"),
        ("first_sample_seconds", "start_to_worker", "start of a worker to its first word"),
        ("first_sample_seconds", "start_to_file", "start of a worker to the first sample"),
        ("first_sample_seconds", "start_to_picture", "start of a worker to the first picture"),
        ("first_sample_seconds", "press_to_picture", "Train to the first picture"),
        ("stop_seconds", "press_to_stopped", "Stop to the word of it"),
        ("stop_seconds", "press_to_gone", "Stop to the end of the worker"),
    ):
        row = result[part][key]
        lines.append(
            f"{name:38} median {row['median']:6.2f} s  "
            f"({row['min']:.2f} to {row['max']:.2f}, n = {row['n']})"
        )
    for part, name, unit in (
        ("light_rerun_milliseconds", "a poll while it trains, not drawn", "ms"),
        ("rerun_milliseconds", "the same, drawn on the same cores", "ms"),
        ("idle_rerun_milliseconds", "a poll while it is paused", "ms"),
        ("rerun_kilobytes", "bytes of a poll while it trains", "kB"),
    ):
        row = result[part]
        lines.append(
            f"{name:38} median {row['median']:6.1f} {unit}  "
            f"(p95 {row['p95']:.1f}, at most {row['max']:.1f}, n = {row['n']})"
        )
    speeds = result["training_updates_per_second"]
    for key, name in (("alone", "with the page closed"), ("watched", "watched")):
        row = speeds[key]
        lines.append(
            f"updates a second, {name:20} median {row['median']:6.1f}    "
            f"({row['min']:.1f} to {row['max']:.1f}, n = {row['n']})"
        )
    return "\n".join(lines)
