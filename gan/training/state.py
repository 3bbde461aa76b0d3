"""The state of a training: networks, optimizers, counters, and its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan.config import ModelConfig, TrainConfig
from gan.errors import CheckpointError, ConfigError
from gan.networks import dcgan, ema
from gan.system import devices, tensor_files

CHECKPOINT_KIND = "training checkpoint"
#: Attributes of `TrainState` that are networks, and the prefix of their tensors in a checkpoint.
NETWORKS = {"generator": "generator", "discriminator": "discriminator", "generator_ema": "average"}


@dataclass
class TrainState:
    """Everything that training changes. ``step`` counts finished updates."""

    config: TrainConfig
    device: torch.device
    generator: dcgan.Generator
    discriminator: dcgan.Discriminator
    generator_ema: dcgan.Generator  # the EMA of the generator: the one to look at
    optimizer_g: torch.optim.Adam
    optimizer_d: torch.optim.Adam
    #: Moves along with D, [4]: the probability of augmentation; moving averages of the sign of D's
    #: logits for real images, of the logits, and of those for fakes.
    d_stats: Tensor
    precision: str = "float32"
    step: int = 0
    #: Where it was taken up with other settings (`continue_from`), the first time first: {"config": what
    #: they were before, as a dictionary, "step": after how many updates}.
    continued_from: tuple[dict[str, Any], ...] = ()


def new_state(config: TrainConfig, device: torch.device, precision: str = "float32") -> TrainState:
    """Fresh networks and optimizers for ``config`` on ``device``."""
    generator, discriminator = dcgan.make_pair(config.model, config.seed)
    generator, discriminator = generator.to(device), discriminator.to(device)
    return assemble(config, device, precision, generator, discriminator, ema.make_ema(generator))


def assemble(
    config: TrainConfig,
    device: torch.device,
    precision: str,
    generator: dcgan.Generator,
    discriminator: dcgan.Discriminator,
    generator_ema: dcgan.Generator,
) -> TrainState:
    """A state around these networks, with optimizers that have not moved yet."""
    # a captured graph reads its step counts and rates from the device
    adam: dict[str, Any] = {
        "betas": (config.beta1, config.beta2),
        "fused": True,
        "capturable": device.type == "cuda",
    }
    return TrainState(
        config=config,
        device=device,
        generator=generator,
        discriminator=discriminator,
        generator_ema=generator_ema,
        optimizer_g=torch.optim.Adam(generator.parameters(), config.lr_g, **adam),
        optimizer_d=torch.optim.Adam(discriminator.parameters(), config.lr_d, **adam),
        d_stats=torch.tensor([_first_probability(config), 0.0, 0.0, 0.0], device=device),
        precision=precision,
    )


def _first_probability(config: TrainConfig) -> float:
    """Of augmentation, before the first update."""
    return config.augment_probability if config.augment == "fixed" else 0.0


def save_checkpoint(path: Path, state: TrainState, extra: dict[str, Tensor] | None = None) -> None:
    """All that `load_checkpoint` needs to go on, atomically. ``extra`` tensors travel along."""
    tensors: dict[str, Tensor] = {}
    for name, prefix in NETWORKS.items():
        module: nn.Module = getattr(state, name)
        tensors |= {f"{prefix}.{key}": t for key, t in module.state_dict().items()}
    for name in ("optimizer_g", "optimizer_d"):
        for index, moments in getattr(state, name).state_dict()["state"].items():
            tensors |= {f"{name}.{index}.{key}": t for key, t in moments.items()}
    tensors["gauges"] = state.d_stats
    tensors |= {f"extra.{key}": t for key, t in (extra or {}).items()}
    info = {
        "config": state.config.to_dict(),
        "step": state.step,
        "precision": state.precision,
        "continued_from": state.continued_from,
    }
    tensor_files.save_tensors(path, CHECKPOINT_KIND, tensors, info)


def is_finite(state: TrainState) -> bool:
    """Whether all weights are numbers, as those of a checkpoint must be. A last update can spoil them
    before any loss tells."""
    tensors = [t for name in NETWORKS for t in getattr(state, name).state_dict().values()]
    return all(bool(torch.isfinite(t).all()) for t in tensors)


def load_checkpoint(
    path: Path, config: TrainConfig, device: torch.device
) -> tuple[TrainState, dict[str, Tensor]]:
    """The state as saved, in the precision it was begun with, and the extra tensors. CheckpointError where the file is missing, damaged,
    or belongs to another configuration than ``config``."""
    tensors, info = tensor_files.load_tensors(path, CHECKPOINT_KIND)
    saved = TrainConfig.from_dict(info.get("config", {}))
    if saved != config:
        raise CheckpointError(
            f"{path} belongs to another run ({_different(saved, config)}); "
            "choose another folder, or the settings it was begun with"
        )
    return _restore_state(path, tensors, info, config, device)


def continue_from(
    path: Path, config: TrainConfig, device: torch.device
) -> tuple[TrainState, dict[str, Tensor]]:
    """As `load_checkpoint`, but the run goes on under ``config``, which may differ in everything except
    the networks. From that update on, rates, batches and latents are what a run of ``config`` has after as
    many; the networks, their average, Adam's moments, the moving averages of D's logits and the number
    of updates stay. The probability of augmentation stays too where it is and was adaptive, else it is
    that of a fresh run. The state's ``continued_from`` says where it came from.

    ConfigError where the networks differ, or where ``config`` ends no later than the checkpoint.
    CheckpointError where the file is missing or damaged.
    """
    tensors, info = tensor_files.load_tensors(path, CHECKPOINT_KIND)
    saved = TrainConfig.from_dict(info.get("config", {}))
    if saved.model != config.model:
        raise ConfigError(
            f"{path} cannot go on with other networks ({_different(saved.model, config.model)}); "
            "leave the model as it was, or begin a new run"
        )
    state, extra = _restore_state(path, tensors, info, config, device)
    if config.total_updates <= state.step:
        raise ConfigError(
            f"{path} has {state.step:,} updates behind it and these settings end at "
            f"{config.total_updates:,}; raise {config.budget}={getattr(config, config.budget):,}, or go "
            "back to an earlier checkpoint"
        )
    if saved.augment == config.augment == "adaptive":
        state.d_stats[0].clamp_(max=config.augment_probability)
    else:
        state.d_stats[0] = _first_probability(config)
    state.continued_from += ({"config": saved.to_dict(), "step": state.step},)
    return state, extra


def _different(saved: TrainConfig | ModelConfig, wanted: TrainConfig | ModelConfig) -> str:
    ours, theirs = wanted.to_dict(), saved.to_dict()
    return "; ".join(
        f"{k}: {theirs[k]!r} there, {ours[k]!r} here" for k in ours if ours[k] != theirs[k]
    )


def _restore_state(
    path: Path,
    tensors: dict[str, Tensor],
    info: dict[str, Any],
    config: TrainConfig,
    device: torch.device,
) -> tuple[TrainState, dict[str, Tensor]]:
    """A state of ``config`` with what a checkpoint holds, and the extra tensors."""
    state = new_state(
        config, device, devices.choose_precision(device, info.get("precision", "float32"))
    )
    for name, prefix in NETWORKS.items():
        part = tensor_files.with_prefix(tensors, prefix)
        tensor_files.load_strictly(getattr(state, name), part, path)
    try:
        for name in ("optimizer_g", "optimizer_d"):
            optimizer: torch.optim.Adam = getattr(state, name)
            moments: dict[int, dict[str, Tensor]] = {}
            for key, tensor in tensor_files.with_prefix(tensors, name).items():
                index, _, moment = key.partition(".")
                moments.setdefault(int(index), {})[moment] = tensor
            optimizer.load_state_dict(
                {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
            )
        state.d_stats.copy_(tensors["gauges"])
        state.step = int(info["step"])
        state.continued_from = tuple(info.get("continued_from", ()))
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is incomplete ({error}); start the run anew") from error
    return state, tensor_files.with_prefix(tensors, "extra")
