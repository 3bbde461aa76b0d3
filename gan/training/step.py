"""One update: random draws, learning rates, the step of D and the step of G."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from gan.config import TrainConfig
from gan.networks import ema, losses
from gan.networks.augment import UNIFORMS, augment
from gan.training.state import TrainState

_MEAN_DECAY = 0.9  # of the moving averages of D's logits and signs


class Draws(NamedTuple):
    """The random numbers of one update: z [N, Z]; uniforms [3, N, `UNIFORMS`] for the augmentation of the
    real images, of the fakes in D's update and of those in G's. ``uniforms`` is None without augmentation.
    Those of several updates have one dimension more, in front."""

    z: Tensor
    uniforms: Tensor | None

    def to(self, device: torch.device) -> Draws:
        return Draws(self.z.to(device), None if self.uniforms is None else self.uniforms.to(device))

    def at(self, index: int) -> Draws:
        return Draws(self.z[index], None if self.uniforms is None else self.uniforms[index])


class Rates(NamedTuple):
    """Learning rates of one update, and the decay of ``generator_ema``. Tensors [] in a captured graph."""

    generator: float | Tensor
    discriminator: float | Tensor
    decay: float | Tensor


def learning_rate_factor(step: int, total: int, constant_share: float) -> float:
    """1 for the first ``constant_share`` of the run, then linearly down to 0 at the end."""
    start = constant_share * total
    return 1.0 if step < start or start >= total else (total - step) / (total - start)


def rates(config: TrainConfig, step: int) -> Rates:
    """The rates of update number ``step``, counted from 0."""
    factor = learning_rate_factor(step, config.total_updates, config.constant_share)
    return Rates(
        config.lr_g * factor, config.lr_d * factor, ema.warmed_decay(config.ema_decay, step)
    )


def train_step(state: TrainState, real: Tensor, draws: Draws, rates: Rates) -> Tensor:
    """Update D, then G against the new D, then the generator's average.

    real [N, C, H, W] in [-1, 1]. Returns [4] on the device: the mean losses of G and of D (without
    penalties), and D's mean probabilities of real for its real and its fake batch, before its update.
    BatchNorm normalises the real and the fake batch separately (see Radford et al. 2016, section 3).

    With the networks of `gan.training.stacking` it updates K runs at once: real is [K, N, C, H, W], every
    other tensor has that dimension too, and [4, K] is returned.
    """
    generator, discriminator, config = state.generator, state.discriminator, state.config
    state.optimizer_g.param_groups[0]["lr"] = rates.generator
    state.optimizer_d.param_groups[0]["lr"] = rates.discriminator
    d_real = _input_of_d(state, real, draws, 0)
    if config.r1_gamma:
        d_real = d_real.detach().requires_grad_()
    with autocast(state):
        fake = generator(draws.z)
        d_fake = _input_of_d(state, fake.detach(), draws, 1)
        both = torch.cat([d_real, d_fake], dim=-4)
        logits_real, logits_fake = discriminator(both, groups=2).chunk(2, dim=-1)
    loss_real, loss_fake = losses.discriminator_loss(logits_real, logits_fake, config.loss)
    d_loss = loss_real.mean(-1) + loss_fake.mean(-1)
    objective = d_loss
    if config.lecam:
        means = state.d_stats[2:].unsqueeze(-1)
        penalty = losses.lecam_penalty(logits_real, logits_fake, means[0], means[1])
        objective = objective + config.lecam * penalty.mean(-1)
    if config.r1_gamma:
        slope = losses.gradient_penalty(logits_real, d_real)
        objective = objective + config.r1_gamma / 2 * slope.mean(-1)
    state.optimizer_d.zero_grad()
    objective.sum().backward()  # over the runs of a stack, which share no weights
    state.optimizer_d.step()
    update_d_stats(state, logits_real.detach(), logits_fake.detach())

    discriminator.requires_grad_(False)  # no gradients of D's weights: half the work of this pass
    with autocast(state):  # anew: the first one caches D's weights of before its update
        logits = discriminator(_input_of_d(state, fake, draws, 2))
        g_loss = losses.generator_loss(logits, config.loss).mean(-1)
    state.optimizer_g.zero_grad()
    g_loss.sum().backward()
    state.optimizer_g.step()
    discriminator.requires_grad_(True)

    ema.update_ema(state.generator_ema, generator, rates.decay)
    state.step += 1
    with torch.no_grad():
        return torch.stack(
            [g_loss, d_loss, logits_real.sigmoid().mean(-1), logits_fake.sigmoid().mean(-1)]
        ).detach()


def autocast(state: TrainState) -> torch.autocast:
    """The context in which matrix products have the state's precision."""
    return torch.autocast(state.device.type, torch.bfloat16, enabled=state.precision == "bfloat16")


def _input_of_d(state: TrainState, images: Tensor, draws: Draws, use: int) -> Tensor:
    """The images, augmented by ``draws.uniforms[use]``."""
    return images if draws.uniforms is None else augmented(state, images, draws.uniforms[use])


def augmented(state: TrainState, images: Tensor, uniforms: Tensor) -> Tensor:
    """`augment` with the state's present probability."""
    probability = state.d_stats[0].unsqueeze(-1).expand(images.shape[:-3])
    # without autocast: else fakes, in half precision, would be resampled differently from real images
    with torch.autocast(state.device.type, enabled=False):
        result = augment(
            images.float().flatten(0, -4),
            uniforms.flatten(0, -2),
            probability.flatten(),
            state.config.augment_hole,
        )
    return result.view_as(images)


@torch.no_grad()
def update_d_stats(state: TrainState, logits_real: Tensor, logits_fake: Tensor) -> None:
    """Update ``state.d_stats`` in place, without reading a value: a captured graph cannot.

    The probability of augmentation rises while the mean sign of D's logits for real images is above its
    target, that is while D overfits, and falls below (ADA: Karras et al. 2020, arXiv:2006.06676, section
    3.1; they take the mean of four batches where we take a moving average)."""
    config, d_stats = state.config, state.d_stats
    now = torch.stack([logits_real.sign().mean(-1), logits_real.mean(-1), logits_fake.mean(-1)])
    d_stats[1:].lerp_(now, 1 - _MEAN_DECAY)
    if config.augment == "adaptive":
        step = config.effective_batch / config.augment_ramp
        d_stats[0].add_((d_stats[1] - config.augment_target).sign(), alpha=step)
        d_stats[0].clamp_(0.0, config.augment_probability)


def make_rng(seed: int, purpose: str, counter: int) -> torch.Generator:
    """A random generator of its own for each seed, purpose and counter."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{counter}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def draws(config: TrainConfig, step: int, count: int) -> Draws:
    """For the ``count`` updates from ``step`` on: z [count, batch, Z] ~ N(0, 1), uniforms [count, 3, batch,
    `UNIFORMS`]."""
    batch, seed = config.effective_batch, config.seed
    steps = range(step, step + count)
    shape = (batch, config.model.latent_dim)
    z = torch.stack([torch.randn(shape, generator=make_rng(seed, "latents", i)) for i in steps])
    if config.augment == "none":
        return Draws(z, None)
    shape3 = (3, batch, UNIFORMS)
    rngs = (make_rng(seed, "augment", i) for i in steps)
    return Draws(z, torch.stack([torch.rand(shape3, generator=rng) for rng in rngs]))


def batch_indices(config: TrainConfig, step: int, count: int) -> Tensor:
    """Indices of the images in the batches of ``count`` updates from ``step`` on: int64 [count, batch].

    Each epoch is a new permutation, cut into full batches. Without ``reshuffle`` it is the first one again,
    and the images of its remainder are never used.
    """
    per_epoch, batch = config.updates_per_epoch, config.effective_batch
    rows = []
    order, order_of = torch.empty(0), -1
    for update in range(step, step + count):
        epoch, position = divmod(update, per_epoch)
        epoch = epoch if config.reshuffle else 0
        if epoch != order_of:
            rng = make_rng(config.seed, "order", epoch)
            order, order_of = torch.randperm(config.size, generator=rng), epoch
        rows.append(order[position * batch : (position + 1) * batch])
    return torch.stack(rows)
