"""How fast the app answers, measured where it matters: in a browser, on the real server.

Needs playwright (requirements-dev.txt) and a Chromium on the machine. Times are wall time on the
machine at hand; nothing here passes or fails.
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
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan.errors import ConfigError
from gan.system import processes

APP = Path(__file__).resolve().parent.parent / "streamlit_app.py"
GRID = ".st-key-grid img"  # the generated digits on the Explore page
SLIDER = ".st-key-size input"
_PATIENCE = 60.0  # seconds until a step counts as failed
_BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_browser() -> str:
    """Path of a Chromium or Chrome: ``$CHROMIUM``, or the first on the PATH. ConfigError if none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    candidates = [os.environ.get("CHROMIUM"), *map(shutil.which, names)]
    found = next((c for c in candidates if c), None)
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
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=find_browser(), headless=True, args=list(_BROWSER_FLAGS)
        )
        try:
            yield opened
        finally:
            opened.close()


@contextlib.contextmanager
def serve(environment: dict[str, str] | None = None, folder: Path | None = None) -> Iterator[str]:
    """The app on a free port of this machine, as a child process; yields its address at once, while it
    is still starting. The process is gone when the block is left. ``folder``: where it runs, and so
    where its ``runs/`` and, unless ``GAN_DATA`` says otherwise, its data lie; by default the app's own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(APP)]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    command += ["--server.headless", "true"]
    # elsewhere, its children would not find the package
    paths = os.pathsep.join(filter(None, [str(APP.parent), os.environ.get("PYTHONPATH")]))
    environment = {"PYTHONPATH": paths, **(environment or {})}
    with processes.background(command, folder or APP.parent, environment):
        yield f"http://127.0.0.1:{port}"


def wait_until_up(address: str) -> None:
    """Returns when the server answers. ConfigError after a minute without an answer."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.02)
    raise ConfigError(f"the app did not answer on {address} within {_PATIENCE:.0f} s")


def app(rounds: int) -> dict[str, Any]:
    """Seconds from starting the server to the first digits in the browser, and from a key press on
    the data-size slider to other digits: ``rounds`` starts, and two changes on each."""
    if not 1 <= rounds <= 100:
        raise ConfigError(f"rounds={rounds} must be from 1 to 100")
    starts, changes = [], []
    with browser() as chromium:
        for _ in range(rounds):
            started = time.monotonic()
            with serve() as address:
                wait_until_up(address)
                page = chromium.new_page(viewport={"width": 1280, "height": 900})
                page.goto(f"{address}/?lang=en&size=6000")
                page.wait_for_selector(GRID, timeout=_PATIENCE * 1000)
                starts.append(time.monotonic() - started)
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(1500)
                for key in ("ArrowLeft", "ArrowRight"):
                    changes.append(_change_size(page, key))
                page.close()
    return {
        "start_seconds": summary(starts),
        "size_change_seconds": summary(changes),
        **machine(),
    }


def _change_size(page: Any, key: str) -> float:
    """Seconds from the key press to another picture, by the browser's own clock."""
    before = page.get_attribute(GRID, "src")
    page.focus(SLIDER)
    page.evaluate(
        """([selector, before]) => {
            window.changed = null;
            const begun = {};
            addEventListener("keydown", () => { begun.at = performance.now(); },
                             {capture: true, once: true});
            const look = () => {
                const image = document.querySelector(selector);
                if (image && image.src !== before && image.complete)
                    window.changed = performance.now() - begun.at;
                else requestAnimationFrame(look);
            };
            requestAnimationFrame(look);
        }""",
        [GRID, before],
    )
    page.keyboard.press(key)
    page.wait_for_function("window.changed !== null", timeout=_PATIENCE * 1000)
    seconds = float(page.evaluate("window.changed")) / 1000
    page.wait_for_timeout(1500)  # let the rest of the page settle before the next one
    return seconds


def machine() -> dict[str, str]:
    """On what the figures of a result were measured."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }


def summary(values: list[float]) -> dict[str, Any]:
    """How a result tells several measurements of the same thing."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "n": len(values),
    }


def describe(result: dict[str, Any]) -> str:
    """The figures of `app` for people."""
    lines = [f"on {result['machine']}, Python {result['python']}"]
    for key, name in (
        ("start_seconds", "start of the app to first digits"),
        ("size_change_seconds", "key press on the size to other digits"),
    ):
        row = result[key]
        lines.append(
            f"{name:38} median {row['median']:.2f} s  "
            f"({row['min']:.2f} to {row['max']:.2f}, n = {row['n']})"
        )
    return "\n".join(lines)
