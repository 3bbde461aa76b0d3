"""The pure parts of the Train page: settings and their links, early verdicts, words. No streamlit runs here."""

import pytest

from gan.config import RECIPES, TrainConfig, recipe_config
from gan.errors import ConfigError, GanError
from gan.evaluation.verdict import Measures, diagnose
from views.explore.state import ExploreState, from_query, to_query
from views.shared import pictures, words
from views.train import settings as train_settings
from views.train.settings import FINE, NAMES, SIZES, TrainSettings, config_of, recipe_values

UPLOADS = "runs/uploads"


@pytest.mark.parametrize(
    "chosen",
    [
        TrainSettings(),
        TrainSettings(source="drawn", size=200, updates=60, batch_size=16, seed=7),
        TrainSettings(budget="epochs", epochs=3, size=50),
        TrainSettings(recipe="article-2018", **recipe_values("article-2018")),
        TrainSettings(recipe="rescue", **recipe_values("rescue") | {"lr_g": 5e-4}),
        TrainSettings(source="own", own="abc123", size=40, img_size=64),
    ],
)
def test_settings_survive_their_link_and_its_configuration(chosen):
    assert train_settings.from_query(train_settings.to_query(chosen)) == (chosen, [])
    config = config_of(chosen, UPLOADS)
    own = chosen.source == "own"
    assert config.source == (f"folder:{UPLOADS}/abc123" if own else chosen.source)
    unused = (
        "updates" if chosen.budget == "epochs" else "epochs"
    )  # left as it is: one training, one name
    assert getattr(config, unused) == getattr(TrainConfig(), unused)
    for name in NAMES:
        if name not in ("source", "own", unused):
            there = config if hasattr(config, name) else config.model
            assert getattr(there, name) == getattr(chosen, name), name


def test_the_default_settings_need_no_link():
    assert train_settings.to_query(TrainSettings()) == {}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_unchanged_is_that_recipe(recipe):
    chosen = TrainSettings(recipe=recipe, **recipe_values(recipe))
    same = recipe_config(recipe, size=chosen.size, updates=chosen.updates)
    assert config_of(chosen, UPLOADS) == same
    assert set(recipe_values(recipe)) == set(FINE) < set(NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("updates", "0"),
        ("updates", "1e3"),
        ("updates", "9" * 400),
        ("updates", "٦٠"),
        ("epochs", "-1"),
        ("size", "1"),
        ("seed", "1000000"),
        ("lr_g", "nan"),
        ("lr_g", "inf"),
        ("lr_d", "2"),
        ("source", "folder:/etc"),
        ("source", "stacked"),
        ("own", "../../etc"),
        ("own", "a" * 65),
        ("recipe", "<script>"),
        ("loss", "none"),
        ("augment", "all"),
        ("img_size", "32"),
        ("batch_size", "1"),
        ("latent_dim", "100000"),
    ],
)
def test_what_does_not_fit_in_a_link_falls_back_and_is_named(name, value):
    chosen, problems = train_settings.from_query({name: value, "unknown": "x"})
    assert chosen == TrainSettings() and problems == [(name, value[:40])]


def test_ones_own_pictures_must_be_there_before_they_are_trained_on():
    with pytest.raises(ConfigError, match="upload some"):
        config_of(TrainSettings(source="own"), UPLOADS)
    assert (
        config_of(TrainSettings(source="own", own="abc"), UPLOADS).source
        == "folder:runs/uploads/abc"
    )


def test_the_sizes_on_offer_rise_and_begin_where_a_default_can_be():
    assert list(SIZES) == sorted(SIZES) and TrainSettings().size in SIZES


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.2, "1 s"), (75, "75 s"), (100, "2 min"), (3 * 3600, "3 h")]
)
def test_times_are_rounded_to_what_one_says(seconds, expected):
    assert words.about("en", seconds) == expected


@pytest.mark.parametrize(("total", "first"), [(60, 6), (1_500, 150), (100_000, 500)])
def test_failures_are_reported_from_a_tenth_of_the_run_on(total, first):
    noise = diagnose(Measures(1000, (0,) * 10, 0.1, 0.1, None))
    healthy = diagnose(Measures(1000, (90,) * 10, 0.9, 0.9, None))
    assert words.first_verdict(total) == first
    assert words.hardly_begun(first - 1, total, noise)
    assert not words.hardly_begun(first, total, noise)
    assert not words.hardly_begun(first - 1, total, healthy)


def test_a_message_of_the_library_is_no_markdown():
    told = words.escaped(GanError("GAN_SLOTS='`x`' costs $1 *now*"))
    assert told == "GAN\\_SLOTS=''x'' costs \\$1 \\*now\\*"


def test_the_queue_in_words():
    assert "at once" in words.queue_words("en", 0, 0.0)
    assert words.queue_words("en", 2, 100.0) == "2 before you; it starts in about 2 min."
    assert words.queue_words("en", 2, None) == "2 before you."


def test_missing_digits_are_marked_by_more_than_colour():
    row = pictures.digit_row([5] * 9 + [0], list(range(9)), 'a "row"')
    assert row.count("1px solid") == 9 and row.count("1px dashed") == row.count("line-through") == 1
    assert 'role="img"' in row and "a &quot;row&quot;" in row


def test_an_empty_frame_is_a_square_and_shows_plain_words():
    assert "aspect-ratio:1" in pictures.frame("<b>") and "&lt;b&gt;" in pictures.frame("<b>")


def test_an_own_model_is_part_of_the_link():
    state = ExploreState(model="mine", seed=64)
    assert from_query(to_query(state), (6_000,), models=["mine"]) == (state, [])
    gone, problems = from_query(to_query(state), (6_000,))
    assert gone == ExploreState(seed=64) and problems == [("model", "mine")]
