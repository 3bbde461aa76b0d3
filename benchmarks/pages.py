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
    """Starts the app on a free port of this machine, as a child process, and yields its address at once, while
    it is still starting. The process ends with the block. ``folder``: its working directory, which has
    ``runs/`` and, unless ``GAN_DATA`` names another folder, the data; by default the checkout."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(APP)]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    command += ["--server.headless", "true"]
    # in another folder its children would not find the package
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
    the slider of the data size to other digits: ``rounds`` starts, with two changes each."""
    about = machine()
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
    return {"start_seconds": summary(starts), "size_change_seconds": summary(changes), **about}


def _change_size(page: Any, key: str) -> float:
    """Seconds from the key press to another image, by the browser's own clock."""
    before = page.get_attribute(GRID, "src")
    page.focus(SLIDER)
    page.evaluate(
        """([selector, before]) => {
            window.changed = null;
            const begun = {};
            addEventListener("keydown", () => { begun.at = performance.now(); },
                             {capture: true, once: true});
            const check = () => {
                const image = document.querySelector(selector);
                if (image && image.src !== before && image.complete)
                    window.changed = performance.now() - begun.at;
                else requestAnimationFrame(check);
            };
            requestAnimationFrame(check);
        }""",
        [GRID, before],
    )
    page.keyboard.press(key)
    page.wait_for_function("window.changed !== null", timeout=_PATIENCE * 1000)
    seconds = float(page.evaluate("window.changed")) / 1000
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


def heading(result: dict[str, Any]) -> str:
    """What `machine` has found, for people."""
    load = result["load_average_before"]
    busy = "" if load is None else f", load {load:.2f} before"
    return f"on {result['machine']}, Python {result['python']}{busy}"


def line(name: str, row: dict[str, Any], unit: str) -> str:
    """One figure for people, from a `summary`."""
    p95 = f"p95 {row['p95']:,.2f}, " if "p95" in row else ""
    return (
        f"{name:38} median {row['median']:9,.2f} {unit:8} "
        f"({p95}{row['min']:,.2f} to {row['max']:,.2f}, n = {row['n']})"
    )


def describe(result: dict[str, Any]) -> str:
    """The figures of `app` for people."""
    return "\n".join(
        [
            heading(result),
            line("start of the app to first digits", result["start_seconds"], "s"),
            line("key press on the size to other digits", result["size_change_seconds"], "s"),
        ]
    )
