"""What a visitor is looking at, as one frozen value, and the link that says the same.

Pure: no streamlit here. A link is trusted with nothing: what does not fit is replaced by its
default and reported, so that an old or hostile link still opens the page.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from gan.browser.payload import NUM_SHIFTS
from gan.config import BUDGETS, RECIPES, Budget
from gan.errors import ConfigError
from gan.networks.latent_request import (
    LAST_AXIS,
    MAX_AXES,
    MAX_LISTED,
    MAX_SHIFT,
    MAX_TRUNCATION,
    LatentRequest,
    Listed,
    Rows,
    Seeds,
    Sum,
    Walk,
)

LANGUAGES = ("en", "ja")
MAX_SEED = 999_999  # of the page; the library takes more
DEFAULT_SIZE = 6_000


@dataclass(frozen=True)
class ExploreState:
    """model: the name of one that was trained here, "" for the comparison by amount of data; size: of
    the training set; recipe: one of `gan.config.RECIPES`; moment: "final" or "best"
    snapshot; seed: first of the 64 latents;
    shifts: along the first principal directions; axes: (index, value) for raw components of z; rows: the
    latents of the pad where they are not those of the grid, from ``seed`` on; truncation: what they are
    multiplied by."""

    size: int = DEFAULT_SIZE
    budget: Budget = "epochs"
    recipe: str = "plain"
    moment: str = "final"
    seed: int = 0
    shifts: tuple[float, ...] = (0.0,) * NUM_SHIFTS
    axes: tuple[tuple[int, float], ...] = ()
    model: str = ""
    rows: Rows | None = None
    truncation: float = 1.0

    def latent_request(self) -> LatentRequest:
        """Which latents the pad shows, and how they are moved."""
        return LatentRequest(self.rows or Seeds(self.seed), self.truncation, self.shifts, self.axes)

    def with_latents(self, request: LatentRequest) -> ExploreState:
        """This state with the latents of ``request``."""
        return replace(
            self,
            rows=None if request.rows == Seeds(self.seed) else request.rows,
            truncation=float(request.truncation),
            shifts=(*map(float, request.shifts), *(0.0,) * NUM_SHIFTS)[:NUM_SHIFTS],
            axes=tuple((axis, float(value)) for axis, value in request.axes),
        )


@dataclass(frozen=True)
class Problem:
    """A part of a link that was not used: its name and the value found."""

    name: str
    value: str


def to_query(state: ExploreState) -> dict[str, str]:
    """The parts that differ from the default, as URL parameters."""
    default = ExploreState()
    query: dict[str, str] = {}
    if state.model:
        query["model"] = state.model
    if state.size != default.size:
        query["size"] = str(state.size)
    if state.budget != default.budget:
        query["budget"] = state.budget
    if state.recipe != default.recipe:
        query["recipe"] = state.recipe
    if state.moment != default.moment:
        query["moment"] = state.moment
    if state.seed != default.seed:
        query["seed"] = str(state.seed)
    if any(state.shifts):
        last = max(i for i, v in enumerate(state.shifts) if v)
        query["move"] = ",".join(f"{v:g}" for v in state.shifts[: last + 1])
    if state.axes:
        query["z"] = ",".join(f"{axis}:{value:g}" for axis, value in state.axes)
    if state.rows is not None:
        query["rows"] = _rows_text(state.rows)
    if state.truncation != default.truncation:
        query["psi"] = f"{state.truncation:g}"
    return query


def from_query(
    query: Mapping[str, str],
    sizes: Sequence[int],
    best: Collection[tuple[int, str, str]] = (),
    recipes: Collection[str] = RECIPES,
    models: Collection[str] = (),
) -> tuple[ExploreState, list[Problem]]:
    """The state a link asks for, and what of it could not be used. ``sizes``: those on offer;
    ``best``: (size, budget, recipe) of the runs that have a best moment besides the end; ``models``: the
    names of those that were trained here."""
    problems: list[Problem] = []
    state = ExploreState(
        size=DEFAULT_SIZE if DEFAULT_SIZE in sizes else sizes[0],
        recipe="plain" if "plain" in recipes else next(iter(recipes)),
    )

    def problem(name: str) -> None:
        problems.append(Problem(name, query[name][:40]))

    if "model" in query:
        if query["model"] in models:
            state = replace(state, model=query["model"])
        else:
            problem("model")
    if "size" in query:
        size = _whole(query["size"])
        if size in sizes:
            state = replace(state, size=size)
        else:
            problem("size")
    if "budget" in query:
        if query["budget"] in BUDGETS:
            state = replace(state, budget="epochs" if query["budget"] == "epochs" else "updates")
        else:
            problem("budget")
    if "recipe" in query:
        if query["recipe"] in recipes:
            state = replace(state, recipe=query["recipe"])
        else:
            problem("recipe")
    if "moment" in query:
        known = query["moment"] in ("final", "best")
        run = (state.size, state.budget, state.recipe)
        if known and (query["moment"] == "final" or run in best):
            state = replace(state, moment=query["moment"])
        else:
            problem("moment")
    if "seed" in query:
        seed = _whole(query["seed"])
        if seed is not None and 0 <= seed <= MAX_SEED:
            state = replace(state, seed=seed)
        else:
            problem("seed")
    if "move" in query:
        values = [_shift(part) for part in query["move"].split(",")]
        shifts = tuple(v for v in values if v is not None)
        if len(shifts) == len(values) <= NUM_SHIFTS:
            state = replace(state, shifts=(*shifts, *(0.0,) * (NUM_SHIFTS - len(shifts))))
        else:
            problem("move")
    if "z" in query:
        axes = _axes(query["z"])
        if axes is None:
            problem("z")
        else:
            state = replace(state, axes=axes)
    if "rows" in query:
        rows = _rows(query["rows"])
        if rows is None:
            problem("rows")
        else:
            state = replace(state, rows=rows)
    if "psi" in query:
        truncation = _shift(query["psi"])
        if truncation is None or not 0 <= truncation <= MAX_TRUNCATION:
            problem("psi")
        else:
            state = replace(state, truncation=truncation)
    return state, problems


def _whole(text: str) -> int | None:
    """A short run of ASCII digits as a number; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _shift(text: str) -> float | None:
    if not re.fullmatch(r"-?[0-9]{1,3}(\.[0-9]{1,6})?", text, re.ASCII):
        return None
    value = float(text)
    return value if abs(value) <= MAX_SHIFT else None


def _axes(text: str) -> tuple[tuple[int, float], ...] | None:
    """ "3:1.5,10:-2" -> ((3, 1.5), (10, -2.0)); None where any part does not fit."""
    found: dict[int, float] = {}
    for part in text.split(",")[: MAX_AXES + 1]:
        left, _, right = part.partition(":")
        axis, value = _whole(left), _shift(right)
        if axis is None or axis > LAST_AXIS or value is None or axis in found:
            return None
        found[axis] = value
    if len(found) > MAX_AXES:
        return None
    return tuple(sorted(found.items()))


def _rows_text(rows: Rows) -> str:
    """ "walk:0,64,0.5": the kind and its numbers, in their order."""
    match rows:
        case Listed(seeds):
            numbers = ",".join(map(str, seeds))
        case Walk(start, end, t):
            numbers = f"{start},{end},{round(t, 4):g}"
        case Sum(plus, minus, other):
            numbers = f"{plus},{minus},{other}"
        case Seeds(first):
            numbers = str(first)
    return f"{rows.kind}:{numbers}"


def _rows(text: str) -> Rows | None:
    """What `_rows_text` gave; None where any part does not fit."""
    kind, _, numbers = text.partition(":")
    parts = numbers.split(",")[: MAX_LISTED + 1]
    share = _shift(parts.pop()) if kind == Walk.kind else None
    seeds = [seed for seed in map(_whole, parts) if seed is not None]
    try:
        if len(seeds) == len(parts):
            match kind, seeds:
                case Seeds.kind, [first]:
                    return Seeds(first)
                case Listed.kind, _:
                    return Listed(tuple(seeds))
                case Walk.kind, [start, end] if share is not None:
                    return Walk(start, end, share)
                case Sum.kind, [plus, minus, other]:
                    return Sum(plus, minus, other)
    except ConfigError:
        pass
    return None
