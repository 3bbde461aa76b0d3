"""The number of operations of one update."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, cast

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gan.config import TrainConfig
from gan.networks import dcgan, ema
from gan.training import step as update_step
from gan.training.state import TrainState
from gan.training.step import Draws, rates


class _Counter(TorchDispatchMode):
    """Counts operations as PyTorch's `FlopCounterMode` does. That one hooks into modules, also those which
    other threads of a server run meanwhile, and fails there."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True would load PyTorch's compiler, which takes a second

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=out)
        return out


class _IdleOptimizer:
    """Replaces Adam, which has no matrix products and would load PyTorch's compiler."""

    def __init__(self) -> None:
        self.param_groups: list[dict[str, Any]] = [{}]

    def zero_grad(self) -> None:
        """Does nothing."""

    def step(self) -> None:
        """Does nothing."""


def operations_per_update(config: TrainConfig) -> int:
    """Floating-point operations of the matrix products and convolutions of one update (a multiplication and an
    addition are two), counted while it runs. Resampling for the augmentation is not counted."""
    return _operations(update_shape(config))


def update_shape(config: TrainConfig) -> TrainConfig:
    """``config`` with defaults for all that does not affect the work of one update: the data, the length of the
    training, rates and probabilities."""
    default = {
        name: getattr(TrainConfig, name)
        for name in (
            *("data_seed", "budget", "epochs", "updates", "recipe", "seed", "lr_g", "lr_d"),
            *("beta1", "beta2", "constant_share", "ema_decay", "reshuffle"),
            *("augment_probability", "augment_target", "augment_ramp"),
        )
    }
    batch = config.effective_batch
    source = "stacked" if config.model.img_channels > 1 else "folder:any"  # accepts any side
    return replace(config, **default, source=source, size=batch, batch_size=batch)


@functools.lru_cache(maxsize=256)
def _operations(config: TrainConfig) -> int:
    """Counts a batch of two images and scales it up: the count is proportional to the batch."""
    model, few = config.model, 2
    generator, discriminator = dcgan.Generator(model), dcgan.Discriminator(model)
    idle = cast(torch.optim.Adam, _IdleOptimizer())
    state = TrainState(
        config,
        torch.device("cpu"),
        generator,
        discriminator,
        ema.make_ema(generator),
        optimizer_g=idle,
        optimizer_d=idle,
        d_stats=torch.zeros(4),
    )
    real = torch.zeros(few, model.img_channels, model.img_size, model.img_size)
    drawn = Draws(torch.zeros(few, model.latent_dim), None)
    with _Counter() as counter:
        update_step.train_step(state, real, drawn, rates(config, 0))
    return counter.operations * config.effective_batch // few
