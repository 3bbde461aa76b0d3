"""The app in a real browser: what AppTest cannot see."""

import pytest

from benchmarks import pages

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
