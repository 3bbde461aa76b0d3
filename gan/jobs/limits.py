"""What visitors may ask for, wherever the asking comes from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gan.config import ModelConfig, TrainConfig
from gan.errors import ConfigError
from gan.networks import dcgan

UPLOADS = "uploads"  # below runs/: pictures that visitors brought


@dataclass(frozen=True)
class Limits:
    """What visitors may do. ``slots``: jobs at a time on each CPU or GPU; ``queue``: jobs that wait;
    ``parameters``: of both networks; ``activations``: batch x pixels x width, which memory grows with;
    ``paused``: jobs a visitor may leave paused; ``wait_minutes``: the longest wait that is begun;
    ``imports``: models from elsewhere that are kept; ``folders``, ``runs_bytes``: of all jobs, models and
    uploads together."""

    enabled: bool = True
    updates: int = 100_000
    minutes: float = 120.0
    queue: int = 20
    slots: int = 1
    batch: int = 1_024
    size: int = 200_000
    parameters: int = 30_000_000
    activations: int = 50_000_000
    wait_minutes: float = 240.0
    paused: int = 2
    folders: int = 500
    imports: int = 50
    job_bytes: int = 1_000_000_000
    runs_bytes: int = 10_000_000_000


def limits_from(environment: Mapping[str, str]) -> Limits:
    """``GAN_TRAINING`` (on or off), ``GAN_MAX_UPDATES``, ``GAN_MAX_MINUTES``, ``GAN_MAX_QUEUE``,
    ``GAN_SLOTS`` and ``GAN_RUNS_GB``; what is not said stays as in `Limits`. ConfigError for nonsense."""
    limits = Limits()
    switch = environment.get("GAN_TRAINING", "on").strip().lower()
    if switch not in ("on", "off"):
        raise ConfigError(f"GAN_TRAINING={switch!r} must be on or off")
    for name, field, low, scale in (
        ("GAN_MAX_UPDATES", "updates", 1, 1),
        ("GAN_MAX_MINUTES", "minutes", 1, 1),
        ("GAN_MAX_QUEUE", "queue", 0, 1),
        ("GAN_SLOTS", "slots", 1, 1),
        ("GAN_RUNS_GB", "runs_bytes", 1, 1_000_000_000),
    ):
        text = environment.get(name, "").strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and low <= int(text) <= 10_000_000):
            raise ConfigError(f"{name}={text!r} must be a whole number from {low} on")
        change: dict[str, Any] = {field: int(text) * scale}
        limits = replace(limits, **change)
    return replace(limits, enabled=switch == "on")


def check(config: TrainConfig, limits: Limits, runs: Path) -> None:
    """ConfigError where a visitor may not ask for ``config``: widgets have limits too, but what comes
    from a browser need not come from a widget."""
    check_networks(config, limits)
    for name, value, most in (
        ("updates", config.total_updates, limits.updates),
        ("size", config.size, limits.size),
        ("batch_size", config.batch_size, limits.batch),
    ):
        _at_most(name, value, most)
    kind, _, where = config.source.partition(":")
    if kind == "folder":
        folder = Path(where).resolve()
        if folder.parent != (runs / UPLOADS).resolve() or not folder.is_dir():
            raise ConfigError("these pictures are not here any more; upload them again")
    elif config.source not in ("mnist", "drawn"):
        raise ConfigError(f"source={config.source!r} is not on offer here; take mnist or drawn")


def check_networks(config: TrainConfig, limits: Limits) -> None:
    """ConfigError where the networks, or what they remember of a batch, are too large for this place."""
    model = config.model
    _at_most("parameters", parameters(model), limits.parameters)
    remembered = config.effective_batch * model.img_size**2 * model.base_channels
    _at_most("batch_size x pixels x width", remembered, limits.activations)


def _at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise ConfigError(f"{name}={value:,} is more than the {most:,} allowed here; take fewer")


@functools.lru_cache(maxsize=256)
def parameters(model: ModelConfig) -> int:
    """Trainable numbers of both networks, counted without making them."""
    with torch.device("meta"):
        pair = dcgan.Generator(model), dcgan.Discriminator(model)
    return sum(dcgan.count_parameters(network) for network in pair)
