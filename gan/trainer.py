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
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gan import checkpoint, ema, losses, models
from gan.augment import UNIFORMS, augment
from gan.config import ModelConfig, TrainConfig
from gan.errors import CheckpointError, ConfigError, TrainingError
from gan.images import from_uint8

BLOCK = 20  # updates between two reports
PRECISIONS = ("float32", "bfloat16")
_MEAN_DECAY = 0.9  # of the moving averages of D's logits and signs
CHECKPOINT_KIND = "training checkpoint"
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


def choose_precision(device: torch.device, wanted: str = "auto") -> str:
    """ "bfloat16" for the matrix products where the device is made for it, else "float32". Weights, Adam,
    losses and pictures are in float32 either way. ConfigError for an unknown ``wanted``."""
    if wanted in PRECISIONS:
        return wanted
    if wanted != "auto":
        raise ConfigError(
            f"precision {wanted!r} is unknown; choose one of auto, {', '.join(PRECISIONS)}"
        )
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        able = torch.cpu.get_capabilities()
        fast = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    else:
        fast = False
    return "bfloat16" if fast else "float32"


def describe_device(device: torch.device, threads: int | None = None) -> str:
    """For provenance: "NVIDIA H200", "mps", "cpu (AMD EPYC, 1 thread)". ``threads``: of the process meant,
    if it is not this one."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads() if threads is None else threads
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
    #: Moves along with D, [4]: the probability of augmentation; moving averages of the sign of D's
    #: logits for real images, of the logits, and of those for fakes.
    gauges: Tensor
    precision: str = "float32"
    step: int = 0
    #: Where it was taken up with other settings (`continue_from`), the first time first: {"config": what
    #: they were before, as a dictionary, "step": after how many updates}.
    continued_from: tuple[dict[str, Any], ...] = ()


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


class Draws(NamedTuple):
    """What chance gives to one update: z [N, Z]; uniforms [3, N, `UNIFORMS`] for the augmentation of the
    real images, of the fakes as D learns and as G learns, None without augmentation."""

    z: Tensor
    uniforms: Tensor | None


class Rates(NamedTuple):
    """Learning rates of one update and the decay of the average; tensors [] in a captured graph."""

    generator: float | Tensor
    discriminator: float | Tensor
    decay: float | Tensor


def new_state(config: TrainConfig, device: torch.device, precision: str = "float32") -> TrainState:
    """Fresh networks and optimizers for ``config`` on ``device``."""
    generator, discriminator = models.make_pair(config.model, config.seed)
    generator, discriminator = generator.to(device), discriminator.to(device)
    return assemble(config, device, precision, generator, discriminator, ema.make_ema(generator))


def assemble(
    config: TrainConfig,
    device: torch.device,
    precision: str,
    generator: models.Generator,
    discriminator: models.Discriminator,
    average: models.Generator,
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
        average=average,
        optimizer_g=torch.optim.Adam(generator.parameters(), config.lr_g, **adam),
        optimizer_d=torch.optim.Adam(discriminator.parameters(), config.lr_d, **adam),
        gauges=torch.tensor([_first_probability(config), 0.0, 0.0, 0.0], device=device),
        precision=precision,
    )


def _first_probability(config: TrainConfig) -> float:
    """Of augmentation, before the first update."""
    return config.augment_probability if config.augment == "fixed" else 0.0


def learning_rate_factor(step: int, total: int, constant_share: float) -> float:
    """1 for the first ``constant_share`` of the run, then linearly down to 0 after update ``total``."""
    start = constant_share * total
    return 1.0 if step < start or start >= total else (total - step) / (total - start)


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
    return partial(train_step, state)


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


def rates(config: TrainConfig, step: int) -> Rates:
    """Of update number ``step``, counted from 0."""
    factor = learning_rate_factor(step, config.total_updates, config.constant_share)
    return Rates(
        config.lr_g * factor, config.lr_d * factor, ema.warmed_decay(config.ema_decay, step)
    )


def train_step(state: TrainState, real: Tensor, draws: Draws, rates: Rates) -> Tensor:
    """One update of D, then one of G against the new D, then of the average.

    real [N, C, H, W] in [-1, 1]. Returns [4] on the device: mean loss of G and of D (without
    penalties), mean probability of being real given to what D saw of ``real`` and of the fakes (before
    the update). Real and fake are normalised as batches of their own (Ioffe & Szegedy's statistics then
    differ for the two; mixing them changes the game, see Radford et al. 2016, section 3).

    With the networks of `gan.parallel`, K runs at once: real [K, N, C, H, W], a dimension more everywhere,
    and [4, K] is returned.
    """
    generator, discriminator, config = state.generator, state.discriminator, state.config
    state.optimizer_g.param_groups[0]["lr"] = rates.generator
    state.optimizer_d.param_groups[0]["lr"] = rates.discriminator
    seen_real = _shown(state, real, draws, 0)
    if config.r1_gamma:
        seen_real = seen_real.detach().requires_grad_()
    with _autocast(state):
        fake = generator(draws.z)
        seen_fake = _shown(state, fake.detach(), draws, 1)
        both = torch.cat([seen_real, seen_fake], dim=-4)
        logits_real, logits_fake = discriminator(both, groups=2).chunk(2, dim=-1)
    loss_real, loss_fake = losses.discriminator_loss(logits_real, logits_fake, config.loss)
    d_loss = loss_real.mean(-1) + loss_fake.mean(-1)
    objective = d_loss
    if config.lecam:
        means = state.gauges[2:].unsqueeze(-1)
        penalty = losses.lecam_penalty(logits_real, logits_fake, means[0], means[1])
        objective = objective + config.lecam * penalty.mean(-1)
    if config.r1_gamma:
        slope = losses.gradient_penalty(logits_real, seen_real)
        objective = objective + config.r1_gamma / 2 * slope.mean(-1)
    state.optimizer_d.zero_grad()
    objective.sum().backward()  # of the runs of a stack, which share nothing
    state.optimizer_d.step()
    _move_gauges(state, logits_real.detach(), logits_fake.detach())

    discriminator.requires_grad_(False)  # saves the gradients of D's weights, half of this pass
    with _autocast(state):  # another one: the first remembers the weights of before the update
        logits = discriminator(_shown(state, fake, draws, 2))
        g_loss = losses.generator_loss(logits, config.loss).mean(-1)
    state.optimizer_g.zero_grad()
    g_loss.sum().backward()
    state.optimizer_g.step()
    discriminator.requires_grad_(True)

    ema.update_ema(state.average, generator, rates.decay)
    state.step += 1
    with torch.no_grad():
        return torch.stack(
            [g_loss, d_loss, logits_real.sigmoid().mean(-1), logits_fake.sigmoid().mean(-1)]
        ).detach()


def _autocast(state: TrainState) -> torch.autocast:
    return torch.autocast(state.device.type, torch.bfloat16, enabled=state.precision == "bfloat16")


def _shown(state: TrainState, images: Tensor, draws: Draws, turn: int) -> Tensor:
    """What D gets to see of ``images``."""
    if draws.uniforms is None:
        return images
    return _changed(state, images, draws.uniforms[turn])


def _changed(state: TrainState, images: Tensor, uniforms: Tensor) -> Tensor:
    probability = state.gauges[0].unsqueeze(-1).expand(images.shape[:-3])
    # in half precision fakes would be resampled otherwise than real images, which come in single
    with torch.autocast(state.device.type, enabled=False):
        changed = augment(
            images.float().flatten(0, -4),
            uniforms.flatten(0, -2),
            probability.flatten(),
            state.config.augment_hole,
        )
    return changed.view_as(images)


@torch.no_grad()
def _move_gauges(state: TrainState, logits_real: Tensor, logits_fake: Tensor) -> None:
    """In place and without asking what they are, as a captured graph needs it.

    The probability rises while the mean sign of D's logits for real images is above its target, that
    is while D is too sure of them, and falls below (ADA: Karras et al. 2020, arXiv:2006.06676,
    section 3.1, with a moving average where they take the mean of four batches)."""
    config, gauges = state.config, state.gauges
    now = torch.stack([logits_real.sign().mean(-1), logits_real.mean(-1), logits_fake.mean(-1)])
    gauges[1:].lerp_(now, 1 - _MEAN_DECAY)
    if config.augment == "adaptive":
        step = config.effective_batch / config.augment_ramp
        gauges[0].add_((gauges[1] - config.augment_target).sign(), alpha=step)
        gauges[0].clamp_(0.0, config.augment_probability)


class CapturedStep:
    """`train_step` on CUDA as one graph, launched at once instead of kernel by kernel: launches are what
    small networks wait for (docs.pytorch.org, "CUDA Graphs"). It has not been run on a GPU yet.

    Called like `train_step` without its state. A graph works on fixed addresses, so the inputs are
    copied to where it reads them. Where the driver refuses to capture, updates go on one by one.
    """

    _WARM_UP = 3  # updates on a side stream, as capturing asks for; undone afterwards

    def __init__(self, state: TrainState, shape: Sequence[int]) -> None:
        config, device = state.config, state.device
        rows = shape[:-3]
        self._state = state
        self._real = torch.zeros(*shape, device=device)
        uniforms = None
        if config.augment != "none":
            uniforms = torch.zeros(3, *rows, UNIFORMS, device=device)
        self._draws = Draws(torch.randn(*rows, config.model.latent_dim, device=device), uniforms)
        self._rates = torch.zeros(3, device=device)
        self._record = torch.zeros(4, *rows[:-1], device=device)
        before, step = [t.clone() for t in _tensors(state)], state.step
        with torch.cuda.device(device):
            self._graph = self._capture()
        _restore(state, before, step)

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        device = self._state.device
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(self._WARM_UP):
                self._step()
        torch.cuda.current_stream(device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                self._record = self._step()
            updates = self._updates()
            graph.replay()
            if self._updates() != updates + 1:  # it would train nothing, and nobody would see it
                raise RuntimeError("what was captured does not move the networks")
        except RuntimeError as error:
            warnings.warn(f"this device cannot capture the update ({error})", stacklevel=4)
            self._state.discriminator.requires_grad_(True)  # in case it ended half-way
            return None
        return graph

    def _updates(self) -> int:
        """How many updates Adam has counted."""
        parameter = self._state.optimizer_g.param_groups[0]["params"][0]
        return int(self._state.optimizer_g.state[parameter]["step"])

    def _step(self) -> Tensor:
        return train_step(self._state, self._real, self._draws, Rates(*self._rates.unbind()))

    def __call__(self, real: Tensor, draws: Draws, rates: Rates) -> Tensor:
        if self._graph is None:
            return train_step(self._state, real, draws, rates)
        self._real.copy_(real)
        self._draws.z.copy_(draws.z)
        if self._draws.uniforms is not None and draws.uniforms is not None:
            self._draws.uniforms.copy_(draws.uniforms)
        for index, rate in enumerate(rates):
            self._rates[index] = rate
        with torch.cuda.device(self._state.device):
            self._graph.replay()
        self._state.step += 1  # the graph knows the tensors, not the number
        return self._record


def _tensors(state: TrainState) -> list[Tensor]:
    """All that an update changes. Adam's moments, which are not there before the first, come last."""
    tensors = [state.gauges]
    for name in _NETWORKS:
        tensors += getattr(state, name).state_dict().values()
    for optimizer in (state.optimizer_g, state.optimizer_d):
        tensors += [t for moments in optimizer.state.values() for t in moments.values()]
    return tensors


@torch.no_grad()
def _restore(state: TrainState, before: list[Tensor], step: int) -> None:
    """Takes updates back in place, so that a graph's addresses stay good; ``before``: copies of what
    `_tensors` gave at ``step``."""
    for now, then in zip_longest(_tensors(state), before):
        now.zero_() if then is None else now.copy_(then)  # new moments begin at zero
    state.step = step


@torch.no_grad()
def _probability_held_out(state: TrainState, held_out: Tensor) -> float:
    """Mean D probability of a batch of unseen reals, as large as a training batch if there are enough, and
    changed as those are."""
    count = min(state.config.effective_batch, len(held_out))
    if count < 2:
        return math.nan
    rng = _rng(state.config.seed, "held out", state.step)
    chosen = torch.randint(len(held_out), (count,), generator=rng).to(held_out.device)
    images = from_uint8(held_out[chosen])
    if state.config.augment != "none":  # as D sees the real ones it is compared with
        images = _changed(
            state, images, torch.rand(count, UNIFORMS, generator=rng).to(images.device)
        )
    with _autocast(state):
        return float(state.discriminator(images).sigmoid().mean())


# --- randomness ----------------------------------------------------------------------------


def _rng(seed: int, purpose: str, counter: int) -> torch.Generator:
    digest = hashlib.blake2b(f"{seed}/{purpose}/{counter}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def draws(config: TrainConfig, step: int, count: int) -> Draws:
    """Of the updates ``step .. step + count``: z [count, batch, Z] ~ N(0, 1), uniforms [count, 3, batch,
    `UNIFORMS`]."""
    batch, seed = config.effective_batch, config.seed
    steps = range(step, step + count)
    shape = (batch, config.model.latent_dim)
    z = torch.stack([torch.randn(shape, generator=_rng(seed, "latents", i)) for i in steps])
    if config.augment == "none":
        return Draws(z, None)
    shape3 = (3, batch, UNIFORMS)
    rngs = (_rng(seed, "augment", i) for i in steps)
    return Draws(z, torch.stack([torch.rand(shape3, generator=rng) for rng in rngs]))


def batch_indices(config: TrainConfig, step: int, count: int) -> Tensor:
    """Indices of the batches of the updates ``step .. step + count``: int64 [count, batch].

    Each epoch is a new permutation cut into full batches; without ``reshuffle`` the first one again,
    so that the images of its remainder are never used.
    """
    per_epoch, batch = config.updates_per_epoch, config.effective_batch
    rows = []
    order, order_of = torch.empty(0), -1
    for update in range(step, step + count):
        epoch, position = divmod(update, per_epoch)
        epoch = epoch if config.reshuffle else 0
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
    tensors["gauges"] = state.gauges
    tensors |= {f"extra.{key}": t for key, t in (extra or {}).items()}
    info = {
        "config": state.config.to_dict(),
        "step": state.step,
        "precision": state.precision,
        "continued_from": state.continued_from,
    }
    checkpoint.save_tensors(path, CHECKPOINT_KIND, tensors, info)


def is_finite(state: TrainState) -> bool:
    """Whether all weights are numbers, as those of a checkpoint must be. A last update can spoil them
    before any loss tells."""
    tensors = [t for name in _NETWORKS for t in getattr(state, name).state_dict().values()]
    return all(bool(torch.isfinite(t).all()) for t in tensors)


def load_checkpoint(
    path: Path, config: TrainConfig, device: torch.device
) -> tuple[TrainState, dict[str, Tensor]]:
    """The state as saved, in the precision it was begun with, and the extra tensors. CheckpointError where the file is missing, damaged,
    or belongs to another configuration than ``config``."""
    tensors, info = checkpoint.load_tensors(path, CHECKPOINT_KIND)
    saved = TrainConfig.from_dict(info.get("config", {}))
    if saved != config:
        raise CheckpointError(
            f"{path} belongs to another run ({_different(saved, config)}); "
            "choose another folder, or the settings it was begun with"
        )
    return _restored(path, tensors, info, config, device)


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
    tensors, info = checkpoint.load_tensors(path, CHECKPOINT_KIND)
    saved = TrainConfig.from_dict(info.get("config", {}))
    if saved.model != config.model:
        raise ConfigError(
            f"{path} cannot go on with other networks ({_different(saved.model, config.model)}); "
            "leave the model as it was, or begin a new run"
        )
    state, extra = _restored(path, tensors, info, config, device)
    if config.total_updates <= state.step:
        raise ConfigError(
            f"{path} has {state.step:,} updates behind it and these settings end at "
            f"{config.total_updates:,}; raise {config.budget}={getattr(config, config.budget):,}, or go "
            "back to an earlier checkpoint"
        )
    if saved.augment == config.augment == "adaptive":
        state.gauges[0].clamp_(max=config.augment_probability)
    else:
        state.gauges[0] = _first_probability(config)
    state.continued_from += ({"config": saved.to_dict(), "step": state.step},)
    return state, extra


def _different(saved: TrainConfig | ModelConfig, wanted: TrainConfig | ModelConfig) -> str:
    ours, theirs = wanted.to_dict(), saved.to_dict()
    return "; ".join(
        f"{k}: {theirs[k]!r} there, {ours[k]!r} here" for k in ours if ours[k] != theirs[k]
    )


def _restored(
    path: Path,
    tensors: dict[str, Tensor],
    info: dict[str, Any],
    config: TrainConfig,
    device: torch.device,
) -> tuple[TrainState, dict[str, Tensor]]:
    """A state of ``config`` with what a checkpoint holds, and the extra tensors."""
    state = new_state(config, device, choose_precision(device, info.get("precision", "float32")))
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
        state.gauges.copy_(tensors["gauges"])
        state.step = int(info["step"])
        state.continued_from = tuple(info.get("continued_from", ()))
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is incomplete ({error}); start the run anew") from error
    return state, checkpoint.below(tensors, "extra")
