"""A TOML file with a grid of settings, read into a list of configurations."""

from __future__ import annotations

import difflib
import itertools
import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from gan.config import StrictModel, TrainConfig, read_as, recipe_config
from gan.data.sources import parse_size, parse_source
from gan.errors import ConfigError, GanError
from gan.runs.names import flat

MOST_RUNS = 100_000  # more is a mistake: a list too many multiplies
_MODEL = "model."
_KNOWN = set(flat(TrainConfig().to_dict()))


@dataclass(frozen=True)
class Sweep:
    """The content of a file: its name, and the runs in the order in which they are made."""

    name: str
    configs: tuple[TrainConfig, ...]


def _know(key: str, known: Collection[str], where: str) -> None:
    if key not in known:
        close = difflib.get_close_matches(key, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ConfigError(
            f"{where} does not know {key!r}{hint}; it knows {', '.join(sorted(known))}"
        )


class SweepFile(StrictModel):
    """A sweep file, with the tables below ``model`` as keys ``model.latent_dim``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]  # of a folder
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default={})
    fixed: dict[str, Any] = Field(default={})

    @field_validator("grid", "fixed", mode="before")
    @classmethod
    def _flatten(cls, table: Any, info: ValidationInfo) -> Any:
        """{"size": ..., "model.latent_dim": ...} on one level. Only the keys are checked here: the values are
        when `TrainConfig` gets them."""
        if not isinstance(table, dict) or not isinstance(table.get("model", {}), dict):
            raise ValueError(f"write it as a table: [{info.field_name}], [{info.field_name}.model]")
        settings = flat(table)
        for key, value in settings.items():
            _know(key, _KNOWN, f"[{info.field_name}]")
            if info.field_name == "grid" and not isinstance(value, list):
                raise ConfigError(
                    f"[grid] {key}={value!r} must be a list; single values belong in [fixed]"
                )
        return settings


def read(path: Path) -> Sweep:
    """The sweep that a TOML file describes. ConfigError, with the file, the key, the value and what is
    allowed, for anything in it that cannot work.

    All runs of one seed come before those of the next, so that an early end leaves complete tables;
    among the other keys the last in the file varies fastest.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} is missing; name a file like docs/sweeps/example.toml"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    for key in content:
        _know(key, SweepFile.model_fields, str(path))
    file = read_as(SweepFile, content, str(path))
    grid, fixed = file.grid, file.fixed
    if not grid:
        raise ConfigError(f"{path}: [grid] is empty; give it at least one list: size = [200, 600]")
    for key in fixed:
        if key in grid:
            raise ConfigError(f"{path}: {key} is in [grid] and in [fixed]; leave it in one of them")
    count = math.prod(len(values) for values in grid.values())
    if count > MOST_RUNS:
        raise ConfigError(f"{path}: [grid] makes {count:,} runs; the limit is {MOST_RUNS:,}")
    keys = sorted(grid, key=lambda key: key != "seed")  # the others stay in the file's order
    combinations = itertools.product(*(grid[key] for key in keys))
    chosen = [dict(zip(keys, values, strict=True)) for values in combinations]
    configs = [_config(path, fixed | varied) for varied in chosen]
    _refuse_twins(path, chosen, configs)
    return Sweep(file.name, tuple(configs))


def _config(path: Path, settings: Mapping[str, Any]) -> TrainConfig:
    """The settings of one run on top of the recipe that is among them."""
    changes = {key: value for key, value in settings.items() if not key.startswith(_MODEL)}
    model = {k.removeprefix(_MODEL): v for k, v in settings.items() if k.startswith(_MODEL)}
    recipe = changes.pop("recipe", TrainConfig.recipe)
    try:
        if isinstance(changes.get("size"), str):
            changes["size"] = parse_size(changes["size"])
        config = recipe_config(recipe, **changes, model=model)
        parse_source(config.source)
    except GanError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def _refuse_twins(
    path: Path, chosen: Sequence[Mapping[str, Any]], configs: Sequence[TrainConfig]
) -> None:
    """ConfigError if two runs are the same, or differ only in a setting that their budget ignores."""
    seen: dict[TrainConfig, Mapping[str, Any]] = {}
    for settings, config in zip(chosen, configs, strict=True):
        unused = "updates" if config.budget == "epochs" else "epochs"
        twin = replace(config, **{unused: getattr(TrainConfig, unused)})
        if twin in seen:
            raise ConfigError(
                f"{path}: {dict(seen[twin])} and {dict(settings)} are the same run ({unused} changes nothing "
                f"under budget={config.budget!r}); leave one out, or give each budget its own file"
            )
        seen[twin] = settings
