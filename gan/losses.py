"""The losses of the game, unreduced: the caller takes the mean, weights or inspects.

All take logits (positive = real), never probabilities: the log of a sigmoid that has rounded
to 0 is minus infinity, the softplus of its logit is not.
"""

from __future__ import annotations

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
