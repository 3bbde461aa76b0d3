import copy
from dataclasses import replace

import pytest
import torch

from gan.config import ModelConfig
from gan.networks import dcgan, latents


@pytest.fixture
def pair(tiny_model):
    return dcgan.make_pair(tiny_model, seed=0)


def _exercised(generator: dcgan.Generator) -> dcgan.Generator:
    """With running statistics that are no longer 0 and 1, in eval mode."""
    generator.train()
    with torch.no_grad():
        for seed in range(5):
            generator(latents.sample_z(range(seed * 8, seed * 8 + 8), generator.latent_dim))
    return generator.eval()


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3), (4, 1)])
def test_latents_become_pictures_and_pictures_become_logits(side, channels):
    config = ModelConfig(
        latent_dim=5, img_size=side, img_channels=channels, base_channels=3, hidden_units=7
    )
    generator, discriminator = dcgan.make_pair(config, 0)
    drawn = generator(torch.randn(6, 5))
    assert generator.latent_dim == 5
    assert drawn.shape == (6, channels, side, side)
    assert discriminator(drawn).shape == (6,)


def test_pictures_stay_within_minus_one_and_one(pair):
    generator = _exercised(pair[0])
    with torch.no_grad():
        generator.to_image.weight.mul_(1_000)
        drawn = generator(100 * latents.sample_z(range(64), generator.latent_dim))
    assert float(drawn.abs().max()) <= 1.0
    assert float(drawn.std()) > 0.5


def test_in_eval_mode_a_picture_does_not_depend_on_its_batch_mates(pair):
    generator = _exercised(pair[0])
    z = latents.sample_z(range(9), generator.latent_dim)
    with torch.no_grad():
        together = generator(z)
        alone = torch.cat([generator(row[None]) for row in z])
        reversed_order = generator(z.flip(0)).flip(0)
        generator.train()
        in_train_mode = generator(z[:4])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(together, reversed_order, atol=1e-6, rtol=1e-5)
    # the same claim is false in train mode, so this test can tell
    assert float((together[:4] - in_train_mode).abs().max()) > 1e-4


@pytest.mark.parametrize("training", [True, False])
def test_asking_the_discriminator_leaves_no_trace(pair, training):
    discriminator = pair[1].train(training)
    before = copy.deepcopy(discriminator.state_dict())
    first = discriminator(torch.rand(8, 1, 28, 28))
    discriminator(torch.rand(8, 1, 28, 28) * 2 - 1)
    after = discriminator.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert first.shape == (8,)


def test_training_and_looking_agree_in_the_discriminator(pair):
    pictures = torch.rand(8, 1, 28, 28)
    training = pair[1].train()(pictures)
    assert torch.equal(pair[1].eval()(pictures), training)


def test_the_same_seed_gives_the_same_pair(tiny_model):
    torch.manual_seed(1)
    first = dcgan.make_pair(tiny_model, 4)
    torch.manual_seed(2)
    second = dcgan.make_pair(tiny_model, 4)
    for one, other in zip(first, second, strict=True):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name
    other_seed = dcgan.make_pair(tiny_model, 5)[0]
    assert not torch.equal(first[0].hidden.weight, other_seed.hidden.weight)


def test_weights_begin_with_deviation_0_02_and_biases_with_0():
    generator, discriminator = dcgan.make_pair(ModelConfig(), 0)
    weights = [
        generator.hidden.weight,
        generator.expand.weight,
        generator.up.weight,
        discriminator.down2.weight,
        discriminator.hidden.weight,
    ]
    for weight in weights:
        assert weight.numel() > 10_000
        weight = weight.detach()
        assert float(weight.std()) == pytest.approx(0.02, rel=0.04)
        assert abs(float(weight.mean())) < 5 * 0.02 / weight.numel() ** 0.5
    norm = generator.expand_norm.weight.detach()
    assert float(norm.mean()) == pytest.approx(1.0, abs=5 * 0.02 / norm.numel() ** 0.5)
    assert float(norm.std()) == pytest.approx(0.02, rel=0.1)
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                assert not parameter.any(), name


def test_parameters_are_counted_as_on_paper():
    generator, discriminator = dcgan.make_pair(
        ModelConfig(latent_dim=6, base_channels=4, hidden_units=8), 0
    )
    inner = 8 * 7 * 7
    on_paper = 6 * 8 + 2 * 8 + 8 * inner + 2 * inner + 8 * 4 * 16 + 2 * 4 + 4 * 16 + 1
    assert dcgan.count_parameters(generator) == on_paper
    on_paper = (16 * 4 + 4) + 4 * 8 * 16 + 2 * 8 + inner * 8 + 2 * 8 + (8 + 1)
    assert dcgan.count_parameters(discriminator) == on_paper


def test_batches_in_groups_are_judged_as_they_are_alone(tiny_model):
    for norm in ("batch", "none"):
        config = replace(tiny_model, d_norm=norm)
        discriminator = dcgan.make_pair(config, 0)[1]
        a, b = torch.rand(6, 1, 28, 28), torch.rand(6, 1, 28, 28) * 2 - 1
        together = discriminator(torch.cat([a, b]), groups=2)
        torch.testing.assert_close(together, torch.cat([discriminator(a), discriminator(b)]))
        mixed = discriminator(torch.cat([a, b]))
        assert torch.allclose(mixed, together) == (norm == "none")


def test_flattening_keeps_the_order_of_the_channels_and_the_layout_of_the_gradient():
    x = torch.rand(3, 4, 5, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    flat = dcgan.flattened(x)
    assert torch.equal(flat, x.flatten(1))
    weights = torch.rand(3, 120)
    (gradient,) = torch.autograd.grad((flat * weights).sum(), x)
    assert torch.equal(gradient, weights.view(3, 4, 5, 6))
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_a_standard_normal_z_becomes_uniform_where_the_network_wants_it(tiny_model):
    generator = dcgan.Generator(replace(tiny_model, latent="uniform"))
    warped = generator.to_prior(torch.randn(20_000, generator=torch.Generator().manual_seed(0)))
    assert float(warped.abs().max()) <= 1
    shares = torch.histc(warped, 10, -1, 1) / 20_000
    assert float((shares - 0.1).abs().max()) < 0.01
    plain = dcgan.Generator(tiny_model)
    z = torch.randn(3, 6)
    assert plain.to_prior(z) is z


def test_networks_that_work_in_0_to_1_still_speak_minus_1_to_1(tiny_model):
    config = replace(tiny_model, pixels="unit")
    generator, discriminator = dcgan.make_pair(config, 0)
    images = generator.eval()(torch.randn(4, 6) * 50).detach()
    assert float(images.min()) >= -1 and float(images.max()) <= 1 and float(images.min()) < 0
    assert torch.equal(
        discriminator.scaled(torch.tensor([-1.0, 0.0, 1.0])), torch.tensor([0, 0.5, 1])
    )


def test_without_batchnorm_d_keeps_the_scale_of_what_passes_through():
    config = ModelConfig(d_norm="none")
    discriminator = dcgan.make_pair(config, 0)[1]
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in discriminator.modules())
    x = torch.randn(64, 1, 28, 28)
    spread = float(discriminator(x).detach().std())
    assert 0.2 < spread < 3
    assert discriminator.down2.bias is not None and discriminator.hidden.bias is not None
