"""The wish of a visitor who wants to train, as plain values, and the link that says the same.

Pure: no streamlit here. Widgets and links fill a `Wish`; `config_of` makes the configuration of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from gan.config import AUGMENTATIONS, BUDGETS, LOSSES, RECIPES, TrainConfig, recipe_config
from gan.errors import ConfigError

SOURCES = ("mnist", "drawn", "own")
SIZES = (50, 100, 200, 500, 600, 1_000, 3_000, 6_000, 10_000, 30_000, 60_000, 65_000)
RESOLUTIONS = (28, 64)


@dataclass(frozen=True)
class Wish:
    """``own``: the folder name of uploaded pictures; the names and ranges of the rest are those of
    `TrainConfig` and its networks."""

    source: str = "mnist"
    own: str = ""
    size: int = 6_000
    budget: str = "updates"
    updates: int = 1_500
    epochs: int = 20
    recipe: str = "plain"
    seed: int = 0
    lr_g: float = 1e-3
    lr_d: float = 2e-4
    batch_size: int = 64
    base_channels: int = 32
    hidden_units: int = 256
    latent_dim: int = 64
    img_size: int = 28
    loss: str = "logistic"
    augment: str = "none"


_MODEL = ("base_channels", "hidden_units", "latent_dim", "img_size")
#: The settings below "more" on the page: what a recipe decides.
FINE = ("lr_g", "lr_d", "batch_size", "loss", "augment", *_MODEL[:3])


def recipe_values(recipe: str) -> dict[str, Any]:
    """What ``recipe`` makes of the fine settings."""
    config = recipe_config(recipe)
    return {n: getattr(config.model if n in _MODEL else config, n) for n in FINE}


def config_of(wish: Wish, uploads: str) -> TrainConfig:
    """The configuration of a wish; ``uploads``: the folder below which one's own pictures lie.
    ConfigError where they were not chosen yet, or anything else cannot work."""
    source = wish.source
    if source == "own":
        if not wish.own:
            raise ConfigError("no pictures were uploaded yet; upload some")
        source = f"folder:{uploads}/{wish.own}"
    changes = {
        f.name: getattr(wish, f.name)
        for f in fields(Wish)
        if f.name not in ("source", "own", "recipe", *_MODEL)
    }
    # of two budgets one is not looked at: left as it is, the same wish has one name
    default = TrainConfig()
    unused = "updates" if wish.budget == "epochs" else "epochs"
    changes[unused] = getattr(default, unused)
    return recipe_config(
        wish.recipe,
        source=source,
        model={name: getattr(wish, name) for name in _MODEL},
        **changes,
    )


def to_query(wish: Wish) -> dict[str, str]:
    """What differs from the default, and from what the recipe decides, as URL parameters."""
    base = {**_defaults(), **recipe_values(wish.recipe)}
    query = {}
    for f in fields(Wish):
        value = getattr(wish, f.name)
        if value != base[f.name]:
            query[f.name] = f"{value:g}" if isinstance(value, float) else str(value)
    return query


def from_query(query: Mapping[str, str]) -> tuple[Wish, list[tuple[str, str]]]:
    """The wish of a link, and (name, value) of what of it could not be used."""
    problems: list[tuple[str, str]] = []
    wish = Wish()
    recipe = query.get("recipe", wish.recipe)
    if recipe in RECIPES:
        wish = replace(wish, recipe=recipe, **recipe_values(recipe))
    for name, kind in ((f.name, type(getattr(wish, f.name))) for f in fields(Wish)):
        if name not in query:
            continue
        value = _parse(query[name], kind)
        if value is None or not _fits(name, value):
            problems.append((name, query[name][:40]))
        else:
            wish = replace(wish, **{name: value})
    return wish, problems


def _defaults() -> dict[str, Any]:
    return {f.name: getattr(Wish(), f.name) for f in fields(Wish)}


def _parse(text: str, kind: type) -> Any:
    if kind is str:
        return text
    if len(text) > 12 or not text.isascii():
        return None
    try:
        value = kind(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _fits(name: str, value: Any) -> bool:
    known = {
        "source": SOURCES,
        "budget": BUDGETS,
        "recipe": tuple(RECIPES),
        "loss": LOSSES,
        "augment": AUGMENTATIONS,
        "img_size": RESOLUTIONS,
    }
    if name in known:
        return value in known[name]
    if name == "own":
        return len(value) <= 64 and value.isalnum() and value.isascii()
    low, high = RANGES[name]
    return low <= value <= high


#: What the widgets offer; the limits of the place may be narrower (`gan.jobs.limits`).
RANGES: dict[str, tuple[float, float]] = {
    "size": (2, 200_000),
    "updates": (20, 100_000),
    "epochs": (1, 1_000),
    "seed": (0, 999_999),
    "lr_g": (1e-6, 0.1),
    "lr_d": (1e-6, 0.1),
    "batch_size": (2, 1_024),
    "base_channels": (4, 128),
    "hidden_units": (8, 1_024),
    "latent_dim": (2, 256),
}


def friendly_seconds(seconds: float) -> tuple[str, int]:
    """(key of the words, number in them): "seconds" below 90, "minutes" below 90, "hours"."""
    if seconds < 90:
        return "time_seconds", max(1, round(seconds))
    if seconds < 90 * 60:
        return "time_minutes", round(seconds / 60)
    return "time_hours", round(seconds / 3600)
