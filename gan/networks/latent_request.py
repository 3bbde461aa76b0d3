"""Which latents a generator draws, and how they are moved.

A `LatentRequest` has one shape in Python and one in JSON; `resolve_latents` turns it into latents.
``gan/browser/js/nn/latents.js`` does the same in the browser, so that one request gives the same images on the page,
in a link and in a test.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from gan.config import STRICT, Settings
from gan.errors import ConfigError
from gan.networks import latents

MAX_COUNT = 400
MAX_SHIFT = 4.0  # standard deviations of z
MAX_TRUNCATION = 1.5
MAX_LISTED = 24
MAX_AXES = 64  # single components moved at once
LAST_AXIS = 4095  # of the widest z that `gan.config` allows
LAST_SEED = latents.MAX_SEED - MAX_COUNT  # leaves a seed for each of MAX_COUNT rows

Seed = Annotated[int, Field(ge=0, le=LAST_SEED)]
Axis = Annotated[int, Field(ge=0, le=LAST_AXIS)]
Shift = Annotated[float, Field(ge=-MAX_SHIFT, le=MAX_SHIFT)]
AxisShift = Annotated[tuple[Axis, Shift], Field(strict=False)]  # JSON has lists for tuples


@dataclass(frozen=True, config=STRICT)
class Seeds(Settings):
    """Row i is the latent of the seed ``first`` + i."""

    first: Seed
    kind: Literal["seeds"] = "seeds"

    def base(self, count: int, latent_dim: int) -> Tensor:
        """The rows [count, latent_dim] before truncation and shifts."""
        return _consecutive(self.first, count, latent_dim)


@dataclass(frozen=True, config=STRICT)
class Listed(Settings):
    """Row i is the latent of ``seeds`` [i]; the list repeats when it is shorter than the rows."""

    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1, max_length=MAX_LISTED)]
    kind: Literal["list"] = "list"

    def base(self, count: int, latent_dim: int) -> Tensor:
        """The rows [count, latent_dim] before truncation and shifts."""
        seeds = [self.seeds[i % len(self.seeds)] for i in range(count)]
        return latents.sample_z(seeds, latent_dim)


@dataclass(frozen=True, config=STRICT)
class Walk(Settings):
    """Row i interpolates between the latents of the seeds ``start`` + i and ``end`` + i, at the share ``t``, 0..1, of
    the great circle between them (`gan.networks.latents.slerp`)."""

    start: Seed
    end: Seed
    t: Annotated[float, Field(ge=0, le=1)]
    kind: Literal["walk"] = "walk"

    def base(self, count: int, latent_dim: int) -> Tensor:
        """The rows [count, latent_dim] before truncation and shifts."""
        start = _consecutive(self.start, count, latent_dim)
        end = _consecutive(self.end, count, latent_dim)
        t = torch.tensor([float(self.t)])
        return torch.cat([latents.slerp(a, b, t) for a, b in zip(start, end, strict=True)])


@dataclass(frozen=True, config=STRICT)
class Sum(Settings):
    """Row i is z(plus + i) - z(minus + i) + z(other + i), where z is the latent of a seed.

    This is the vector arithmetic of Radford et al. 2016 (arXiv:1511.06434, section 6.3.2) with single latents; they
    average three for each term, because the result of single ones was unstable.

    The sum is scaled to the mean length of its three latents. A standard normal latent of Z components has a length
    close to sqrt(Z); the sum of three independent ones is sqrt(3) times longer, where the generator was hardly trained.
    """

    plus: Seed
    minus: Seed
    other: Seed
    kind: Literal["sum"] = "sum"

    def base(self, count: int, latent_dim: int) -> Tensor:
        """The rows [count, latent_dim] before truncation and shifts."""
        plus, minus, other = (
            _consecutive(seed, count, latent_dim) for seed in (self.plus, self.minus, self.other)
        )
        total = plus - minus + other
        length = torch.stack([z.norm(dim=1) for z in (plus, minus, other)]).mean(dim=0)
        return total * (length / total.norm(dim=1).clamp_min(1e-8))[:, None]


Rows = Annotated[Seeds | Listed | Walk | Sum, Field(discriminator="kind")]


@dataclass(frozen=True, config=STRICT)
class LatentRequest(Settings):
    """The latents of ``rows``, multiplied by ``truncation``, moved by ``shifts`` and ``axes``.

    truncation: psi, 0..`MAX_TRUNCATION`. Below 1 it pulls every latent towards 0, the mean of z, where training saw
    most: safer images, and more alike. This is the continuous form w' = mean + psi (w - mean) of Karras et al. 2019
    (arXiv:1812.04948, appendix B), applied to z because these networks have no w; Brock et al. 2019 (arXiv:1809.11096,
    section 3.1) redraw components beyond a threshold instead.
    shifts: distance along the first, second, ... principal direction of the model, in standard deviations of z.
    axes: (index, value) pairs, added to single components of z. Both are within +-`MAX_SHIFT` and not truncated.
    """

    rows: Rows
    truncation: Annotated[float, Field(ge=0, le=MAX_TRUNCATION)] = 1.0
    shifts: Annotated[tuple[Shift, ...], Field(strict=False)] = ()
    axes: Annotated[tuple[AxisShift, ...], Field(strict=False, max_length=MAX_AXES)] = ()


def resolve_latents(request: LatentRequest, count: int, directions: Tensor) -> Tensor:
    """The first ``count`` latents of a request, [count, Z]. directions [Z, Z]: the model's principal directions, one
    per row. Row i does not depend on ``count``. ConfigError for a direction or component that the model lacks."""
    if not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"count {count} must be a whole number from 1 to {MAX_COUNT}")
    latent_dim = directions.shape[1]
    if len(request.shifts) > latent_dim:
        raise ConfigError(f"{len(request.shifts)} shifts for {latent_dim} directions; give fewer")
    z = request.rows.base(count, latent_dim) * request.truncation
    for value, direction in zip(request.shifts, directions, strict=False):
        z = z + value * direction
    for axis, value in request.axes:
        if axis >= latent_dim:
            raise ConfigError(f"axis {axis} must be from 0 to {latent_dim - 1}")
        z[:, axis] += value
    return z


def _consecutive(first: int, count: int, latent_dim: int) -> Tensor:
    """The latents of the seeds first, first + 1, ... [count, latent_dim]."""
    return latents.sample_z(range(first, first + count), latent_dim)
