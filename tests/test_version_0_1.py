"""What version 0.1.0 wrote still works: model names and the folder of a finished run.

`tests/zoo/test_bundle.py`, `tests/jobs/` and `tests/views/` do the same for a bundle, a paused job and links.
"""

import shutil
from pathlib import Path

import pytest
import torch

from gan.networks import latents
from gan.runs import run
from gan.zoo import cards

OLD = Path(__file__).resolve().parent / "fixtures" / "v0.1"
FINISHED = "drawn-40-updates-plain-s0-d2281889"


@pytest.fixture
def runs(tmp_path):
    shutil.copytree(OLD / "runs", tmp_path / "runs")
    return tmp_path / "runs"


def test_every_pretrained_model_keeps_its_name():
    names = {card.name for card in cards.list_models(runs=None)}
    assert set((OLD / "models.txt").read_text().split()) <= names


def test_a_finished_run_is_a_model(runs):
    card = cards.find(FINISHED, cards.list_models(runs=runs))
    assert (card.source, card.size, card.step, card.seeds) == ("drawn", 40, 12, 1)
    assert card.metrics.figures["fd"].n == 2_000 and card.metrics.classifier == "classifier"
    evidence = cards.load_evidence(card)
    film = cards.load_film(card, len(evidence["moments"]))
    model = cards.open_model(card)
    z = latents.sample_z(range(16), model.generator.latent_dim)
    drawn = (model.generator(z) + 1) * 127.5
    assert (film[-1] - drawn.permute(0, 2, 3, 1).numpy()).__abs__().max() < 3


def test_a_finished_run_is_not_trained_again(runs, classifiers):
    card = cards.find(FINISHED, cards.list_models(runs=runs))
    before = {path.name: path.read_bytes() for path in (runs / FINISHED).iterdir()}
    folder = runs / FINISHED
    assert list(run.run(card.config, folder, torch.device("cpu"), classifiers)) == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
