"""The two networks. A positive discriminator logit means *real*, everywhere in this package."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.config import ModelConfig

LEAK = 0.2  # slope of LeakyReLU in D (Radford et al. 2016, section 3)


def _channels_last(x: Tensor) -> Tensor:
    """x [N, C, H, W] in the memory layout in which the larger convolutions are fastest on the CPU
    (docs/LOG.md)."""
    return x.contiguous(memory_format=torch.channels_last)


class _Flatten(torch.autograd.Function):
    """`flatten(1)` of channels-last maps. Its gradient is channels-last too. That of the usual `flatten` is
    not, which slows down all backward steps after it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.flatten(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _channels_last(grad.view(ctx.shape))


def flattened(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C * H * W], channel by channel."""
    flat: Tensor = _Flatten.apply(x)
    return flat


def by_groups(norm: Callable[[Tensor], Tensor], x: Tensor, groups: int, dim: int = 0) -> Tensor:
    """``norm`` of each of the ``groups`` equal parts of x along ``dim``."""
    if groups == 1 or isinstance(norm, nn.Identity):
        return norm(x)
    return torch.cat([norm(part) for part in x.chunk(groups, dim)], dim)


class Generator(nn.Module):
    """Latents to images: dense, dense, two stride-2 transposed convolutions, tanh.

    ``forward(z [N, latent_dim]) -> [N, C, H, W] in [-1, 1]``, z standard normal for every ``config.latent``.
    In eval mode row i depends on ``z[i]`` alone, because BatchNorm then uses its running statistics.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.latent_dim = config.latent_dim
        self._side = config.img_size // 4
        self._channels = 2 * config.base_channels
        inner = self._channels * self._side**2
        # no biases before BatchNorm, which adds its own
        self.hidden = nn.Linear(config.latent_dim, config.hidden_units, bias=False)
        self.hidden_norm = nn.BatchNorm1d(config.hidden_units)
        self.expand = nn.Linear(config.hidden_units, inner, bias=False)
        self.expand_norm = nn.BatchNorm1d(inner)
        self.up = nn.ConvTranspose2d(
            self._channels, config.base_channels, 4, stride=2, padding=1, bias=False
        )
        self.up_norm = nn.BatchNorm2d(config.base_channels)
        self.to_image = nn.ConvTranspose2d(
            config.base_channels, config.img_channels, 4, stride=2, padding=1
        )

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.hidden_norm(self.hidden(self.to_prior(z))))  # [N, hidden]
        x = F.relu(self.expand_norm(self.expand(x)))  # [N, 2*base * H/4 * W/4]
        x = _channels_last(x.unflatten(1, (self._channels, self._side, self._side)))
        x = F.conv_transpose2d(x, _channels_last(self.up.weight), None, 2, 1)
        x = F.relu(self.up_norm(x))  # [N, base, H/2, W/2]
        return self.to_range(self.to_image(x))  # [N, C, H, W]

    def to_prior(self, z: Tensor) -> Tensor:
        """Standard normal z -> latents of the distribution ``config.latent``."""
        if self.config.latent == "uniform":
            return torch.erf(z / math.sqrt(2))  # 2 Phi(z) - 1: U(-1, 1)
        return z

    def to_range(self, x: Tensor) -> Tensor:
        """Output of the last layer -> [-1, 1], in single precision."""
        if self.config.pixels == "unit":
            return torch.sigmoid(x.float()) * 2 - 1
        return torch.tanh(x.float())


class Discriminator(nn.Module):
    """Images to logits: two stride-2 convolutions, dense, dense.

    ``forward(images [N, C, H, W] in [-1, 1]) -> logits [N]``, positive = real. Its BatchNorm layers keep
    no running statistics, because D only sees whole batches, each of one kind (real, fake or held out).
    Evaluating D therefore changes nothing, and training and evaluation agree. Without BatchNorm
    (``d_norm``) its layers have biases.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        base = config.base_channels
        inner = 2 * base * (config.img_size // 4) ** 2
        normed = config.d_norm == "batch"
        self.down = nn.Conv2d(config.img_channels, base, 4, stride=2, padding=1)
        self.down2 = nn.Conv2d(base, 2 * base, 4, stride=2, padding=1, bias=not normed)
        self.down2_norm = _norm(nn.BatchNorm2d, 2 * base) if normed else nn.Identity()
        self.hidden = nn.Linear(inner, config.hidden_units, bias=not normed)
        self.hidden_norm = _norm(nn.BatchNorm1d, config.hidden_units) if normed else nn.Identity()
        self.to_logit = nn.Linear(config.hidden_units, 1)

    def forward(self, images: Tensor, groups: int = 1) -> Tensor:
        """``groups``: how many batches of equal size ``images`` consists of. Each is normalised by itself;
        in one call they need fewer and larger operations."""
        x = _channels_last(self.down(self.scaled(images)))
        x = F.leaky_relu(x, LEAK)  # [N, base, H/2, W/2]
        x = F.conv2d(x, _channels_last(self.down2.weight), self.down2.bias, 2, 1)
        x = F.leaky_relu(by_groups(self.down2_norm, x, groups), LEAK)  # [N, 2*base, H/4, W/4]
        x = self.hidden(flattened(x))
        x = F.leaky_relu(by_groups(self.hidden_norm, x, groups), LEAK)  # [N, hidden]
        return self.to_logit(x).squeeze(1).float()  # [N]

    def scaled(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] -> the range ``config.pixels``."""
        return (images + 1) / 2 if self.config.pixels == "unit" else images


def _norm(kind: type[nn.Module], channels: int) -> nn.Module:
    return kind(channels, track_running_stats=False)


def init_weights(model: nn.Module, rng: torch.Generator) -> None:
    """DCGAN's initialisation (Radford et al. 2016, section 3), drawn from ``rng``.

    | layer                     | weight        | bias |
    |---------------------------|---------------|------|
    | convolution, dense        | N(0, 0.02^2)  | 0    |
    | BatchNorm                 | N(1, 0.02^2)  | 0    |

    BatchNorm would undo any scale of the weights. A D without it gets weights that keep the scale of the
    activations: N(0, 2 / (1.04 fan_in)) (He et al. 2015, arXiv:1502.01852, eq. 15, for LeakyReLU 0.2).
    """
    scaled = isinstance(model, Discriminator) and model.config.d_norm == "none"
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            if scaled:
                nn.init.kaiming_normal_(module.weight, LEAK, generator=rng)
            else:
                nn.init.normal_(module.weight, 0.0, 0.02, generator=rng)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=rng)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def make_pair(config: ModelConfig, seed: int) -> tuple[Generator, Discriminator]:
    """A new generator and discriminator on the CPU. The same seed gives the same weights."""
    rng = torch.Generator().manual_seed(seed)
    generator, discriminator = Generator(config), Discriminator(config)
    init_weights(generator, rng)
    init_weights(discriminator, rng)
    return generator, discriminator


def count_parameters(model: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(p.numel() for p in model.parameters())
