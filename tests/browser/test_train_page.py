"""A training from the press of the button to its digits on the Explore page: real server, real worker,
real browser. What is trained is small, and draws no digits worth the name."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from benchmarks import pages

pytestmark = [pytest.mark.browser, pytest.mark.alone]
SMALL = "lang=en&source=drawn&size=200&batch_size=16&base_channels=4&hidden_units=16"
LIVE = ".st-key-live img"
PLACE = ".st-key-live"  # the picture itself is another one after every poll
CHART = ".st-key-live_curves .chart-drawing"
PATIENCE = 60_000  # milliseconds, on a machine that does something else as well


@pytest.fixture(scope="module")
def address(tmp_path_factory, root):
    """The app with runs of its own."""
    folder = tmp_path_factory.mktemp("app")
    shutil.copytree(root / ".streamlit", folder / ".streamlit")
    with pages.serve({"GAN_DATA": str(folder / "no-data")}, folder) as url:
        yield url


@pytest.fixture
def visit(chromium):
    """visit() -> the page of another visitor."""
    contexts = []

    def visit():
        contexts.append(chromium.new_context(viewport={"width": 1280, "height": 1600}))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        return page

    yield visit
    for context in contexts:
        context.close()


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def shown(page, selector):
    source = page.get_attribute(selector, "src")
    picture = Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2])))
    return np.asarray(picture, dtype=int)


def progress(page):
    """The first line of the panel: state and update."""
    return page.locator("[data-testid=stProgress]").inner_text()


def test_a_training_is_watched_left_found_again_and_explored(visit, address):
    first = visit()
    first.goto(f"{address}/train?{SMALL}&updates=30")
    first.get_by_role("button", name="Train", exact=True).dblclick()
    first.wait_for_url("**job=**")
    first.wait_for_selector(LIVE)
    assert "64 latent vectors" in first.get_attribute(LIVE, "alt")
    link = first.url
    first.context.close()  # the training goes on

    other = visit()
    other.goto(link)
    other.get_by_text("Finished after").wait_for()
    other.wait_for_selector(f"{LIVE}[alt*='update 30']")
    live = shown(other, LIVE)
    press(other, "Explore this model")
    other.wait_for_selector(pages.GRID)
    assert "trained on 200 images" in other.get_attribute(pages.GRID, "alt")
    assert "model=drawn-200" in other.url
    explored = shown(other, pages.GRID)
    # the same latents; the model is kept in half precision
    assert live.shape == explored.shape and np.abs(live - explored).max() <= 8

    other.locator(".st-key-head").get_by_role("link").click()  # and back
    other.get_by_text("Finished after").wait_for()
    other.wait_for_selector("[data-test-script-state=notRunning]")
    other.go_back()
    other.wait_for_selector(pages.GRID)


def test_a_reload_finds_the_training_and_polling_disturbs_nobody(visit, address):
    page = visit()
    page.goto(f"{address}/train?{SMALL}&updates=20000")
    press(page, "Train")
    page.wait_for_url("**job=**")
    page.wait_for_selector(LIVE)
    page.reload()
    page.wait_for_selector(LIVE)
    pause = page.get_by_role("button", name="Pause", exact=True)
    pause.focus()
    page.wait_for_selector(CHART)
    chart = page.locator(CHART).first.element_handle()
    places = []
    for _ in range(3):
        before = progress(page)
        page.wait_for_function(
            "before => document.querySelector('[data-testid=stProgress]').innerText !== before",
            arg=before,
        )
        places.append((pause.bounding_box()["y"], page.locator(PLACE).bounding_box()["y"]))
        assert pause.evaluate("e => e === document.activeElement")
    assert len(set(places)) == 1
    assert chart.evaluate("e => e.isConnected")  # redrawn, not replaced
    page.keyboard.press("Enter")  # the same visitor, who may steer after the reload
    page.get_by_role("button", name="20 updates").wait_for()  # paused
    press(page, "Stop")
    page.get_by_role("button", name="Delete").click()
    press(page, "Delete for good")
    page.wait_for_url(lambda url: "job=" not in url)
    page.get_by_role("button", name="Train", exact=True).wait_for()
    page.go_back()  # to a training that is no more
    page.get_by_text("no longer exists here").wait_for()


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_phone_shows_the_form_without_scrolling_sideways(chromium, address, lang):
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{address}/train?lang={lang}")
    page.wait_for_selector(".st-key-train_go button")
    widths = "['html', '[data-testid=stMain]'].map(q => document.querySelector(q).scrollWidth)"
    assert max(page.evaluate(widths)) <= 390
    assert page.locator(".st-key-head").get_by_role("link").bounding_box()["y"] < 300
    page.close()
