"""How fast the app answers, measured in a real browser on the real server; and what other measurements
and tests need to start both.

Needs playwright (requirements-dev.txt) and a Chromium on the machine. Times are wall time on the
machine at hand.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gan.errors import ConfigError
from gan.system import processes

APP = Path(__file__).resolve().parent.parent / "streamlit_app.py"
GRID = ".st-key-grid img"  # the generated digits on the Explore page
SLIDER = ".st-key-size input"
SETTLED = "[data-test-script-state=notRunning]"  # the page's script has run
PATIENCE = 120.0  # seconds until a step counts as failed
#: Runs before anything of a page: notes when a key or button was pressed last, and when another image appeared,
#: in milliseconds since 1970.
_LISTEN = """
(() => {
    const now = () => performance.timeOrigin + performance.now();
    const watched = window.watched = {pressed: null, pictured: null};
    for (const event of ["click", "keydown"])
        addEventListener(event, () => { watched.pressed = now(); }, {capture: true});
    watched.awaitImage = ([selector, before]) => {
        watched.pictured = null;
        const check = () => {
            const image = document.querySelector(selector);
            if (image?.complete && image.src !== before) watched.pictured = now();
            else requestAnimationFrame(check);
        };
        check();
    };
})();
"""


def find_browser() -> str:
    """Path of a Chromium or Chrome: ``$CHROMIUM``, or the first on the PATH. ConfigError if none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise ConfigError("no Chromium was found; install one, or name it in CHROMIUM")
    return found


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless playwright browser. ConfigError where playwright or the browser is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError(
            "playwright is needed to drive the browser; run: pip install -r requirements-dev.txt"
        ) from error
    flags = ["--disable-gpu", "--disable-quic"]
    with (
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=find_browser(), args=flags) as opened,
    ):
        yield opened


def new_page(chromium: Any) -> Any:
    """A page of another visitor, with an empty browser."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE * 1000)
    page.add_init_script(_LISTEN)
    return page


@contextlib.contextmanager
def serve(environment: dict[str, str] | None = None, folder: Path = APP.parent) -> Iterator[str]:
    """Starts the app on a free port of this machine, as a child process, and yields its address when it
    answers. The process ends with the block. ``folder``: its working directory, which has ``runs/`` and,
    unless ``GAN_DATA`` names another folder, the data. ConfigError if it does not answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(APP)]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    command += ["--server.headless", "true"]
    address = f"http://127.0.0.1:{port}"
    # in another folder its children would not find the package
    environment = processes.python_path() | (environment or {})
    with processes.background(command, folder, environment):
        _wait_until_up(address)
        yield address


def _wait_until_up(address: str) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with (
            contextlib.suppress(OSError),  # and urllib's URLError, which is one
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1),
        ):
            return
        time.sleep(0.02)
    raise ConfigError(f"the app did not answer on {address} within {PATIENCE:.0f} s")


def app(rounds: int) -> dict[str, Any]:
    """Seconds from starting the server to the first digits in the browser, and from a key press on
    the slider of the data size to other digits: ``rounds`` starts, with two changes each."""
    about = machine()
    starts, changes = [], []
    with browser() as chromium:
        for _ in range(rounds):
            started = time.monotonic()
            with serve() as address, new_page(chromium) as page:
                page.goto(f"{address}/?lang=en&size=6000")
                page.wait_for_selector(GRID)
                starts.append(time.monotonic() - started)
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(1500)
                changes += [_change_size(page, key) for key in ("ArrowLeft", "ArrowRight")]
    return {"start_seconds": summary(starts), "size_change_seconds": summary(changes), **about}


def _change_size(page: Any, key: str) -> float:
    """Seconds from the key press to another image, by the browser's own clock."""
    page.focus(SLIDER)
    page.evaluate("watched.awaitImage", [GRID, page.get_attribute(GRID, "src")])
    page.keyboard.press(key)
    page.wait_for_function("watched.pictured !== null")
    seconds = float(page.evaluate("watched.pictured - watched.pressed")) / 1000
    page.wait_for_timeout(1500)  # let the rest of the page settle before the next one
    return seconds


def machine() -> dict[str, Any]:
    """The machine on which a result is measured, and its load before."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "load_average_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def summary(values: list[float], digits: int = 3) -> dict[str, Any]:
    """Several measurements of the same thing."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "n": len(values),
    }


def summaries(rows: list[dict[str, float]]) -> dict[str, Any]:
    """A `summary` of each column of a table."""
    return {name: summary([row[name] for row in rows]) for name in rows[0]}


def report(
    result: dict[str, Any], rows: Sequence[tuple[str, dict[str, Any], str]], note: str = ""
) -> str:
    """A result for people: its `machine`, a ``note``, and a `line` of each row."""
    load = result["load_average_before"]
    busy = "" if load is None else f", load {load:.2f} before"
    heading = f"on {result['machine']}, Python {result['python']}{busy}{note}"
    return "\n".join([heading, *(line(*row) for row in rows)])


def line(name: str, row: dict[str, Any], unit: str) -> str:
    """One figure for people, from a `summary`."""
    p95 = f"p95 {row['p95']:,.2f}, " if "p95" in row else ""
    return (
        f"{name:38} median {row['median']:9,.2f} {unit:8} "
        f"({p95}{row['min']:,.2f} to {row['max']:,.2f}, n = {row['n']})"
    )


def describe(result: dict[str, Any]) -> str:
    """The figures of `app` for people."""
    rows = (
        ("start of the app to first digits", result["start_seconds"], "s"),
        ("key press on the size to other digits", result["size_change_seconds"], "s"),
    )
    return report(result, rows)
