import math

import pytest
import torch
import torch.nn.functional as F

from gan.config import LOSSES, TrainConfig
from gan.errors import ConfigError
from gan.networks import losses

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


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_come_one_a_picture(loss):
    real, fake = losses.discriminator_loss(torch.zeros(3), torch.zeros(5), loss)
    assert (real.shape, fake.shape) == ((3,), (5,))
    assert losses.generator_loss(torch.zeros(4), loss).shape == (4,)


@pytest.mark.parametrize(
    ("loss", "of_d", "of_g"),
    [("logistic", 2 * math.log(2), math.log(2)), ("hinge", 2.0, 0.0), ("least-squares", 1.0, 0.5)],
)
def test_an_undecided_pair_loses_what_the_documentation_says(loss, of_d, of_g):
    real, fake = losses.discriminator_loss(torch.zeros(4), torch.zeros(4), loss)
    assert float(real.mean() + fake.mean()) == pytest.approx(of_d)
    assert float(losses.generator_loss(torch.zeros(4), loss).mean()) == pytest.approx(of_g)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_where_fakes_are_like_real_pictures_an_undecided_logit_is_the_best(loss, share):
    # two kinds of pictures, a share of the one in both batches: D can give each kind a logit of its own
    weight = torch.tensor([share, 1 - share])
    for logits in torch.tensor([[0.5, 0.0], [-0.5, 0.0], [1.5, 1.5], [0.0, -2.0], [3.0, -3.0]]):
        undecided, moved = (
            sum((part * weight).sum() for part in losses.discriminator_loss(at, at, loss))
            for at in (torch.zeros(2), logits)
        )
        # the hinge does not mind where D stands between -1 and 1
        assert float(moved) >= float(undecided) - 1e-6
        if loss != "hinge" or float(logits.abs().max()) > 1:
            assert float(moved) > float(undecided) + 1e-3


@pytest.mark.parametrize("loss", LOSSES)
def test_d_is_drawn_to_call_real_pictures_real_and_g_to_be_called_real(loss):
    for at in (-3.0, -0.9, 0.0, 0.9):
        logits = [torch.tensor([at], requires_grad=True) for _ in range(3)]
        real, fake = losses.discriminator_loss(logits[0], -logits[1], loss)
        (real + fake + losses.generator_loss(logits[2], loss)).sum().backward()
        # descent raises the logit of real pictures, lowers D's of fakes (here minus it), and raises G's
        assert [float(x.grad) < 0 for x in logits] == [True] * 3, at


def test_the_hinge_leaves_alone_what_is_beyond_its_margin():
    real, fake = losses.discriminator_loss(LOGITS, LOGITS, "hinge")
    assert real.tolist() == pytest.approx([31.0, 3.5, 1.1, 1.0, 0.3, 0.0, 0.0])
    assert fake.tolist() == pytest.approx([0.0, 0.0, 0.9, 1.0, 1.7, 5.0, 31.0])
    assert torch.equal(losses.generator_loss(LOGITS, "hinge"), -LOGITS)


def test_least_squares_are_distances_from_minus_one_and_one():
    real, fake = losses.discriminator_loss(LOGITS, LOGITS, "least-squares")
    one = torch.ones_like(LOGITS)
    torch.testing.assert_close(real, F.mse_loss(LOGITS, one, reduction="none") / 2)
    torch.testing.assert_close(fake, F.mse_loss(LOGITS, -one, reduction="none") / 2)
    assert torch.equal(losses.generator_loss(LOGITS, "least-squares"), real)


def test_a_loss_that_is_unknown_lists_the_known():
    for refused in (
        lambda: losses.discriminator_loss(LOGITS, LOGITS, "l2"),
        lambda: losses.generator_loss(LOGITS, "l2"),
        lambda: TrainConfig(loss="l2"),
    ):
        with pytest.raises(ConfigError, match=r"'l2' .*logistic.*hinge.*least-squares"):
            refused()


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
