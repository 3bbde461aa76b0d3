"""The pure parts of the pages: links, words, charts, pictures. No streamlit runs here."""

import base64
import io
import json
import re
import string
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan.browser import payload
from gan.config import RECIPES
from gan.data import mnist, sources
from gan.networks.latent_request import (
    LAST_SEED,
    MAX_LISTED,
    MAX_SHIFT,
    LatentRequest,
    Listed,
    Seeds,
    Sum,
    Walk,
)
from views.explore import size_comparison
from views.explore.state import NUM_SHIFTS, ExploreState, from_query, to_query
from views.shared import charts, i18n, pictures
from views.train import settings as train_settings

SIZES = (200, 600, 6_000, 60_000)


@pytest.mark.parametrize(
    "state",
    [
        ExploreState(),
        ExploreState(size=600, budget="updates", moment="best", seed=128),
        ExploreState(size=600, recipe="rescue"),
        ExploreState(shifts=(0.0, -1.5, 0.0, 0.1, 0.0, 4.0, 0.0, 0.0)),
        ExploreState(shifts=(0.0,) * 7 + (-4.0,), axes=((3, 1.5), (10, -2.0))),
        ExploreState(rows=Seeds(7), truncation=0.7),
        ExploreState(axes=((99, 1.0), (4095, -1.0))),
        ExploreState(rows=Listed((5, 0, LAST_SEED))),
        ExploreState(rows=Walk(3, 64, 0.5), truncation=1.5),
        ExploreState(rows=Sum(1, 2, 3), truncation=0.0),
    ],
)
def test_a_link_gives_back_the_state_it_was_made_from(state):
    assert from_query(to_query(state), SIZES, {(600, "updates", "plain")}) == (state, [])


def test_links_of_the_six_sliders_of_before_still_hold():
    state, problems = from_query({"move": "1,0,0,-2,0,0.5"}, SIZES)
    assert (state.shifts, problems) == ((1.0, 0.0, 0.0, -2.0, 0.0, 0.5, 0.0, 0.0), [])


def test_a_pose_of_the_pad_is_the_state_it_came_from():
    state = ExploreState(
        seed=9, rows=Walk(3, 64, 0.5), truncation=0.5, shifts=(1.0,) * 8, axes=((3, 1.5),)
    )
    assert ExploreState(seed=9).with_latents(state.latent_request()) == state
    # the seeds of the grid need no mention, and a request of fewer shifts has zeros for the rest
    assert ExploreState(seed=9).with_latents(
        LatentRequest(Seeds(9), shifts=(1.0,))
    ) == ExploreState(seed=9, shifts=(1.0, *(0.0,) * 7))


def test_the_default_state_needs_no_link():
    assert to_query(ExploreState()) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", "601"),
        ("size", "-600"),
        ("size", "٦٠٠"),
        ("size", "9" * 400),
        ("budget", "free"),
        ("moment", "worst"),
        ("moment", "best"),  # the default place has none
        ("seed", "-1"),
        ("seed", "1e3"),
        ("seed", "1000000"),
        ("move", ",".join("1" * (NUM_SHIFTS + 1))),
        ("move", "1,,2"),
        ("move", ""),
        ("move", "1_0,0,0,0,0,0"),
        ("move", "\uff11,0,0,0,0,0"),
        ("move", "nan,0,0,0,0,0"),
        ("move", f"{MAX_SHIFT + 1},0,0,0,0,0"),
        ("z", "4096:1"),
        ("z", ",".join(f"{axis}:1" for axis in range(65))),
        ("z", "3:inf"),
        ("z", "3:1,3:2"),
        ("z", "<script>"),
        ("psi", "1.6"),
        ("psi", "-0.1"),
        ("psi", "nan"),
        ("rows", ""),
        ("rows", "walk"),
        ("rows", "walk:1,2"),
        ("rows", "walk:1,2,1.1"),
        ("rows", "walk:1,2,-0.5"),
        ("rows", "sum:1,2"),
        ("rows", "sum:1,2,3,4"),
        ("rows", "seeds:-1"),
        ("rows", "seeds:1.5"),
        ("rows", "list:"),
        ("rows", "list:" + ",".join("1" * (MAX_LISTED + 1))),
        ("rows", "dance:1"),
    ],
)
def test_what_does_not_fit_falls_back_and_is_named(name, value):
    state, problems = from_query({name: value, "unknown": "x"}, SIZES)
    assert state == ExploreState()
    assert problems == [(name, value[:40])]


def test_one_bad_part_leaves_the_others_in_force():
    state, problems = from_query({"size": "600", "seed": "x", "budget": "updates"}, SIZES)
    assert (state.size, state.budget, state.seed) == (600, "updates", 0)
    assert len(problems) == 1


def test_the_default_size_gives_way_where_it_is_not_on_offer():
    assert from_query({}, (200, 1_000))[0].size == 200


def placeholders(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_a_text_belongs_to_one_file():
    files = [json.loads(path.read_text("utf-8")) for path in i18n.WORDS.glob("*.json")]
    for language in i18n.LANGUAGES:
        assert sum(len(table[language]) for table in files) == len(i18n._TABLES[language])


def test_both_languages_say_the_same_things_with_the_same_facts():
    english, japanese = i18n._TABLES["en"], i18n._TABLES["ja"]
    assert english.keys() == japanese.keys()
    for key in english:
        assert placeholders(english[key]) == placeholders(japanese[key]), key
        assert japanese[key] == english[key] or re.search(r"[぀-ヿ一-鿿]", japanese[key]), key


@pytest.mark.parametrize(
    ("count", "share"),
    [(60_000, "100 %"), (30_000, "50 %"), (6_000, "10 %"), (600, "1 %"), (200, "0.33 %")],
)
def test_shares_of_the_full_set(count, share):
    assert payload.share_text(count, mnist.FULL_SIZE) == share


def test_every_size_of_the_articles_has_its_claim():
    assert set(size_comparison.ARTICLES) == set(sources.ARTICLE_SIZES)
    claims = {f"claim_{size}" for size in sources.ARTICLE_SIZES}
    assert {key for key in i18n._TABLES["en"] if key.startswith("claim_")} == claims


def test_histogram_shares_sum_to_one_on_both_sides():
    chart = charts.digit_histogram("en", [10] * 10, 200, [95] * 10, 1_000)
    shares = chart.data.groupby("kind")["share"].sum()
    assert shares.to_dict() == pytest.approx({"real": 1.0, "generated": 1.0})
    assert chart.data.query("kind == 'generated' and digit == 'none'")["share"].item() == 0.5


def test_a_picture_survives_the_way_into_html_bit_for_bit():
    picture = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    tag = pictures.image_tag(picture, 'a "quoted" <digit>')
    assert "&quot;quoted&quot; &lt;digit&gt;" in tag
    encoded = re.search(r"base64,([^\"]+)", tag)
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded[1]))))
    assert (decoded == picture[..., 0]).all()


def test_the_strip_marks_the_current_column_only():
    cell = np.zeros((28, 28, 1), dtype=np.uint8)
    row = pictures.strip([("200", "a", cell, False), ("600\n1 %", "b", cell, True)], "wall")
    assert row.count("solid currentColor") == 1 and row.count("solid transparent") == 1
    assert row.count('aria-current="true"') == 1 and 'aria-label="wall"' in row


def test_a_line_for_each_recipe_with_a_bar_where_there_are_seeds():
    rows = [
        {"size": size, "recipe": name, "fd": 2.0, "low": 1.0, "high": 3.0}
        for size in (200, 600)
        for name in ("a", "b")
    ]
    chart = charts.amounts_curve("en", rows, 0.4, ["a", "b"], marked_size=200).to_dict()
    marks = [layer["mark"]["type"] for layer in chart["layer"]]
    assert sorted(marks) == ["line", "rule", "rule", "rule"]
    line = chart["layer"][marks.index("line")]
    assert line["encoding"]["x"]["scale"]["type"] == line["encoding"]["y"]["scale"]["type"] == "log"
    assert line["encoding"]["color"]["scale"]["domain"] == ["a", "b"]


def test_every_recipe_has_its_words():
    for lang in ("en", "ja"):
        for recipe in RECIPES:
            assert i18n.text(lang, f"recipe_{recipe}")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([9, 5, 2, 1], [3, 3, 3, 3], (200, 600)),
        ([9, 2, 5, 1], [3, 3, 3, 3], None),  # back and forth
        ([9, 9, 9, 9], [3, 3, 3, 3], None),  # always ahead
        ([1, 1, 1, 1], [3, 3, 3, 3], None),
        ([9, 3, 3, 1], [3, 3, 3, 3], (100, 200)),  # as far is not closer
    ],
)
def test_a_crossing_is_named_only_where_there_is_one(one, other, expected):
    sizes = (100, 200, 600, 6_000)
    found = charts.crossing(
        dict(zip(sizes, one, strict=True)) | {50: 0.0}, dict(zip(sizes, other, strict=True))
    )
    assert found == expected


def test_without_a_plain_model_the_first_recipe_there_is_is_shown():
    state, problems = from_query({}, SIZES, (), ["rescue"])
    assert state.recipe == "rescue" and not problems


LINKS = json.loads((Path(__file__).parents[1] / "fixtures" / "v0.1" / "links.json").read_text())


@pytest.mark.parametrize("old", LINKS["links"], ids=lambda old: "&".join(old["query"]))
def test_links_of_version_0_1_open_what_they_opened_then(old):
    if old["page"] == "explore":
        best = {tuple(run) for run in LINKS["best"]}
        state, problems = from_query(old["query"], LINKS["sizes"], best)
        shown = dict(state) | state.latent_request().to_dict()
        written = to_query(state)
    else:
        settings, problems = train_settings.from_query(old["query"])
        shown, written = dict(settings), train_settings.to_query(settings)
    assert json.loads(json.dumps(shown)) == old["state"]
    assert written == old["written"] and problems == old["problems"] == []
