"""The moving average of the generator over its last updates, which draws better than any one of them."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def make_ema(model: M) -> M:
    """A frozen copy of ``model`` in eval mode, for `update_ema`."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def warmed_decay(decay: float, step: int) -> float:
    """The decay at update ``step`` (from 0): min(decay, (1 + step) / (10 + step)).

    With a constant decay of 0.999, 94 % of the average after 60 updates would still be the random start.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, decay: float | Tensor) -> None:
    """ema <- decay * ema + (1 - decay) * model, in place. Parameters are averaged (Polyak & Juditsky 1992).
    Buffers are copied: they are BatchNorm's running statistics, which are averages already. A captured
    graph, which cannot read Python numbers, passes ``decay`` as a tensor [] on the models' device."""
    averaged: list[Tensor] = list(ema.parameters())
    current: list[Tensor] = list(model.parameters())
    if len(averaged) != len(current):
        raise ValueError("ema and model have different parameters")
    if isinstance(decay, Tensor):
        change = torch._foreach_sub(current, averaged)
        torch._foreach_mul_(change, 1.0 - decay)
        torch._foreach_add_(averaged, change)
    else:
        torch._foreach_lerp_(averaged, current, 1.0 - decay)
    for kept, buffer in zip(ema.buffers(), model.buffers(), strict=True):
        kept.copy_(buffer)
