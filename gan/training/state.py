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
OPTIMIZERS = ("optimizer_g", "optimizer_d")


@dataclass
class TrainState:
    """Everything that training changes. ``step`` counts completed updates."""

    config: TrainConfig
    device: torch.device
    generator: dcgan.Generator
    discriminator: dcgan.Discriminator
    generator_ema: dcgan.Generator  # moving average of the generator: its images are shown
    optimizer_g: torch.optim.Adam
    optimizer_d: torch.optim.Adam
    #: Statistics of D, [4]: the probability of augmentation; moving averages of the sign of D's logits
    #: for real images, of these logits, and of those for fakes.
    d_stats: Tensor
    precision: str = "float32"
    step: int = 0
    #: Each change of settings by `continue_from`, oldest first: {"config": the settings until then, as a
    #: dictionary, "step": the number of updates until then}.
    continued_from: tuple[dict[str, Any], ...] = ()

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that an update changes, not copied, by their names in a checkpoint. Adam's moments
        exist only after the first update."""
        tensors = {"gauges": self.d_stats}  # the name of d_stats in every checkpoint so far
        for name, prefix in NETWORKS.items():
            module: nn.Module = getattr(self, name)
            tensors |= {f"{prefix}.{key}": t for key, t in module.state_dict().items()}
        for name in OPTIMIZERS:
            for index, moments in getattr(self, name).state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{key}": t for key, t in moments.items()}
        return tensors


def new_state(config: TrainConfig, device: torch.device, precision: str = "float32") -> TrainState:
    """New networks and optimizers for ``config`` on ``device``."""
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
    """A state of these networks, with new optimizers."""
    # "capturable": a captured graph reads step counts and rates from the device
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
        d_stats=torch.tensor([_initial_probability(config), 0.0, 0.0, 0.0], device=device),
        precision=precision,
    )


def _initial_probability(config: TrainConfig) -> float:
    """The probability of augmentation before the first update."""
    return config.augment_probability if config.augment == "fixed" else 0.0


def save_checkpoint(path: Path, state: TrainState, extra: dict[str, Tensor] | None = None) -> None:
    """Write the state and ``extra`` tensors for `load_checkpoint`, atomically."""
    tensors = state.tensors() | {f"extra.{key}": t for key, t in (extra or {}).items()}
    info = {
        "config": state.config.to_dict(),
        "step": state.step,
        "precision": state.precision,
        "continued_from": state.continued_from,
    }
    tensor_files.save_tensors(path, CHECKPOINT_KIND, tensors, info)


def is_finite(state: TrainState) -> bool:
    """Whether all weights are finite, as those of a checkpoint must be. The last update can make them
    infinite before any loss shows it."""
    tensors = [t for name in NETWORKS for t in getattr(state, name).state_dict().values()]
    return all(bool(torch.isfinite(t).all()) for t in tensors)


def load_checkpoint(
    path: Path, config: TrainConfig, device: torch.device
) -> tuple[TrainState, dict[str, Tensor]]:
    """The saved state, in the precision of its first updates, and the extra tensors. CheckpointError if the
    file is missing or damaged, or belongs to another configuration than ``config``."""
    tensors, info = tensor_files.load_tensors(path, CHECKPOINT_KIND)
    saved = TrainConfig.from_dict(info.get("config", {}))
    if saved != config:
        raise CheckpointError(
            f"{path} belongs to another run ({_different(saved, config)}); "
            "choose another folder, or the settings that the run was started with"
        )
    return _restore_state(path, tensors, info, config, device)


def continue_from(
    path: Path, config: TrainConfig, device: torch.device
) -> tuple[TrainState, dict[str, Tensor]]:
    """As `load_checkpoint`, but the run continues with ``config``, which may differ in everything except
    the networks.

    The networks, the generator's average, Adam's moments, the averages in ``d_stats`` and the number of
    updates stay. Rates, batches and latents are those of a run of ``config`` after as many updates. The
    probability of augmentation stays if both configurations adapt it; else it is that of a new run. The
    state's ``continued_from`` gets one entry more.

    ConfigError if the networks differ, or if ``config`` ends no later than the checkpoint.
    CheckpointError if the file is missing or damaged.
    """
    tensors, info = tensor_files.load_tensors(path, CHECKPOINT_KIND)
    saved = TrainConfig.from_dict(info.get("config", {}))
    if saved.model != config.model:
        raise ConfigError(
            f"{path} cannot continue with other networks ({_different(saved.model, config.model)}); "
            "leave the model as it was, or start a new run"
        )
    state, extra = _restore_state(path, tensors, info, config, device)
    if config.total_updates <= state.step:
        raise ConfigError(
            f"{path} has {state.step:,} updates and these settings end at {config.total_updates:,}; "
            f"raise {config.budget}={getattr(config, config.budget):,}, or use an earlier checkpoint"
        )
    if saved.augment == config.augment == "adaptive":
        state.d_stats[0].clamp_(max=config.augment_probability)
    else:
        state.d_stats[0] = _initial_probability(config)
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
    """A state of ``config`` with the content of a checkpoint, and the extra tensors."""
    state = new_state(
        config, device, devices.choose_precision(device, info.get("precision", "float32"))
    )
    for name, prefix in NETWORKS.items():
        part = tensor_files.with_prefix(tensors, prefix)
        tensor_files.load_strictly(getattr(state, name), part, path)
    try:
        for name in OPTIMIZERS:
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
        raise CheckpointError(
            f"{path} is incomplete ({error}); start the run again from the beginning"
        ) from error
    return state, tensor_files.with_prefix(tensors, "extra")
