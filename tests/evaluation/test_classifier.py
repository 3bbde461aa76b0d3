import dataclasses

import pytest
import torch

from gan.data import sources
from gan.errors import CheckpointError, ConfigError
from gan.evaluation import classifier as digit_classifier
from gan.evaluation import metrics
from gan.evaluation.classifier import (
    Classifier,
    Reading,
    RealScore,
    Reference,
    _score_real,
    make_classifier,
    make_reference,
    rounded,
    save,
)
from gan.evaluation.classifier_training import legible_junk, make_junk, train
from gan.networks.images import from_uint8
from gan.system import tensor_files


@pytest.fixture(scope="module")
def pictures():
    return sources.load("drawn", 300, seed=5)


def _untrained() -> Classifier:
    return rounded(make_classifier(width=4, seed=0))


def test_a_classifier_gives_ten_logits_from_features_that_are_not_negative(pictures):
    classifier = _untrained()
    images = from_uint8(pictures.images[:6])
    features = classifier.features(images)
    assert features.shape == (6, classifier.num_features) == (6, 16)
    assert float(features.min()) >= 0.0
    assert torch.equal(classifier(images), classifier.to_logits(features))
    assert classifier(images).shape == (6, 10)


def test_the_same_seed_makes_the_same_classifier():
    one, same, other = make_classifier(4, 0), make_classifier(4, 0), make_classifier(4, 1)
    assert torch.equal(one.dense.weight, same.dense.weight)
    assert not torch.equal(one.dense.weight, other.dense.weight)


def test_bytes_and_floats_are_read_alike_whatever_the_batch(pictures):
    classifier = _untrained()
    whole = digit_classifier.read(classifier, pictures.images)
    parts = digit_classifier.read(classifier, from_uint8(pictures.images), batch_size=7)
    torch.testing.assert_close(whole.features, parts.features, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(whole.confidence, parts.confidence, atol=1e-5, rtol=1e-4)
    assert len(whole.digit) == 300


def test_digit_and_confidence_are_the_softmax_of_the_logits(pictures):
    classifier = _untrained()
    reading = digit_classifier.read(classifier, pictures.images[:20])
    probabilities = classifier(from_uint8(pictures.images[:20])).softmax(dim=1)
    assert torch.equal(reading.digit, probabilities.argmax(dim=1))
    torch.testing.assert_close(reading.confidence, probabilities.max(dim=1).values)


def test_only_confident_readings_are_counted():
    reading = Reading(
        features=torch.zeros(5, 1),
        digit=torch.tensor([3, 3, 9, 0, 0]),
        confidence=torch.tensor([0.95, 0.9, 1.0, 0.89, 0.2]),
    )
    assert reading.counts() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 1]


def test_a_rounded_classifier_comes_back_as_the_very_same(tmp_path, pictures):
    classifier = _untrained()
    save(classifier, [], {"accuracy": 0.5}, "monitor", tmp_path)
    loaded = digit_classifier.load_classifier("monitor", tmp_path)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    images = from_uint8(pictures.images[:5])
    assert torch.equal(loaded(images), classifier(images))
    assert digit_classifier.provenance("monitor", tmp_path)["accuracy"] == 0.5


def test_rounding_changes_little_and_only_once():
    fine = make_classifier(4, 0)
    before = fine.conv2.weight.detach().clone()
    once = rounded(fine).conv2.weight.clone()
    torch.testing.assert_close(once, before, atol=1e-6, rtol=2**-11)
    assert not torch.equal(once, before)
    assert torch.equal(rounded(fine).conv2.weight, once)


def test_a_reference_survives_the_disk(tmp_path, pictures):
    classifier = _untrained()
    made = make_reference(classifier, pictures.images[:100])
    save(classifier, [made], {}, "classifier", tmp_path)
    loaded = digit_classifier.load_reference("classifier", test_images=100, root=tmp_path)
    for field in dataclasses.fields(Reference):
        there, back = getattr(made, field.name), getattr(loaded, field.name)
        if field.name == "sample":
            torch.testing.assert_close(back, there, atol=1e-3, rtol=2**-11)
        elif isinstance(there, torch.Tensor):
            assert torch.equal(there, back), field.name
        else:
            assert there == back, field.name


def test_a_reference_is_what_the_classifier_saw(pictures):
    classifier = _untrained()
    images = pictures.images[:300]
    made = make_reference(classifier, images)
    features = digit_classifier.read(classifier, images).features
    mean, cov = metrics.moments(features)
    torch.testing.assert_close(made.mean, mean)
    torch.testing.assert_close(made.cov, cov)
    assert (made.name, made.n, set(made.real)) == ("test300", 300, {100})
    assert {tuple(row) for row in made.sample.tolist()} == {tuple(r) for r in features.tolist()}
    assert made.counts == digit_classifier.read(classifier, images).counts()
    assert made.pixel_spread == pytest.approx(metrics.pairwise_spread(from_uint8(images)))
    # real images of the same kind are near and cover the reference as real ones do
    real = made.real_score(100)
    assert 0 < real.fd < 0.2 * float(cov.trace())
    assert real.draws == 3 and real.fd_spread > 0  # the lots differ
    assert real.coverage > 0.7


def test_real_digits_are_scored_against_others_than_themselves(pictures):
    features = digit_classifier.read(_untrained(), pictures.images[:300]).features
    real = _score_real(features, 100)
    lots = [features[i : i + 100] for i in (0, 100, 200)]
    rests = [torch.cat([lots[1], lots[2]]), torch.cat([lots[0], lots[2]]), torch.cat(lots[:2])]
    distances = [metrics.frechet_distance(a, b) for a, b in zip(lots, rests, strict=True)]
    assert real.fd == pytest.approx(sum(distances) / 3)


def test_real_digits_are_scored_in_sets_of_the_nearest_size():
    score = RealScore(0.5, 0.1, 0.9, 5)
    other = RealScore(0.3, 0.1, 0.9, 5)
    empty = torch.empty(0)
    made = Reference("x", 0, empty, empty, empty, [], 1.0, 1.0, {1_000: score, 2_000: other})
    assert made.real_score(1_000) is score and made.real_score(9_999) is other


def test_an_unknown_classifier_is_named_and_the_known_are_listed(tmp_path):
    with pytest.raises(
        ConfigError, match=r"'oracle' is unknown; choose one of classifier, monitor"
    ):
        digit_classifier.load_classifier("oracle", tmp_path)


def test_a_missing_classifier_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"classifier\.safetensors is missing"):
        digit_classifier.load_classifier("classifier", tmp_path)
    with pytest.raises(CheckpointError, match=r"classifier\.statistics\.safetensors is missing"):
        digit_classifier.load_reference("classifier", root=tmp_path)


def test_statistics_of_another_test_set_are_refused(classifiers):
    with pytest.raises(
        CheckpointError, match=r"no statistics of 123 test images; .*gan classifier"
    ):
        digit_classifier.load_reference("classifier", test_images=123, root=classifiers)


def test_a_classifier_file_without_a_usable_width_is_named(tmp_path):
    for width in (None, 0, "4", 10**6):
        tensor_files.save_tensors(
            tmp_path / "classifier.safetensors", "judge", {}, {"width": width}
        )
        with pytest.raises(CheckpointError, match=r"classifier\.safetensors has no valid width"):
            digit_classifier.load_classifier("classifier", tmp_path)


def test_training_learns_to_read_drawn_digits():
    training, test = sources.load("drawn", 1_280), sources.load("drawn", 300, seed=1)
    classifier = make_classifier(width=8, seed=0)
    reports = list(
        train(classifier, training.images, training.labels, test.images, test.labels, epochs=8)
    )
    assert [(r.epoch, r.epochs) for r in reports] == [(n, 8) for n in range(1, 9)]
    assert reports[-1].accuracy > 0.8  # chance: 0.1
    read = digit_classifier.read(classifier.eval(), test.images).digit
    assert reports[-1].accuracy == float((read == test.labels).double().mean())


def test_training_is_the_same_every_time():
    training = sources.load("drawn", 128)
    weights = []
    for _ in range(2):
        classifier = make_classifier(width=2, seed=0)
        for _ in train(classifier, *training, *training, epochs=1, batch_size=32, seed=3):
            pass
        weights.append(classifier.dense.weight.detach().clone())
    assert torch.equal(*weights)


def test_junk_does_not_reach_the_statistics_of_batchnorm():
    training = sources.load("drawn", 128)
    classifier = make_classifier(width=2, seed=0)
    tracked = [
        int(classifier.norm1.num_batches_tracked)
        for _ in train(classifier, *training, *training, epochs=4, batch_size=32)
    ]
    assert tracked == [4, 8, 12, 12]  # the last quarter is the one with junk


def test_junk_is_made_of_pictures_in_range_and_differs_from_its_digits(pictures):
    digits = from_uint8(pictures.images)
    before = digits.clone()
    junk = make_junk(digits, pictures.labels, torch.Generator().manual_seed(0))
    assert junk.shape == digits.shape
    assert float(junk.min()) >= -1.0 and float(junk.max()) <= 1.0
    assert bool(torch.isfinite(junk).all())
    assert not bool((junk == digits).flatten(1).all(dim=1).any())
    assert torch.equal(digits, before)
    again = make_junk(digits, pictures.labels, torch.Generator().manual_seed(0))
    assert torch.equal(junk, again)


def test_shuffled_digits_keep_their_ink_and_doubled_ones_cover_both(pictures):
    digits = from_uint8(pictures.images)
    junk = make_junk(digits, pictures.labels, torch.Generator().manual_seed(0))
    ink, junk_ink = (x.flatten(1).sort(dim=1).values for x in (digits, junk))
    shuffled = slice(3, None, 5)  # every fifth is of one kind
    assert torch.equal(ink[shuffled], junk_ink[shuffled])
    doubled = (junk[2::5] >= digits[2::5]).flatten(1).all(dim=1)
    # all but those that met their own class, about one in ten, which become noise
    assert 0.75 < float(doubled.double().mean()) <= 1.0


def test_one_class_alone_is_never_doubled(pictures):
    digits = from_uint8(pictures.images[:50])
    junk = make_junk(digits, torch.zeros(50).long(), torch.Generator().manual_seed(0))
    assert not bool((junk[2::5] >= digits[2::5]).flatten(1).all(dim=1).any())


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return digit_classifier.load_classifier("classifier")


@pytest.mark.parametrize("name", digit_classifier.CLASSIFIERS)
def test_the_shipped_files_fit_each_other(name):
    classifier = digit_classifier.load_classifier(name)
    assert classifier.width == digit_classifier.CLASSIFIERS[name][0]
    for count in (10_000, 5_000):
        reference = digit_classifier.load_reference(name, count)
        size = classifier.num_features
        assert reference.n == count and sum(reference.counts) <= count
        assert reference.mean.shape == (size,) and reference.cov.shape == (size, size)
        assert reference.sample.shape == (2_000, size)
        # each of 2,000 places is reached by at least one of n others with about 1 - (2000 / (2000 + n))^5
        assert reference.real[2_000].coverage == pytest.approx(1 - 0.5**5, abs=0.03)
        assert reference.real[1_000].coverage == pytest.approx(1 - (2 / 3) ** 5, abs=0.05)


def test_the_shipped_classifier_is_small():
    assert (digit_classifier.PRETRAINED / "classifier.safetensors").stat().st_size <= 500_000


def test_noise_and_grey_are_not_read(shipped):
    rng = torch.Generator().manual_seed(0)
    noise = torch.rand(500, 1, 28, 28, generator=rng) * 2 - 1
    normal = torch.randn(500, 1, 28, 28, generator=rng).clamp(-1, 1)
    grey = torch.linspace(-1, 1, 101).reshape(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    for pictures in (noise, normal, grey):
        assert sum(digit_classifier.read(shipped, pictures).counts()) / len(pictures) < 0.05


@pytest.mark.mnist
def test_the_shipped_classifier_reads_the_test_digits_as_its_file_says(shipped):
    test = sources.load_held_out("mnist")
    reading = digit_classifier.read(shipped, test.images)
    accuracy = float((reading.digit == test.labels).double().mean())
    assert accuracy >= 0.992
    assert accuracy == pytest.approx(digit_classifier.provenance()["accuracy"], abs=2e-4)
    reference = digit_classifier.load_reference()
    mean, cov = metrics.moments(reading.features)
    # the same pictures that the shipped statistics were taken from
    assert metrics.frechet_distance_of_moments(mean, cov, reference.mean, reference.cov) < 1e-3
    assert all(abs(a - b) <= 2 for a, b in zip(reading.counts(), reference.counts, strict=True))


@pytest.mark.mnist
def test_junk_is_hardly_ever_read_as_a_digit(shipped):
    test = sources.load_held_out("mnist")
    assert legible_junk(shipped, test.images[:3_000], test.labels[:3_000], seed=1) < 0.05
