"""How fast the latent pad is, measured where it is used: in a browser, on the real app, with a real drag.

Frames are pictures of the large digit that were drawn while a mouse with its button down moves over the pad, as
fast as the browser takes its moves; each draws every picture of the wall as well. What goes over the websocket
meanwhile is counted by the browser. Needs what `benchmarks.pages` needs; nothing here passes or fails.
"""

from __future__ import annotations

import os
import time
from typing import Any

from benchmarks import pages
from gan.browser import scripts
from gan.errors import ConfigError
from gan.evaluation import classifier
from gan.zoo import cards

PAD = ".st-key-playground .playground"
PLANE = f"{PAD} .pad-plane"
MODEL = "mnist-6000-updates-plain"
LINK = "?lang=en&size=6000&budget=updates"
#: Training images of the wall that is measured: 4 sizes, each of 4 latents.
WALL = ("200", "600", "6,000", "60,000")
_PATIENCE = 60_000.0  # milliseconds


def pad(rounds: int = 3, seconds: float = 3.0) -> dict[str, Any]:
    """Opens the Explore page ``rounds`` times with an empty browser, and each time drags for ``seconds`` over the
    pad alone and over a wall of 4 x 4."""
    if not 1 <= rounds <= 100:
        raise ConfigError(f"rounds={rounds} must be from 1 to 100")
    if not 0.5 <= seconds <= 60:
        raise ConfigError(f"seconds={seconds:g} must be from 0.5 to 60")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    taken: dict[str, list[float]] = {}
    with pages.browser() as chromium, pages.serve() as address:
        pages.wait_until_up(address)
        for _ in range(rounds):
            for name, value in _round(chromium, address, seconds).items():
                taken.setdefault(name, []).append(value)
    return {
        **{name: pages.summary(values) for name, values in taken.items()},
        "bytes": sizes(),
        "seconds": seconds,
        "load_average_before": load,
        **pages.machine(),
    }


def _round(chromium: Any, address: str, seconds: float) -> dict[str, float]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        weights: list[str] = []
        page.on("request", lambda r: weights.append(r.url) if "/app/static/" in r.url else None)
        messages: list[float] = []
        page.on("websocket", lambda socket: count_messages(socket, messages))
        taken = {"live_seconds": open_pad(page, f"{address}/{LINK}")}
        show_columns(page, ("6,000",))
        taken |= {f"pad_{k}": v for k, v in drag(page, seconds, messages).items()}
        show_columns(page, WALL)
        taken |= {f"wall_{k}": v for k, v in drag(page, seconds, messages).items()}
        weights.clear()
        taken["live_again_seconds"] = open_pad(page, f"{address}/{LINK}")
        taken["files_again"] = float(len([url for url in weights if url.endswith(".safetensors")]))
        return taken
    finally:
        context.close()


def count_messages(socket: Any, times: list[float]) -> None:
    """Adds the time of every message of a websocket, either way, to ``times``."""
    for event in ("framesent", "framereceived"):
        socket.on(event, lambda _: times.append(time.monotonic()))


def open_pad(page: Any, address: str) -> float:
    """Opens the page; seconds until the pad has drawn its first picture. Returns when the page's
    script has run."""
    started = time.monotonic()
    page.goto(address)
    page.wait_for_selector(PLANE, timeout=_PATIENCE)
    page.wait_for_function(f"() => {{ {FIND} return find()?.stats.draws > 0; }}", timeout=_PATIENCE)
    seconds = time.monotonic() - started
    page.wait_for_selector("[data-test-script-state=notRunning]", timeout=_PATIENCE)
    return seconds


#: The pad lies below a shadow root, where a selector of the document does not reach.
FIND = """const find = () => {
    for (const host of document.querySelectorAll(".st-key-playground *"))
        if (host.shadowRoot?.querySelector(".playground")) return host.shadowRoot.querySelector(".playground");
};"""


def show_columns(page: Any, wanted: tuple[str, ...]) -> None:
    """Leaves just these columns in the wall, and waits until they are drawn."""
    for chip in page.locator(f"{PAD} .chip").all():
        pressed = chip.get_attribute("aria-pressed") == "true"
        if pressed != (chip.inner_text() in wanted) and chip.is_enabled():
            chip.click()
    wait_for_wall(page)


def wait_for_wall(page: Any) -> None:
    """Returns when every column of the wall is drawn, or says why not."""
    page.wait_for_function(
        f"() => {{ {FIND} return !find().querySelector('[aria-busy]'); }}", timeout=_PATIENCE
    )


def drag(page: Any, seconds: float, messages: list[float], settle: float = 1.5) -> dict[str, float]:
    """After ``settle`` seconds, drags over the pad: frames a second, milliseconds of one, websocket messages either way, and the
    milliseconds from letting go until the address bar says so."""
    plane = page.locator(PLANE)
    plane.scroll_into_view_if_needed()
    page.wait_for_timeout(settle * 1000)  # what was asked for before has come
    box = plane.bounding_box()
    left, top, side = box["x"], box["y"], box["width"]
    page.mouse.move(left + side / 2, top + side / 2)
    page.mouse.down()
    page.mouse.move(left + side / 3, top + side / 3)
    before, begun = stats(page), len(messages)
    until = time.monotonic() + seconds
    step = 0
    while time.monotonic() < until:
        step += 1
        # a path that does not come back to where it was soon
        across, down = step * 3 % (side - 20), step * 2 % (side - 20)
        page.mouse.move(left + 10 + across, top + 10 + down)
    after, sent = stats(page), len(messages) - begun
    address = page.url
    released = time.monotonic()
    page.mouse.up()
    page.wait_for_function("before => location.href !== before", arg=address, timeout=_PATIENCE)
    echo = (time.monotonic() - released) * 1000
    draws = after["draws"] - before["draws"]
    return {
        "frames_per_second": draws / ((after["now"] - before["now"]) / 1000),
        "frame_milliseconds": (after["milliseconds"] - before["milliseconds"]) / max(draws, 1),
        "messages": float(sent),
        "release_milliseconds": echo,
    }


def stats(page: Any) -> dict[str, float]:
    """What the pad counts: draws, the milliseconds they took, simd; and the browser's clock now."""
    found: dict[str, float] = page.evaluate(
        f"() => {{ {FIND} return {{...find().stats, now: performance.now()}}; }}"
    )
    return found


def sizes() -> dict[str, int]:
    """Bytes that one model takes: its weights, the script and style of the pad, and, once for all models, the classifier."""
    card = cards.find(MODEL, cards.list_models(runs=None))
    script = scripts.bundle_script("pad_component") + scripts.style("base", "playground")
    return {
        "weights": card.path.stat().st_size,
        "script": len(script.encode()),
        "classifier": classifier.weights_file("classifier").stat().st_size,
    }


def describe(result: dict[str, Any]) -> str:
    """The figures of `pad` for people."""
    load = result["load_average_before"]
    busy = "" if load is None else f", load {load:.2f} before"
    lines = [
        f"on {result['machine']}, Python {result['python']}{busy}; drags of {result['seconds']:g} s"
    ]
    for key, name, unit in (
        ("live_seconds", "address to the first live picture", "s"),
        ("live_again_seconds", "the same, opened again", "s"),
        ("pad_frames_per_second", "pictures while dragging, pad", "1/s"),
        ("pad_frame_milliseconds", "one of them takes", "ms"),
        ("pad_messages", "websocket messages meanwhile", ""),
        ("wall_frames_per_second", "walls of 4 x 4 while dragging", "1/s"),
        ("wall_frame_milliseconds", "one of them takes", "ms"),
        ("wall_messages", "websocket messages meanwhile", ""),
        ("pad_release_milliseconds", "letting go to the new address", "ms"),
        ("files_again", "weights fetched when opened again", ""),
    ):
        row = result[key]
        lines.append(
            f"{name:38} median {row['median']:7.2f} {unit:4} "
            f"({row['min']:.2f} to {row['max']:.2f}, n = {row['n']})"
        )
    one = result["bytes"]
    lines.append(
        f"one model: {one['weights']:,} bytes of weights, {one['script']:,} of script and style; the classifier {one['classifier']:,}"
    )
    return "\n".join(lines)
