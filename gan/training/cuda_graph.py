"""One update, captured as a CUDA graph."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from gan.networks.augment import UNIFORMS
from gan.training import step as update_step
from gan.training.state import TrainState
from gan.training.step import Draws, Rates


class CapturedStep:
    """`train_step` on CUDA as one graph, launched at once instead of kernel by kernel. Small networks spend
    most of their time on launches (docs.pytorch.org, "CUDA Graphs"). It has not been run on a GPU yet.

    Call it like `train_step`, without the state. A graph reads from fixed addresses, so the inputs are
    copied there. If the driver cannot capture the update, each call runs `train_step`.
    """

    _WARM_UP = 3  # updates on a side stream, which capturing requires; undone afterwards

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
        before, step = _copies(state), state.step
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
            if self._updates() != updates + 1:  # else it would train nothing, unnoticed
                raise RuntimeError("the captured graph does not change the networks")
        except RuntimeError as error:
            warnings.warn(f"this device cannot capture the update ({error})", stacklevel=4)
            self._state.discriminator.requires_grad_(True)  # in case train_step was interrupted
            return None
        return graph

    def _updates(self) -> int:
        """The number of updates that Adam has counted."""
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
        self._state.step += 1  # the graph changes tensors only
        return self._record


def _copies(state: TrainState) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.tensors().items()}


@torch.no_grad()
def _restore(state: TrainState, before: dict[str, Tensor], step: int) -> None:
    """Undo updates in place, so that the graph's addresses stay valid. ``before``: `_copies` at ``step``."""
    for name, tensor in state.tensors().items():
        if name in before:
            tensor.copy_(before[name])
        else:  # Adam's moments, which begin at zero
            tensor.zero_()
    state.step = step
