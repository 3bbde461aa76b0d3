import copy

import numpy as np
import pytest
import torch

from gan.errors import ConfigError
from gan.evaluation import classifier as digit_classifier
from gan.evaluation.classifier import read
from gan.networks import latents
from gan.networks.images import to_uint8
from gan.networks.latent_request import LatentRequest, Seeds, resolve_latents
from gan.zoo import cards


@pytest.fixture(scope="module")
def model(finished):
    return cards.open_model(cards.read_manifest(finished)[0])


def _latents(model, request, count):
    return resolve_latents(request, count, model.directions)


def _images(model, request, count):
    return model.generator(_latents(model, request, count))


def test_an_axis_that_does_not_exist_is_named(model):
    with pytest.raises(ConfigError, match="axis 6 must be from 0 to 5"):
        _latents(model, LatentRequest(Seeds(0), axes=((6, 1.0),)), 1)


def test_more_shifts_than_directions_are_refused(model):
    with pytest.raises(ConfigError, match="7 shifts for 6 directions"):
        _latents(model, LatentRequest(Seeds(0), shifts=(0.0,) * 7), 1)


def test_the_same_request_gives_the_same_bytes_and_leaves_the_model_alone(model):
    request = LatentRequest(Seeds(3), shifts=(1.0, -2.0), axes=((4, 0.5),))
    before = {name: t.clone() for name, t in model.generator.state_dict().items()}
    torch.manual_seed(1)
    first = _images(model, request, 5)
    torch.manual_seed(2)
    second = _images(model, copy.copy(request), 5)
    assert to_uint8(first).tobytes() == to_uint8(second).tobytes()
    assert torch.equal(first, second)
    assert all(torch.equal(before[name], t) for name, t in model.generator.state_dict().items())
    assert not model.generator.training


def test_images_need_no_gradient_and_have_a_pixel_for_each_value(model):
    drawn = _images(model, LatentRequest(Seeds(0)), 4)
    assert drawn.shape == (4, 1, 28, 28) and not drawn.requires_grad
    pixels = to_uint8(drawn)
    assert pixels.shape == (4, 28, 28, 1) and pixels.dtype == np.uint8


def test_one_seed_is_one_image_in_every_batch(model):
    many = _latents(model, LatentRequest(Seeds(10)), 8)
    one = _latents(model, LatentRequest(Seeds(13)), 1)
    assert torch.equal(many[3], one[0])
    images = model.generator(many), model.generator(one)
    torch.testing.assert_close(images[0][3], images[1][0], atol=1e-6, rtol=1e-5)


def test_shifts_move_every_latent_along_the_principal_directions(model):
    still = _latents(model, LatentRequest(Seeds(0)), 3)
    moved = _latents(model, LatentRequest(Seeds(0), shifts=(1.5, 0.0, -2.0)), 3)
    expected = 1.5 * model.directions[0] - 2.0 * model.directions[2]
    torch.testing.assert_close(moved - still, expected.expand(3, -1))
    assert torch.equal(still, latents.sample_z(range(3), 6))


def test_axes_move_single_components_and_add_up(model):
    still = _latents(model, LatentRequest(Seeds(0)), 2)
    request = LatentRequest(Seeds(0), axes=((1, 2.0), (4, -1.0), (1, 0.5)))
    moved = _latents(model, request, 2)
    expected = torch.tensor([0.0, 2.5, 0.0, 0.0, -1.0, 0.0]).expand(2, -1)
    torch.testing.assert_close(moved - still, expected)


def test_the_first_direction_changes_the_image_more_than_the_last(model):
    still = _images(model, LatentRequest(Seeds(0)), 100)
    changes = []
    for place in (0, 5):
        shifts = tuple(0.5 if i == place else 0.0 for i in range(6))
        moved = _images(model, LatentRequest(Seeds(0), shifts=shifts), 100)
        changes.append(float((moved - still).square().mean()))
    assert changes[0] > changes[1]


def test_a_single_image_is_read_as_in_a_batch(model, classifiers):
    classifier = digit_classifier.load_classifier(root=classifiers)
    drawn = _images(model, LatentRequest(Seeds(0)), 3)
    reading = read(classifier, drawn)
    for index in range(3):
        one = read(classifier, drawn[index : index + 1])
        assert int(one.digit[0]) == int(reading.digit[index])
        assert float(one.confidence[0]) == pytest.approx(float(reading.confidence[index]), abs=1e-6)
