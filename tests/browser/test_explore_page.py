"""The app in a real browser: what AppTest cannot see."""

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks import pages, watch

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium, request):
    opened = chromium.new_page(viewport=getattr(request, "param", {"width": 1280, "height": 900}))
    yield opened
    opened.close()


def open_page(page, url):
    """Opens the address and waits until the whole page stands and takes input."""
    page.goto(url)
    page.wait_for_selector(pages.GRID)
    page.wait_for_selector("[data-test-script-state=notRunning]")
    page.wait_for_load_state("networkidle")


def test_moving_the_size_shows_other_digits(page, address):
    open_page(page, f"{address}/?lang=en&size=600")
    before = page.get_attribute(pages.GRID, "src")
    page.focus(pages.SLIDER)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "([grid, before]) => document.querySelector(grid)?.src !== before", arg=[pages.GRID, before]
    )
    page.wait_for_url("**size=1000**")
    assert "1,000 images" in page.get_attribute(pages.GRID, "alt")


def test_the_browsers_back_and_forward_go_through_what_was_shown(page, address):
    open_page(page, f"{address}/?lang=en&size=600")
    page.focus(pages.SLIDER)
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**size=1000**")
    page.wait_for_selector("[data-test-script-state=notRunning]")
    page.go_back()
    page.wait_for_selector(f"{pages.GRID}[alt*=' 600 images']")
    page.go_forward()
    page.wait_for_selector(f"{pages.GRID}[alt*=' 1,000 images']")


def test_digits_are_drawn_with_crisp_pixels(page, address):
    page.goto(f"{address}/?lang=en")
    page.wait_for_selector(pages.GRID)
    rendering = page.eval_on_selector(pages.GRID, "e => getComputedStyle(e).imageRendering")
    assert rendering == "pixelated"


def test_the_page_asks_nobody_else(page, address):
    elsewhere = []
    page.on("request", lambda r: elsewhere.append(r.url) if r.url.startswith("http") else None)
    page.goto(f"{address}/?lang=en")
    page.wait_for_selector(pages.GRID)
    page.wait_for_load_state("networkidle")
    assert [url for url in elsewhere if not url.startswith(address)] == []


@pytest.mark.parametrize("page", [{"width": 390, "height": 844}], indirect=True)
def test_a_phone_does_not_scroll_sideways(page, address):
    page.goto(f"{address}/?lang=ja")
    page.wait_for_selector(pages.GRID)
    chart = "[data-testid=stVegaLiteChart]"
    page.wait_for_selector(f"{chart} canvas, {chart} svg", state="attached")
    box = page.locator(pages.GRID).bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    widths = "['html', '[data-testid=stMain]'].map(q => document.querySelector(q).scrollWidth)"
    assert max(page.evaluate(widths)) <= 390


@pytest.fixture
def listening(page):
    """A page without an app, whose connections lead nowhere; what they are told is the test's doing."""
    page.add_init_script(
        """window.WebSocket = class extends EventTarget {
            send(data) {}
            say(bytes) {
                const data = new Uint8Array(bytes).buffer;
                this.dispatchEvent(new MessageEvent("message", {data}));
            }
        };"""
    )
    page.add_init_script(watch.listening())
    page.goto("data:text/html,<title>nothing</title>")
    page.evaluate("window.socket = new WebSocket('ws://nowhere')")
    return page


def _say(page, how, message):
    data = list(message.SerializeToString())
    if how == "send":
        page.evaluate("data => socket.send(new Uint8Array(data))", data)
    else:
        page.evaluate("data => socket.say(data)", data)
    return len(data)


def test_a_field_is_found_in_a_message(page):
    message = ForwardMsg(hash="a" * 300, script_finished=3)
    message.metadata.delta_path.extend([1, 2, 300])
    data = list(message.SerializeToString())
    find = f"([data, wanted]) => {{ {watch.FIELD} return field(new Uint8Array(data), wanted); }}"
    assert page.evaluate(find, [data, 6]) == 3
    assert len(page.evaluate(find, [data, 1])) == 300
    assert page.evaluate(find, [data, 4]) is None
    for cut in range(len(data)):  # torn anywhere, it comes to an end
        page.evaluate(find, [data[:cut], 4])


def test_a_poll_lasts_from_the_wish_to_the_end_of_its_run(listening):
    wish = BackMsg()
    wish.rerun_script.is_auto_rerun = True
    begin, end = ForwardMsg(hash="x"), ForwardMsg(script_finished=3)
    end_of_page = ForwardMsg(script_finished=0)
    _say(listening, "hear", end)  # of a run that nobody asked for
    _say(listening, "send", wish)
    listening.wait_for_timeout(50)
    size = _say(listening, "hear", begin) + _say(listening, "hear", end)
    _say(listening, "hear", end)
    (poll,) = listening.evaluate("watched.polls")
    assert poll["milliseconds"] >= 50 and poll["bytes"] == size
    _say(listening, "send", wish)
    _say(listening, "send", wish)  # before the answer to the first
    _say(listening, "hear", end_of_page)  # not a fragment's: another kind of page
    _say(listening, "hear", end)
    click = BackMsg()
    click.rerun_script.fragment_id = "somebody pressed a button"
    _say(listening, "send", click)
    _say(listening, "hear", end)
    assert len(listening.evaluate("watched.polls")) == 1
    assert listening.evaluate("watched.late") == 1
