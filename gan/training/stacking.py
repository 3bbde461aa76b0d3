"""Several GANs trained as one: on a GPU, one small network keeps a fraction of the device busy.

The weights of K runs lie in tensors with one dimension more, [K, ...]. Dense layers become batched
matrix products, convolutions grouped ones, and BatchNorm over K times the channels is K BatchNorms. Every
run keeps its own data, seeds, losses, gradients and Adam moments: what comes out is what
`gan.training.trainer.train` makes of each alone, up to rounding.

On a CPU this is of no use (docs/LOG.md): there, one process a core is faster.
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
from gan.networks.images import from_uint8
from gan.training import step as update_step
from gan.training import trainer
from gan.training.state import NETWORKS, TrainState, assemble
from gan.training.step import Draws, batch_indices, rates
from gan.training.trainer import BLOCK, Report


def together(config: TrainConfig) -> tuple[object, ...]:
    """Runs with the same value here can be trained in one stack: they differ in data and seed only (the
    loss, as every other setting, is the same), and have as many updates and images in a batch."""
    standard = TrainConfig()
    same = ("seed", "size", "data_seed", "budget", "epochs", "updates")
    # a source that the networks have the channels and the side for
    source = "folder:any" if source_channels(config.source) == 1 else "stacked"
    rest = replace(config, source=source, **{name: getattr(standard, name) for name in same})
    return rest, config.effective_batch, config.total_updates


def train(
    states: Sequence[TrainState],
    images: Sequence[Tensor],
    held_out: Sequence[Tensor],
    block: int = BLOCK,
) -> Iterator[list[Report | TrainingError]]:
    """As `gan.training.trainer.train` for each of ``states``, all at once; one report for each at a time, or the
    TrainingError of one that has diverged, which does not disturb the others.

    images, held_out: uint8 [N_k, C, H, W] of run k; what is the same tensor lies on the device once. The
    states are up to date whenever a report is out. ConfigError where they cannot be trained together; see `together`.
    """
    first = states[0]
    if len({(together(s.config), s.step, s.precision, s.device) for s in states}) > 1:
        raise ConfigError(
            "these runs cannot be trained together: they must differ in data and seed only, and be at "
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
    stacked = _stacked(states)
    update = trainer.updater(stacked, (len(states), config.effective_batch, *pool.shape[1:]))
    total = config.total_updates
    hand_back = None
    while stacked.step < total:
        step = stacked.step
        count = min(block - step % block, total - step)
        index = torch.stack(
            [
                batch_indices(s.config, step, count) + offset
                for s, offset in zip(states, offsets, strict=True)
            ],
            dim=1,
        ).to(device)  # [B, K, batch]
        draws = _draws(states, step, count, device)
        record = torch.empty(count, 4, len(states), device=device)
        for i in range(count):
            uniforms = None if draws.uniforms is None else draws.uniforms[i]
            real = from_uint8(pool[index[i]])
            record[i] = update(real, Draws(draws.z[i], uniforms), rates(config, stacked.step))
        columns = record.permute(2, 1, 0).cpu()  # [K, 4, B]
        if hand_back is None:
            hand_back = _pairs(stacked, states)
        for (theirs, parts), state in zip(hand_back, states, strict=True):
            torch._foreach_copy_(theirs, parts)
            state.step = stacked.step
        yield [
            _report(state, column, own)
            for state, column, own in zip(states, columns, held_out, strict=True)
        ]


def _report(state: TrainState, record: Tensor, held_out: Tensor) -> Report | TrainingError:
    try:
        return trainer.report(state, record, held_out)
    except TrainingError as error:
        return error


def _pool(images: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
    """All data sets in one tensor, so that a batch of every run is one look-up; those that are the
    same tensor lie there once. The second: where each begins."""
    parts: list[Tensor] = []
    begins: dict[int, int] = {}
    length = 0
    for own in images:
        if id(own) not in begins:
            begins[id(own)] = length
            parts.append(own)
            length += len(own)
    return torch.cat(parts), [begins[id(own)] for own in images]


def _draws(states: Sequence[TrainState], step: int, count: int, device: torch.device) -> Draws:
    """z [B, K, batch, Z]; uniforms [B, 3, K, batch, U] or None."""
    drawn = [update_step.draws(s.config, step, count) for s in states]
    z = torch.stack([d.z for d in drawn], dim=1).to(device)
    uniforms = [d.uniforms for d in drawn if d.uniforms is not None]
    return Draws(z, torch.stack(uniforms, dim=2).to(device) if uniforms else None)


def _stacked(states: Sequence[TrainState]) -> TrainState:
    first = states[0]
    model = first.config.model
    generator = _Generator(model)
    discriminator = _Discriminator(model)
    generator_ema = _Generator(model).requires_grad_(False)
    for name, module in (
        ("generator", generator),
        ("discriminator", discriminator),
        ("generator_ema", generator_ema),
    ):
        _fill(module, [getattr(s, name) for s in states])
    stacked = assemble(
        first.config, first.device, first.precision, generator, discriminator, generator_ema
    )
    stacked.d_stats = torch.stack([s.d_stats for s in states], dim=1)
    stacked.step = first.step
    for name in ("optimizer_g", "optimizer_d"):
        optimizer: torch.optim.Adam = getattr(stacked, name)
        members = [getattr(s, name) for s in states]
        columns = zip(*(m.param_groups[0]["params"] for m in members), strict=True)
        for wide, own in zip(optimizer.param_groups[0]["params"], columns, strict=True):
            moments = [m.state[p] for m, p in zip(members, own, strict=True) if p in m.state]
            if moments:  # none before the first update
                optimizer.state[wide] = {
                    "step": moments[0]["step"].clone(),
                    "exp_avg": torch.stack([m["exp_avg"] for m in moments]),
                    "exp_avg_sq": torch.stack([m["exp_avg_sq"] for m in moments]),
                }
    return stacked


def _fill(module: nn.Module, members: Sequence[nn.Module]) -> None:
    """Replaces every parameter and buffer by those of ``members``, stacked."""
    for path, owner in module.named_modules():
        twins = [m.get_submodule(path) for m in members]
        for name, parameter in list(owner.named_parameters(recurse=False)):
            values = torch.stack([getattr(t, name).detach() for t in twins])
            setattr(owner, name, nn.Parameter(values, requires_grad=parameter.requires_grad))
        for name, _ in list(owner.named_buffers(recurse=False)):
            setattr(owner, name, torch.stack([getattr(t, name) for t in twins]))


def _pairs(
    stacked: TrainState, states: Sequence[TrainState]
) -> list[tuple[list[Tensor], list[Tensor]]]:
    """For each run its own tensors, and those parts of the stacked ones that belong in them. Updates
    happen in place, so this holds for the whole of the training; Adam's moments must be there."""
    pairs: list[tuple[list[Tensor], list[Tensor]]] = []
    for k, state in enumerate(states):
        own, wide = [state.d_stats], [stacked.d_stats[:, k]]
        for name in NETWORKS:
            theirs = getattr(stacked, name).state_dict()
            for key, tensor in getattr(state, name).state_dict().items():
                own.append(tensor)
                wide.append(theirs[key][k])
        for name in ("optimizer_g", "optimizer_d"):
            optimizer, other = getattr(state, name), getattr(stacked, name)
            columns = zip(
                optimizer.param_groups[0]["params"], other.param_groups[0]["params"], strict=True
            )
            for parameter, stacked_parameter in columns:
                moments = other.state[stacked_parameter]
                parts = {key: t if key == "step" else t[k] for key, t in moments.items()}
                if parameter not in optimizer.state:
                    optimizer.state[parameter] = {key: t.clone() for key, t in parts.items()}
                for key, part in parts.items():
                    own.append(optimizer.state[parameter][key])
                    wide.append(part)
        pairs.append((own, wide))
    return pairs


def _dense(x: Tensor, layer: nn.Linear) -> Tensor:
    """x [K, N, F], weight [K, O, F] -> [K, N, O]."""
    product = x @ layer.weight.transpose(1, 2)
    return product if layer.bias is None else product + layer.bias.unsqueeze(1)


def _norm_dense(x: Tensor, norm: nn.Module) -> Tensor:
    """x [K, N, F] -> the same, each of the K * F columns over its N values."""
    if isinstance(norm, nn.Identity):
        return x
    k, n, features = x.shape
    wide = _norm_maps(x.transpose(0, 1).reshape(n, k * features), norm)
    return wide.view(n, k, features).transpose(0, 1)


def _norm_maps(x: Tensor, norm: nn.Module) -> Tensor:
    """x [N, K * C, ...] -> the same. Running statistics, where kept, move as BatchNorm moves them."""
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
    """K generators: z [K, N, Z] -> [K, N, C, H, W]. For training only: BatchNorm takes the batch's own
    statistics."""

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(_norm_dense(_dense(self.warped(z), self.hidden), self.hidden_norm))
        x = F.relu(_norm_dense(_dense(x, self.expand), self.expand_norm))  # [K, N, inner]
        x = _maps(x.unflatten(2, (self._channels, self._side, self._side)))
        x = F.relu(_norm_maps(_convolved(x, self.up), self.up_norm))
        x = _convolved(x, self.to_image)
        return self.squashed(x.unflatten(1, (len(z), -1)).transpose(0, 1))


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
