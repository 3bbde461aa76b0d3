import json
from pathlib import Path

import pytest

from gan.config import read_as
from gan.errors import CheckpointError
from gan.evaluation.classifier import PRETRAINED
from gan.runs.entries import Evidence, Manifest

OLD_RUN = Path(__file__).parents[1] / "fixtures/v0.1/runs" / "drawn-40-updates-plain-s0-d2281889"


def read(model, content):
    return read_as(model, content, "a file", CheckpointError)


def content_of(path):
    return json.loads(path.read_text())


def test_the_pretrained_files_and_those_of_version_0_1_are_read():
    zoo = content_of(PRETRAINED / "manifest.json")
    models = read(Manifest, zoo).models
    assert [m.name for m in models] == [entry["name"] for entry in zoo["models"]]
    for entry in models:
        evidence = read(Evidence, content_of(PRETRAINED / entry.evidence))
        assert evidence.last_step == entry.config.total_updates
    old = content_of(OLD_RUN / "manifest.json")
    (entry,) = read(Manifest, old).models
    assert entry.evaluation.classifier == "classifier"
    assert entry.config.to_dict() == old["models"][0]["config"]
    assert read(Evidence, content_of(OLD_RUN / "evidence.json")).last_step == entry.step


def test_a_finished_run_writes_what_the_models_expect(finished):
    (entry, *_) = read(Manifest, content_of(finished / "manifest.json")).models
    assert entry.step == read(Evidence, content_of(finished / "evidence.json")).last_step == 12


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda e: e.update(more=1), "more"),
        (lambda e: e.pop("film"), "lacks models.0.film"),
        (lambda e: e.update(name="a\u202eb"), "printable"),
        (lambda e: e.update(snapshot="worst"), "snapshot='worst'"),
        (lambda e: e.update(step=13), "step=13 is past"),
        (lambda e: e.update(step=True), "step=True"),
        (lambda e: e.update(file="../model.safetensors"), "file="),
        (lambda e: e.update(film=".."), r"film='\.\.'"),
        (lambda e: e.update(evidence="a\\b"), "evidence="),
        (lambda e: e.update(sha256="0" * 63), "sha256="),
        (lambda e: e["config"].update(lr_g=[]), "lr_g"),
        (lambda e: e["provenance"].update(seconds="5"), "provenance.seconds='5'"),
        (lambda e: e["provenance"].update(device=[]), "provenance.device="),
        (lambda e: e["provenance"].update(continued_from=[{"step": 1}]), "continued_from.0.config"),
        (lambda e: e["evaluation"].update(judge="somebody"), "judge|classifier"),
        (lambda e: e["evaluation"].update(reference="test77"), "'test77' must be 'test10000'"),
        (lambda e: e["evaluation"].update(counts=[1] * 9), "counts="),
        (lambda e: e["evaluation"].update(counts=[1_001] * 10), "more digits than"),
        (lambda e: e["evaluation"]["figures"].pop("fd"), "lacks fd"),
        (lambda e: e["evaluation"]["figures"]["fd"].update(value=float("nan")), "fd.value=nan"),
        (lambda e: e["evaluation"]["figures"]["fd"].update(value=-1.0), r"fd.value=-1\.0"),
        (lambda e: e["evaluation"]["figures"]["legible"].update(value=1.5), "legible=1.5"),
        (lambda e: e["evaluation"].update(modes={"modes": 1_001}), "modes"),
        (lambda e: e["seeds"].clear(), "seeds="),
        (lambda e: e["seeds"][0].update(seed=7), "no row of the model's own seed 0"),
        (lambda e: e["seeds"][0].update(verdicts=["splendid"]), "verdicts.0='splendid'"),
        (lambda e: e["seeds"][0].update(fd=10**400), "fd="),
    ],
)
def test_an_entry_that_cannot_be_is_refused_and_the_message_says_where(change, match):
    content = content_of(OLD_RUN / "manifest.json")
    change(content["models"][0])
    with pytest.raises(CheckpointError, match=match):
        read(Manifest, content)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda e: e["curves"].pop("g_loss"), "lacks curves.g_loss"),
        (lambda e: e["curves"]["g_loss"].pop(), "as many as step"),
        (lambda e: e["curves"]["step"].reverse(), "larger than the one before"),
        (lambda e: e["curves"]["d_loss"].__setitem__(0, None), "d_loss.0=None"),
        (lambda e: e["curves"]["d_loss"].__setitem__(0, 1e300), "d_loss.0="),
        (lambda e: e["moments"].clear(), "moments="),
        (lambda e: e["moments"].reverse(), "larger than the one before"),
        (lambda e: e["moments"][0].update(counts=[1] * 11), "moments.0.counts="),
        (lambda e: e["moments"][0].update(fd=float("inf")), "moments.0.fd=inf"),
        (lambda e: e["moments"][0].update(more=1), "more"),
    ],
)
def test_evidence_that_cannot_be_is_refused_and_the_message_says_where(change, match):
    content = content_of(OLD_RUN / "evidence.json")
    change(content)
    with pytest.raises(CheckpointError, match=match):
        read(Evidence, content)


def test_what_could_not_be_measured_is_null():
    content = content_of(OLD_RUN / "evidence.json")
    content["curves"]["prob_held_out"] = [None] * len(content["curves"]["step"])
    del content["moments"][0]["contrast"]
    evidence = read(Evidence, content)
    assert set(evidence.curves.prob_held_out) == {None}
    assert evidence.moments[0].contrast is None
