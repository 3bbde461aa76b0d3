"""The pages through Streamlit's own test harness: what a visitor gets, and how it fails."""

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gan.browser import payload, static_files
from gan.evaluation import classifier, copies
from gan.zoo import cards as model_cards
from gan.zoo import compare
from gan.zoo.cards import list_models, load_evidence
from views.shared import cache, link

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def fresh_caches():
    """AppTest shares one process: what one test has loaded must not serve the next."""
    for cached in (cache._cards, cache.model, cache.generated, cache.evidence):
        cached.clear()
    cache.classifier.clear()
    cache.reference.clear()


@pytest.fixture
def own_zoo(tmp_path, monkeypatch):
    """A copy of the pretrained folder that a test may damage."""
    copy = tmp_path / "pretrained"
    shutil.copytree(classifier.PRETRAINED, copy)
    monkeypatch.setattr(classifier, "PRETRAINED", copy)
    monkeypatch.setattr(list_models, "__defaults__", (copy, None))
    return copy


def open_page(browser_fails=False, **query):
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.session_state["pad_failed"] = browser_fails
    for name, value in {"lang": "en", **query}.items():
        app.query_params[name] = value
    return app.run()


def grid(app):
    return next(h.proto.body for h in app.get("html") if "digits drawn by" in h.proto.body)


def test_the_first_screen_is_a_result():
    app = open_page()
    assert not app.exception
    assert "64 digits drawn by the generator trained on 6,000 images" in grid(app)
    assert app.select_slider(key="size").value == 6_000
    assert any("n" in c.value and "draws" in c.value for c in app.caption)  # the protocol
    assert [m.label for m in app.metric][:2] == ["Read as a digit", "FD to real digits"]


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("budget", ["epochs", "updates"])
def test_every_size_opens_without_an_error(lang, budget):
    for size in sorted({c.size for c in list_models(runs=None)}):
        app = open_page(lang=lang, size=str(size), budget=budget)
        assert not app.exception and not app.error, (size, app.error)


def test_every_recipe_opens_at_every_size_it_was_trained_on():
    cards = [c for c in list_models(runs=None) if c.recipe != "plain"]
    assert cards, "the zoo has no other recipe"
    for card in cards:
        app = open_page(size=str(card.size), budget=card.budget, recipe=card.recipe)
        assert not app.exception and not app.error, (card.name, app.error)
        assert app.segmented_control(key="recipe").value == card.recipe
        assert f" {card.size:,} images" in grid(app)


def test_the_recipe_is_part_of_the_link_and_an_unknown_one_is_named():
    plain = open_page(size="200", budget="updates")
    app = open_page(size="200", budget="updates", recipe="rescue")
    assert app.query_params["recipe"] == "rescue" and grid(app) != grid(plain)
    app.segmented_control(key="recipe").set_value("plain").run()
    assert "recipe" not in app.query_params and grid(app) == grid(plain)
    hostile = open_page(recipe="<b>")
    assert not hostile.exception and "recipe=<b>" in hostile.warning[0].value


def test_the_articles_are_compared_with_the_plain_recipe_only():
    def said(app):
        return [m.value for m in app.markdown if "legible, FD" in m.value]

    plain = open_page(size="200", budget="updates")
    assert said(open_page(size="200", budget="updates", recipe="rescue")) == said(plain) != []


def test_another_size_draws_other_digits_and_changes_the_link():
    app = open_page()
    before = grid(app)
    app.select_slider(key="size").set_value(600).run()
    assert grid(app) != before
    assert app.query_params["size"] == "600"


def test_the_same_link_draws_the_same_digits():
    query = {"size": "60000", "budget": "updates", "seed": "7", "move": "1,0,0,-2", "z": "3:1.5"}
    first, second = open_page(**query), open_page(**query)
    assert grid(first) == grid(second)
    assert dict(first.query_params) == {"lang": "en", **query}


def test_moving_a_latent_moves_the_digit_and_reset_brings_it_back():
    app = open_page(browser_fails=True, size="60000", budget="updates")
    wall = [h.proto.body for h in app.get("html")][1]
    app.slider(key="move0").set_value(3.0).run()
    moved = [h.proto.body for h in app.get("html")][1]
    assert moved != wall
    next(b for b in app.button if b.label == "Back to the middle").click().run()
    assert [h.proto.body for h in app.get("html")][1] == wall


def given(app, part):
    """What a part that runs in the browser was given, "playground" or "film"."""
    found = [e.proto for e in app.get("bidi_component") if e.proto.id.endswith(f"-{part}")]
    return json.loads(found[0].json)["payload"] if found else None


def test_the_pad_is_given_the_model_its_files_and_the_pose_of_the_link():
    app = open_page(size="600", budget="updates", recipe="rescue", seed="7", move="1,-2", psi="0.5")
    shown = given(app, "playground")
    card = next(c for c in list_models(runs=None) if c.name == "mnist-600-updates-rescue")
    assert shown["chosen"] == card.name
    assert [c["count"] for c in shown["cells"]] == sorted(compare.ZOO_SIZES)
    weights = next(c["weights"] for c in shown["cells"] if c["name"] == card.name)
    assert weights["id"] == card.sha256
    assert (static_files.STATIC / Path(weights["url"]).name).read_bytes() == card.path.read_bytes()
    assert shown["start"]["request"] == {
        "rows": {"kind": "seeds", "first": 7},
        "truncation": 0.5,
        "shifts": [1.0, -2.0, 0, 0, 0, 0, 0, 0],
        "axes": [],
    }
    assert dict(app.query_params)["psi"] == "0.5"


def test_the_pad_is_given_the_same_again_unless_it_is_sent_elsewhere():
    app = open_page(size="600")
    before = given(app, "playground")
    assert given(app.run(), "playground") == before
    app.number_input(key="seed").set_value(64).run()
    after = given(app, "playground")
    assert after["start"]["id"] != before["start"]["id"]
    assert after["start"]["request"]["rows"] == {"kind": "seeds", "first": 64}


def test_the_film_is_given_every_amount_of_data_and_stands_at_the_moment_shown():
    card = best_models()[0]
    app = open_page(size=str(card.size), budget=card.budget, recipe=card.recipe, moment="best")
    shown = given(app, "film")
    assert [c["size"] for c in shown["cells"]] == sorted(compare.ZOO_SIZES)
    steps = [m["step"] for m in load_evidence(card)["moments"]]
    assert shown["start"] == steps.index(card.step) / (len(steps) - 1)
    file = static_files.STATIC / Path(shown["cells"][0]["payload"]["url"]).name
    assert {"curves", "moments", "total"} <= set(json.loads(file.read_text()))


def test_where_the_browser_fails_the_server_draws_the_wall_the_curves_and_the_film():
    app = open_page(browser_fails=True)
    assert not app.exception and given(app, "film") is None
    assert given(app, "playground") is not None  # which says what is wrong
    assert len([s for s in app.slider if s.label.startswith("Direction")]) == 8
    wall = [h.proto.body for h in app.get("html")][1]
    assert wall.count("<figure") == len(compare.ZOO_SIZES)
    curves = given(app, "curves")
    assert curves["total"] == curves["curves"]["step"][-1] and len(curves["moments"]) > 1
    assert curves["real_fd"] > 0 and curves["described"] and len(curves["notes"]) == 3
    assert any("16 latents after" in h.proto.body for h in app.get("html"))


def test_whoever_wants_gets_the_pictures_from_the_server_and_keeps_the_film():
    app = open_page(size="60000", budget="updates", move="1")
    assert not [s for s in app.slider if s.label.startswith("Direction")]
    app.toggle(key="server_draws").set_value(True).run()
    assert given(app, "playground") is None and given(app, "film") is not None
    assert app.slider(key="move0").value == 1.0
    app.slider(key="move0").set_value(2.0).run()
    app.toggle(key="server_draws").set_value(False).run()
    assert given(app, "playground")["start"]["request"]["shifts"][0] == 2.0


def test_a_folder_that_cannot_be_written_is_named_and_the_server_draws(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(static_files, "STATIC", tmp_path / "file")
    app = open_page()
    assert not app.exception and not app.error
    assert str(tmp_path / "file") in app.warning[0].value
    assert [s for s in app.slider if s.label == "Direction 8"]
    assert any("16 latents after" in h.proto.body for h in app.get("html"))


def test_another_model_that_is_damaged_costs_its_place_in_the_wall_only(own_zoo):
    (own_zoo / "mnist-200-epochs-plain.safetensors").write_bytes(b"damaged")
    app = open_page()
    assert not app.exception and not app.warning
    shown = given(app, "playground")
    assert [c["count"] for c in shown["cells"]] == sorted(set(compare.ZOO_SIZES) - {200})


def test_a_run_of_the_whole_page_can_say_how_usual_it_is_to_be_so_near(monkeypatch):
    usual = copies.Baseline((0.5, 1.5))
    monkeypatch.setattr(cache, "copy_baseline", lambda *_: usual)
    app = open_page()
    card = next(c for c in list_models(runs=None) if c.name == "mnist-6000-epochs-plain")
    # a picture was chosen, and before the answer something else on the page, which cuts the fragment's run short
    app.session_state["near"] = {"number": 1, "training": None, "unseen": None, "words": "Found."}
    app.session_state["near_ratio"] = (card, 1.0)
    app.run()
    assert not app.exception
    assert given(app, "playground")["nearest"]["words"].startswith("Found. Of 2 other")


def test_the_moments_of_one_run_have_payloads_of_their_own(monkeypatch):
    """Copies were looked for at each card's own step."""
    monkeypatch.setattr(payload, "film_payload", lambda card, _evidence: {"copies at": card.step})
    cache._run_payload.clear()
    best = best_models()[0]
    for card in list_models(runs=None):
        if card.evidence_path == best.evidence_path:
            file = static_files.STATIC / Path(cache.run_payload(card)["url"]).name
            assert json.loads(file.read_text()) == {"copies at": card.step}
    cache._run_payload.clear()


def test_a_hostile_link_opens_the_default_with_a_notice():
    app = open_page(size="../../etc", budget="<b>", seed="-1", lang="xx")
    assert not app.exception and not app.error
    assert app.select_slider(key="size").value == 6_000
    notice = app.warning[0].value
    assert all(part in notice for part in ("size=../../etc", "budget=<b>", "seed=-1", "lang=xx"))


def test_japanese_follows_the_link():
    app = open_page(lang="ja")
    assert "学習データ量" in app.title[0].value
    assert app.query_params["lang"] == "ja"


def test_a_damaged_model_is_named_with_a_remedy_and_the_others_stay(own_zoo):
    name = "mnist-6000-epochs-plain.safetensors"
    with (own_zoo / name).open("r+b") as file:
        file.seek(5_000)
        file.write(b"damaged")
    app = open_page()
    assert not app.exception
    assert name in app.error[0].value and "git checkout" in app.error[0].value
    app.select_slider(key="size").set_value(600).run()
    assert not app.error and " 600 images" in grid(app)


def test_a_missing_manifest_says_what_to_do(own_zoo):
    (own_zoo / "manifest.json").unlink()
    app = open_page()
    assert not app.exception
    assert "manifest.json" in app.error[0].value and "zoo build" in app.error[0].value


def test_an_unreadable_evidence_file_costs_only_the_curves(own_zoo):
    (own_zoo / "mnist-6000-epochs-plain.evidence.json").write_text("<html>")
    app = open_page()
    assert not app.exception
    assert "evidence.json" in app.error[0].value
    assert grid(app)


def test_figures_on_the_page_are_those_of_the_manifest():
    manifest = json.loads((classifier.PRETRAINED / "manifest.json").read_text())
    entry = next(m for m in manifest["models"] if m["name"] == "mnist-6000-updates-plain")
    app = open_page(size="6000", budget="updates")
    legible = entry["evaluation"]["figures"]["legible"]["value"]
    assert app.metric[0].value == f"{legible:.1%}"


def test_a_broken_model_in_between_costs_nothing(own_zoo):
    (own_zoo / "mnist-10000-epochs-plain.safetensors").write_bytes(b"damaged")
    app = open_page(seed="64", z="3:1.5", move="0,2")
    before = grid(app)
    app.select_slider(key="size").set_value(10_000).run()
    assert not app.exception and "mnist-10000-epochs" in app.error[0].value
    app.select_slider(key="size").set_value(6_000).run()
    assert not app.exception and grid(app) == before
    assert dict(app.query_params) == {
        "lang": "en",
        "seed": "64",
        "z": "3:1.5",
        "move": "0,2",
    }


def best_models():
    return [c for c in list_models(runs=None) if c.snapshot == "best"]


def test_the_best_moment_can_be_chosen_and_is_remembered():
    card = best_models()[0]
    app = open_page(size=str(card.size), budget=card.budget)
    end = grid(app)
    app.segmented_control(key="moment").set_value("best").run()
    best = grid(app)
    assert best != end and app.query_params["moment"] == "best"
    app.select_slider(key="size").set_value(60_000).run()
    assert not app.exception and "moment" not in app.query_params
    app.select_slider(key="size").set_value(card.size).run()
    assert grid(app) == best


def test_a_best_moment_that_is_not_there_is_reported():
    app = open_page(size="60000", moment="best")
    assert "moment=best" in app.warning[0].value
    assert "moment" not in app.query_params


def test_going_back_in_the_browser_goes_back_on_the_page():
    app = open_page(size="600")
    before = grid(app)
    app.select_slider(key="size").set_value(1_000).run()
    assert grid(app) != before
    app.query_params["size"] = "600"
    app.run()
    assert grid(app) == before and app.select_slider(key="size").value == 600


def test_a_step_back_that_is_cut_short_does_not_undo_the_step_forward(monkeypatch):
    app = open_page(size="600")
    app.select_slider(key="size").set_value(1_000).run()
    with monkeypatch.context() as patch:
        patch.setattr(link, "write", lambda *_: None)  # the run does not come to its end
        app.query_params["size"] = "600"
        app.run()
    app.query_params["size"] = "1000"
    app.run()
    assert app.select_slider(key="size").value == 1_000 and app.query_params["size"] == "1000"


def test_a_component_chosen_again_starts_at_zero():
    app = open_page(browser_fails=True, z="3:1.5")
    next(b for b in app.button if b.label == "Back to the middle").click().run()
    assert "z" not in app.query_params
    app.multiselect(key="axes").set_value([3]).run()
    assert app.slider(key="axis3").value == 0.0


def test_a_run_of_ones_own_does_not_take_the_place_of_the_pretrained(monkeypatch, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(classifier.PRETRAINED, runs / "mine")
    monkeypatch.setattr(model_cards, "RUNS", runs)
    monkeypatch.setattr(list_models, "__defaults__", (classifier.PRETRAINED, runs))
    manifest = json.loads((runs / "mine" / "manifest.json").read_text())
    for entry in manifest["models"]:
        entry["name"] = "mine"
    (runs / "mine" / "manifest.json").write_text(json.dumps(manifest))
    app = open_page()
    assert "mine" not in app.json[0].value and "mnist-6000-epochs-plain" in app.json[0].value


def fits_any(config):
    return config["budget"] == "updates" and config["size"] <= 60_000


def test_models_of_stacked_digits_are_not_among_the_amounts_of_data(monkeypatch, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(classifier.PRETRAINED, runs / "mine")
    monkeypatch.setattr(model_cards, "RUNS", runs)
    monkeypatch.setattr(list_models, "__defaults__", (classifier.PRETRAINED, runs))
    manifest = json.loads((runs / "mine" / "manifest.json").read_text())
    # Those that fit any amount of data and any source; a manifest is checked for that.
    manifest["models"] = [m for m in manifest["models"] if fits_any(m["config"])]
    for entry in manifest["models"]:
        entry["config"] |= {"source": "stacked", "size": 777}
        entry["config"]["model"]["img_channels"] = 3
        entry["evaluation"]["reference"], entry["step"] = "test10000", 1
    (runs / "mine" / "manifest.json").write_text(json.dumps(manifest))
    assert any(card.size == 777 for card in list_models())
    app = open_page()
    assert not app.exception and not app.error
    assert not any("777" in option for option in app.select_slider(key="size").options)


@pytest.mark.parametrize("why", ["rewound", "imported"])
def test_what_was_rewound_or_measured_elsewhere_is_not_a_standard_run(monkeypatch, tmp_path, why):
    runs = tmp_path / "runs"
    shutil.copytree(classifier.PRETRAINED, runs / "mine")
    monkeypatch.setattr(model_cards, "RUNS", runs)
    monkeypatch.setattr(list_models, "__defaults__", (classifier.PRETRAINED, runs))
    manifest = json.loads((runs / "mine" / "manifest.json").read_text())
    # Those that fit any amount of data and any source; a manifest is checked for that.
    manifest["models"] = [m for m in manifest["models"] if fits_any(m["config"])]
    before = {"config": manifest["models"][0]["config"] | {"lr_g": 0.5}, "step": 100}
    note = {"continued_from": [before]} if why == "rewound" else {"imported": "2026-11-22"}
    for index, entry in enumerate(manifest["models"]):
        entry["config"] |= {"size": 776 + index % 2}
        if index % 2:
            entry["provenance"] = entry["provenance"] | note
    (runs / "mine" / "manifest.json").write_text(json.dumps(manifest))
    assert {776, 777} < {card.size for card in list_models()}
    app = open_page()
    assert not app.exception and not app.error
    options = app.select_slider(key="size").options
    assert any("776" in option for option in options)
    assert not any("777" in option for option in options)
