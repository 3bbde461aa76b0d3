"""How many operations one update takes."""

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
    """Counts as PyTorch's `FlopCounterMode` does, whose hooks on modules would also see, and get in a
    tangle with, what the other threads of a server run meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to be skipped by the compiler it would load the compiler: a second

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=out)
        return out


class _IdleOptimizer:
    """In the place of Adam, which has no matrix products but loads PyTorch's compiler."""

    def __init__(self) -> None:
        self.param_groups: list[dict[str, Any]] = [{}]

    def zero_grad(self) -> None:
        """Does nothing."""

    def step(self) -> None:
        """Does nothing."""


def operations_per_update(config: TrainConfig) -> int:
    """Floating-point operations (a multiplication and an addition are two) of the matrix products and
    convolutions of one update, counted as it runs. Those of resampling pictures for the augmentation are not among them."""
    return _operations(update_shape(config))


def update_shape(config: TrainConfig) -> TrainConfig:
    """``config`` without what makes no difference to the work of one update: which images and how many of
    them, for how long, by which rates and chances."""
    default = {
        name: getattr(TrainConfig, name)
        for name in (
            *("data_seed", "budget", "epochs", "updates", "recipe", "seed", "lr_g", "lr_d"),
            *("beta1", "beta2", "constant_share", "ema_decay", "reshuffle"),
            *("augment_probability", "augment_target", "augment_ramp"),
        )
    }
    batch = config.effective_batch
    source = "stacked" if config.model.img_channels > 1 else "folder:any"  # of any side
    return replace(config, **default, source=source, size=batch, batch_size=batch)


@functools.lru_cache(maxsize=256)
def _operations(config: TrainConfig) -> int:
    """Two pictures stand for the batch: all that is counted grows with it in proportion."""
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
