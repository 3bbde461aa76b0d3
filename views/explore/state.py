"""What the Explore page shows, as one frozen value, and the query parameters that say the same."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
)

from gan.browser.payload import NUM_SHIFTS
from gan.config import RECIPES, Budget
from gan.errors import ConfigError
from gan.networks.latent_request import (
    MAX_AXES,
    MAX_TRUNCATION,
    Axis,
    LatentRequest,
    Rows,
    Seeds,
    Shift,
)
from views.shared import link

MAX_SEED = 999_999  # of the page; the library takes more
DEFAULT_SIZE = 6_000
#: Kind of the rows of a `LatentRequest` -> its numbers, in the order of the query parameter; a "list" has seeds.
_ROW_FIELDS = {
    "seeds": ("first",),
    "walk": ("start", "end", "t"),
    "sum": ("plus", "minus", "other"),
}


def _parts(value: object) -> Any:
    """ "1,-2.5" -> ["1", "-2.5"]. Anything but text stays as it is."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"[0-9.,:-]+", value):
        raise ValueError("must be numbers with commas between them")
    return value.split(",")


def _pairs(value: object) -> Any:
    """ "3:1.5,10:-2" -> [["3", "1.5"], ["10", "-2"]]."""
    return [part.split(":") for part in _parts(value)] if isinstance(value, str) else value


def _sorted_axes(axes: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    if len(dict(axes)) < len(axes):
        raise ValueError("must not have a component twice")
    return tuple(sorted(axes))


def _padded(shifts: tuple[float, ...]) -> tuple[float, ...]:
    return (*shifts, *(0.0,) * (NUM_SHIFTS - len(shifts)))


def _shifts_text(shifts: tuple[float, ...]) -> str:
    last = max(i for i, shift in enumerate(shifts) if shift)
    return ",".join(f"{shift:g}" for shift in shifts[: last + 1])


def _axes_text(axes: tuple[tuple[int, float], ...]) -> str:
    return ",".join(f"{axis}:{value:g}" for axis, value in axes)


def _rows(value: object) -> Any:
    """ "walk:0,64,0.5": the kind of the rows and their numbers, in order."""
    if not isinstance(value, str):
        return value
    kind, _, text = value.partition(":")
    numbers = [int(part) if part.isdigit() else float(part) for part in _parts(text)]
    fields = _ROW_FIELDS.get(kind)
    named = dict(zip(fields, numbers, strict=True)) if fields else {"seeds": numbers}
    try:
        return LatentRequest.from_dict({"rows": {"kind": kind, **named}}).rows
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _rows_text(rows: Rows) -> str:
    fields = _ROW_FIELDS.get(rows.kind)
    numbers = [getattr(rows, name) for name in fields] if fields else rows.seeds
    parts = [str(n) if isinstance(n, int) else f"{round(n, 4):g}" for n in numbers]
    return f"{rows.kind}:{','.join(parts)}"


def _parameter(name: str, default: Any, **limits: Any) -> Any:
    return Field(default, validation_alias=name, serialization_alias=name, **limits)


class ExploreState(BaseModel):
    """model: the name of a model that was trained or imported here, "" for the comparison by amount of data; size: of the
    training set; recipe: one of `gan.config.RECIPES`; moment: "final" or "best" snapshot; seed: the first of the grid's
    64 latents; shifts: along the first principal directions; axes: (index, value) for single components of z; rows: the
    latents of the pad, None if they are those of the grid; truncation: what they are multiplied by.

    Names and text forms of the query parameters are part of old links: keep them.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    model: str = ""
    size: int = DEFAULT_SIZE
    budget: Budget = "epochs"
    recipe: str = "plain"
    moment: Literal["final", "best"] = "final"
    seed: int = Field(0, ge=0, le=MAX_SEED)
    shifts: Annotated[
        tuple[Shift, ...],
        Field(max_length=NUM_SHIFTS),
        BeforeValidator(_parts),
        AfterValidator(_padded),
        PlainSerializer(_shifts_text, when_used="json"),
    ] = _parameter("move", (0.0,) * NUM_SHIFTS)
    axes: Annotated[
        tuple[tuple[Axis, Shift], ...],
        Field(max_length=MAX_AXES),
        BeforeValidator(_pairs),
        AfterValidator(_sorted_axes),
        PlainSerializer(_axes_text, when_used="json"),
    ] = _parameter("z", ())
    rows: Annotated[
        Rows | None, BeforeValidator(_rows), PlainSerializer(_rows_text, when_used="json")
    ] = None
    truncation: Annotated[float, PlainSerializer("{:g}".format, when_used="json")] = _parameter(
        "psi", 1.0, ge=0, le=MAX_TRUNCATION
    )

    @field_validator("model", "size", "recipe")
    @classmethod
    def _is_on_offer(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context is not None and value not in info.context[info.field_name]:
            raise ValueError("is not on offer")
        return value

    @field_validator("moment")
    @classmethod
    def _exists(cls, value: str, info: ValidationInfo) -> str:
        run = tuple(info.data.get(name) for name in ("size", "budget", "recipe"))
        # None: a wrong parameter, which its default replaces before this is checked again
        if value == "best" and info.context and None not in run and run not in info.context["best"]:
            raise ValueError("this run has no best moment")
        return value

    def latent_request(self) -> LatentRequest:
        """The latents that the pad shows."""
        return LatentRequest(self.rows or Seeds(self.seed), self.truncation, self.shifts, self.axes)

    def with_latents(self, request: LatentRequest) -> ExploreState:
        """This state with the latents of ``request``."""
        latents = {
            "rows": None if request.rows == Seeds(self.seed) else request.rows,
            "truncation": request.truncation,
            "shifts": request.shifts[:NUM_SHIFTS],
            "axes": tuple(dict(request.axes).items()),
        }
        return ExploreState(**{**dict(self), **latents})


def to_query(state: ExploreState) -> dict[str, str]:
    """What differs from the default, as query parameters."""
    values = state.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {name: str(value) for name, value in values.items()}


def from_query(
    query: Mapping[str, str],
    sizes: Sequence[int],
    best: Collection[tuple[int, str, str]] = (),
    recipes: Collection[str] = RECIPES,
    models: Collection[str] = (),
) -> tuple[ExploreState, list[link.Problem]]:
    """The state of a link, and the parameters that do not fit. On offer are ``sizes``, ``recipes``, ``models`` (the
    names of those that were trained here) and ``best``: (size, budget, recipe) of the runs with a best moment."""
    return link.read(
        ExploreState,
        query,
        context={"size": sizes, "best": best, "recipe": recipes, "model": ("", *models)},
        size=DEFAULT_SIZE if DEFAULT_SIZE in sizes else sizes[0],
        recipe="plain" if "plain" in recipes else next(iter(recipes)),
    )
