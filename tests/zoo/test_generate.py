import copy

import numpy as np
import pytest
import torch

from gan.errors import ConfigError
from gan.evaluation import classifier as digit_classifier
from gan.evaluation.classifier import read
from gan.networks import latents
from gan.networks.images import to_uint8
from gan.networks.latent_request import LatentRequest, Seeds
from gan.zoo import cards, generate


@pytest.fixture(scope="module")
def model(finished):
    return cards.open_model(cards.read_manifest(finished)[0])


def test_an_axis_that_does_not_exist_is_named(model):
    with pytest.raises(ConfigError, match="axis 6 must be from 0 to 5"):
        generate.generate(model, LatentRequest(Seeds(0), axes=((6, 1.0),)), 1)


def test_more_shifts_than_directions_are_refused(model):
    with pytest.raises(ConfigError, match="7 shifts for 6 directions"):
        generate.generate(model, LatentRequest(Seeds(0), shifts=(0.0,) * 7), 1)


def test_the_same_request_gives_the_same_bytes_and_leaves_the_model_alone(model):
    request = LatentRequest(Seeds(3), shifts=(1.0, -2.0), axes=((4, 0.5),))
    before = {name: t.clone() for name, t in model.generator.state_dict().items()}
    torch.manual_seed(1)
    first = generate.generate(model, request, 5)
    torch.manual_seed(2)
    second = generate.generate(model, copy.copy(request), 5)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert torch.equal(first.images, second.images)
    assert all(torch.equal(before[name], t) for name, t in model.generator.state_dict().items())
    assert not model.generator.training


def test_the_three_parts_of_a_result_belong_together(model):
    result = generate.generate(model, LatentRequest(Seeds(0)), 4)
    assert result.z.shape == (4, 6)
    assert result.pixels.shape == (4, 28, 28, 1) and result.pixels.dtype == np.uint8
    assert np.array_equal(result.pixels, to_uint8(result.images))
    torch.testing.assert_close(result.images, model.generator(result.z))
    assert not result.images.requires_grad


def test_one_seed_is_one_image_in_every_batch(model):
    many = generate.generate(model, LatentRequest(Seeds(10)), 8)
    one = generate.generate(model, LatentRequest(Seeds(13)), 1)
    assert torch.equal(many.z[3], one.z[0])
    torch.testing.assert_close(many.images[3], one.images[0], atol=1e-6, rtol=1e-5)


def test_shifts_move_every_latent_along_the_principal_directions(model):
    still = generate.generate(model, LatentRequest(Seeds(0)), 3).z
    moved = generate.generate(model, LatentRequest(Seeds(0), shifts=(1.5, 0.0, -2.0)), 3).z
    expected = 1.5 * model.directions[0] - 2.0 * model.directions[2]
    torch.testing.assert_close(moved - still, expected.expand(3, -1))
    assert torch.equal(still, latents.sample_z(range(3), 6))


def test_axes_move_single_components_and_add_up(model):
    still = generate.generate(model, LatentRequest(Seeds(0)), 2).z
    request = LatentRequest(Seeds(0), axes=((1, 2.0), (4, -1.0), (1, 0.5)))
    moved = generate.generate(model, request, 2).z
    expected = torch.tensor([0.0, 2.5, 0.0, 0.0, -1.0, 0.0]).expand(2, -1)
    torch.testing.assert_close(moved - still, expected)


def test_the_first_direction_changes_the_image_more_than_the_last(model):
    still = generate.generate(model, LatentRequest(Seeds(0)), 100).images
    changes = []
    for place in (0, 5):
        shifts = tuple(0.5 if i == place else 0.0 for i in range(6))
        moved = generate.generate(model, LatentRequest(Seeds(0), shifts=shifts), 100).images
        changes.append(float((moved - still).square().mean()))
    assert changes[0] > changes[1]


def test_latents_given_as_such_are_drawn_as_they_are(model):
    z = latents.sample_z([5, 900], 6)
    result = generate.generate_z(model, z)
    assert torch.equal(result.z, z)
    torch.testing.assert_close(result.images, model.generator(z))


def test_a_single_image_is_read_as_in_a_batch(model, classifiers):
    classifier = digit_classifier.load_classifier(root=classifiers)
    drawn = generate.generate(model, LatentRequest(Seeds(0)), 3).images
    reading = read(classifier, drawn)
    for index in range(3):
        digit, confidence = generate.read_one(classifier, drawn[index])
        assert digit == int(reading.digit[index])
        assert confidence == pytest.approx(float(reading.confidence[index]), abs=1e-6)
