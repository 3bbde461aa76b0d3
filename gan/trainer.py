"""Training: a loop that yields, and a state that can be put down and taken up again.

`train` is the only code that changes networks. It reports a block of updates at a time, because
fetching a loss stops the device until it is known; between reports nothing leaves the device.
All randomness is a function of (seed, purpose, counter): which images form batch t and which
latents go with it depend on nothing that happened before. So a run that was interrupted and
resumed is, on the CPU, the same run to the last bit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gan import checkpoint, ema, losses, models
from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError, TrainingError
from gan.images import from_uint8

BLOCK = 20  # updates between two reports
_KIND = "training checkpoint"
_NETWORKS = ("generator", "discriminator", "average")


def choose_device(wanted: str = "auto") -> torch.device:
    """ "auto" takes cuda, then mps, then cpu. ConfigError for a device that is not there."""
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if wanted == "auto":
        return torch.device(available[0])
    if wanted.partition(":")[0] not in available:
        raise ConfigError(f"device {wanted!r} is not here; choose one of {', '.join(available)}")
    return torch.device(wanted)


def describe_device(device: torch.device) -> str:
    """For provenance: "NVIDIA H200", "mps", "cpu (AMD EPYC, 1 thread)"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({_cpu_name()}, {threads} thread{'s' if threads != 1 else ''})"
    return str(device)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: the architecture has to do
    import platform

    return platform.processor() or platform.machine()


@dataclass
class TrainState:
    """Everything that training changes. ``step`` counts finished updates."""

    config: TrainConfig
    device: torch.device
    generator: models.Generator
    discriminator: models.Discriminator
    average: models.Generator  # the EMA of the generator: the one to look at
    optimizer_g: torch.optim.Adam
    optimizer_d: torch.optim.Adam
    step: int = 0


@dataclass(frozen=True)
class Report:
    """A block of updates, ending with number ``step`` of ``total``. All [B] float32 on the CPU, one
    value an update: the mean losses, and the mean probability of being real that D gave to its
    real and fake batch. ``prob_held_out``: the same for a batch of unseen real images at the end of
    the block; far below ``prob_real``, D knows its training images by heart."""

    step: int
    total: int
    g_loss: Tensor
    d_loss: Tensor
    prob_real: Tensor
    prob_fake: Tensor
    prob_held_out: float


def new_state(config: TrainConfig, device: torch.device) -> TrainState:
    """Fresh networks and optimizers for ``config`` on ``device``."""
    generator, discriminator = models.make_pair(config.model, config.seed)
    generator, discriminator = generator.to(device), discriminator.to(device)
    betas = (config.beta1, config.beta2)
    return TrainState(
        config=config,
        device=device,
        generator=generator,
        discriminator=discriminator,
        average=ema.make_ema(generator),
        optimizer_g=torch.optim.Adam(generator.parameters(), config.lr_g, betas, fused=True),
        optimizer_d=torch.optim.Adam(discriminator.parameters(), config.lr_d, betas, fused=True),
    )


def learning_rate_factor(step: int, total: int, constant_share: float) -> float:
    """1 for the first ``constant_share`` of the run, then linearly down to 0 after update ``total``."""
    start = constant_share * total
    return 1.0 if step < start or start >= total else (total - step) / (total - start)


def train(
    state: TrainState, images: Tensor, held_out: Tensor, block: int = BLOCK
) -> Iterator[Report]:
    """Updates ``state`` in place up to its configuration's total; yields after every ``block`` updates.

    images, held_out: uint8 [N, C, H, W]. Stop by not asking for the next report; nothing is trained
    until one is asked for. TrainingError, after which the state is of no more use, when a loss is
    no longer finite.
    """
    config, device = state.config, state.device
    if len(images) != config.size:
        raise ConfigError(f"the run is for {config.size:,} images but got {len(images):,}")
    images, held_out = images.to(device), held_out.to(device)
    total = config.total_updates
    while state.step < total:
        count = min(block - state.step % block, total - state.step)
        index = _batch_indices(config, state.step, count).to(device)  # [B, batch]
        z = _latents(config, state.step, count).to(device)  # [B, batch, Z]
        record = torch.empty(4, count, device=device)
        for i in range(count):
            factor = learning_rate_factor(state.step, total, config.constant_share)
            for optimizer, rate in (
                (state.optimizer_g, config.lr_g),
                (state.optimizer_d, config.lr_d),
            ):
                optimizer.param_groups[0]["lr"] = rate * factor
            record[:, i] = train_step(state, from_uint8(images[index[i]]), z[i])
        record = record.cpu()  # the one point in a block that waits for the device
        g_loss, d_loss, prob_real, prob_fake = record
        if not bool(torch.isfinite(record).all()):
            raise TrainingError(
                f"a loss is no longer a number at update {state.step:,} (G {float(g_loss[-1]):g}, "
                f"D {float(d_loss[-1]):g}); lower lr_g={config.lr_g:g} or lr_d={config.lr_d:g}, "
                "or go back to an earlier checkpoint"
            )
        yield Report(
            step=state.step,
            total=total,
            g_loss=g_loss,
            d_loss=d_loss,
            prob_real=prob_real,
            prob_fake=prob_fake,
            prob_held_out=_probability_held_out(state, held_out),
        )


def train_step(state: TrainState, real: Tensor, z: Tensor) -> Tensor:
    """One update of D, then one of G against the new D, then of the average.

    real [N, C, H, W] in [-1, 1]; z [N, Z]. Returns [4] on the device: mean loss of G and of D, mean
    probability of being real given to ``real`` and to the fakes (before the update). Real and
    fake pass through D as batches of their own (Ioffe & Szegedy's statistics then differ for the
    two; mixing them changes the game, see Radford et al. 2016, section 3).
    """
    generator, discriminator = state.generator, state.discriminator
    fake = generator(z)
    logits_real = discriminator(real)
    logits_fake = discriminator(fake.detach())
    loss_real, loss_fake = losses.discriminator_loss(logits_real, logits_fake)
    d_loss = loss_real.mean() + loss_fake.mean()
    state.optimizer_d.zero_grad()
    d_loss.backward()
    state.optimizer_d.step()

    discriminator.requires_grad_(False)  # saves the gradients of D's weights, half of this pass
    g_loss = losses.generator_loss(discriminator(fake)).mean()
    state.optimizer_g.zero_grad()
    g_loss.backward()
    state.optimizer_g.step()
    discriminator.requires_grad_(True)

    ema.update_ema(state.average, generator, ema.warmed_decay(state.config.ema_decay, state.step))
    state.step += 1
    with torch.no_grad():
        return torch.stack(
            [g_loss, d_loss, logits_real.sigmoid().mean(), logits_fake.sigmoid().mean()]
        ).detach()


@torch.no_grad()
def _probability_held_out(state: TrainState, held_out: Tensor) -> float:
    """Mean D probability of a batch of unseen reals, as large as a training batch if there are enough."""
    count = min(state.config.effective_batch, len(held_out))
    if count < 2:
        return math.nan
    rng = _rng(state.config.seed, "held out", state.step)
    chosen = torch.randint(len(held_out), (count,), generator=rng).to(held_out.device)
    return float(state.discriminator(from_uint8(held_out[chosen])).sigmoid().mean())


# --- randomness ----------------------------------------------------------------------------


def _rng(seed: int, purpose: str, counter: int) -> torch.Generator:
    digest = hashlib.blake2b(f"{seed}/{purpose}/{counter}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def _latents(config: TrainConfig, step: int, count: int) -> Tensor:
    """z of the updates ``step .. step + count``: [count, batch, Z] ~ N(0, 1)."""
    shape = (config.effective_batch, config.model.latent_dim)
    return torch.stack(
        [torch.randn(shape, generator=_rng(config.seed, "latents", step + i)) for i in range(count)]
    )


def _batch_indices(config: TrainConfig, step: int, count: int) -> Tensor:
    """Indices of the batches of the updates ``step .. step + count``: int64 [count, batch].

    Each epoch is a new permutation cut into full batches.
    """
    per_epoch, batch = config.updates_per_epoch, config.effective_batch
    rows = []
    order, order_of = torch.empty(0), -1
    for update in range(step, step + count):
        epoch, position = divmod(update, per_epoch)
        if epoch != order_of:
            rng = _rng(config.seed, "order", epoch)
            order, order_of = torch.randperm(config.size, generator=rng), epoch
        rows.append(order[position * batch : (position + 1) * batch])
    return torch.stack(rows)


# --- checkpoints ---------------------------------------------------------------------------


def save_checkpoint(path: Path, state: TrainState, extra: dict[str, Tensor] | None = None) -> None:
    """All that `load_checkpoint` needs to go on, atomically. ``extra`` tensors travel along."""
    tensors: dict[str, Tensor] = {}
    for name in _NETWORKS:
        module: nn.Module = getattr(state, name)
        tensors |= {f"{name}.{key}": t for key, t in module.state_dict().items()}
    for name in ("optimizer_g", "optimizer_d"):
        for index, moments in getattr(state, name).state_dict()["state"].items():
            tensors |= {f"{name}.{index}.{key}": t for key, t in moments.items()}
    tensors |= {f"extra.{key}": t for key, t in (extra or {}).items()}
    checkpoint.save_tensors(
        path, _KIND, tensors, {"config": state.config.to_dict(), "step": state.step}
    )


def load_checkpoint(
    path: Path, config: TrainConfig, device: torch.device
) -> tuple[TrainState, dict[str, Tensor]]:
    """The state as saved, and the extra tensors. CheckpointError where the file is missing, damaged,
    or belongs to another configuration than ``config``."""
    tensors, info = checkpoint.load_tensors(path, _KIND)
    saved = TrainConfig.from_dict(info.get("config", {}))
    if saved != config:
        ours, theirs = config.to_dict(), saved.to_dict()
        different = [
            f"{k}: {theirs[k]!r} there, {ours[k]!r} here" for k in ours if ours[k] != theirs[k]
        ]
        raise CheckpointError(
            f"{path} belongs to another run ({'; '.join(different)}); "
            "choose another folder, or the settings it was begun with"
        )
    state = new_state(config, device)
    for name in _NETWORKS:
        checkpoint.load_strictly(getattr(state, name), checkpoint.below(tensors, name), path)
    try:
        for name in ("optimizer_g", "optimizer_d"):
            optimizer: torch.optim.Adam = getattr(state, name)
            moments: dict[int, dict[str, Tensor]] = {}
            for key, tensor in checkpoint.below(tensors, name).items():
                index, _, moment = key.partition(".")
                moments.setdefault(int(index), {})[moment] = tensor
            optimizer.load_state_dict(
                {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
            )
        state.step = int(info["step"])
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is incomplete ({error}); start the run anew") from error
    return state, checkpoint.below(tensors, "extra")
