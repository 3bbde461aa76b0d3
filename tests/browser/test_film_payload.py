import json
import math
from dataclasses import replace

import pytest
import torch

from gan.browser import payload
from gan.evaluation import classifier
from gan.evaluation.verdict import CopyFigures, Kind
from gan.networks import images
from gan.runs import monitor
from gan.zoo import cards

# digits read among 1,000 samples: none, one kind, all ten of them
NOTHING, ONE_KIND, ALL = [0] * 10, [0, 900, *[0] * 8], [85] * 10


@pytest.fixture
def card(finished):
    return cards.read_manifest(finished)[0]


@pytest.fixture(autouse=True)
def thousand(monkeypatch):
    """As many samples as outside the tests, where a verdict needs 300."""
    monkeypatch.setattr(monitor, "MONITOR_SAMPLES", 1_000)


def _evidence(*moments):
    """Evidence with a moment every 10 updates; moments: (counts, spread, contrast)."""
    curves = {name: [0.123456, math.nan] for name in cards.CURVES} | {"step": [10, 20]}
    return {
        "curves": curves,
        "moments": [
            {"step": 10 * place, "counts": counts, "fd": 12.3456, "spread": spread, **more}
            for place, (counts, spread, more) in enumerate(moments, start=1)
        ],
    }


def _film(card, folder, *contrasts):
    """The card with a film whose moments have these contrasts, 1 for that of real digits."""
    real = classifier.load_reference("monitor").contrast
    frames = []
    for contrast in contrasts:
        half = round(127.5 * contrast * real)  # half the pixels above, half below the middle
        picture = torch.full((28, 28, 1), 127 - half, dtype=torch.uint8)
        picture[::2] = 127 + half
        frames += [picture] * monitor.FILM_LATENTS
    sheet = images.grid(torch.stack(frames).numpy(), monitor.FILM_LATENTS, gap=0)
    (folder / "film.png").write_bytes(images.to_png(sheet))
    return replace(card, film_path=folder / "film.png")


def test_a_payload_is_short_and_valid_json(card):
    shown = payload.film_payload(card, _evidence((ALL, 0.98765432, {"contrast": 1.0})))
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert shown["curves"]["g_loss"] == [0.1235, None]
    assert shown["curves"]["step"] == [10, 20] and shown["total"] == 20
    assert shown["samples"] == 1_000 and shown["digits"] is True
    assert shown["real_fd"] == pytest.approx(
        classifier.load_reference("monitor").real_score(1_000).fd, 1e-3
    )
    (moment,) = shown["moments"]
    assert moment == {
        "step": 10,
        "fd": 12.35,
        "spread": 0.9877,
        "counts": ALL,
        "legible": 0.85,
        "present": list(range(10)),
        "kinds": 10,
        "verdict": ["healthy"],
    }


@pytest.mark.parametrize(
    ("counts", "spread", "contrast", "verdict", "kinds"),
    [
        (NOTHING, 0.1, 1.0, ["one_picture"], 0),
        (NOTHING, 0.1, 0.1, ["noise"], 0),
        (NOTHING, 0.9, 1.0, ["noise"], 0),
        (ONE_KIND, 0.7, 1.0, ["few_kinds"], 1),
        ([100] * 9 + [1], 0.9, 1.0, ["few_kinds"], 9),  # one in 901 counts as missing
        ([50] * 10, 0.9, 1.0, ["rough"], 10),
        ([30] * 10, 0.9, 1.0, ["unsure"], 10),
    ],
)
def test_verdict_and_kinds_are_those_of_the_measures(
    card, counts, spread, contrast, verdict, kinds
):
    shown = payload.film_payload(card, _evidence((counts, spread, {"contrast": contrast})))
    assert shown["moments"][0]["verdict"] == verdict
    assert shown["moments"][0]["kinds"] == kinds
    assert not shown["contrast_from_film"]


@pytest.mark.parametrize("missing", [{}, {"contrast": None}, {"contrast": math.nan}])
def test_where_no_contrast_was_written_down_the_film_has_it(card, tmp_path, missing):
    alike = (NOTHING, 0.1, missing)
    filmed = _film(card, tmp_path, 0.9, 0.3, 0.9)
    shown = payload.film_payload(filmed, _evidence(alike, alike, (NOTHING, 0.1, {"contrast": 0.3})))
    found = [moment["verdict"] for moment in shown["moments"]]
    assert found == [["one_picture"], ["noise"], ["noise"]]  # its own goes before the film's
    assert shown["contrast_from_film"]


def test_copies_are_reported_at_the_moment_they_were_searched(card):
    copies = CopyFigures(0.9, copied_share=0.5, n=1_000, m=600, baseline_n=2_000)
    copied = replace(card, step=20, metrics=replace(card.metrics, copies=copies))
    shown = payload.film_payload(copied, _evidence(*[(ALL, 0.9, {"contrast": 1.0})] * 3))
    assert [moment["verdict"] for moment in shown["moments"]] == [
        ["healthy"],
        ["copies"],
        ["healthy"],
    ]


def test_without_contrast_and_film_nothing_is_guessed(card, tmp_path):
    lost = replace(card, film_path=tmp_path / "none.png")
    shown = payload.film_payload(
        lost, _evidence((NOTHING, 0.1, {}), (NOTHING, 0.9, {}), (ALL, 0.9, {}))
    )
    assert [moment["verdict"] for moment in shown["moments"]] == [[], ["noise"], ["healthy"]]
    assert not shown["contrast_from_film"]


def test_other_images_are_judged_by_variety_only(card, monkeypatch):
    monkeypatch.setattr(classifier, "load_reference", None)  # not asked
    cats = replace(card, source="folder:cats")
    shown = payload.film_payload(cats, _evidence((ALL, 0.1, {}), (ALL, 0.9, {"contrast": None})))
    assert shown["digits"] is False and shown["real_fd"] is None
    assert [moment["verdict"] for moment in shown["moments"]] == [["one_picture"], ["not_digits"]]
    assert not {"legible", "kinds", "counts", "present"} & shown["moments"][0].keys()


def test_the_payload_of_a_finished_run_has_a_moment_for_each_row_of_its_film(card):
    shown = payload.film_payload(card, cards.load_evidence(card))
    assert len(cards.load_film(card, len(shown["moments"]))) == len(shown["moments"])
    assert shown["total"] == card.config.total_updates == shown["moments"][-1]["step"]


def test_every_shipped_run_tells_how_it_ended():
    kinds = set(Kind.__args__)
    for name in ("mnist-200-updates-plain", "mnist-100-updates-rescue"):
        card = cards.find(name, cards.list_models(runs=None))
        shown = payload.film_payload(card, cards.load_evidence(card))
        assert all(
            moment["verdict"] and set(moment["verdict"]) <= kinds for moment in shown["moments"]
        )
        assert shown["moments"][-1]["verdict"] == [v.kind for v in card.metrics.verdicts()]
