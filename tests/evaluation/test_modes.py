"""The protocol of Stacked MNIST, with a classifier that reads grey levels: what is counted is known."""

import dataclasses
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gan.config import ModelConfig, TrainConfig, recipe_config
from gan.data import sources, stacked
from gan.data.labelled import Labelled
from gan.errors import ConfigError
from gan.evaluation import classifier, evaluate, modes
from gan.networks import latents
from gan.networks.images import from_uint8
from gan.runs import manifest, monitor, names, run
from gan.system import files
from gan.training import stacking
from gan.zoo import build, cards

CPU = torch.device("cpu")
UNIFORM = torch.full((1_000,), 1e-3, dtype=torch.float64)


class GreyClassifier(nn.Module):
    """Reads a picture of grey 25 k as k; sure of itself unless the grey is odd."""

    def __init__(self):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def features(self, images):
        return ((images.mean(dim=(1, 2, 3)) + 1) * 127.5).round().unsqueeze(1)

    def to_logits(self, features):
        digit = (features.squeeze(1) / 25).long().clamp(max=9)
        sure = features.squeeze(1) % 2 == 0
        return nn.functional.one_hot(digit, 10) * torch.where(sure, 50.0, 1.0)[:, None]


def _grey(*digits: int) -> torch.Tensor:
    """One picture a digit triple: 123 -> channels of grey 26, 50, 76 (all even, so all are sure)."""
    channels = torch.tensor([[n // 100, n // 10 % 10, n % 10] for n in digits])
    greys = channels * 25 + channels * 25 % 2
    return greys.to(torch.uint8)[:, :, None, None].expand(-1, -1, 28, 28)


def _singles(*labels: int) -> Labelled:
    greys = torch.tensor([25 * k + 25 * k % 2 for k in labels], dtype=torch.uint8)
    return Labelled(
        greys[:, None, None, None].expand(-1, 1, 28, 28).contiguous(), torch.tensor(labels)
    )


def test_every_combination_is_a_mode_of_its_own():
    found = modes.count_modes(GreyClassifier(), _grey(*range(1_000)).split(300), UNIFORM)
    assert (found.modes, found.n, found.legible) == (1_000, 1_000, 1.0)
    assert found.kl == pytest.approx(0.0, abs=1e-12)


def test_the_channels_are_read_in_the_order_of_the_label():
    likely = torch.full((1_000,), 1e-9, dtype=torch.float64)
    likely[123] = 1.0
    assert modes.count_modes(GreyClassifier(), [_grey(123)], likely).kl == 0.0
    assert modes.count_modes(GreyClassifier(), [_grey(321)], likely).kl == pytest.approx(
        math.log(1e9)
    )


def test_one_picture_is_one_mode_and_has_the_largest_divergence_there_is():
    found = modes.count_modes(GreyClassifier(), [_grey(7).expand(50, -1, -1, -1)] * 4, UNIFORM)
    assert (found.modes, found.n) == (1, 200)
    assert found.kl == pytest.approx(math.log(1_000))


def test_a_mode_counts_though_the_classifier_is_unsure_but_is_not_legible():
    pictures = _grey(0, 222).clone()
    pictures[1, 2] += 1  # odd: a 2 still, without confidence
    found = modes.count_modes(GreyClassifier(), [pictures], UNIFORM)
    assert found.modes == 2 and found.legible == pytest.approx(5 / 6)


def test_pictures_in_minus_one_to_one_are_read_as_bytes_are():
    floats = modes.count_modes(GreyClassifier(), [from_uint8(_grey(5, 55, 555))], UNIFORM)
    assert floats == modes.count_modes(GreyClassifier(), [_grey(5, 55, 555)], UNIFORM)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_pictures_of_another_kind_are_refused(channels):
    with pytest.raises(ConfigError, match=rf"{channels} channel.*--source stacked"):
        modes.count_modes(GreyClassifier(), [torch.zeros(5, channels, 28, 28)], UNIFORM)


def test_a_combination_is_as_likely_as_its_digits_are_together():
    labels = torch.tensor([0] * 5 + [1] * 3 + [9] * 2)
    probabilities = modes.mode_probabilities(labels)
    assert float(probabilities.sum()) == pytest.approx(1.0)
    assert float(probabilities[19]) == pytest.approx(0.5 * 0.3 * 0.2)
    assert float(probabilities[991]) == pytest.approx(0.2 * 0.2 * 0.3)
    assert float(probabilities[2]) == 0.0


def test_the_floor_is_that_of_the_papers_protocol():
    figures = modes.ModeFigures(modes=1_000, kl=0.03, legible=1.0, n=modes.SAMPLES)
    assert figures.floor == pytest.approx(0.0192, abs=5e-5)


def test_real_digits_come_near_the_floor():
    digits = _singles(*([*range(10)] * 3), 1, 1, 1)
    found = modes.of_real_digits(GreyClassifier(), digits, 13_000)
    assert found.modes > 990 and found.legible == 1.0
    # five standard deviations of half a chi-square of 999 degrees of freedom over n
    assert found.kl == pytest.approx(found.floor, abs=5 * math.sqrt(2 * 999) / (2 * 13_000))
    assert found == modes.of_real_digits(GreyClassifier(), digits, 13_000)


def test_published_figures_are_possible_ones():
    for row in modes.PUBLISHED:
        assert 1 <= row.modes <= 1_000 and 0 < row.kl < math.log(1_000)
        # the modes that were seen at most: the smallest divergence is that of as many equal shares
        assert row.kl > math.log(1_000 / row.modes) - 0.05, row
        assert "arXiv" in row.source


@pytest.mark.parametrize("samples", [1, 999, 2_001])
def test_all_samples_are_asked_for_once_and_in_order(samples):
    asked: list[int] = []
    told: list[tuple[int, int]] = []

    def draw(start: int, count: int) -> torch.Tensor:
        asked.extend(range(start, start + count))
        return torch.empty(count)

    parts = list(modes.in_chunks(draw, samples, lambda *done: told.append(done)))
    assert asked == list(range(samples)) and sum(map(len, parts)) == samples
    assert told[-1] == (samples, samples)


@pytest.mark.parametrize("samples", [0, -5])
def test_no_samples_have_no_modes(samples):
    with pytest.raises(ConfigError, match=f"samples={samples}"):
        evaluate.evaluate_modes(lambda z: z, 4, GreyClassifier(), UNIFORM, samples)


def test_a_generators_modes_are_counted_among_fixed_latents():
    def generate(z):  # the sign of three latents decides the three digits
        return from_uint8(_grey(*((z[:, :3] > 0) * torch.tensor([300, 30, 3])).sum(dim=1).tolist()))

    found = evaluate.evaluate_modes(generate, 4, GreyClassifier(), UNIFORM, 2_000)
    assert (found.modes, found.n) == (8, 2_000)
    assert found.kl == pytest.approx(math.log(1_000 / 8), abs=0.01)
    assert found == evaluate.evaluate_modes(generate, 4, GreyClassifier(), UNIFORM, 2_000)


@pytest.fixture(scope="module")
def scored(classifiers):
    """An evaluation of a "generator" that draws triples of real (drawn) digits."""
    digits = sources.load("drawn", 3_000, seed=13)
    triples = from_uint8(stacked.stack(digits, 2_000, 0).images)

    def generate(z):
        return triples[(torch.special.ndtr(z[:, 0]) * 2_000).long().clamp(max=1_999)]

    return evaluate.evaluate(
        generate,
        4,
        classifier.load_classifier(root=classifiers),
        classifier.load_reference(root=classifiers),
        samples=400,
        draws=2,
        training_images=digits.images,
        held_out_images=sources.load("drawn", 1_000, seed=14).images,
        mode_probabilities=UNIFORM,
        mode_samples=500,
    )


def test_triples_of_real_digits_score_as_real_digits_do(scored):
    figures = scored.figures
    for name in ("spread", "contrast"):
        assert figures[name].value == pytest.approx(1.0, abs=0.05), name
    assert figures["coverage"].value > 0.9
    assert scored.samples == 800 and sum(scored.counts) <= 800
    assert scored.copies is not None and scored.copies.copied_share == 1.0  # they are
    assert scored.modes is not None and scored.modes.n == 500


def test_an_evaluation_with_modes_survives_json(scored):
    values = scored.to_dict()
    assert evaluate.Evaluation.from_dict(values) == scored
    del values["modes"]  # as it was written before there were any
    assert evaluate.Evaluation.from_dict(values) == replace(scored, modes=None)


def test_one_triple_for_every_latent_is_seen_though_its_digits_differ(classifiers):
    triple = from_uint8(stacked.stack(sources.load("drawn", 30), 1, 0).images)
    found = evaluate.evaluate(
        lambda z: triple.expand(len(z), -1, -1, -1),
        4,
        classifier.load_classifier(root=classifiers),
        classifier.load_reference(root=classifiers),
        samples=200,
        draws=2,
    )
    assert found.figures["spread"].value == 0.0
    assert [v.kind for v in found.verdicts()] == ["one_picture"]


@pytest.fixture
def config(fake_mnist, tiny, tiny_model):
    return tiny(source="stacked:300", model=replace(tiny_model, img_channels=3))


@pytest.fixture
def finished_stacked(tmp_path, config, classifiers):
    folder = tmp_path / "stacked"
    for _ in run.run(config, folder, CPU, classifiers):
        pass
    return folder


def test_a_run_on_stacked_digits_ends_in_a_zoo_with_modes(finished_stacked, config, classifiers):
    (card, *_) = cards.read_manifest(finished_stacked)
    assert card.config == config and card.source == "stacked:300"
    assert card.metrics.modes is not None and card.metrics.modes.n == 300
    row = card.seed_rows[0]
    assert (row["modes"], row["kl"]) == (card.metrics.modes.modes, card.metrics.modes.kl)
    assert card.metrics.copies is not None and card.metrics.copies.m == 300  # single digits
    assert build.verify(finished_stacked) == []
    before = files.read_json(finished_stacked / "manifest.json", "")
    manifest.rescore(finished_stacked, config, classifiers)
    assert files.read_json(finished_stacked / "manifest.json", "") == before


def test_the_film_of_stacked_digits_is_in_colour(finished_stacked):
    (card, *_) = cards.read_manifest(finished_stacked)
    moments = len(monitor.moments_to_measure(12))
    film = cards.load_film(card, moments)
    assert film.shape == (moments, 16, 28, 28, 3)
    z = latents.sample_z(range(16), card.config.model.latent_dim)
    drawn = (cards.open_model(card).generator(z) + 1) * 127.5
    assert np.abs(film[-1] - drawn.permute(0, 2, 3, 1).numpy()).max() < 3


def test_a_run_on_stacked_digits_goes_on_after_a_kill(
    tmp_path, finished_stacked, config, classifiers
):
    folder = tmp_path / "again" / "stacked"
    loop = run.run(config, folder, CPU, classifiers)
    while next(loop).report.step < 7:
        pass
    loop.close()
    for _ in run.run(config, folder, CPU, classifiers):
        pass
    for name in ("evidence.json", "film.png"):
        assert (folder / name).read_bytes() == (finished_stacked / name).read_bytes()
    there, here = (cards.read_manifest(f) for f in (finished_stacked, folder))
    assert [c.metrics for c in there] == [c.metrics for c in here]


@pytest.mark.parametrize(
    ("source", "channels"),
    [("mnist", 1), ("drawn", 1), ("folder:stacked", 1), ("stacked", 3), ("stacked:600", 3)],
)
def test_the_networks_have_the_channels_of_the_source(source, channels):
    config = recipe_config("plain", source=source)
    assert config.model == ModelConfig(img_channels=channels)
    other = 4 - channels
    with pytest.raises(ConfigError, match=rf"img_channels={other} .*img_channels={channels}"):
        dataclasses.replace(config, model=ModelConfig(img_channels=other))
    with pytest.raises(ConfigError, match=f"img_channels={other}"):
        recipe_config("plain", source=source, model=ModelConfig(img_channels=other))


def test_the_command_line_of_a_run_on_stacked_digits_names_its_base(tmp_path):
    config = recipe_config("plain", source="stacked:600", size=128_000)
    arguments = names.train_arguments(config, tmp_path, "cpu", 1)
    assert arguments[arguments.index("--source") + 1] == "stacked:600"
    assert names.cell_name(config) == "stacked_600-128000-updates-plain"
    assert names.reference_images(config) == 10_000
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_runs_on_stacked_digits_of_other_bases_can_be_trained_together():
    small, large = (recipe_config("plain", source=s) for s in ("stacked:600", "stacked"))
    assert stacking.stack_key(small) == stacking.stack_key(large)
    assert stacking.stack_key(small) != stacking.stack_key(recipe_config("plain"))


@pytest.mark.mnist
def test_the_shipped_classifier_adds_little_to_the_floor():
    found = modes.of_real_digits(
        classifier.load_classifier(), sources.load_held_out("mnist"), 4_000
    )
    assert found.modes > 950
    # 4,000 samples leave 2 % of the modes unseen, and the floor is no longer its first term alone
    assert found.kl == pytest.approx(found.floor, abs=0.03)
