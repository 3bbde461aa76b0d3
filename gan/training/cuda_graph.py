"""One update captured as a CUDA graph."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from gan.networks.augment import UNIFORMS
from gan.training import state as train_state
from gan.training import step as update_step
from gan.training.state import TrainState
from gan.training.step import Draws, Rates


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
        return update_step.train_step(
            self._state, self._real, self._draws, Rates(*self._rates.unbind())
        )

    def __call__(self, real: Tensor, draws: Draws, rates: Rates) -> Tensor:
        if self._graph is None:
            return update_step.train_step(self._state, real, draws, rates)
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
    tensors = [state.d_stats]
    for name in train_state.NETWORKS:
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
