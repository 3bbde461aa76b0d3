"""Which latents are shown and how they are moved: what the controls of a latent pad ask for.

A `Pose` is a frozen request and `pose_z` the pure function behind it. ``gan/browser/js/nn/latents.js`` computes
the same in the browser, so a pose is one set of pictures on the page, in a link and in a test.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard

import torch
from torch import Tensor

from gan.errors import ConfigError
from gan.networks import latents

MAX_COUNT = 400
MAX_SHIFT = 4.0  # standard deviations of z
MAX_TRUNCATION = 1.5
MAX_LISTED = 24
MAX_AXES = 64  # single components that are moved at once
LAST_AXIS = 4095  # of the widest z that `gan.config` allows
LAST_SEED = latents.MAX_SEED - MAX_COUNT  # so that the last row of a pose still has a seed


@dataclass(frozen=True)
class Seeds:
    """Row i is the latent of the seed ``first`` + i."""

    kind: ClassVar[str] = "seeds"
    first: int

    def __post_init__(self) -> None:
        _check_seeds(first=self.first)

    def base(self, count: int, latent_dim: int) -> Tensor:
        """The rows [count, latent_dim] before anything moves them."""
        return _latents_from(self.first, count, latent_dim)


@dataclass(frozen=True)
class Listed:
    """Row i is the latent of the seed ``seeds`` [i]; after the last comes the first again."""

    kind: ClassVar[str] = "list"
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.seeds) <= MAX_LISTED:
            raise ConfigError(f"{len(self.seeds)} seeds are listed; give 1 to {MAX_LISTED}")
        for seed in self.seeds:
            _check_seeds(listed=seed)

    def base(self, count: int, latent_dim: int) -> Tensor:
        """The rows [count, latent_dim] before anything moves them."""
        seeds = [self.seeds[i % len(self.seeds)] for i in range(count)]
        return latents.sample_z(seeds, latent_dim)


@dataclass(frozen=True)
class Walk:
    """Row i lies the share ``t``, 0..1, of the way from the latent of the seed ``start`` + i to that of
    ``end`` + i, along the great circle (`gan.networks.latents.slerp`)."""

    kind: ClassVar[str] = "walk"
    start: int
    end: int
    t: float

    def __post_init__(self) -> None:
        _check_seeds(start=self.start, end=self.end)
        _check_number("t", self.t, 0.0, 1.0)

    def base(self, count: int, latent_dim: int) -> Tensor:
        """The rows [count, latent_dim] before anything moves them."""
        here = _latents_from(self.start, count, latent_dim)
        there = _latents_from(self.end, count, latent_dim)
        t = torch.tensor([float(self.t)])
        return torch.cat([latents.slerp(a, b, t) for a, b in zip(here, there, strict=True)])


@dataclass(frozen=True)
class Sum:
    """Row 0 is z(plus) - z(minus) + z(other), z the latent of a seed; row i the same of the seeds + i.

    This is the vector arithmetic of Radford et al. 2016 (arXiv:1511.06434, section 6.3.2), with one
    latent for each of the three where they take the mean of three latents, and found the
    result of single ones unstable.

    The sum is brought to the mean length of its three latents. A standard normal latent of Z components has a
    length close to sqrt(Z), but the sum of three independent ones is longer by sqrt(3): the network was
    hardly ever trained out there.
    """

    kind: ClassVar[str] = "sum"
    plus: int
    minus: int
    other: int

    def __post_init__(self) -> None:
        _check_seeds(plus=self.plus, minus=self.minus, other=self.other)

    def base(self, count: int, latent_dim: int) -> Tensor:
        """The rows [count, latent_dim] before anything moves them."""
        plus, minus, other = (
            _latents_from(seed, count, latent_dim) for seed in (self.plus, self.minus, self.other)
        )
        total = plus - minus + other
        length = torch.stack([z.norm(dim=1) for z in (plus, minus, other)]).mean(dim=0)
        return total * (length / total.norm(dim=1).clamp_min(1e-8))[:, None]


Rows = Seeds | Listed | Walk | Sum
_KINDS: dict[str, type[Rows]] = {made.kind: made for made in (Seeds, Listed, Walk, Sum)}


@dataclass(frozen=True)
class LatentRequest:
    """The latents of ``rows``, times ``truncation``, moved by ``shifts`` and ``axes``.

    truncation: psi, 0..`MAX_TRUNCATION`. Below 1 it draws every latent towards 0, the mean of z, where the
    training saw most: safer pictures, and more alike. Brock et al. 2019 (arXiv:1809.11096, section 3.1)
    draw components beyond a threshold anew; this is the continuous form, w' = mean + psi (w - mean) of
    Karras et al. 2019 (arXiv:1812.04948, appendix B), but in z, as these networks have no w.
    shifts: how far every latent is moved along the first, second, ... principal direction of the model, in
    units of z's standard deviation. axes: (index, value) pairs added to single raw components of z. Both at
    most `MAX_SHIFT` in size, and not truncated. ConfigError where a value is out of range.
    """

    rows: Rows
    truncation: float = 1.0
    shifts: tuple[float, ...] = ()
    axes: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        _check_number("truncation", self.truncation, 0.0, MAX_TRUNCATION)
        for shift in (*self.shifts, *(value for _, value in self.axes)):
            _check_number("shift", shift, -MAX_SHIFT, MAX_SHIFT)
        if len(self.axes) > MAX_AXES:
            raise ConfigError(f"{len(self.axes)} components are moved; give at most {MAX_AXES}")
        for axis, _ in self.axes:
            if not _is_whole(axis) or not 0 <= axis <= LAST_AXIS:
                raise ConfigError(
                    f"axis {_short(axis)} must be a whole number from 0 to {LAST_AXIS}"
                )

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; `from_dict` reads it back."""
        return {
            "rows": {"kind": self.rows.kind, **dataclasses.asdict(self.rows)},
            "truncation": self.truncation,
            "shifts": list(self.shifts),
            "axes": [list(pair) for pair in self.axes],
        }

    @classmethod
    def from_dict(cls, value: object) -> LatentRequest:
        """What `to_dict` gave. Nothing is taken for granted, as ``value`` may come from a browser: ConfigError
        names what is missing, unknown, of a wrong type or out of range."""
        names = [field.name for field in dataclasses.fields(cls)]
        found = _entries("pose", value, names)
        return cls(
            rows=_read_rows(found["rows"]),
            truncation=found["truncation"],
            shifts=tuple(_items("shifts", found["shifts"])),
            axes=tuple(_read_pair(pair) for pair in _items("axes", found["axes"])),
        )


def resolve_latents(pose: LatentRequest, count: int, directions: Tensor) -> Tensor:
    """The first ``count`` latents of a pose [count, Z], given the model's directions [Z, Z], one a row. Row i is
    the same however many are asked for. ConfigError where the pose asks for directions or components that
    this model does not have."""
    check_count(count)
    latent_dim = directions.shape[1]
    if len(pose.shifts) > latent_dim:
        raise ConfigError(f"{len(pose.shifts)} shifts for {latent_dim} directions; give fewer")
    z = pose.rows.base(count, latent_dim) * pose.truncation
    for value, direction in zip(pose.shifts, directions, strict=False):
        z = z + value * direction
    for axis, value in pose.axes:
        if not 0 <= axis < latent_dim:
            raise ConfigError(f"axis {axis} must be from 0 to {latent_dim - 1}")
        z[:, axis] += value
    return z


def check_count(count: object) -> None:
    """ConfigError unless so many latents can be asked for at once."""
    if not _is_whole(count) or not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"count {_short(count)} must be a whole number from 1 to {MAX_COUNT}")


def _latents_from(first: int, count: int, latent_dim: int) -> Tensor:
    return latents.sample_z(range(first, first + count), latent_dim)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_seeds(**seeds: object) -> None:
    for name, seed in seeds.items():
        if not _is_whole(seed) or not 0 <= seed <= LAST_SEED:
            raise ConfigError(
                f"{name} seed {_short(seed)} must be a whole number from 0 to {LAST_SEED:,}"
            )


def _check_number(name: str, value: object, low: float, high: float) -> None:
    if not _is_number(value) or not low <= value <= high:  # also catches NaN
        raise ConfigError(f"{name} {_short(value)} must be a number from {low} to {high}")


def _read_rows(value: object) -> Rows:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    made = _KINDS.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise ConfigError(f"rows {_short(value)} must have a kind: {', '.join(_KINDS)}")
    names = [field.name for field in dataclasses.fields(made)]
    found = _entries("rows", value, ["kind", *names])
    values = {name: found[name] for name in names}
    if made is Listed:
        values["seeds"] = tuple(_items("seeds", values["seeds"]))
    return made(**values)


def _read_pair(value: object) -> tuple[int, float]:
    pair = _items("axis", value)
    if len(pair) != 2:
        raise ConfigError(f"axis {_short(value)} must be a list of an index and a value")
    return pair[0], pair[1]


def _entries(what: str, value: object, names: Sequence[str]) -> Mapping[str, Any]:
    """``value`` if it is a dictionary with just these keys."""
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise ConfigError(
            f"{what} {_short(value)} must have just these entries: {', '.join(names)}"
        )
    return value


def _items(what: str, value: object) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{what} {_short(value)} must be a list")
    return value


def _short(value: object) -> str:
    """A value in a message: a browser can send a megabyte."""
    return reprlib.repr(value)
