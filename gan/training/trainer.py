"""Training: a loop that yields, and a state that can be put down and taken up again.

`train` is the only code that changes networks. It reports a block of updates at a time, because
fetching a loss stops the device until it is known; between reports nothing leaves the device.
All randomness is a function of (seed, purpose, counter): which images form batch t and which
latents go with it depend on nothing that happened before. So a run that was interrupted and
resumed is, on the CPU, the same run to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gan.errors import ConfigError, TrainingError
from gan.networks.augment import UNIFORMS
from gan.networks.images import from_uint8
from gan.training import step as update_step
from gan.training.cuda_graph import CapturedStep
from gan.training.state import TrainState
from gan.training.step import Draws, Rates, autocast, batch_indices, changed, draws, make_rng, rates

BLOCK = 20  # updates between two reports


@dataclass(frozen=True)
class Report:
    """A block of updates, ending with number ``step`` of ``total``. All [B] float32 on the CPU, one
    value an update: the mean losses, and the mean probability of being real that D gave to its
    real and fake batch. ``prob_held_out``: the same for a batch of unseen real images at the end of
    the block; far below ``prob_real``, D knows its training images by heart.

    A probability is the sigmoid of D's logit. Only the logistic loss trains it to be one; with the others
    it is a gauge: above one half, D takes a picture for real."""

    step: int
    total: int
    g_loss: Tensor
    d_loss: Tensor
    prob_real: Tensor
    prob_fake: Tensor
    prob_held_out: float


def train(
    state: TrainState,
    images: Tensor,
    held_out: Tensor,
    block: int | Callable[[int], int] = BLOCK,
) -> Iterator[Report]:
    """Updates ``state`` in place up to its configuration's total; yields after every ``block`` updates, or,
    where that is a function, after as many as it says each time it is given the number of finished ones
    (less than 1 counts as 1). What is trained does not depend on it.

    images, held_out: uint8 [N, C, H, W]. Stop by not asking for the next report; nothing is trained
    until one is asked for. TrainingError, after which the state is of no more use, when a loss is
    no longer finite.
    """
    config, device = state.config, state.device
    if len(images) != config.size:
        raise ConfigError(f"the run is for {config.size:,} images but got {len(images):,}")
    images, held_out = images.to(device), held_out.to(device)
    total = config.total_updates
    update = updater(state, (config.effective_batch, *images.shape[1:]))
    while state.step < total:
        count = min(_until_report(block, state.step), total - state.step)
        index = batch_indices(config, state.step, count).to(device)  # [B, batch]
        drawn = draws(config, state.step, count)
        z = drawn.z.to(device)  # [B, batch, Z]
        uniforms = None if drawn.uniforms is None else drawn.uniforms.to(device)
        record = torch.empty(4, count, device=device)
        for i in range(count):
            real = from_uint8(images[index[i]])
            chance = Draws(z[i], None if uniforms is None else uniforms[i])
            record[:, i] = update(real, chance, rates(config, state.step))
        yield report(state, record.cpu(), held_out)  # the one point that waits for the device


def _until_report(block: int | Callable[[int], int], step: int) -> int:
    return max(1, block(step)) if callable(block) else block - step % block


def updater(state: TrainState, shape: Sequence[int]) -> Callable[[Tensor, Draws, Rates], Tensor]:
    """`train_step` for ``state`` in the fastest way its device knows. ``shape``: of a batch."""
    if state.device.type == "cuda":
        return CapturedStep(state, shape)
    return partial(update_step.train_step, state)


def report(state: TrainState, record: Tensor, held_out: Tensor) -> Report:
    """What the last updates gave, ``record`` [4, B] on the CPU. TrainingError where that is no number."""
    g_loss, d_loss, prob_real, prob_fake = record
    config = state.config
    if not bool(torch.isfinite(record).all()):
        raise TrainingError(
            f"a loss is no longer a number at update {state.step:,} (G {float(g_loss[-1]):g}, "
            f"D {float(d_loss[-1]):g}); lower lr_g={config.lr_g:g} or lr_d={config.lr_d:g}, "
            "or go back to an earlier checkpoint"
        )
    return Report(
        step=state.step,
        total=config.total_updates,
        g_loss=g_loss,
        d_loss=d_loss,
        prob_real=prob_real,
        prob_fake=prob_fake,
        prob_held_out=_probability_held_out(state, held_out),
    )


@torch.no_grad()
def _probability_held_out(state: TrainState, held_out: Tensor) -> float:
    """Mean D probability of a batch of unseen reals, as large as a training batch if there are enough, and
    changed as those are."""
    count = min(state.config.effective_batch, len(held_out))
    if count < 2:
        return math.nan
    rng = make_rng(state.config.seed, "held out", state.step)
    chosen = torch.randint(len(held_out), (count,), generator=rng).to(held_out.device)
    images = from_uint8(held_out[chosen])
    if state.config.augment != "none":  # as D sees the real ones it is compared with
        images = changed(
            state, images, torch.rand(count, UNIFORMS, generator=rng).to(images.device)
        )
    with autocast(state):
        return float(state.discriminator(images).sigmoid().mean())
