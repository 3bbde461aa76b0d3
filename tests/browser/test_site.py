"""The page without a server: the folder that is written, and the page in a real browser, from a disk and from a host."""

import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan.browser import payload, scripts, site
from gan.errors import CheckpointError, ConfigError
from gan.evaluation import classifier
from gan.networks.images import to_uint8
from gan.networks.latent_request import (
    LAST_SEED,
    LatentRequest,
    Listed,
    Seeds,
    Sum,
    Walk,
    resolve_latents,
)
from gan.system import files
from gan.zoo.cards import find, list_models, open_model, read_manifest
from views.explore.state import ExploreState, from_query, to_query

SMALL, LARGE, OTHER = (
    "mnist-200-updates-plain",
    "mnist-6000-updates-plain",
    "mnist-6000-updates-rescue",
)
ROWS = 4  # of the wall


@pytest.fixture(scope="session")
def cards():
    return [find(name, list_models(runs=None)) for name in (SMALL, LARGE, OTHER)]


@pytest.fixture(scope="module")
def own(finished):
    """A small model that was trained here."""
    return read_manifest(finished)[0]


@pytest.fixture(scope="module")
def exported(tmp_path_factory, cards, own):
    folder = tmp_path_factory.mktemp("exported") / "page"
    site.export(folder, cards, [own])
    return folder


@pytest.fixture
def copy(exported, tmp_path):
    """An export that a test may change."""
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def _stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_an_export_counts_its_files_and_tells_how_far_it_is(tmp_path, cards):
    told = []
    done = site.export(
        tmp_path / "page", cards[:1], on_progress=lambda *progress: told.append(progress)
    )
    found = [path for path in (tmp_path / "page").rglob("*") if path.is_file()]
    assert (done.files, done.written, done.models) == (len(found), len(found), 1)
    assert done.bytes == sum(path.stat().st_size for path in found)
    assert told == [(1, 1)]
    # weights, story and film of the model, and the classifier
    assert sorted(p.suffix for p in found) == [".html", ".js", ".js", ".js", ".png", ".txt"]


def test_a_second_export_writes_nothing(copy, cards, own):
    before = _stamps(copy)
    assert site.export(copy, cards, [own]).written == 0
    assert _stamps(copy) == before


def test_an_export_goes_on_where_it_was_and_mends_what_is_damaged(copy, cards, own):
    before = _stamps(copy)
    cut, gone, altered, *_ = sorted((copy / "files").glob("*.js"))
    content = altered.read_bytes()
    cut.write_bytes(cut.read_bytes()[:-100])
    gone.unlink()
    altered.write_bytes(content[:-10] + b"x" + content[-9:])
    (copy / "index.html").unlink()
    (copy / "files" / f".{cut.name}.abc.tmp").write_bytes(b"half")
    assert site.export(copy, cards, [own]).written == 4
    assert altered.read_bytes() == content
    assert _stamps(copy).keys() == before.keys()


def test_files_that_are_no_longer_needed_go_and_those_of_others_stay(copy, cards):
    stranger = copy / "files" / "notes.js"
    stranger.write_text("mine")
    done = site.export(copy, cards[1:2])
    left = [path for path in copy.rglob("*") if path.is_file()]
    assert stranger in left and len(left) == done.files + 1
    assert done.files == 6 and done.written == 1


@pytest.mark.parametrize("name", ["thesis.doc", "index.html", "README.txt"])
def test_a_folder_of_something_else_is_refused(tmp_path, cards, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"{re.escape(name)}.* not from an export"):
        site.export(tmp_path, cards[:1])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(ConfigError, match="not a folder"):
        site.export(tmp_path / name, cards[:1])


def test_an_empty_folder_may_hold_what_is_hidden(tmp_path, cards):
    (tmp_path / ".git").mkdir()
    assert site.export(tmp_path, cards[:1]).models == 1


def test_a_full_disk_names_the_folder(tmp_path, cards, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(
        CheckpointError, match=f"{re.escape(str(tmp_path))}.*No space left.*to continue"
    ):
        site.export(tmp_path / "page", cards[:1])


def test_a_disk_without_modes_is_written_all_the_same(tmp_path, monkeypatch):
    def refuse(*_args):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    files.write_atomically(tmp_path / "x", b"content")
    assert (tmp_path / "x").read_bytes() == b"content"


def test_a_model_that_is_not_what_its_manifest_says_is_not_exported(tmp_path, cards):
    with pytest.raises(CheckpointError, match=f"{SMALL}.safetensors is not the file"):
        site.export(tmp_path / "page", [replace(cards[0], sha256="0" * 64)])


def test_an_export_without_models_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="choose some"):
        site.export(tmp_path / "page", [])


def test_what_is_compared_can_be_chosen():
    cards = list_models(runs=None)
    everything = site.select(cards)
    assert {(c.recipe, c.budget) for c in everything} >= {
        ("plain", "epochs"),
        ("rescue", "updates"),
    }
    assert {c.snapshot for c in everything} == {"final", "best"}
    chosen = site.select(cards, sizes=[200, 6000], recipes=["plain"], budgets=["updates"])
    assert [c.name for c in chosen] == [SMALL, LARGE]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"sizes": [201]}, "size 201; there are: 50, 100"),
        ({"recipes": ["good"]}, "recipe good; there are: plain, rescue"),
        ({"budgets": ["days"]}, "budget days; there are: epochs, updates"),
        ({"sizes": []}, "there are"),
    ],
)
def test_a_choice_of_what_is_not_there_names_what_is(choice, message):
    with pytest.raises(ConfigError, match=message):
        site.select(list_models(runs=None), **choice)
    with pytest.raises(ConfigError, match="no models"):
        site.select([])


def test_the_page_is_one_file_that_ends_no_script_early_and_asks_nobody(exported):
    page = (exported / "index.html").read_text(encoding="utf-8")
    assert page.count("</script>") == page.count("<script") == 2
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "url(" not in page and "@import" not in page


def test_the_folder_says_how_to_open_it_and_under_which_licence(exported, root):
    words = (exported / "README.txt").read_text(encoding="utf-8")
    assert "index.html" in words and "開き方" in words
    assert (root / "LICENSE").read_text() in words


class Visit:
    """A page, what it asked for, and what went wrong on it."""

    def __init__(self, page):
        self.page, self.asked, self.errors = page, [], []
        page.set_default_timeout(10_000)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text))

    def open(self, address):
        self.page.goto(address)
        self.settle()
        return self.page

    def settle(self):
        """Until all columns of the wall are there and drawn."""
        self.page.wait_for_selector(".wall-column[aria-current=true]:not(.wall-waiting)")
        self.page.wait_for_function("!document.querySelector('.wall-waiting')")
        self.page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )


@pytest.fixture
def visit(chromium):
    with contextlib.ExitStack() as opened:

        def start(**options):
            options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US", **options}
            return Visit(opened.enter_context(chromium.new_context(**options)).new_page())

        yield start


def _at(folder, link=""):
    return f"{(folder / 'index.html').as_uri()}#{link}"


def _canvas(page, selector):
    """Grey values [rows of pictures, 28, 28] of the canvases there."""
    found = page.eval_on_selector_all(
        f"{selector} canvas",
        """all => all.map(canvas => {
            const own = new OffscreenCanvas(canvas.width, canvas.height);
            const context = own.getContext("2d", {willReadFrequently: true});
            context.drawImage(canvas, 0, 0);
            const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
            return Array.from(data).filter((_, i) => i % 4 === 0);
        })""",
    )
    return np.array(found).reshape(len(found), 28, 28)


def _wall(page, column):
    return _canvas(page, f".wall-column:nth-child({column + 1})")


def _drawn(card, wanted, directions_of):
    """What torch draws of the wanted, moved along the directions of another model."""
    z = resolve_latents(wanted, ROWS, open_model(directions_of).directions)
    return to_uint8(open_model(card).generator(z))[..., 0]


def _differ(here, there):
    return np.abs(here.astype(int) - there.astype(int)).max()


REQUEST = LatentRequest(Walk(3, 9, 0.25), 0.8, (1.5, -0.5, 0, 0, 0, 0, 0, 0), ((2, 1.25),))
LINK = "size=6000&rows=walk:3,9,0.25&psi=0.8&move=1.5,-0.5,0,0,0,0,0,0&z=2:1.25&lang=en"


@pytest.mark.browser
def test_from_a_disk_the_pictures_are_those_of_torch_and_nothing_is_fetched(visit, exported, cards):
    visited = visit()
    page = visited.open(_at(exported, "size=6000"))
    small, large, _ = cards
    for wanted in (LatentRequest(Seeds(0)), REQUEST):
        for column, card in enumerate((small, large)):
            assert _differ(_wall(page, column), _drawn(card, wanted, large)) <= 1
        page.goto("about:blank")
        visited.open(_at(exported, LINK))  # the address restores the rest
    assert page.locator(".rows input[type=range]").is_visible()
    assert {url.partition(":")[0] for url in visited.asked if url != "about:blank"} <= {
        "file",
        "data",
    }
    assert visited.errors == []


@pytest.mark.browser
def test_dragging_the_pad_draws_live_and_the_address_keeps_it(visit, exported):
    visited = visit()
    page = visited.open(_at(exported))
    before = _wall(page, 1)
    plane = page.locator(".pad-plane")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.2, steps=3)
    page.wait_for_timeout(100)
    assert _differ(_wall(page, 1), before) > 100  # before it is let go
    page.mouse.up()
    assert "move=3.2" in page.evaluate("location.hash")
    moved = _wall(page, 1)
    page.reload()
    visited.settle()
    assert _differ(_wall(page, 1), moved) == 0
    assert visited.errors == []


@pytest.mark.browser
def test_another_size_or_recipe_is_another_model_with_other_words(visit, exported, cards):
    small, large, other = cards
    page = visit().open(_at(exported))
    title = page.locator(".site-verdict h2").first

    def seen(card):
        assert title.inner_text() == card.metrics.verdicts()[0].words("en").title
        assert payload.figures(card, classifier.load_reference())[1]["value"] in page.inner_text(
            ".site-figures"
        )
        page.wait_for_selector(".wall-column[aria-current=true]:not(.wall-waiting)")
        page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        assert (
            _differ(
                _canvas(page, ".reading-frame"), _drawn(card, LatentRequest(Seeds(0)), card)[:1]
            )
            <= 1
        )

    seen(large)  # the nearest to what the app begins with
    page.focus(".site-size")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute(".site-size", "aria-valuetext") == "200 images (0.33 %)"
    seen(small)
    assert "size=200" in page.evaluate("location.hash")
    page.get_by_role("button", name="Rescue").click()
    page.wait_for_selector("text=There is no model of this size")  # it was not exported
    assert not page.locator(".playground").is_visible()
    page.focus(".site-size")
    page.keyboard.press("ArrowRight")
    seen(other)
    # a link followed on the page itself
    page.evaluate("location.hash = 'size=200&lang=en'")
    page.wait_for_function("document.querySelector('.site-size').value === '0'")
    seen(small)


@pytest.mark.browser
def test_what_is_seen_can_be_saved(visit, exported, cards):
    page = visit().open(_at(exported, "rows=walk:3,9,0.5&lang=en"))
    with page.expect_download() as saved:
        page.click("text=z (JSON)")
    told = json.loads(Path(saved.value.path()).read_text())
    assert (told["model"], told["sha256"]) == (LARGE, cards[1].sha256)
    assert np.allclose(
        told["z"],
        resolve_latents(LatentRequest(Walk(3, 9, 0.5)), 1, open_model(cards[1]).directions),
        atol=1e-5,
    )
    for button, start in (("Wall (PNG)", b"\x89PNG"), ("Interpolation (GIF)", b"GIF89a")):
        with page.expect_download() as saved:
            page.click(f"text={button}")
        assert Path(saved.value.path()).read_bytes().startswith(start)


@pytest.mark.browser
def test_the_amounts_stand_beside_each_other_in_a_chart_and_a_table(visit, exported, cards):
    page = visit().open(_at(exported))
    page.get_by_text("Scores as a table").press("Enter")  # the page may still grow below a mouse
    cells = page.locator(".site-table tbody tr").all_inner_texts()
    small, large, other = ({k: f.value for k, f in c.metrics.figures.items()} for c in cards)
    assert cells[0].split() == ["200", f"{small['legible']:.1%}", f"{small['fd']:.1f}", "–", "–"]
    assert cells[1].split() == [
        "6,000",
        *(f"{m[k]:{f}}" for m in (large, other) for k, f in (("legible", ".1%"), ("fd", ".2f"))),
    ]
    said = page.get_attribute(".site-charts .chart-drawing >> nth=0", "aria-label")
    assert f"At 6,000: Plain DCGAN {large['fd']:.3g}, Rescue" in said


@pytest.mark.browser
def test_the_film_plays(visit, exported):
    visited = visit()
    page = visited.open(_at(exported))
    page.locator(".film").scroll_into_view_if_needed()
    page.wait_for_selector(".film-play:enabled")
    assert page.inner_text(".film-place") == "update 6,000 of 6,000"
    page.click(".film-play")
    page.wait_for_function(
        "!document.querySelector('.film-place').textContent.startsWith('update 6,000')"
    )
    first = page.inner_text(".film-place")
    page.wait_for_function(
        "first => document.querySelector('.film-place').textContent !== first", arg=first
    )
    assert page.locator(".film .run-charts .chart-drawing").count() == 3
    assert visited.errors == []


@pytest.mark.browser
def test_it_speaks_the_browsers_language_and_can_be_told_another(visit, exported, cards):
    visited = visit(locale="ja-JP", viewport={"width": 390, "height": 800}, color_scheme="dark")
    page = visited.open(_at(exported, "move=1,0,0,0,0,0,0,0"))
    words = scripts.words()
    said = cards[1].metrics.verdicts()[0].words("ja")

    def heads():
        return page.title(), page.evaluate("document.documentElement.lang"), page.inner_text("h1")

    assert heads() == (words["ja"]["site_title"], "ja", words["ja"]["site_title"])
    assert page.locator(".site-verdict h2").first.inner_text() == said.title
    assert said.measured in page.inner_text(".site-verdict")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 23)"
    page.get_by_role("button", name="English").press("Enter")
    assert heads() == (words["en"]["site_title"], "en", words["en"]["site_title"])
    assert page.evaluate("document.activeElement.textContent") == "English"
    assert page.evaluate("location.hash") == "#lang=en&move=1,0,0,0,0,0,0,0"
    visited.settle()
    assert visited.errors == []


@pytest.mark.browser
def test_a_model_of_ones_own_is_a_choice_by_itself(visit, exported, own):
    visited = visit()
    page = visited.open(_at(exported))
    page.locator(".site-controls select").select_option(own.name)
    page.wait_for_selector(
        ".site-about >> text=40 images of drawn digits · Plain DCGAN · 12 updates · seed 0"
    )
    visited.settle()
    assert _differ(_wall(page, 0), _drawn(own, LatentRequest(Seeds(0)), own)) <= 1
    assert (
        not page.locator(".site-size").is_visible()
        and not page.locator(".site-charts").is_visible()
    )
    page.reload()
    visited.settle()
    assert page.locator(".site-controls select").input_value() == own.name
    assert visited.errors == []


@pytest.mark.browser
@pytest.mark.parametrize(
    ("harm", "said"), [("cut", "damaged"), ("altered", "sha256"), ("gone", "not there")]
)
def test_a_model_that_cannot_be_read_is_said_and_the_rest_works(visit, copy, cards, harm, said):
    weights = copy / "files" / f"{cards[1].sha256}.js"
    content = weights.read_bytes()
    middle = len(content) // 2
    if harm == "gone":
        weights.unlink()
    elif harm == "cut":
        weights.write_bytes(content[:middle])
    else:
        other = b"A" if content[middle : middle + 1] != b"A" else b"B"
        weights.write_bytes(content[:middle] + other + content[middle + 1 :])
    visited = visit()
    page = visited.page
    page.goto(_at(copy))
    page.wait_for_selector(f".reading .message:has-text('{said}')")
    page.locator(".film").scroll_into_view_if_needed()
    page.wait_for_selector(".film-play:enabled")
    page.focus(".site-size")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".wall-column[aria-current=true]:not(.wall-waiting)")
    assert not page.locator(".reading .message").is_visible()
    # only the browser itself says so, once for each time it was tried
    assert all(
        "SyntaxError" in e or "Invalid" in e or "ERR_FILE_NOT_FOUND" in e for e in visited.errors
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.mark.browser
def test_any_web_host_serves_it(visit, exported, cards):
    handler = functools.partial(_Quiet, directory=str(exported))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/"
            visited = visit()
            page = visited.open(address)
            assert _differ(_wall(page, 1), _drawn(cards[1], LatentRequest(Seeds(0)), cards[1])) <= 1
            paths = {url.removeprefix(address) for url in visited.asked}
            weights = {f"files/{card.sha256}.js" for card in cards[:2]}
            rest = {path for path in paths if path and not path.startswith("files/")}
            assert weights <= paths and rest == set()
            assert visited.errors == []
        finally:
            server.shutdown()
            thread.join()


STATES = [
    ExploreState(),
    ExploreState(size=200, budget="updates", recipe="rescue", moment="best", model="a b&c", seed=7),
    ExploreState(shifts=(1.5, -0.5, 0, 0, 0, 0, 0, 4), axes=((0, -2), (63, 1.25)), truncation=0.8),
    ExploreState(rows=Listed((3, 1, LAST_SEED)), axes=((99, 1),)),
    ExploreState(rows=Walk(5, 64, 0.25)),
    ExploreState(rows=Sum(1, 2, 3), truncation=0),
]


@pytest.fixture(scope="module")
def links(chromium):
    opened = chromium.new_page()
    opened.set_default_timeout(5000)
    opened.add_script_tag(
        content=scripts.bundle_script("link") + "Object.assign(globalThis, {readLink, writeLink});",
        type="module",
    )
    opened.wait_for_function("'readLink' in globalThis")
    yield opened
    opened.close()


OFFERED = {
    "lang": ["en", "ja"],
    "model": ["", "a b&c"],
    "size": [200, 6000],
    "budget": ["epochs", "updates"],
    "recipe": ["plain", "rescue"],
    "moment": ["final", "best"],
}


def _told(state):
    names = ("model", "size", "budget", "recipe", "moment")
    told = {
        "lang": "en",
        **{n: getattr(state, n) for n in names},
        "request": state.latent_request().to_dict(),
    }
    return json.loads(json.dumps(told))


@pytest.mark.browser
@pytest.mark.parametrize("state", STATES)
def test_links_are_those_of_the_app(links, state):
    told, usual = _told(state), _told(ExploreState())
    link = links.evaluate("([told, usual]) => writeLink(told, usual)", [told, usual])
    query = dict(part.split("=", 1) for part in link.replace("a%20b%26c", "a b\0c").split("&"))
    query = {name: value.replace("\0", "&") for name, value in query.items()}
    assert query == to_query(state) | {"lang": "en"}
    read = links.evaluate("(asked) => readLink(...asked)", [f"#{link}", OFFERED, usual])
    assert read == told
    best = {(200, "updates", "rescue")}
    assert from_query(query, [200, 6000], best, models=["a b&c"]) == (state, [])


@pytest.mark.browser
def test_a_link_that_makes_no_sense_gives_the_defaults(links):
    usual = _told(ExploreState())
    link = "size=7&budget=x&lang=fr&move=9,9&psi=-1&z=1:1,1:2&rows=walk:1&seed=-3&model=%00&recipe=constructor"
    assert links.evaluate("(asked) => readLink(...asked)", [link, OFFERED, usual]) == usual
    for rows in (
        "walk:1,2,3",
        "list:",
        "sum:1,2",
        "list:" + ",".join("1" * 25),
        "toString:1",
        "seeds:",
        f"list:{LAST_SEED + 1}",
    ):
        read = links.evaluate("(asked) => readLink(...asked)", [f"rows={rows}", OFFERED, usual])
        assert read == usual, rows


def test_the_judge_is_left_out_where_nothing_can_be_read(tmp_path, cards):
    other = replace(cards[0], metrics=replace(cards[0].metrics, digits=False))
    done = site.export(tmp_path / "page", [other])
    assert done.files == 5
    assert not (
        tmp_path / "page" / "files" / f"{files.sha256(classifier.weights_file('classifier'))}.js"
    ).exists()
