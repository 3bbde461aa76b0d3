"""How fast the latent pad is, measured in a real browser on the real app, with a real drag.

A mouse with its button down moves over the pad, as fast as the browser accepts its moves. Each frame draws the
large digit and every image of the wall (the same latents for several amounts of training data). The messages on
the websocket are counted meanwhile.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks import pages
from gan.browser import scripts
from gan.evaluation import classifier
from gan.zoo import cards

PAD = ".st-key-playground .playground"
PLANE = f"{PAD} .pad-plane"
MODEL = "mnist-6000-updates-plain"
LINK = "?lang=en&size=6000&budget=updates"
#: The columns of the wall that is measured: 4 amounts of training data, each with 4 latents.
WALL = ("200", "600", "6,000", "60,000")


def pad(rounds: int, seconds: float) -> dict[str, Any]:
    """Opens the Explore page ``rounds`` times in an empty browser. Each time it drags for ``seconds`` over the
    pad alone, and again with a wall of 4 x 4."""
    about = pages.machine()
    with pages.browser() as chromium, pages.serve() as address:
        taken = [_round(chromium, f"{address}/{LINK}", seconds) for _ in range(rounds)]
    return {**pages.summaries(taken), "bytes": sizes(), "seconds": seconds, **about}


def _round(chromium: Any, address: str, seconds: float) -> dict[str, float]:
    with pages.new_page(chromium) as page:
        weights: list[str] = []
        page.on("request", lambda r: weights.append(r.url) if "/app/static/" in r.url else None)
        messages: list[float] = []
        page.on("websocket", lambda socket: count_messages(socket, messages))
        taken = {"live_seconds": open_pad(page, address)}
        show_columns(page, ("6,000",))
        taken |= {f"pad_{k}": v for k, v in drag(page, seconds, messages).items()}
        show_columns(page, WALL)
        taken |= {f"wall_{k}": v for k, v in drag(page, seconds, messages).items()}
        weights.clear()
        taken["live_again_seconds"] = open_pad(page, address)
        taken["files_again"] = float(sum(url.endswith(".safetensors") for url in weights))
        return taken


def count_messages(socket: Any, times: list[float]) -> None:
    """Appends the time of every message of a websocket, in both directions, to ``times``."""
    for event in ("framesent", "framereceived"):
        socket.on(event, lambda _: times.append(time.monotonic()))


def open_pad(page: Any, address: str) -> float:
    """Opens the page; seconds until the pad has drawn its first image. Returns when the page's
    script has run."""
    started = time.monotonic()
    page.goto(address)
    page.wait_for_selector(PLANE)
    page.wait_for_function(f"() => {{ {FIND} return find()?.stats.draws > 0; }}")
    seconds = time.monotonic() - started
    page.wait_for_selector(pages.SETTLED)
    return seconds


#: The pad lies below a shadow root, where a selector of the document does not reach.
FIND = """const find = () => {
    for (const host of document.querySelectorAll(".st-key-playground *"))
        if (host.shadowRoot?.querySelector(".playground")) return host.shadowRoot.querySelector(".playground");
};"""


def show_columns(page: Any, wanted: tuple[str, ...]) -> None:
    """Shows only these columns of the wall, and waits until they are drawn."""
    for chip in page.locator(f"{PAD} .chip").all():
        pressed = chip.get_attribute("aria-pressed") == "true"
        if pressed != (chip.inner_text() in wanted) and chip.is_enabled():
            chip.click()
    wait_for_wall(page)


def wait_for_wall(page: Any) -> None:
    """Returns when every column of the wall is drawn."""
    page.wait_for_function(f"() => {{ {FIND} return !find().querySelector('[aria-busy]'); }}")


def drag(page: Any, seconds: float, messages: list[float], settle: float = 1.5) -> dict[str, float]:
    """Drags over the pad, ``settle`` seconds from now. Returns frames per second, milliseconds of a frame, websocket
    messages in both directions, and milliseconds from the release until the address bar has changed."""
    plane = page.locator(PLANE)
    plane.scroll_into_view_if_needed()
    page.wait_for_timeout(settle * 1000)  # answers to earlier requests come before
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
        # a path that seldom meets itself
        across, down = step * 3 % (side - 20), step * 2 % (side - 20)
        page.mouse.move(left + 10 + across, top + 10 + down)
    after, sent = stats(page), len(messages) - begun
    address = page.url
    released = time.monotonic()
    page.mouse.up()
    page.wait_for_function("before => location.href !== before", arg=address)
    echo = (time.monotonic() - released) * 1000
    draws = after["draws"] - before["draws"]
    return {
        "frames_per_second": draws / ((after["now"] - before["now"]) / 1000),
        "frame_milliseconds": (after["milliseconds"] - before["milliseconds"]) / max(draws, 1),
        "messages": float(sent),
        "release_milliseconds": echo,
    }


def stats(page: Any) -> dict[str, float]:
    """The pad's counters (draws, milliseconds they took, SIMD or not) and the browser's clock."""
    found: dict[str, float] = page.evaluate(
        f"() => {{ {FIND} return {{...find().stats, now: performance.now()}}; }}"
    )
    return found


def sizes() -> dict[str, int]:
    """Bytes of the weights of one model, of the pad's script and style, and of the classifier."""
    card = cards.find(MODEL, cards.list_models(runs=None))
    script = scripts.bundle_script("pad_component") + scripts.style("base", "playground")
    return {
        "weights": card.path.stat().st_size,
        "script": len(script.encode()),
        "classifier": classifier.weights_file("classifier").stat().st_size,
    }


def describe(result: dict[str, Any]) -> str:
    """The figures of `pad` for people."""
    one = result["bytes"]
    rows = (
        ("address to the first live image", "live_seconds", "s"),
        ("the same, opened again", "live_again_seconds", "s"),
        ("images while dragging, pad alone", "pad_frames_per_second", "1/s"),
        ("time to draw one", "pad_frame_milliseconds", "ms"),
        ("websocket messages meanwhile", "pad_messages", ""),
        ("walls of 4 x 4 while dragging", "wall_frames_per_second", "1/s"),
        ("time to draw one", "wall_frame_milliseconds", "ms"),
        ("websocket messages meanwhile", "wall_messages", ""),
        ("release of the mouse to the address", "pad_release_milliseconds", "ms"),
        ("weights fetched when opened again", "files_again", ""),
    )
    figures = [(name, result[key], unit) for name, key, unit in rows]
    return (
        pages.report(result, figures, f"; drags of {result['seconds']:g} s") + "\n"
        f"one model: {one['weights']:,} bytes of weights, {one['script']:,} of script and style; the classifier "
        f"{one['classifier']:,}"
    )
