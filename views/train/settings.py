"""The settings of the Train page as one frozen value, and the query parameters that say the same.

Widgets and links fill `TrainSettings`; `config_of` makes a configuration of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gan.config import RECIPES, Augment, Budget, Loss, TrainConfig, recipe_config
from gan.errors import ConfigError
from views.shared import link

Source = Literal["mnist", "drawn", "own"]
SOURCES: tuple[Source, ...] = get_args(Source)
SIZES = (50, 100, 200, 500, 600, 1_000, 3_000, 6_000, 10_000, 30_000, 60_000, 65_000)
RESOLUTIONS = (28, 64)
#: What the widgets offer; the limits of the server may be narrower (`gan.jobs.limits`).
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


def _number(name: str, default: float) -> Any:
    least, most = RANGES[name]
    return Field(default, ge=least, le=most)


class TrainSettings(BaseModel):
    """``own``: the folder name of the uploaded images. The other settings mean the same as in `TrainConfig` and
    `ModelConfig`. The names are query parameters, which old links have: keep them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source = "mnist"
    own: str = Field(default="", max_length=64, pattern="^[0-9A-Za-z]*$")
    size: int = _number("size", 6_000)
    budget: Budget = "updates"
    #: 1, not what the widget offers: a server with narrow limits offers fewer.
    updates: int = Field(default=1_500, ge=1, le=RANGES["updates"][1])
    epochs: int = _number("epochs", 20)
    recipe: str = "plain"
    seed: int = _number("seed", 0)
    lr_g: float = _number("lr_g", 1e-3)
    lr_d: float = _number("lr_d", 2e-4)
    batch_size: int = _number("batch_size", 64)
    base_channels: int = _number("base_channels", 32)
    hidden_units: int = _number("hidden_units", 256)
    latent_dim: int = _number("latent_dim", 64)
    img_size: int = 28
    loss: Loss = "logistic"
    augment: Augment = "none"

    @field_validator("recipe", "img_size")
    @classmethod
    def _is_on_offer(cls, value: Any) -> Any:
        if value not in (*RECIPES, *RESOLUTIONS):
            raise ValueError("is not on offer")
        return value


def nearest_size(size: int) -> int:
    """The amount of data on offer that is nearest to ``size``."""
    return min(SIZES, key=lambda offered: abs(offered - size))


NAMES = tuple(TrainSettings.model_fields)
_MODEL = ("base_channels", "hidden_units", "latent_dim", "img_size")
#: The settings under "more" on the page, which a recipe sets.
FINE = ("lr_g", "lr_d", "batch_size", "loss", "augment", *_MODEL[:3])


def recipe_values(recipe: str) -> dict[str, Any]:
    """The fine settings that ``recipe`` sets."""
    config = recipe_config(recipe)
    return {n: getattr(config.model if n in _MODEL else config, n) for n in FINE}


def config_of(settings: TrainSettings, uploads: str) -> TrainConfig:
    """The configuration of the settings; ``uploads``: the folder that has the folders of uploaded images. ConfigError if
    no images were uploaded yet, or a setting cannot work."""
    values = settings.model_dump(exclude={"source", "own", "recipe", *_MODEL})
    source: str = settings.source
    if source == "own":
        if not settings.own:
            raise ConfigError("no images were uploaded yet; upload some")
        source = f"folder:{uploads}/{settings.own}"
    # The budget that is not used keeps its default, so that the same training has one name.
    unused = "updates" if settings.budget == "epochs" else "epochs"
    values[unused] = getattr(TrainConfig(), unused)
    model = {name: getattr(settings, name) for name in _MODEL}
    return recipe_config(settings.recipe, source=source, model=model, **values)


def to_query(settings: TrainSettings) -> dict[str, str]:
    """What differs from the default, and from what the recipe sets, as query parameters."""
    base = {**dict(TrainSettings()), **recipe_values(settings.recipe)}
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in settings
        if value != base[name]
    }


def from_query(query: Mapping[str, str]) -> tuple[TrainSettings, list[link.Problem]]:
    """The settings of a link, and the parameters that do not fit."""
    recipe = query.get("recipe", "")
    return link.read(
        TrainSettings, query, **recipe_values(recipe if recipe in RECIPES else "plain")
    )
