"""Train several GANs as one stack: on a GPU, one small network uses only a fraction of the device.

The weights of K runs are stacked in tensors with one dimension more, [K, ...]. Dense layers become
batched matrix products, convolutions grouped ones, and BatchNorm over K times the channels is K
BatchNorms. Every run keeps its data, seeds, losses, gradients and Adam moments. The result of each is that
of `gan.training.trainer.train`, up to rounding.

On a CPU one process per core is faster (docs/LOG.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.config import TrainConfig, source_channels
from gan.errors import ConfigError, TrainingError
from gan.networks import dcgan
from gan.training import step as update_step
from gan.training import trainer
from gan.training.state import NETWORKS, OPTIMIZERS, TrainState, assemble
from gan.training.step import Draws, batch_indices
from gan.training.trainer import BLOCK, Report


def stack_key(config: TrainConfig) -> tuple[object, ...]:
    """Runs with equal keys can be trained in one stack: they differ only in data and seed, and have equal
    numbers of updates and of images in a batch."""
    default = TrainConfig()
    free = ("seed", "size", "data_seed", "budget", "epochs", "updates")
    # any source whose images fit the same networks
    source = "folder:any" if source_channels(config.source) == 1 else "stacked"
    rest = replace(config, source=source, **{name: getattr(default, name) for name in free})
    return rest, config.effective_batch, config.total_updates


def train(
    states: Sequence[TrainState],
    images: Sequence[Tensor],
    held_out: Sequence[Tensor],
    block: int = BLOCK,
) -> Iterator[list[Report | TrainingError]]:
    """`gan.training.trainer.train` for all ``states`` at once. Yields lists with one report for each run, or
    its TrainingError if it has diverged, which does not affect the others.

    images, held_out: uint8 [N_k, C, H, W] of run k. A tensor that several runs share is on the device once.
    The states are up to date at every report. ConfigError if their `stack_key` or their steps differ.
    """
    first = states[0]
    if len({(stack_key(s.config), s.step, s.precision, s.device) for s in states}) > 1:
        raise ConfigError(
            "these runs cannot be trained in one stack: they must differ only in data and seed, and be at "
            "the same update; train them one by one"
        )
    device, config = first.device, first.config
    for state, own in zip(states, images, strict=True):
        if len(own) != state.config.size:
            raise ConfigError(f"the run is for {state.config.size:,} images but got {len(own):,}")
    pool, offsets = _pool(images)
    pool = pool.to(device)
    on_device = {id(own): own.to(device) for own in held_out}
    held_out = [on_device[id(own)] for own in held_out]
    stack = _stack(states)
    update = trainer.updater(stack, (len(states), config.effective_batch, *pool.shape[1:]))
    parts = None
    while stack.step < config.total_updates:
        step = stack.step
        count = min(block - step % block, config.total_updates - step)
        indices = [
            batch_indices(s.config, step, count) + offset
            for s, offset in zip(states, offsets, strict=True)
        ]
        index = torch.stack(indices, dim=1).to(device)  # [B, K, batch]
        drawn = _draws(states, step, count).to(device)
        record = trainer.run_block(stack, update, pool, index, drawn)  # [B, 4, K]
        if parts is None:  # Adam's moments exist by now
            parts = [_parts(stack, k, state) for k, state in enumerate(states)]
        for (own_tensors, stacked), state in zip(parts, states, strict=True):
            torch._foreach_copy_(own_tensors, stacked)
            state.step = stack.step
        yield [
            _report(state, column, own)
            for state, column, own in zip(
                states, record.permute(2, 1, 0).cpu(), held_out, strict=True
            )
        ]


def _report(state: TrainState, record: Tensor, held_out: Tensor) -> Report | TrainingError:
    try:
        return trainer.report(state, record, held_out)
    except TrainingError as error:
        return error


def _pool(images: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
    """All data sets in one tensor, so that one look-up gives the batches of all runs, and the offset of each
    run's data. Runs that share a tensor share an offset."""
    parts: list[Tensor] = []
    offsets: dict[int, int] = {}
    length = 0
    for own in images:
        if id(own) not in offsets:
            offsets[id(own)] = length
            parts.append(own)
            length += len(own)
    return torch.cat(parts), [offsets[id(own)] for own in images]


def _draws(states: Sequence[TrainState], step: int, count: int) -> Draws:
    """z [B, K, batch, Z]; uniforms [B, 3, K, batch, U] or None."""
    drawn = [update_step.draws(s.config, step, count) for s in states]
    uniforms = [d.uniforms for d in drawn if d.uniforms is not None]
    return Draws(
        torch.stack([d.z for d in drawn], dim=1), torch.stack(uniforms, dim=2) if uniforms else None
    )


def _stack(states: Sequence[TrainState]) -> TrainState:
    """One state with the tensors of all ``states``."""
    first = states[0]
    model = first.config.model
    networks = (_Generator(model), _Discriminator(model), _Generator(model).requires_grad_(False))
    for name, module in zip(NETWORKS, networks, strict=True):
        _fill(module, [getattr(s, name) for s in states])
    stack = assemble(first.config, first.device, first.precision, *networks)
    stack.d_stats = torch.stack([s.d_stats for s in states], dim=1)
    stack.step = first.step
    for name in OPTIMIZERS:
        optimizers = [getattr(s, name) for s in (stack, *states)]
        for stacked, *own in zip(*(o.param_groups[0]["params"] for o in optimizers), strict=True):
            moments = [o.state[p] for o, p in zip(optimizers[1:], own, strict=True) if p in o.state]
            if moments:  # none before the first update
                optimizers[0].state[stacked] = {
                    "step": moments[0]["step"].clone(),
                    "exp_avg": torch.stack([m["exp_avg"] for m in moments]),
                    "exp_avg_sq": torch.stack([m["exp_avg_sq"] for m in moments]),
                }
    return stack


def _fill(module: nn.Module, members: Sequence[nn.Module]) -> None:
    """Replace every parameter and buffer by those of ``members``, stacked."""
    for path, owner in module.named_modules():
        twins = [m.get_submodule(path) for m in members]
        for name, parameter in list(owner.named_parameters(recurse=False)):
            values = torch.stack([getattr(t, name).detach() for t in twins])
            setattr(owner, name, nn.Parameter(values, requires_grad=parameter.requires_grad))
        for name, _ in list(owner.named_buffers(recurse=False)):
            setattr(owner, name, torch.stack([getattr(t, name) for t in twins]))


def _parts(stack: TrainState, k: int, state: TrainState) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors of run ``k``, and their parts of the stack's. Updates happen in place, so this stays valid
    for the whole training."""
    for name in OPTIMIZERS:
        own, stacked = getattr(state, name), getattr(stack, name)
        pairs = zip(own.param_groups[0]["params"], stacked.param_groups[0]["params"], strict=True)
        for parameter, stacked_parameter in pairs:
            if parameter not in own.state:
                moments = stacked.state[stacked_parameter].items()
                own.state[parameter] = {n: _part(n, t, k).clone() for n, t in moments}
    tensors, all_stacked = state.tensors(), stack.tensors()
    return list(tensors.values()), [_part(name, all_stacked[name], k) for name in tensors]


def _part(name: str, stacked: Tensor, k: int) -> Tensor:
    """Of the tensor ``name`` of a stack, the part of run ``k``."""
    if name.endswith("step"):  # Adam's count of updates, which the runs share
        return stacked
    return stacked[:, k] if name == "gauges" else stacked[k]


def _dense(x: Tensor, layer: nn.Linear) -> Tensor:
    """x [K, N, F], weight [K, O, F] -> [K, N, O]."""
    product = x @ layer.weight.transpose(1, 2)
    return product if layer.bias is None else product + layer.bias.unsqueeze(1)


def _norm_dense(x: Tensor, norm: nn.Module) -> Tensor:
    """x [K, N, F] -> the same shape: each of the K * F columns normalised over its N values."""
    if isinstance(norm, nn.Identity):
        return x
    k, n, features = x.shape
    wide = _norm_maps(x.transpose(0, 1).reshape(n, k * features), norm)
    return wide.view(n, k, features).transpose(0, 1)


def _norm_maps(x: Tensor, norm: nn.Module) -> Tensor:
    """x [N, K * C, ...] -> the same shape. Updates running statistics as BatchNorm does, where there are any."""
    if isinstance(norm, nn.Identity):
        return x
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    mean = variance = None
    if norm.running_mean is not None and norm.running_var is not None:
        mean, variance = norm.running_mean.view(-1), norm.running_var.view(-1)
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked += 1
    weight, bias = norm.weight.view(-1), norm.bias.view(-1)
    assert norm.momentum is not None
    return F.batch_norm(x, mean, variance, weight, bias, True, norm.momentum, norm.eps)


def _maps(x: Tensor) -> Tensor:
    """[K, N, C, H, W] -> [N, K * C, H, W]."""
    return x.transpose(0, 1).flatten(1, 2)


def _convolved(x: Tensor, layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """x [N, K * I, H, W], weight [K, ...] -> [N, K * O, H', W']."""
    groups = len(layer.weight)
    weight = layer.weight.flatten(0, 1)
    bias = None if layer.bias is None else layer.bias.view(-1)
    if isinstance(layer, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, weight, bias, 2, 1, groups=groups)
    return F.conv2d(x, weight, bias, 2, 1, groups=groups)


class _Generator(dcgan.Generator):
    """K generators: z [K, N, Z] -> [K, N, C, H, W]. For training only: BatchNorm uses the batch's statistics."""

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(_norm_dense(_dense(self.to_prior(z), self.hidden), self.hidden_norm))
        x = F.relu(_norm_dense(_dense(x, self.expand), self.expand_norm))  # [K, N, inner]
        x = _maps(x.unflatten(2, (self._channels, self._side, self._side)))
        x = F.relu(_norm_maps(_convolved(x, self.up), self.up_norm))
        x = _convolved(x, self.to_image)
        return self.to_range(x.unflatten(1, (len(z), -1)).transpose(0, 1))


class _Discriminator(dcgan.Discriminator):
    """K discriminators: images [K, N, C, H, W] -> logits [K, N]."""

    def forward(self, images: Tensor, groups: int = 1) -> Tensor:
        k = len(images)
        x = F.leaky_relu(_convolved(_maps(self.scaled(images)), self.down), dcgan.LEAK)
        x = _convolved(x, self.down2)  # [N, K * C, H, W]
        x = dcgan.by_groups(partial(_norm_maps, norm=self.down2_norm), x, groups)
        x = F.leaky_relu(x, dcgan.LEAK)
        x = x.unflatten(1, (k, -1)).transpose(0, 1).flatten(2)  # [K, N, inner]
        x = _dense(x, self.hidden)
        x = dcgan.by_groups(partial(_norm_dense, norm=self.hidden_norm), x, groups, dim=1)
        return _dense(F.leaky_relu(x, dcgan.LEAK), self.to_logit).squeeze(2).float()
