"""The latent pad on the real page in a real browser: a drag, keys, touch, the same z everywhere, and how it fails."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import pad, pages
from gan.evaluation import classifier
from gan.networks import images
from gan.networks.latent_request import LatentRequest, Seeds, resolve_latents
from gan.zoo import cards, compare
from views.explore.state import from_query

pytestmark = pytest.mark.browser
PAD = pad.PAD
CARDS = {card.name: card for card in cards.list_models(runs=None)}
CHOSEN = pad.MODEL
WALL = ["mnist-200-updates-plain", "mnist-600-updates-plain", CHOSEN, "mnist-60000-updates-plain"]


@pytest.fixture
def page(chromium, request):
    context = chromium.new_context(**getattr(request, "param", {}))
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    yield opened
    context.close()


def open_pad(page, address, **query):
    link = {"lang": "en", "size": "6000", "budget": "updates", **query}
    pad.open_pad(page, f"{address}/?{'&'.join(f'{k}={v}' for k, v in link.items())}")
    pad.wait_for_wall(page)


def draws(page):
    return pad.stats(page)["draws"]


def pixels(page, selector):
    """What the canvases that fit show: uint8 [N, 28, 28]."""
    found = page.locator(f"{PAD} {selector} canvas").evaluate_all(
        """canvases => canvases.map(canvas => {
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return Array.from({length: data.length / 4}, (_, i) => data[4 * i]);
        })"""
    )
    return np.array(found, dtype=np.uint8).reshape(-1, 28, 28)


def drawn(name, wanted, count=4):
    """What torch draws, on the server: uint8 [count, 28, 28]. The directions are the chosen model's."""
    z = resolve_latents(wanted, count, cards.open_model(CARDS[CHOSEN]).directions)
    return images.to_uint8(cards.load(name, runs=None)(z))[..., 0]


def request_in_link(page):
    """The wanted that the address bar has."""
    page.wait_for_selector("[data-test-script-state=notRunning]")
    query = dict(part.split("=") for part in page.url.split("?")[1].split("&"))
    query = {name: value.replace("%2C", ",").replace("%3A", ":") for name, value in query.items()}
    query.pop("lang")
    state, problems = from_query(query, compare.ZOO_SIZES)
    assert problems == []
    return state.latent_request()


def close(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max() <= 1  # a grey level


@pytest.mark.alone
def test_a_drag_draws_every_move_and_sends_nothing_until_it_ends(page, address):
    messages = []
    page.on("websocket", lambda socket: pad.count_messages(socket, messages))
    open_pad(page, address)
    assert pad.stats(page)["simd"] is True
    measured = pad.drag(page, 1.0, messages)
    assert messages, "nothing was counted at all"
    assert measured["messages"] == 0
    assert measured["frames_per_second"] > 20  # 60 on a quiet machine; python -m gan bench pad
    assert any(request_in_link(page).shifts[:2])


def test_one_z_is_one_digit_in_the_pad_in_the_wall_and_on_the_server(page, address):
    open_pad(page, address, seed="11", move="0.5,-1.5,0,0,0,0,0,2", z="3:1.5", psi="0.9")
    for moved in (False, True):
        if moved:
            pad.drag(page, 0.3, [], settle=0)
        wanted = request_in_link(page)
        assert any(wanted.shifts[:2]) and wanted.rows == Seeds(11)
        columns = pixels(page, ".wall-cell:not(.rows-place):not(.gallery *)").reshape(-1, 4, 28, 28)
        assert len(columns) == len(WALL)
        for name, column in zip(WALL, columns, strict=True):
            assert close(column, drawn(name, wanted)), (name, moved)
        assert close(pixels(page, ".reading-frame")[0], drawn(CHOSEN, wanted)[0])
    # and the grid of the server begins with the seed's own picture
    assert close(
        pixels(page, ".rows-place"), drawn(CHOSEN, LatentRequest(Seeds(11), truncation=0.9))
    )


def test_the_page_says_while_dragging_which_digit_it_reads(page, address):
    open_pad(page, address)
    words = page.locator(f"{PAD} .reading-words")
    picture = torch.from_numpy(drawn(CHOSEN, LatentRequest(Seeds(0)))[:1])[:, None]
    reading = classifier.read(classifier.load_classifier(), picture)
    assert f"Reads {int(reading.digit[0])}" in words.inner_text()
    assert words.inner_text() in page.locator(f"{PAD} .reading-frame canvas").get_attribute(
        "aria-label"
    )
    plane = page.locator(pad.PLANE)
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    seen = set()
    for step in range(30):
        page.mouse.move(box["x"] + 5 + 6 * step, box["y"] + 5 + 5 * (step % 7))
        seen.add(words.inner_text())
    page.mouse.up()
    assert len(seen) > 3


def test_keys_move_the_plane_and_say_so_when_they_are_let_go(page, address):
    open_pad(page, address)
    plane = page.locator(pad.PLANE)
    plane.focus()
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    page.wait_for_url("**move=1.1%2C-0.1*")
    assert request_in_link(page).shifts[:2] == (1.1, -0.1)
    assert plane.get_attribute("aria-valuetext") == "direction 1: 1.1, direction 2: -0.1"
    page.keyboard.press("Home")
    page.wait_for_function("!location.href.includes('move=')")
    page.get_by_role("slider", name="Direction 8").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**move=0%2C0%2C0%2C0%2C0%2C0%2C0%2C0.1*")


@pytest.mark.parametrize(
    "page", [{"has_touch": True, "viewport": {"width": 390, "height": 844}}], indirect=True
)
def test_a_finger_drags_the_pad_and_not_the_page(page, address):
    open_pad(page, address)
    page.locator(pad.PLANE).scroll_into_view_if_needed()
    box = page.locator(pad.PLANE).bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    before = draws(page)
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    top = page.evaluate(scrolled)
    session = page.context.new_cdp_session(page)
    for step in range(20):
        point = {"x": box["x"] + 20 + 8 * step, "y": box["y"] + 20 + 9 * step}
        kind = "touchMove" if step else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_url("**move=*")
    assert draws(page) - before >= 10
    assert page.evaluate(scrolled) == top
    widths = "['html', '[data-testid=stMain]'].map(q => document.querySelector(q).scrollWidth)"
    assert max(page.evaluate(widths)) <= 390


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}], indirect=True)
def test_in_the_dark_words_are_light(page, address):
    open_pad(page, address)
    colour = page.locator(f"{PAD} .reading-words").evaluate("e => getComputedStyle(e).color")
    assert min(int(part) for part in colour.strip("rgb()").split(",")[:3]) > 128


@pytest.mark.parametrize("page", [{"reduced_motion": "reduce"}], indirect=True)
def test_a_walk_plays_in_few_steps_for_whoever_wants_less_motion(page, address):
    open_pad(page, address, rows="walk:3,64,0")
    page.wait_for_timeout(500)
    before = draws(page)
    page.locator(f"{PAD} .rows-walk button").click()
    page.wait_for_timeout(2000)
    assert 1 <= draws(page) - before <= 6


def test_a_walk_plays_is_let_go_and_becomes_a_gif(page, address, tmp_path):
    open_pad(page, address, rows="walk:3,64,0")
    before = draws(page)
    play = page.locator(f"{PAD} .rows-walk button")
    play.click()
    page.wait_for_timeout(700)
    play.click()
    page.wait_for_url(lambda url: "rows=walk" in url and "%2C0&" not in url)
    wanted = request_in_link(page)
    assert draws(page) - before > 10 and 0 < wanted.rows.t < 1
    assert close(pixels(page, ".reading-frame")[0], drawn(CHOSEN, wanted)[0])
    with page.expect_download() as saved:
        page.get_by_role("button", name="Interpolation (GIF)").click()
    saved.value.save_as(tmp_path / "walk.gif")
    with Image.open(tmp_path / "walk.gif") as gif:
        assert (gif.size, gif.n_frames) == ((224, 224), 46)
        first = np.asarray(gif.convert("L"))[::8, ::8]
    assert close(first, drawn(CHOSEN, LatentRequest(Seeds(3)))[0])


def test_only_sevens_are_found_and_go_into_the_wall(page, address, tmp_path):
    open_pad(page, address)
    page.locator(f"{PAD} .gallery select").select_option("7")
    page.wait_for_function(
        f"() => {{ {pad.FIND} return find().querySelectorAll('.gallery-grid button').length === 24; }}"
    )
    page.get_by_role("button", name="Use the first four as rows").click()
    page.wait_for_url("**rows=list*")
    wanted = request_in_link(page)
    reading = classifier.read(
        classifier.load_classifier(), torch.from_numpy(drawn(CHOSEN, wanted))[:, None]
    )
    assert reading.digit.tolist() == [7] * 4 and reading.confidence.min() >= 0.89
    with page.expect_download() as saved:
        page.get_by_role("button", name="z (JSON)").click()
    saved.value.save_as(tmp_path / "z.json")
    told = json.loads((tmp_path / "z.json").read_text())
    z = resolve_latents(wanted, 1, cards.open_model(CARDS[CHOSEN]).directions)[0]
    assert (
        told["sha256"] == CARDS[CHOSEN].sha256
        and LatentRequest.from_dict(told["request"]) == wanted
    )
    assert np.allclose(told["z"], z, atol=2e-5)


def test_three_pictures_are_added_and_subtracted(page, address):
    open_pad(page, address)
    page.get_by_role("button", name="Arithmetic").click()
    for place in (5, 9, 2):
        page.locator(f"{PAD} .gallery-grid button").nth(place).click()
    page.wait_for_url("**rows=sum%3A5%2C9%2C2*")
    assert close(pixels(page, ".reading-frame")[0], drawn(CHOSEN, request_in_link(page))[0])


def test_a_picture_of_the_wall_is_enlarged_and_its_neighbours_asked_for(page, address):
    open_pad(page, address)
    cells = page.locator(f"{PAD} .wall-cell:not(.rows-place):not(.gallery *)")
    cells.nth(13).click()  # the second latent of the fourth column
    near = page.locator(f"{PAD} .near")
    near.get_by_text("real images").or_(near.get_by_text("Pixel distance")).first.wait_for()
    assert close(pixels(page, ".reading-frame")[0], drawn(WALL[3], LatentRequest(Seeds(0)))[1])
    assert cells.nth(13).get_attribute("aria-pressed") == "true"
    page.locator(pad.PLANE).press("ArrowRight")
    assert near.inner_text() == ""  # of another picture now


def test_what_was_posed_is_found_again_after_the_other_page(page, address):
    open_pad(page, address)
    page.locator(pad.PLANE).press("Shift+ArrowRight")
    page.wait_for_url("**move=1*")
    page.get_by_role("link", name="Train", exact=True).first.click()
    page.wait_for_url("**/train*")
    page.wait_for_selector("[data-test-script-state=notRunning]")
    page.get_by_role("link", name="Explore", exact=True).first.click()
    page.wait_for_url("**move=1*")
    page.wait_for_function(f"() => {{ {pad.FIND} return find()?.stats.draws > 0; }}")
    assert page.get_by_role("slider", name="Direction 1", exact=True).input_value() == "1"
    assert close(pixels(page, ".reading-frame")[0], drawn(CHOSEN, request_in_link(page))[0])


def _page(route):
    route.fulfill(status=200, content_type="text/html", body="<!DOCTYPE html><html></html>")


def _cut(route):
    content = CARDS[CHOSEN].path.read_bytes()[:-1000]
    route.fulfill(status=200, content_type="application/octet-stream", body=content)


def _other(route):
    content = classifier.weights_file("classifier").read_bytes()
    route.fulfill(status=200, content_type="application/octet-stream", body=content * 5)


@pytest.mark.parametrize(
    ("answer", "words"), [(_page, "web page"), (_cut, "cut off"), (_other, "damaged")]
)
def test_weights_that_are_none_are_named_and_the_server_draws(page, address, answer, words):
    page.route(f"**/{CARDS[CHOSEN].sha256}*", answer)
    page.goto(f"{address}/?lang=en&size=6000&budget=updates")
    message = page.locator(f"{PAD} .message").first
    message.get_by_text(words).wait_for()
    page.locator(".st-key-move7").wait_for()  # a slider of the server
    page.wait_for_selector("img[alt*='latents drawn after training on 6,000 images']")
    page.wait_for_selector("img[alt*='16 latents after']")
    page.unroute(f"**/{CARDS[CHOSEN].sha256}*")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_function(f"() => {{ {pad.FIND} return find()?.stats.draws > 0; }}")
    page.locator(".st-key-move7").wait_for(state="detached")
    assert close(pixels(page, ".reading-frame")[0], drawn(CHOSEN, LatentRequest(Seeds(0)))[0])


def _ask_near(page, cell):
    """Clicks a picture of the wall; returns when something is said of its neighbours."""
    page.locator(f"{PAD} .wall-strip .wall-cell").nth(cell).click()
    page.locator(f"{PAD} .near p").wait_for()


def test_what_was_found_near_one_picture_is_not_said_of_another(page, address):
    open_pad(page, address)
    near = page.locator(f"{PAD} .near")
    _ask_near(page, 13)
    page.wait_for_selector("[data-test-script-state=notRunning]")
    page.focus(pages.SLIDER)
    page.keyboard.press("ArrowRight")
    page.locator(f"{PAD} .reading").get_by_text("10,000 images").wait_for()
    assert near.inner_text() == ""
    # moved on before the answer comes
    page.locator(f"{PAD} .wall-strip .wall-cell").nth(1).click()
    page.locator(pad.PLANE).press("ArrowRight")
    page.wait_for_url("**move=0.1*")
    page.wait_for_selector("[data-test-script-state=notRunning]")
    page.wait_for_timeout(500)
    assert near.inner_text() == ""


def _amounts_in_the_wall(page):
    titles = page.locator(f"{PAD} .wall-column figcaption").all_inner_texts()
    return [title.partition("\n")[0] for title in titles]


def test_the_wall_keeps_its_amounts_when_the_models_are_others(page, address):
    open_pad(page, address)
    assert _amounts_in_the_wall(page) == ["200", "600", "6,000", "60,000"]
    for key in ("ArrowRight", "ArrowRight"):  # what was passed through does not stay
        page.focus(pages.SLIDER)
        page.keyboard.press(key)
        page.wait_for_timeout(300)
        page.wait_for_selector("[data-test-script-state=notRunning]")
    page.locator(f"{PAD} .reading").get_by_text("30,000 images").wait_for()
    assert _amounts_in_the_wall(page) == ["200", "600", "6,000", "30,000", "60,000"]
    page.locator(f"{PAD} .chip").get_by_text("200", exact=True).click()
    page.get_by_role("radio", name="20 epochs").or_(page.get_by_text("20 epochs")).first.click()
    page.wait_for_url("**size=30000&lang=en")
    page.wait_for_selector("[data-test-script-state=notRunning]")
    pad.wait_for_wall(page)
    assert _amounts_in_the_wall(page) == ["600", "6,000", "30,000", "60,000"]


def _focused(page):
    """What a key would go to: its class, or its tag."""
    return page.evaluate(
        """() => {
            let found = document.activeElement;
            while (found.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
            return found.className || found.tagName;
        }"""
    )


def test_whoever_uses_keys_stays_where_the_key_was_pressed(page, address):
    open_pad(page, address)
    for selector, key in ((".chip", "Enter"), (".chip", "Enter"), (".wall-strip .wall-cell", " ")):
        page.locator(f"{PAD} {selector}").first.focus()
        focused = _focused(page)
        page.keyboard.press(key)
        if key == " ":
            page.locator(f"{PAD} .near p").wait_for()  # the server's answer shows all anew
        pad.wait_for_wall(page)
        assert _focused(page) == focused != "BODY"


def test_the_server_stops_drawing_when_the_pad_that_is_mounted_next_works(page, address):
    page.route(f"**/{CARDS[CHOSEN].sha256}*", lambda route: route.fulfill(status=404, body=""))
    page.goto(f"{address}/?lang=en&size=6000&budget=updates")
    page.locator(".st-key-move7").wait_for()  # a slider of the server
    page.unroute(f"**/{CARDS[CHOSEN].sha256}*")
    page.get_by_text("日本語").first.click()
    page.wait_for_function(f"() => {{ {pad.FIND} return find()?.stats.draws > 0; }}")
    page.locator(".st-key-move7").wait_for(state="detached")


@pytest.mark.alone
def test_a_search_outlives_that_its_model_is_away(page, address):
    open_pad(page, address)
    page.locator(f"{PAD} .gallery input").fill("5000")
    page.locator(f"{PAD} .gallery select").select_option("7")
    waiting = []
    page.route("**/app/static/*", lambda route: waiting.append(route))  # and never answers
    page.focus(pages.SLIDER)
    page.keyboard.press("ArrowRight")  # to one that has not been loaded
    find = page.locator(f"{PAD} .gallery button").first
    save = page.get_by_role("button", name="z (JSON)")
    page.locator(f"{PAD} button:disabled", has_text="z (JSON)").wait_for()
    assert find.inner_text() == "Find"
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        f"() => {{ {pad.FIND} return find().querySelectorAll('.gallery-grid button').length === 24; }}"
    )
    assert save.is_enabled() and find.inner_text() == "Find"


def test_a_missing_model_and_classifier_are_both_named_both_are_named_and_tried_again(
    page, address
):
    page.route("**/app/static/*.safetensors", lambda route: route.fulfill(status=404, body=""))
    page.goto(f"{address}/?lang=en&size=6000&budget=updates")
    message = page.locator(f"{PAD} .reading .message")
    message.get_by_text("No digit classifier").wait_for()
    page.locator(".st-key-move7").wait_for()
    assert message.inner_text().startswith(
        "The model's file is not there. (HTTP 404) No digit classifier"
    )
    page.unroute("**/app/static/*.safetensors")
    page.get_by_role("button", name="Try again").click()
    message.wait_for(state="hidden")
    page.locator(f"{PAD} .reading-words").get_by_text("Reads").wait_for()
