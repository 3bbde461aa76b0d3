"""The losses of the game, unreduced: the caller takes the mean, weights or inspects.

All take logits (positive = real), never probabilities: the log of a sigmoid that has rounded
to 0 is minus infinity, the softplus of its logit is not. The losses that go by a name (`gan.config.LOSSES`)
all have their equilibrium at a logit of 0, so that the sign means the same whichever is chosen. Values
are not comparable between them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gan.config import LOSSES
from gan.errors import ConfigError


def discriminator_loss(
    logits_real: Tensor, logits_fake: Tensor, loss: str = "logistic"
) -> tuple[Tensor, Tensor]:
    """What D loses on each real and on each fake image, [N] and [M]; after the colon, the sum of the two
    means where D gives 0 to everything, as it does once it cannot tell them apart:

    logistic: -log D(x) and -log(1 - D(G(z))), D being the sigmoid of the logit (Goodfellow et al. 2014,
        arXiv:1406.2661, eq. 1): 2 log 2 = 1.386.
    hinge: max(0, 1 - logit) and max(0, 1 + logit) (Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018,
        arXiv:1802.05957, eq. 16): 2.
    least-squares: (logit - 1)^2 / 2 and (logit + 1)^2 / 2 (Mao et al. 2017, arXiv:1611.04076, eq. 2, with
        the labels -1 and 1; with 0 and 1, their other choice, 0 would not be the middle): 1.

    ConfigError for an unknown name.
    """
    if loss == "logistic":
        return F.softplus(-logits_real), F.softplus(logits_fake)
    if loss == "hinge":
        return F.relu(1 - logits_real), F.relu(1 + logits_fake)
    if loss == "least-squares":
        return (logits_real - 1).square() / 2, (logits_fake + 1).square() / 2
    raise _unknown(loss)


def generator_loss(logits_fake: Tensor, loss: str = "logistic") -> Tensor:
    """What G loses on each fake image, [N]; after the colon, where D gives 0 to everything:

    logistic: -log D(G(z)), the non-saturating form (Goodfellow et al. 2014, section 3): log 2 = 0.693.
    hinge: -logit, which has no lower end (Lim & Ye 2017; Miyato et al. 2018, eq. 17): 0.
    least-squares: (logit - 1)^2 / 2: G wants what D wants of real images (Mao et al. 2017, eq. 2 with
        c = b): 1/2.

    ConfigError for an unknown name.
    """
    if loss == "logistic":
        return F.softplus(-logits_fake)
    if loss == "hinge":
        return -logits_fake
    if loss == "least-squares":
        return (logits_fake - 1).square() / 2
    raise _unknown(loss)


def _unknown(loss: str) -> ConfigError:
    return ConfigError(f"loss={loss!r} is unknown; choose one of {', '.join(LOSSES)}")


def lecam_penalty(
    logits_real: Tensor, logits_fake: Tensor, mean_real: Tensor, mean_fake: Tensor
) -> Tensor:
    """How far D is beyond where it usually stands: [N] (LeCam: Tseng et al. 2021, arXiv:2104.03310,
    eq. 6, in the authors' code with a rectifier). ``mean_real``, ``mean_fake`` [1]: moving averages
    of the two logits."""
    above = F.relu(logits_real - mean_fake).square()
    below = F.relu(mean_real - logits_fake).square()
    return above + below


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """|d D(x) / d x|^2 of every image, [N] (R1 at real images: Mescheder et al. 2018, arXiv:1801.04406,
    eq. 9; the caller scales by gamma / 2). ``images`` must require gradients and have led to
    ``logits`` [N]; the result can be differentiated."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.flatten(logits.ndim).square().sum(-1)
