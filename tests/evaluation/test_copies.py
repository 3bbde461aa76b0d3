import math

import pytest
import torch
from PIL import Image

from gan.config import ModelConfig, TrainConfig
from gan.data import sources, stacked
from gan.data.torchvision_compat import import_datasets
from gan.errors import ConfigError, DataError
from gan.evaluation import copies
from gan.evaluation.copies import Baseline, ImageSet, image_set_of, load_real_images
from gan.networks.images import from_uint8, to_uint8

SIZE = 300


@pytest.fixture(scope="module")
def real_images():
    return load_real_images(image_set_of(TrainConfig(source="drawn", size=SIZE, data_seed=5)))


def _picture(images, index):
    return from_uint8(images[index])


@pytest.fixture(scope="module")
def other_digit():
    """A digit that is in no gallery here."""
    return _picture(sources.load("drawn", 1, seed=99).images, 0)


@pytest.mark.parametrize("place", [0, 17, SIZE - 1])
def test_a_copy_of_a_training_image_is_found_where_it_is(real_images, place):
    training = sources.load("drawn", SIZE, 5)
    found = real_images.nearest(_picture(training.images, place), SIZE)
    assert (found.training.distance, found.ratio) == (0.0, 0.0)
    assert found.training.indices == (place,)
    assert found.training.label == training.labels[place]
    expected = to_uint8(_picture(training.images, place)[None])[0]
    assert (found.training.pixels == expected).all() and found.training.pixels.shape == (28, 28, 1)
    assert found.unseen.distance > 1


def test_a_copy_of_an_unseen_picture_is_found_where_it_is(real_images):
    held_out = sources.load_held_out("drawn", SIZE, 5)
    rng = torch.Generator().manual_seed(0)
    for place in copies.split_held_out(10_000, SIZE, rng).unseen[[0, -1]].tolist():
        found = real_images.nearest(_picture(held_out.images, place), SIZE).unseen
        assert (found.distance, found.indices) == (0.0, (place,))
        assert found.label == held_out.labels[place]
        assert (found.pixels[..., 0] == held_out.images[place, 0].numpy()).all()


def test_the_distance_is_euclidean_in_pixels_from_minus_one_to_one(real_images, other_digit):
    every = from_uint8(sources.load("drawn", SIZE, 5).images)
    expected = (every - other_digit).double().square().sum(dim=(1, 2, 3)).sqrt()
    found = real_images.nearest(other_digit, SIZE).training
    assert found.distance == pytest.approx(float(expected.min()), rel=1e-5)
    assert found.indices == (int(expected.argmin()),)


@pytest.mark.parametrize("chunk", [1, 7, SIZE, 10_000])
def test_the_size_of_the_chunks_changes_nothing(real_images, other_digit, chunk, monkeypatch):
    whole, rule = real_images.nearest(other_digit, SIZE), real_images.baseline(40)
    monkeypatch.setattr(copies, "_CHUNK", chunk)
    found = real_images.nearest(other_digit, SIZE)
    for side in ("training", "unseen"):
        assert getattr(found, side).indices == getattr(whole, side).indices
        assert getattr(found, side).distance == pytest.approx(getattr(whole, side).distance)
    assert real_images.baseline(40).ratios == pytest.approx(rule.ratios, rel=1e-3)


def test_no_more_unseen_images_are_searched_than_training_images(real_images):
    training = sources.load("drawn", SIZE, 5).images
    for size, unseen in ((SIZE, SIZE), (25, 25), (5, 5)):
        found = real_images.nearest(_picture(training, 0), size)
        assert (found.training.searched, found.unseen.searched) == (size, unseen)


def test_a_smaller_size_is_searched_in_its_own_images_only(real_images):
    picture = _picture(sources.load("drawn", SIZE, 5).images, 100)
    assert real_images.nearest(picture, 101).training.distance == 0
    found = real_images.nearest(picture, 100).training
    assert found.distance > 1 and found.indices[0] < 100


@pytest.mark.parametrize("size", [0, SIZE + 1])
def test_a_size_that_the_set_does_not_hold_is_an_error(real_images, other_digit, size):
    with pytest.raises(DataError, match=rf"{size} images are not among the {SIZE}"):
        real_images.nearest(other_digit, size)


@pytest.mark.parametrize("shape", [(28, 28), (1, 1, 28, 28), (3, 28, 28), (1, 32, 32)])
def test_a_picture_of_another_shape_is_an_error(real_images, shape):
    with pytest.raises(ConfigError, match="cannot be compared with drawn"):
        real_images.nearest(torch.zeros(shape), SIZE)


def test_the_ratios_are_those_of_the_copy_check(real_images):
    # the same sets: what falls below the threshold here is what is counted there
    training, held_out = (
        sources.load("drawn", SIZE, 5).images,
        sources.load_held_out("drawn", SIZE, 5),
    )
    rule = real_images.baseline(SIZE)
    samples = torch.cat(
        [from_uint8(training[:10]), from_uint8(sources.load("drawn", 90, 98).images)]
    )
    samples[:10] += 0.35 * torch.randn(10, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    below = sum(real_images.nearest(picture, SIZE).ratio < rule.threshold for picture in samples)
    check = copies.check_copies(samples, training, held_out.images)
    assert 0 < below < len(samples)
    assert check.copied_share == pytest.approx(below / len(samples))
    assert (check.baseline_n, check.m) == (
        rule.n,
        real_images.nearest(samples[0], SIZE).unseen.searched,
    )


def test_a_copy_is_nearer_than_every_unseen_picture_and_a_other_digit_is_not(
    real_images, other_digit
):
    rule = real_images.baseline(SIZE)
    assert rule.count_as_close(0.0) == 0
    assert rule.count_as_close(real_images.nearest(other_digit, SIZE).ratio) > 0.01 * rule.n
    assert rule.median == pytest.approx(1.0, abs=0.05)  # equal numbers on both sides


def test_a_ratio_is_ranked_among_those_of_unseen_pictures():
    rule = Baseline(tuple(0.5 + i / 200 for i in range(201)))
    assert (rule.n, rule.median) == (201, 1.0)
    assert rule.threshold == pytest.approx(0.51)
    assert [rule.count_as_close(r) for r in (0.4, 0.5, 1.0, 2.0)] == [0, 1, 101, 201]


def test_few_training_images_have_no_baseline(real_images):
    assert real_images.baseline(19) is None
    assert real_images.baseline(20) is not None


def test_all_sizes_of_mnist_share_one_set_that_holds_each_of_them(fake_mnist):
    sets = {image_set_of(TrainConfig(size=size)) for size in (200, 60_000, 65_000)}
    assert sets == {ImageSet("mnist", 0, 28, 65_000)}
    assert image_set_of(TrainConfig(size=200, data_seed=1)) not in sets
    opened = load_real_images(sets.pop())
    for size in (200, 60_000, 62_000):
        assert torch.equal(opened.training.images[:size], sources.load("mnist", size).images)
        assert torch.equal(
            opened._sets(size)[1].images, sources.load_held_out("mnist", size).images
        )
    picture = _picture(opened.training.images, 3)
    assert opened.nearest(picture, 60_000).unseen.searched == 5_000
    assert opened.nearest(picture, 62_000).unseen.searched == 2_500


def test_a_stacked_picture_is_put_together_of_its_nearest_digits(fake_mnist):
    config = TrainConfig(source="stacked:400", model=ModelConfig(img_channels=3))
    opened = load_real_images(image_set_of(config))
    base = stacked.base_digits("400", 0)
    places = (7, 399, 42)
    picture = from_uint8(base.images[list(places)].squeeze(1))
    found = opened.nearest(picture, config.size)
    assert found.training.distance == 0
    # fake digits occur more than once, the first of them is named
    named = found.training.indices
    assert torch.equal(base.images[list(named)], base.images[list(places)])
    assert found.training.label == sum(
        int(base.labels[i]) * 10 ** (2 - c) for c, i in enumerate(places)
    )
    assert found.training.pixels.shape == found.unseen.pixels.shape == (28, 28, 3)
    assert (found.training.searched, found.unseen.searched) == (400, 400)
    apart = [
        float((from_uint8(opened.unseen.images[i, 0]) - channel).norm())
        for i, channel in zip(found.unseen.indices, picture, strict=True)
    ]
    assert found.unseen.distance == pytest.approx(math.hypot(*apart), rel=1e-5)
    assert opened.baseline(config.size).n == 2_000 // 3


def test_pictures_of_a_folder_have_no_label_and_too_few_no_baseline(tmp_path):
    rng = torch.Generator().manual_seed(3)
    for index in range(40):
        noise = torch.randint(0, 256, (16, 16), generator=rng, dtype=torch.uint8)
        Image.fromarray(noise.numpy()).save(tmp_path / f"{index:02}.png")
    source = f"folder:{tmp_path}"
    config = TrainConfig(source=source, size=30, model=ModelConfig(img_size=16))
    opened = load_real_images(image_set_of(config))
    picture = _picture(sources.load(source, 30, resolution=16).images, 8)
    found = opened.nearest(picture, 30)
    assert (found.training.distance, found.training.indices) == (0.0, (8,))
    assert (found.training.label, found.unseen.label) == (None, None)
    assert (found.training.searched, found.unseen.searched) == (30, 4)
    assert opened.baseline(30) is None


def test_a_data_set_that_is_not_here_is_an_error_and_is_not_downloaded(monkeypatch):
    def download(self):
        raise AssertionError("a visitor does not wait for a download")

    monkeypatch.setattr(import_datasets().MNIST, "download", download)
    for source, channels in (("mnist", 1), ("stacked", 3)):
        config = TrainConfig(source=source, model=ModelConfig(img_channels=channels))
        with pytest.raises(DataError, match="MNIST is not in"):
            load_real_images(image_set_of(config))


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        load_real_images(image_set_of(TrainConfig(source=f"folder:{tmp_path / 'gone'}", size=30)))


def test_more_pictures_than_a_server_can_hold_are_refused_before_they_are_read(tmp_path):
    with pytest.raises(DataError, match="too many to be searched; at most 1,000 MB"):
        load_real_images(ImageSet(f"folder:{tmp_path}", 0, 256, 20_000))


@pytest.mark.mnist
def test_the_real_digits_are_found_as_well():
    opened = load_real_images(image_set_of(TrainConfig(size=600)))
    images = sources.load("mnist", 600).images
    found = opened.nearest(_picture(images, 599), 600)
    assert (found.training.indices, found.training.distance) == ((599,), 0.0)
    assert opened.baseline(600).count_as_close(found.ratio) == 0
