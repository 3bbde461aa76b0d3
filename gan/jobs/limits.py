"""What visitors may do: the limits of this server, and the checks of every request against them.

The widgets of the page have limits too, but what comes from a browser need not come from a widget.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gan.config import ModelConfig, TrainConfig
from gan.errors import ConfigError
from gan.jobs.folder import Job
from gan.jobs.state import Status
from gan.networks import dcgan

UPLOADS = "uploads"  # below runs/: images that visitors uploaded


@dataclass(frozen=True)
class Limits:
    """``slots``: jobs at a time on each CPU or GPU; ``queue``: jobs that wait; ``parameters``: of both networks;
    ``activations``: batch x pixels x width, which memory grows with; ``paused``: jobs a visitor may leave
    paused; ``wait_minutes``: the longest wait a new job may have; ``imports``: imported models that are kept;
    ``folders``, ``runs_bytes``: of all jobs, imported models and uploads together."""

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
    """Reads ``GAN_TRAINING`` (on or off), ``GAN_MAX_UPDATES``, ``GAN_MAX_MINUTES``, ``GAN_MAX_QUEUE``,
    ``GAN_SLOTS`` and ``GAN_RUNS_GB``; what is not set has the default of `Limits`. ConfigError for a value
    that is not allowed."""
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
            raise ConfigError(f"{name}={text!r} must be a whole number, at least {low}")
        change: dict[str, Any] = {field: int(text) * scale}
        limits = replace(limits, **change)
    return replace(limits, enabled=switch == "on")


def may_control(job: Job, visitor: str | None) -> bool:
    """Whether ``visitor`` may pause, stop or remove the job. None stands for whoever runs the server."""
    return visitor is None or visitor == job.owner


def check_request(
    config: TrainConfig, device: str, devices: Collection[str], limits: Limits, runs: Path
) -> None:
    """ConfigError if a visitor may not train ``config`` on ``device``, one of ``devices``."""
    if not limits.enabled:
        raise ConfigError("training is switched off here; run the app yourself to train")
    if device not in devices:
        raise ConfigError(f"device {device!r} is not here; choose one of {', '.join(devices)}")
    check_networks(config, limits)
    _at_most("updates", config.total_updates, limits.updates)
    _at_most("size", config.size, limits.size)
    _at_most("batch_size", config.batch_size, limits.batch)
    kind, _, where = config.source.partition(":")
    if kind == "folder":
        folder = Path(where).resolve()
        if folder.parent != (runs / UPLOADS).resolve() or not folder.is_dir():
            raise ConfigError("these images are no longer here; upload them again")
    elif config.source not in ("mnist", "drawn"):
        raise ConfigError(f"source={config.source!r} is not available here; use mnist or drawn")


def check_networks(config: TrainConfig, limits: Limits) -> None:
    """ConfigError if the networks or their activations are too large for this server."""
    model = config.model
    _at_most("parameters", parameters(model), limits.parameters)
    activations = config.effective_batch * model.img_size**2 * model.base_channels
    _at_most("batch_size x pixels x width", activations, limits.activations)


def check_visitor(owned: Collection[tuple[Job, Status]], limits: Limits) -> None:
    """ConfigError if a visitor with the jobs ``owned`` may not start one: only one may be active at a time.
    Paused ones do not count, but their number is limited."""
    for job, status in owned:
        if status.active and status.state != "paused":
            raise ConfigError(
                f"you already have a job: {job.id} ({status.state}); wait for it, or stop it"
            )
    paused = sum(status.state == "paused" for _, status in owned)
    if paused > limits.paused:
        raise ConfigError(
            f"{paused} of your jobs are paused, and at most {limits.paused} may be; "
            "resume or stop one"
        )


def check_queue(waiting: int, seconds: float | None, limits: Limits) -> None:
    """ConfigError if the queue is full, or the wait too long. ``seconds``: the expected wait, None if it is
    not known."""
    if waiting >= limits.queue:
        raise ConfigError(
            f"{waiting} jobs are already waiting, and no more may; try again when some are done"
        )
    if seconds is not None and seconds > limits.wait_minutes * 60:
        raise ConfigError(
            f"the job would have to wait about {seconds / 60:.0f} minutes, more than the "
            f"{limits.wait_minutes:g} that are allowed; try again later"
        )


def _at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise ConfigError(f"{name}={value:,} is more than the {most:,} allowed here; reduce it")


@functools.lru_cache(maxsize=256)
def parameters(model: ModelConfig) -> int:
    """Number of trainable parameters of both networks, counted without allocating them."""
    with torch.device("meta"):
        pair = dcgan.Generator(model), dcgan.Discriminator(model)
    return sum(dcgan.count_parameters(network) for network in pair)
