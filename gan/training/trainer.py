"""Training: a loop that yields reports.

Only `train` here and in `gan.training.stacking` change networks. A report covers a block of updates,
because reading a loss makes the program wait for the device. Between reports nothing leaves the device.
All randomness is a function of (seed, purpose, counter): the images and latents of batch t do not
depend on the updates before. On the CPU a resumed run therefore equals an uninterrupted one to the last bit.
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
from gan.training.step import (
    Draws,
    Rates,
    augmented,
    autocast,
    batch_indices,
    draws,
    make_rng,
    rates,
)

BLOCK = 20  # updates between two reports
Update = Callable[[Tensor, Draws, Rates], Tensor]


@dataclass(frozen=True)
class Report:
    """A block of B updates, the last of which is number ``step`` of ``total``.

    Tensors are [B] float32 on the CPU, one value per update: the mean losses, and D's mean probability of
    real for its real and its fake batch. ``prob_held_out`` is that for a batch of unseen real images at the
    end of the block. If it is far below ``prob_real``, D has memorised its training images.

    A probability is the sigmoid of D's logit. Only the logistic loss trains it to be a probability. With
    the other losses, more than one half still means that D takes an image for real."""

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
    """Train ``state`` in place up to the end of its configuration. Yields a report after every ``block`` updates.

    images, held_out: uint8 [N, C, H, W]. ``block`` may be a function from the number of completed updates
    to that of the next block (at least 1 is taken). It does not affect what is trained. Updates run only
    while the caller waits for a report; to stop, do not take the next one. TrainingError if a loss is no
    longer finite; the state is then useless.
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
        drawn = draws(config, state.step, count).to(device)
        record = run_block(state, update, images, index, drawn)
        yield report(state, record.T.cpu(), held_out)  # only this waits for the device


def run_block(
    state: TrainState, update: Update, images: Tensor, index: Tensor, drawn: Draws
) -> Tensor:
    """Run B updates. index [B, ..., batch] into ``images``; returns their results [B, 4, ...]."""
    record = torch.empty(len(index), 4, *index.shape[1:-1], device=state.device)
    for i, batch in enumerate(index):
        real = from_uint8(images[batch])
        record[i] = update(real, drawn.at(i), rates(state.config, state.step))
    return record


def _until_report(block: int | Callable[[int], int], step: int) -> int:
    return max(1, block(step)) if callable(block) else block - step % block


def updater(state: TrainState, shape: Sequence[int]) -> Update:
    """`train_step` of ``state``, in the fastest form for its device. ``shape``: of a batch."""
    if state.device.type == "cuda":
        return CapturedStep(state, shape)
    return partial(update_step.train_step, state)


def report(state: TrainState, record: Tensor, held_out: Tensor) -> Report:
    """The report of the last updates, whose results are ``record`` [4, B] on the CPU. TrainingError if a result
    is not finite."""
    g_loss, d_loss, prob_real, prob_fake = record
    config = state.config
    if not bool(torch.isfinite(record).all()):
        raise TrainingError(
            f"a loss is no longer a number at update {state.step:,} (G {float(g_loss[-1]):g}, "
            f"D {float(d_loss[-1]):g}); lower lr_g={config.lr_g:g} or lr_d={config.lr_d:g}, "
            "or use an earlier checkpoint"
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
    """D's mean probability for unseen real images: as many as in a training batch, if there are enough, and
    augmented like these. NaN for fewer than 2."""
    count = min(state.config.effective_batch, len(held_out))
    if count < 2:
        return math.nan
    rng = make_rng(state.config.seed, "held out", state.step)
    chosen = torch.randint(len(held_out), (count,), generator=rng).to(held_out.device)
    images = from_uint8(held_out[chosen])
    if state.config.augment != "none":
        images = augmented(
            state, images, torch.rand(count, UNIFORMS, generator=rng).to(images.device)
        )
    with autocast(state):
        return float(state.discriminator(images).sigmoid().mean())
