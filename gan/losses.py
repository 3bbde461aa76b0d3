"""The losses of the game, unreduced: the caller takes the mean, weights or inspects.

All take logits (positive = real), never probabilities: the log of a sigmoid that has rounded
to 0 is minus infinity, the softplus of its logit is not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(logits_real: Tensor, logits_fake: Tensor) -> tuple[Tensor, Tensor]:
    """-log D(x) and -log(1 - D(G(z))), both [N] (Goodfellow et al. 2014, arXiv:1406.2661, eq. 1).

    At D = 1/2 everywhere their sum of means is 2 log 2 = 1.386.
    """
    return F.softplus(-logits_real), F.softplus(logits_fake)


def generator_loss(logits_fake: Tensor) -> Tensor:
    """-log D(G(z)), [N]: the non-saturating form (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-logits_fake)


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
