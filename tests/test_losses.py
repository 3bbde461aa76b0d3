import math

import torch
import torch.nn.functional as F

from gan import losses

LOGITS = torch.tensor([-30.0, -2.5, -0.1, 0.0, 0.7, 4.0, 30.0], dtype=torch.float64)


def _cross_entropy(logits: torch.Tensor, label: float) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(
        logits, torch.full_like(logits, label), reduction="none"
    )


def test_the_discriminators_loss_is_cross_entropy_with_real_as_one_and_fake_as_zero():
    real, fake = losses.discriminator_loss(LOGITS, LOGITS.flip(0))
    torch.testing.assert_close(real, _cross_entropy(LOGITS, 1.0))
    torch.testing.assert_close(fake, _cross_entropy(LOGITS.flip(0), 0.0))


def test_the_generators_loss_is_cross_entropy_with_its_fakes_called_real():
    torch.testing.assert_close(losses.generator_loss(LOGITS), _cross_entropy(LOGITS, 1.0))


def test_losses_come_one_a_picture():
    real, fake = losses.discriminator_loss(torch.zeros(3), torch.zeros(5))
    assert (real.shape, fake.shape) == ((3,), (5,))
    assert losses.generator_loss(torch.zeros(4)).shape == (4,)


def test_an_undecided_discriminator_loses_twice_log_two():
    real, fake = losses.discriminator_loss(torch.zeros(4), torch.zeros(4))
    assert math.isclose(float(real.mean() + fake.mean()), 2 * math.log(2), rel_tol=1e-6)


def test_logits_beyond_the_reach_of_a_sigmoid_stay_finite():
    far = torch.tensor([-1e4, 1e4])
    real, fake = losses.discriminator_loss(far, far)
    assert real.tolist() == [1e4, 0.0] and fake.tolist() == [0.0, 1e4]
    assert losses.generator_loss(far).tolist() == [1e4, 0.0]


def test_the_generators_gradient_does_not_vanish_where_it_is_found_out():
    logits = torch.tensor([-20.0, 0.0], requires_grad=True)
    losses.generator_loss(logits).sum().backward()
    # d softplus(-l) / dl = -sigmoid(-l)
    torch.testing.assert_close(logits.grad, torch.tensor([-1.0, -0.5]))


def test_the_lecam_penalty_grows_once_d_is_beyond_where_it_usually_stands():
    real, fake = torch.tensor([2.0, -3.0]), torch.tensor([-2.0, 1.0])
    penalty = losses.lecam_penalty(real, fake, torch.tensor([0.5]), torch.tensor([-0.5]))
    # (2 + 0.5)^2 + (0.5 + 2)^2, and nothing where real is below the fakes' mean and fake above real's
    torch.testing.assert_close(penalty, torch.tensor([12.5, 0.0]))


def test_the_gradient_penalty_is_the_squared_slope_of_each_picture():
    weight = torch.tensor([[3.0, 0.0], [0.0, 4.0]]).reshape(1, 1, 2, 2).requires_grad_()
    images = torch.rand(5, 1, 2, 2, requires_grad=True)
    logits = (images * weight).sum((1, 2, 3)) + 0.5 * images[:, 0, 0, 1] ** 2
    penalty = losses.gradient_penalty(logits, images)
    torch.testing.assert_close(penalty, 25 + images[:, 0, 0, 1].detach() ** 2)
    penalty.sum().backward()  # it can be learned from
    assert weight.grad is not None and float(weight.grad[0, 0, 0, 0]) == 2 * 3 * 5
