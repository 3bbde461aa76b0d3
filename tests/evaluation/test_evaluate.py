import json
import re

import pytest
import torch

from gan.data import sources
from gan.errors import ConfigError
from gan.evaluation import classifier as digit_classifier
from gan.evaluation import copies, evaluate
from gan.evaluation.classifier import read
from gan.networks import dcgan
from gan.networks.images import from_uint8


@pytest.fixture(scope="module")
def classifier(classifiers):
    return digit_classifier.load_classifier(root=classifiers)


@pytest.fixture(scope="module")
def reference(classifiers):
    return digit_classifier.load_reference(root=classifiers)


@pytest.fixture(scope="module")
def training():
    return sources.load("drawn", 400, seed=11).images


@pytest.fixture(scope="module")
def held_out():
    return sources.load("drawn", 1_600, seed=12).images


def _lottery(images: torch.Tensor):
    """A "generator" that draws from a fixed set of pictures."""
    floats = from_uint8(images)

    def generate(z: torch.Tensor) -> torch.Tensor:
        # the normal distribution function makes z uniform
        return floats[(torch.special.ndtr(z[:, 0]) * len(floats)).long().clamp(max=len(floats) - 1)]

    return generate


@pytest.fixture(scope="module")
def of_real_digits(classifier, reference, training, held_out):
    """An evaluation of unseen pictures of the very kind that the reference is of."""
    unseen = sources.load("drawn", 3_000, seed=13).images
    return evaluate.evaluate(
        _lottery(unseen),
        4,
        classifier,
        reference,
        samples=400,
        draws=3,
        training_images=training,
        held_out_images=held_out,
    )


def test_a_copier_is_found_however_many_images_there_are_to_copy():
    training, held_out = (
        sources.load("drawn", 6_000).images,
        sources.load_held_out("drawn").images[:600],
    )
    copied = from_uint8(training[torch.arange(0, 6_000, 30)])  # from all over the set
    figures = copies.check_copies(copied, training, held_out)
    assert figures.m == 300  # far fewer unseen images than training images
    assert figures.copied_share == 1.0


def test_a_perfect_generator_scores_as_real_digits_do(of_real_digits, reference):
    figures = of_real_digits.figures
    # 400 samples against 400: the reference scores real digits in sets of 133
    assert figures["fd"].value < 2 * reference.real_score(400).fd
    assert figures["spread"].value == pytest.approx(1.0, abs=0.05)
    assert figures["contrast"].value == pytest.approx(1.0, abs=0.05)
    assert figures["coverage"].value > 0.9
    assert figures["density"].value == pytest.approx(1.0, abs=0.15)
    assert figures["precision"].value > 0.6 and figures["recall"].value > 0.6


def test_one_picture_scores_as_one_picture(classifier, reference, training):
    one = from_uint8(training[:1])
    found = evaluate.evaluate(
        lambda z: one.expand(len(z), -1, -1, -1), 4, classifier, reference, samples=200, draws=2
    )
    assert found.figures["spread"].value == 0.0
    assert found.figures["vendi"].value == pytest.approx(1.0)
    assert found.figures["coverage"].value < 0.05
    assert [v.kind for v in found.verdicts()] == ["one_picture"]
    assert found.figures["fd"].spread == 0.0


def test_every_figure_carries_its_protocol(of_real_digits):
    for name, figure in of_real_digits.figures.items():
        assert (figure.n, figure.draws) == (400, 3), name
        assert figure.spread >= 0.0, name
    assert of_real_digits.samples == 1_200
    assert of_real_digits.classifier == "classifier" and of_real_digits.reference == "test10000"


def test_counts_and_legible_tell_the_same_story(of_real_digits):
    assert len(of_real_digits.counts) == 10
    assert 0 < sum(of_real_digits.counts) <= of_real_digits.samples
    share = sum(of_real_digits.counts) / of_real_digits.samples
    assert of_real_digits.figures["legible"].value == pytest.approx(share)
    assert of_real_digits.measures().legible == pytest.approx(share)


def test_the_spread_is_the_standard_deviation_of_the_draws(classifier, reference, training):
    generate = _lottery(training)
    lots = []
    for draw in range(2):
        drawn = evaluate.sample_images(generate, 4, evaluate.FIRST_SEED + draw * 200, 200)
        lots.append(sum(read(classifier, drawn).counts()) / 200)
    found = evaluate.evaluate(generate, 4, classifier, reference, samples=200, draws=2)
    assert lots[0] != lots[1]
    legible = found.figures["legible"]
    assert legible.value == pytest.approx(sum(lots) / 2)
    assert legible.spread == pytest.approx(abs(lots[0] - lots[1]) / 2**0.5)


def test_the_same_generator_gets_the_same_figures(classifier, reference, tiny_model):
    generator, _ = dcgan.make_pair(tiny_model, 0)
    generator.eval()
    before = {name: t.clone() for name, t in generator.state_dict().items()}
    torch.manual_seed(1)
    seen: list[tuple[int, int]] = []
    first, second = (
        evaluate.evaluate(
            generator,
            tiny_model.latent_dim,
            classifier,
            reference,
            samples=200,
            draws=2,
            progress=lambda done, total: seen.append((done, total)),
        )
        for _ in range(2)
    )
    assert first == second
    assert seen == [(1, 2), (2, 2)] * 2
    assert all(torch.equal(before[name], t) for name, t in generator.state_dict().items())


def test_an_evaluation_survives_json(of_real_digits):
    there_and_back = evaluate.Evaluation.from_dict(json.loads(json.dumps(of_real_digits.to_dict())))
    assert there_and_back == of_real_digits
    assert there_and_back.copies is not None
    assert there_and_back.verdicts() == of_real_digits.verdicts()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("counts"), "lacks counts"),
        (lambda d: d.update(counts=[0] * 9), "counts"),
        (lambda d: d["counts"].__setitem__(0, -1), "counts.0=-1"),
        (lambda d: d["counts"].__setitem__(0, True), "counts.0=True"),
        (lambda d: d.update(counts=[1_000] * 10), "more digits than the 1,200 samples"),
        (lambda d: d.update(figures=[]), "figures"),
        (lambda d: d["figures"].pop("fd"), "figures lacks fd"),
        (lambda d: d["figures"]["fd"].update(value=-1.0), "fd.value=-1.0"),
        (lambda d: d["figures"]["fd"].update(value="1.0"), "fd.value='1.0'"),
        (lambda d: d["figures"]["fd"].update(value=float("nan")), "fd.value=nan"),
        (lambda d: d["figures"]["fd"].update(value=float("inf")), "fd.value=inf"),
        (lambda d: d["figures"]["fd"].pop("draws"), "lacks figures.fd.draws"),
        (lambda d: d["figures"]["legible"].update(value=1.5), "legible=1.5"),
        (lambda d: d["figures"].update({"x" * 31: d["figures"]["fd"]}), "figures"),
        (lambda d: d["figures"].update({"a\u202eb": d["figures"]["fd"]}), "printable"),
        (
            lambda d: d["figures"].update({f"f{i}": d["figures"]["fd"] for i in range(30)}),
            "at most 30",
        ),
        (lambda d: d.update(copies=5), "copies=5"),
        (lambda d: d["copies"].update(copied_share=1.1), "copied_share=1.1"),
        (lambda d: d["copies"].update(m=0), "copies.m=0"),
        (lambda d: d.update(modes={"modes": 1_001, "kl": 0, "legible": 0, "n": 1}), "1001"),
        (lambda d: d.update(modes={"modes": 3}), "lacks modes.kl"),
        (lambda d: d.update(reference="test"), "reference='test'"),
        (lambda d: d.update(classifier="my own"), "classifier='my own'"),
        (lambda d: d.update(samples=0), "samples=0"),
        (lambda d: d.update(digits="no"), "digits='no'"),
        (lambda d: d.update(colour=1), "does not know colour"),
    ],
)
def test_values_that_no_evaluation_has_are_refused_by_name(of_real_digits, change, message):
    values = json.loads(json.dumps(of_real_digits.to_dict()))
    change(values)
    with pytest.raises(ConfigError, match=re.escape(message)):
        evaluate.Evaluation.from_dict(values)


@pytest.mark.parametrize(("old", "new"), [("judge", "classifier"), ("monitor", "monitor")])
def test_the_judge_of_version_0_1_is_the_classifier(of_real_digits, old, new):
    values = of_real_digits.to_dict()
    del values["classifier"]
    assert evaluate.Evaluation.from_dict({**values, "judge": old}).classifier == new


@pytest.mark.parametrize(("samples", "draws"), [(199, 2), (200, 1), (0, 5)])
def test_too_few_samples_to_score_are_refused(classifier, reference, samples, draws):
    with pytest.raises(ConfigError, match=f"samples={samples}, draws={draws}"):
        evaluate.evaluate(lambda z: z, 4, classifier, reference, samples=samples, draws=draws)


def test_a_sampled_picture_depends_on_its_seed_only(tiny_model):
    generator, _ = dcgan.make_pair(tiny_model, 0)
    generator.eval()
    size = tiny_model.latent_dim
    many = evaluate.sample_images(generator, size, 100, 510)  # more than are drawn at a time
    few = evaluate.sample_images(generator, size, 605, 5)
    assert many.shape == (510, 1, 28, 28) and not many.requires_grad
    torch.testing.assert_close(many[505:], few, atol=1e-6, rtol=1e-5)


def test_a_copier_is_found_out(training, held_out):
    found = copies.check_copies(from_uint8(training), training, held_out)
    assert found.copied_share > 0.99
    assert found.closer_share == 1.0
    assert (found.n, found.m, found.baseline_n) == (400, 400, 800)


def test_a_copier_that_adds_a_little_noise_is_found_out(training, held_out):
    rng = torch.Generator().manual_seed(0)
    noisy = from_uint8(training)
    noisy = (noisy + 0.1 * torch.randn(noisy.shape, generator=rng)).clamp(-1, 1)
    assert copies.check_copies(noisy, training, held_out).copied_share > 0.9


def test_unseen_pictures_are_no_copies(training, held_out):
    unseen = from_uint8(sources.load("drawn", 1_000, seed=13).images)
    found = copies.check_copies(unseen, training, held_out)
    # 1 % by construction: 10 of 1,000, the threshold itself known from 8 of 800
    assert found.copied_share < 0.03
    assert found.closer_share == pytest.approx(0.5, abs=0.1)


def test_a_half_copier_is_half_copied(training, held_out):
    unseen = from_uint8(sources.load("drawn", 400, seed=13).images)
    mixed = torch.cat([from_uint8(training), unseen])
    found = copies.check_copies(mixed, training, held_out)
    assert found.copied_share == pytest.approx(0.5, abs=0.02)


def test_the_larger_set_does_not_get_an_advantage(held_out):
    plenty = sources.load("drawn", 3_000, seed=11).images
    unseen = from_uint8(sources.load("drawn", 500, seed=13).images)
    found = copies.check_copies(unseen, plenty, held_out)
    assert found.m == 800  # half of the held-out ones
    assert found.copied_share < 0.03
    assert found.closer_share == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("train", "unseen"), [(19, 1_600), (400, 199)])
def test_too_few_pictures_to_tell_copies_are_not_checked(training, held_out, train, unseen):
    samples = from_uint8(training[:5])
    assert copies.check_copies(samples, training[:train], held_out[:unseen]) is None


def test_without_the_training_images_nothing_is_said_of_copies(classifier, reference, training):
    found = evaluate.evaluate(_lottery(training), 4, classifier, reference, samples=200, draws=2)
    assert found.copies is None
    assert evaluate.Evaluation.from_dict(found.to_dict()) == found


def _photos(count: int, seed: int, brightness: float = 1.0) -> torch.Tensor:
    """uint8 [count, 1, 64, 64]: smooth pictures of low contrast, all different."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, 4, 4, generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")
    return (128 + 12 * brightness * smooth).clamp(0, 255).round().to(torch.uint8)


def _score(pictures, training, classifier, reference, held_out=None):
    return evaluate.evaluate(
        _lottery(pictures),
        4,
        classifier,
        reference,
        samples=200,
        draws=2,
        training_images=training,
        held_out_images=held_out,
        digits=False,
    )


def test_other_pictures_are_measured_against_their_own_kind(classifier, reference):
    found = _score(_photos(1_000, 1), _photos(500, 2), classifier, reference)
    assert found.figures["spread"].value == pytest.approx(1.0, abs=0.1)
    assert found.figures["contrast"].value == pytest.approx(1.0, abs=0.1)
    assert [v.kind for v in found.verdicts()] == ["not_digits"]
    assert not found.digits and found.copies is None
    assert evaluate.Evaluation.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_one_picture_of_another_kind_is_seen(classifier, reference):
    training = _photos(500, 2)
    nearly = training[:1].int() + (_photos(1_000, 1, 0.2).int() - 128)
    found = _score(nearly.clamp(0, 255).to(torch.uint8), training, classifier, reference)
    assert found.figures["spread"].value == pytest.approx(0.2, abs=0.05)
    assert [v.key for v in found.verdicts()] == ["one_picture/other"]
    # against digits all of these would seem one picture: they are of low contrast
    digits = _photos(1_000, 1)[:, :, ::2, ::2][:, :, :28, :28]
    against_digits = evaluate.relative_spread(from_uint8(digits), reference)
    assert against_digits < 0.35


def test_copies_are_found_in_the_resolution_of_the_training_images(classifier, reference):
    training, held_out = _photos(400, 2), _photos(400, 3)
    found = _score(training, training, classifier, reference, held_out)
    assert found.copies is not None and found.copies.copied_share > 0.95
    assert [v.key for v in found.verdicts()] == ["copies/other"]
    found = _score(_photos(1_000, 1), training, classifier, reference, held_out)
    assert found.copies.copied_share < 0.05
    assert [v.key for v in found.verdicts()] == ["not_digits"]


def test_training_images_that_are_all_alike_divide_nothing_by_zero(classifier, reference):
    flat = torch.full((20, 1, 64, 64), 90, dtype=torch.uint8)
    found = _score(_photos(1_000, 1), flat, classifier, reference)
    assert [v.kind for v in found.verdicts()] == ["not_digits"]


def test_other_pictures_need_their_training_images(classifier, reference):
    with pytest.raises(ConfigError, match="give training_images"):
        _score(_photos(1_000, 1), None, classifier, reference)


def test_an_evaluation_from_before_there_were_other_pictures_is_of_digits(of_real_digits):
    values = of_real_digits.to_dict()
    assert values.pop("digits") is True
    assert evaluate.Evaluation.from_dict(values) == of_real_digits
