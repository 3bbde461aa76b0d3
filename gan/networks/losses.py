"""The losses of D and G, one value per image: the caller takes the mean.

All take logits (positive = real) instead of probabilities: where the sigmoid rounds to 0 its log is minus
infinity, but the softplus of the logit is finite. The losses in `gan.config.LOSSES` have their equilibrium
at a logit of 0, so the sign of a logit means the same for each. Their values are not comparable.
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
    """D's loss on each real and on each fake image, [N] and [M]. After the colon stands the sum of both means
    where all logits are 0, that is where D cannot tell real from fake:

    logistic: -log D(x) and -log(1 - D(G(z))), D being the sigmoid of the logit (Goodfellow et al. 2014,
        arXiv:1406.2661, eq. 1): 2 log 2 = 1.386.
    hinge: max(0, 1 - logit) and max(0, 1 + logit) (Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018,
        arXiv:1802.05957, eq. 16): 2.
    least-squares: (logit - 1)^2 / 2 and (logit + 1)^2 / 2 (Mao et al. 2017, arXiv:1611.04076, eq. 2, with
        the labels -1 and 1; their other choice, 0 and 1, would not put the equilibrium at 0): 1.

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
    """G's loss on each fake image, [N]. After the colon stands its value where all logits are 0:

    logistic: -log D(G(z)), the non-saturating form (Goodfellow et al. 2014, section 3): log 2 = 0.693.
    hinge: -logit, which has no lower bound (Lim & Ye 2017; Miyato et al. 2018, eq. 17): 0.
    least-squares: (logit - 1)^2 / 2, D's own loss on real images (Mao et al. 2017, eq. 2 with c = b): 1/2.

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
    return ConfigError(f"loss={loss!r} should be one of {', '.join(LOSSES)}")


def lecam_penalty(
    logits_real: Tensor, logits_fake: Tensor, mean_real: Tensor, mean_fake: Tensor
) -> Tensor:
    """Squared distance of D's logits beyond their usual values: [N] (LeCam: Tseng et al. 2021, arXiv:2104.03310,
    eq. 6, in the authors' code with a rectifier). ``mean_real``, ``mean_fake`` [1]: moving averages
    of the two logits."""
    above = F.relu(logits_real - mean_fake).square()
    below = F.relu(mean_real - logits_fake).square()
    return above + below


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """|d D(x) / d x|^2 of every image, [N] (R1 at real images: Mescheder et al. 2018, arXiv:1801.04406,
    eq. 9; the caller scales by gamma / 2). ``logits`` [N] are those of ``images``, which require
    gradients. The result can be differentiated."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.flatten(logits.ndim).square().sum(-1)
