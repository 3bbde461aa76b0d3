"""The film, its charts and its player in a real browser, with images and payloads made here."""

import base64
import itertools
import json

import numpy as np
import pytest

from gan.browser import scripts
from gan.networks import images

pytestmark = pytest.mark.browser
SIDE, LATENTS = 4, 4
# name -> the updates of its moments; the last is its total
RUNS = {"small": [10, 20, 40, 70, 100], "middle": [5, 50, 100], "large": [1, 10, 40]}
GREY = {"small": 40, "middle": 100, "large": 160}  # of the first latent's first moment
# Frames come when the test says so; a second of them is ten.
STEPPED = """
let asked = 0;
globalThis.waiting = new Map();
globalThis.now = 0;
globalThis.requestAnimationFrame = (f) => { waiting.set(++asked, f); return asked; };
globalThis.cancelAnimationFrame = (id) => waiting.delete(id);
globalThis.pass = (seconds) => {
  for (let frame = 0; frame < Math.round(seconds * 10); frame++) {
    now += 100;
    for (const [id, f] of [...waiting]) if (waiting.delete(id)) f(now);
  }
};
"""


@pytest.fixture
def page(chromium):
    opened = chromium.new_page(viewport={"width": 1000, "height": 900})
    errors = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert errors == []


def grey(name, moment, latent):
    """The value of all pixels of a picture: another for every run, moment and latent."""
    return GREY[name] + 10 * moment + latent


def film(name):
    """A sheet of plain grey pictures as a data link."""
    values = [[grey(name, m, n) for n in range(LATENTS)] for m in range(len(RUNS[name]))]
    pixels = np.array(values, dtype=np.uint8).reshape(-1, 1, 1, 1)
    sheet = images.grid(pixels.repeat(SIDE, axis=1).repeat(SIDE, axis=2), LATENTS, gap=0)
    return "data:image/png;base64," + base64.b64encode(images.to_png(sheet)).decode()


def film_payload(name, digits=True):
    steps = RUNS[name]
    kinds = ["noise", "one_picture", "few_kinds", "rough", "healthy"]
    moments = [
        {"step": step, "fd": 80.0 / (place + 1), "spread": 0.5, "verdict": [kinds[place]]}
        for place, step in enumerate(steps)
    ]
    if digits:
        for place, moment in enumerate(moments):
            counts = [100] * place + [0] * (10 - place)
            present = list(range(place))
            shown = {"counts": counts, "present": present, "kinds": place}
            moment |= shown | {"legible": place / 10}
    x = list(range(2, steps[-1] + 1, 2))
    names = ("g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out")
    curves = {"step": x} | {name: [0.5] * len(x) for name in names}
    curves["g_loss"] = [step / 10 for step in x]
    return {
        "curves": curves,
        "moments": moments,
        "total": steps[-1],
        "samples": 1000,
        "real_fd": 0.5 if digits else None,
        "digits": digits,
        "contrast_from_film": False,
    }


def payload(chosen="small", start=None, digits=True, broken=()):
    cells = [
        {
            "name": name,
            "size": 100 * place,
            "title": f"{100 * place}\n{place} %",
            "side": SIDE,
            "channels": 1,
            "latents": LATENTS,
            "film": {"id": f"film-{name}", "url": "gone" if name in broken else film(name)},
            "payload": {"id": f"payload-{name}", "url": json.dumps(film_payload(name, digits))},
        }
        for place, name in enumerate(RUNS, start=1)
    ]
    return {"chosen": chosen, "cells": cells, "start": start}


ASSETS = """{
  async json(ref) { fetched.push(ref.id); return JSON.parse(ref.url); },
  async image(ref) {
    fetched.push(ref.id);
    if (ref.url === "gone") throw new Error("The picture is gone.");
    const image = new Image();
    image.src = ref.url;
    await image.decode();
    return image;
  },
}"""


def open_film(page, shown=None, language="en", before="", wait=True):
    """A page with the film; ``before``: a script that runs first."""
    page.set_content(
        f'<div style="height:{0 if wait else 3000}px"></div><div class="gan" id="root"></div>'
        f"<style>{scripts.style('base', 'charts', 'film')}</style>"
    )
    page.add_script_tag(content=before or "'use strict'")
    page.add_script_tag(
        content=f"{scripts.bundle_script('words')}\n{scripts.bundle_script('film')}\n"
        "globalThis.fetched = [];"
        f"const say = speaker({json.dumps(scripts.words())}, {json.dumps(language)});"
        f"globalThis.film = makeFilm(say, {{assets: {ASSETS}}});"
        "document.getElementById('root').append(film.node);"
        f"film.show({json.dumps(shown or payload())});",
        type="module",
    )
    if wait:
        page.wait_for_selector(".film-column:not(:has-text('loading')) >> nth=2")


def columns(page):
    """Of every column: the pixels of its first and last picture, whether it is current, its lines."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".film-column")].map((column) => {
            const canvas = column.querySelector("canvas");
            const at = (x, y) => canvas.getContext("2d").getImageData(x, y, 1, 1).data[0];
            const facts = [...column.querySelectorAll(".film-facts span")].map((e) => e.textContent);
            return {first: at(0, 0), last: at(canvas.width - 1, canvas.height - 1), facts,
                    current: column.getAttribute("aria-current") === "true"};
        })"""
    )


def pictures(page):
    return [column["first"] for column in columns(page)]


def scrub(page, place):
    page.evaluate(
        """(place) => {
            const scrubber = document.querySelector(".film input");
            scrubber.value = place;
            scrubber.dispatchEvent(new Event("input"));
        }""",
        place,
    )


def marks(page):
    """The updates at which the marks of the charts stand, by their place on the axis."""
    return page.evaluate(
        """(total) => [...document.querySelectorAll(".chart-drawing")].map((picture) => {
            const axis = picture.querySelector("line.chart-grid");
            const [from, to] = ["x1", "x2"].map((end) => Number(axis.getAttribute(end)));
            const mark = Number(picture.querySelector(".chart-rule").getAttribute("x1"));
            return total * (mark - from) / (to - from);
        })""",
        100,
    )


def test_one_scrubber_moves_pictures_indicators_and_marks_together(page):
    open_film(page)
    assert pictures(page) == [grey("small", 4, 0), grey("middle", 2, 0), grey("large", 2, 0)]
    for place, others in enumerate([(0, 0), (0, 0), (0, 1), (1, 1), (2, 2)]):
        scrub(page, place)
        step = RUNS["small"][place]
        shown = columns(page)
        expected = zip(RUNS, (place, *others), strict=True)
        assert [c["first"] for c in shown] == [grey(name, at, 0) for name, at in expected]
        assert shown[0]["last"] == grey("small", place, LATENTS - 1)
        assert shown[0]["facts"][:3] == [
            f"update {step}",
            f"{10 * place}% legible",
            f"{place} of 10 digits",
        ]
        assert marks(page) == pytest.approx([step] * 3, abs=0.5)
        label = page.get_attribute(".chart-drawing >> nth=0", "aria-label")
        assert f"At {step}: generator (G) {step / 10:g}" in label
        large = "document.querySelector('.film-large canvas').getContext('2d')"
        assert page.evaluate(f"{large}.getImageData(0, 0, 1, 1).data[0]") == grey("small", place, 0)
        words = page.inner_text(".film-detail")
        assert f"update {step} of 100" in words and f"{10 * place}% of 1,000 samples" in words
        assert page.locator(".film-absent").count() == 10 - place
        assert page.get_attribute(".film input", "aria-valuetext") == f"update {step} of 100"
    assert "No collapse seen" in page.inner_text(".film-detail")


def test_the_strip_shows_each_columns_own_latest_moment_within_the_share(page):
    open_film(page)
    scrub(page, 2)  # 40 of 100 updates: the others are at 5 of 100 and 10 of 40
    assert [column["facts"][0] for column in columns(page)] == [
        "update 40",
        "update 5",
        "update 10",
    ]


def test_arrow_keys_go_from_moment_to_moment_and_the_end_is_spoken(page):
    open_film(page)
    page.focus(".film input")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert pictures(page)[0] == grey("small", 2, 0)
    page.keyboard.press("Home")
    assert pictures(page)[0] == grey("small", 0, 0)
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".film-spoken") == ""  # not while it moves
    page.wait_for_function("document.querySelector('.film-spoken').textContent !== ''")
    spoken = page.text_content(".film-spoken")
    assert "update 20" in spoken and "One image" in spoken and "100 1 %" in spoken


def test_play_begins_anew_from_the_end_and_stops_there(page):
    open_film(page, before=STEPPED)
    button = page.locator(".film-play")
    assert button.inner_text() == "Play"
    button.click()
    assert button.inner_text() == "Pause"
    assert pictures(page)[0] == grey("small", 0, 0)
    page.evaluate("pass(5.2)")
    assert pictures(page)[0] == grey("small", 2, 0)
    button.click()
    page.evaluate("pass(5)")
    assert pictures(page)[0] == grey("small", 2, 0) and button.inner_text() == "Play"
    button.click()
    page.evaluate("pass(6)")
    assert pictures(page) == [grey("small", 4, 0), grey("middle", 2, 0), grey("large", 2, 0)]
    assert button.inner_text() == "Play"
    assert marks(page) == pytest.approx([100] * 3, abs=0.5)
    button.click()
    page.evaluate("pass(1)")
    scrub(page, 3)  # who takes the scrubber wants it to stay
    page.evaluate("pass(5)")
    assert pictures(page)[0] == grey("small", 3, 0) and button.inner_text() == "Play"


def test_choosing_another_column_keeps_the_share(page):
    open_film(page)
    scrub(page, 3)  # 70 of 100
    page.click(".film-column >> nth=1")
    assert [column["current"] for column in columns(page)] == [False, True, False]
    assert pictures(page) == [grey("small", 3, 0), grey("middle", 1, 0), grey("large", 1, 0)]
    assert page.get_attribute(".film input", "max") == "2"
    assert page.input_value(".film input") == "1"
    assert marks(page) == pytest.approx([50] * 3, abs=0.5)
    page.click(".film-column >> nth=0")
    assert page.input_value(".film input") == "3"
    weights = (
        "[...document.querySelectorAll('.film-column')].map(e => getComputedStyle(e).fontWeight)"
    )
    assert page.evaluate(weights) == ["700", "400", "400"]


def test_shown_again_it_keeps_its_place_and_what_it_has_loaded(page):
    open_film(page, payload(start=0.5))
    assert pictures(page)[0] == grey("small", 2, 0)
    assert len(page.evaluate("fetched")) == 6
    scrub(page, 3)
    page.evaluate(f"film.show({json.dumps(payload('middle', 0.5))})")
    assert pictures(page) == [grey("small", 3, 0), grey("middle", 1, 0), grey("large", 1, 0)]
    assert len(page.evaluate("fetched")) == 6
    page.evaluate(f"film.show({json.dumps(payload('small', 0.25))})")
    assert pictures(page)[0] == grey("small", 1, 0)


def test_nothing_is_fetched_before_the_film_is_near_and_the_chosen_one_comes_first(page):
    open_film(page, payload("large"), wait=False)
    page.wait_for_timeout(150)
    assert page.evaluate("fetched") == []
    height = page.evaluate("document.querySelector('.film-strip').offsetHeight")
    page.evaluate("scrollTo(0, 1e6)")
    page.wait_for_selector(".film-column:not(:has-text('loading')) >> nth=2")
    assert sorted(page.evaluate("fetched.slice(0, 2)")) == ["film-large", "payload-large"]
    assert len(page.evaluate("fetched")) == 6
    assert page.evaluate("document.querySelector('.film-strip').offsetHeight") == height


@pytest.mark.parametrize("chosen", ["small", "middle"])
def test_a_film_that_fails_leaves_the_others_working(page, chosen):
    open_film(page, payload(chosen, broken=("middle",)))
    assert "The picture is gone." in page.inner_text(".film-column >> nth=1")
    scrub(page, 2)
    first, _, third = pictures(page)
    assert (first, third) == (grey("small", 2, 0), grey("large", 1, 0))
    alert = page.locator(".film-detail [role=alert]")
    assert alert.is_visible() == (chosen == "middle")
    page.click(".film-column >> nth=2")
    assert not alert.is_visible()
    assert "300 training images" in page.inner_text(".film-detail")


def test_a_film_of_another_size_is_refused(page):
    shown = payload()
    shown["cells"][2]["film"] = {"id": "other", "url": film("small")}
    open_film(page, shown)
    assert "16 × 20" in page.inner_text(".film-column >> nth=2")


def test_other_images_have_no_measurements_of_digits(page):
    open_film(page, payload(digits=False))
    assert columns(page)[0]["facts"] == ["update 100", "no collapse"]
    assert page.locator(".chart").count() == 2
    assert page.locator(".film-digits").count() == 0
    words = page.inner_text(".film-detail")
    assert "legible" not in words.lower() and "training images: 1" in words


def test_with_reduced_motion_it_goes_in_a_dozen_slow_steps(page):
    page.emulate_media(reduced_motion="reduce")
    open_film(page, before=STEPPED)
    page.click(".film-play")
    seen = []
    for _ in range(120):
        page.evaluate("pass(0.1)")
        seen.append(page.input_value(".film input"))
    changes = [at for at in range(1, 120) if seen[at] != seen[at - 1]]
    assert seen[-1] == "4" and len(changes) == 4
    assert min(b - a for a, b in itertools.pairwise(changes)) >= 18  # of 0.1 s


def test_a_phone_scrolls_the_strip_and_not_the_page(page):
    page.set_viewport_size({"width": 390, "height": 844})
    shown = payload("large")
    shown["cells"] += [
        {**cell, "name": f"{cell['name']}-{n}", "title": str(n)}
        for n in range(3)
        for cell in shown["cells"]
    ]
    open_film(page, shown, language="ja")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(
        "(s => s.scrollWidth > s.clientWidth)(document.querySelector('.film-strip'))"
    )
    assert page.locator(".film-play").inner_text() == "再生"


def test_every_word_is_there_in_both_languages():
    words = scripts.words()
    assert words["en"].keys() == words["ja"].keys()


@pytest.fixture
def tools(page):
    """A page with the player, driven frame by frame, and the charts."""
    page.set_content("<div class='gan' id='root' style='width: 400px'></div>")
    page.add_script_tag(content=STEPPED)
    page.add_script_tag(
        content=f"{scripts.bundle_script('words')}\n{scripts.bundle_script('runcharts')}\n"
        + scripts.bundle_script("player")
        + f"const say = speaker({json.dumps(scripts.words())}, 'en');"
        "Object.assign(globalThis, {ticks, shortNumber, lineChart: (c) => lineChart(say, c)});"
        "globalThis.runCharts = makeRunCharts(say);"
        "globalThis.play = (options) => { globalThis.told = [];"
        " globalThis.player = makePlayer({seconds: 2, ...options,"
        " onPosition: (p, playing) => told.push([Number(p.toFixed(3)), playing])}); };",
        type="module",
    )
    page.wait_for_function("globalThis.play !== undefined", polling=50)
    return page


def test_a_player_stops_at_its_end_and_begins_anew(tools):
    tools.evaluate("play({}); player.play(); pass(1.1)")
    assert tools.evaluate("[player.position, player.playing]") == [pytest.approx(0.5), True]
    tools.evaluate("player.seek(0.9)")
    assert tools.evaluate("told.at(-1)") == [0.9, True]
    tools.evaluate("pass(1)")
    assert tools.evaluate("told.at(-1)") == [1, False]
    assert tools.evaluate("waiting.size") == 0
    tools.evaluate("player.toggle()")
    assert tools.evaluate("told.at(-1)") == [0, True]
    tools.evaluate("player.pause(); pass(1)")
    assert tools.evaluate("told.at(-1)") == [0, False]


def test_a_player_that_bounces_goes_on(tools):
    tools.evaluate("play({bounce: true}); player.play(); pass(2.6)")
    assert tools.evaluate("player.position") == pytest.approx(0.75)
    tools.evaluate("pass(2)")
    assert tools.evaluate("[player.position, player.playing]") == [pytest.approx(0.25), True]
    tools.evaluate("told.length = 0; player.destroy(); pass(1)")
    assert tools.evaluate("told") == []


def test_a_player_jumps_where_less_motion_is_asked_for(tools):
    tools.emulate_media(reduced_motion="reduce")
    tools.evaluate("play({bounce: true}); player.play(); pass(12)")
    places = {round(12 * position, 1) for position, _ in tools.evaluate("told")}
    assert places == set(range(13))  # both ends among them


def test_axes_have_few_round_numbers(tools):
    assert tools.evaluate("ticks([0, 6000], 4)") == [0, 2000, 4000, 6000]
    assert tools.evaluate("ticks([0, 1], 4)") == [0, 0.5, 1]
    assert tools.evaluate("ticks([0.3, 130], 4, true)") == [1, 10, 100]
    assert tools.evaluate("ticks([0.4, 90], 4, true)") == [1, 3, 10, 30]
    numbers = "[0, 0.05, 200, 1000, 2500, 20000, 3e6].map(shortNumber)"
    assert tools.evaluate(numbers) == ["0", "0.05", "200", "1k", "2.5k", "20k", "3M"]


def test_a_chart_breaks_where_nothing_was_measured_and_says_itself_in_words(tools):
    tools.evaluate(
        """globalThis.chart = lineChart({
            title: "Losses", xLabel: "updates", yLabel: "loss"});
        document.getElementById("root").append(chart.node);
        chart.show({rule: {value: 1, label: "real"}, series: [
            {label: "G", colour: "#A33EBD", x: [1, 2, 3, 4, 5], y: [3, 2, null, 4, 0.5]},
            {label: "D", colour: "#447CE4", x: [1, 2, 3, 4, 5], y: [1, 1, 1, 1, 1]},
        ]});
        chart.mark(2);"""
    )
    paths = tools.evaluate("[...document.querySelectorAll('path')].map(p => p.getAttribute('d'))")
    assert [path.count("M") for path in paths] == [2, 1]
    dashes = "[...document.querySelectorAll('path')].map(p => p.getAttribute('stroke-dasharray'))"
    assert len(set(tools.evaluate(dashes))) == 2
    label = tools.get_attribute(".chart-drawing", "aria-label")
    assert label == (
        "Losses. G: first 3, last 0.5, lowest 0.5. D: first 1, last 1, lowest 1. real: 1. At 2: G 2, D 1."
    )
    values = "[...document.querySelectorAll('.chart-value')].map(e => e.textContent)"
    assert tools.evaluate(values) == ["2", "1"]
    tools.evaluate("chart.mark(3)")
    assert tools.evaluate(values) == ["1"]
    tools.evaluate("chart.mark(null)")
    assert tools.locator(".chart-rule").count() == 0
    box = tools.locator(".chart-drawing").bounding_box()
    # two fifths of the way from the axis to the end: the values there, and the number of the update
    tools.mouse.move(box["x"] + 46 + 0.41 * (box["width"] - 58), box["y"] + 50)
    assert tools.evaluate(values) == ["2", "1", "2"]
    tools.mouse.move(box["x"] + 50, box["y"] - 50)
    assert tools.evaluate(values) == []


def run(steps, digits=True, **others):
    """A payload of the training curves of a run of 100 updates, as far as it has come."""
    names = ("g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out")
    return {
        "curves": {"step": steps} | {name: [0.5 + step / 1000 for step in steps] for name in names},
        "moments": [{"step": step, "fd": 100 / step} for step in steps],
        "total": 100,
        "digits": digits,
        "real_fd": None,
        "described": False,
        **others,
    }


def show(page, payload):
    page.evaluate("payload => runCharts.show(payload)", payload)


def test_the_charts_of_a_run_under_way_fill_from_zero_to_its_end_and_stay_in_place(tools):
    tools.evaluate("document.getElementById('root').append(runCharts.node)")
    show(tools, run([], notes=["one", "two", "three"]))
    drawings = tools.locator(".chart-drawing").element_handles()
    ends = "[...document.querySelectorAll('path')].map(p => p.getPointAtLength(1e6).x)"
    assert len(drawings) == 3 and tools.locator(".chart .quiet").all_inner_texts()[1] == "two"
    for step in (50, 100):
        show(tools, run(list(range(10, step + 1, 10)), notes=["one", "two", "three"]))
        axis = drawings[0].query_selector("line.chart-grid")
        left, right = (float(axis.get_attribute(name)) for name in ("x1", "x2"))
        expected = [left + (right - left) * step / 100] * 6
        assert tools.evaluate(ends) == pytest.approx(expected, abs=0.2)
        assert all(drawing.evaluate("e => e.isConnected") for drawing in drawings)
    title = "Distance to real digits"
    assert drawings[2].get_attribute("aria-label") == title  # while under way
    legend = tools.locator(".chart-legend >> nth=2")
    assert legend.inner_text() == "generated"
    finished = run([10, 100], described=True, real_fd=0.5, notes=["one", "two", "three"])
    show(tools, finished)
    words = f"{title}. generated: first 10, last 1, lowest 1. real digits: 0.5."
    assert drawings[2].get_attribute("aria-label") == words
    assert "real digits" in legend.inner_text()
    show(tools, run([10, 20], digits=False))
    assert tools.locator(".chart").count() == 2
    assert "unseen images" in tools.locator(".chart-legend >> nth=1").inner_text()
