"""A TOML file with a grid of settings, read into a list of configurations."""

from __future__ import annotations

import difflib
import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gan.config import BUDGETS, LOSSES, RECIPES, ModelConfig, TrainConfig, recipe_config
from gan.data.sources import parse_size, parse_source
from gan.errors import ConfigError, GanError

MOST_RUNS = 100_000  # more is a slip: a list too many multiplies
_MODEL = "model."
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@dataclass(frozen=True)
class Sweep:
    """What a file asks for: its name, and the runs in the order in which they are made."""

    name: str
    configs: tuple[TrainConfig, ...]


def read(path: Path) -> Sweep:
    """The sweep that a TOML file describes. ConfigError, naming file, key, value and what is known,
    for anything in it that cannot work.

    All runs of one seed come before those of the next, so that an early end leaves whole tables;
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
        _know(key, ("name", "grid", "fixed"), str(path))
    grid, fixed = (_settings(path, table, content.get(table, {})) for table in ("grid", "fixed"))
    if not grid:
        raise ConfigError(f"{path}: [grid] is empty; give it at least one list: size = [200, 600]")
    for key in fixed:
        if key in grid:
            raise ConfigError(f"{path}: {key} is in [grid] and in [fixed]; leave it in one of them")
    single = {key: _value(f"{path}: [fixed] {key}", key, value) for key, value in fixed.items()}
    lists = {key: _values(f"{path}: [grid] {key}", key, values) for key, values in grid.items()}
    count = math.prod(len(values) for values in lists.values())
    if count > MOST_RUNS:
        raise ConfigError(f"{path}: [grid] makes {count:,} runs; at most {MOST_RUNS:,} are meant")
    keys = sorted(lists, key=lambda key: key != "seed")  # the rest stays in the file's order
    combinations = itertools.product(*(lists[key] for key in keys))
    chosen = [dict(zip(keys, values, strict=True)) for values in combinations]
    configs = [_config(str(path), single | varied) for varied in chosen]
    _refuse_twins(path, chosen, configs)
    return Sweep(_name(path, content.get("name")), tuple(configs))


def _know(key: str, known: Iterable[str], where: str) -> None:
    known = sorted(known)
    if key not in known:
        raise ConfigError(
            f"{where} does not know {key!r}{_nearest(key, known)}; it knows {', '.join(known)}"
        )


def _nearest(text: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(text, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _name(path: Path, name: Any) -> str:
    plain = isinstance(name, str) and name and set(name) <= _NAME_CHARACTERS
    if not plain or name.startswith("."):
        raise ConfigError(
            f"{path}: name={name!r} must be a name for a folder: letters, digits, dot, dash, underscore"
        )
    return str(name)


def _settings(path: Path, table: str, content: Any) -> dict[str, Any]:
    """{"size": ..., "model.latent_dim": ...}: one level, all keys known."""
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {table}={content!r} must be a table: [{table}]")
    model = content.get("model", {})
    if not isinstance(model, dict):
        raise ConfigError(f"{path}: [{table}] model={model!r} must be a table: [{table}.model]")
    for key in content:
        _know(key, TrainConfig().to_dict(), f"{path}: [{table}]")
    for key in model:
        _know(key, ModelConfig().to_dict(), f"{path}: [{table}.model]")
    outer = {key: value for key, value in content.items() if key != "model"}
    return outer | {f"{_MODEL}{key}": value for key, value in model.items()}


def _values(where: str, key: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise ConfigError(f"{where}={values!r} must be a list; single values belong in [fixed]")
    if not values:
        raise ConfigError(f"{where} is an empty list; give it a value or leave it out")
    made = [_value(where, key, value) for value in values]
    for index, value in enumerate(made):
        if value in made[:index]:
            raise ConfigError(f"{where}={values!r} has {values[index]!r} twice; leave one out")
    return made


def _value(where: str, key: str, value: Any) -> Any:
    """``value`` as the configuration wants it: sizes as numbers, and no 1 where 1.0 is meant."""
    inner = key.removeprefix(_MODEL)
    default = getattr(ModelConfig() if inner != key else TrainConfig(), inner)
    if isinstance(value, dict | list):
        raise ConfigError(f"{where}={value!r} must be a single value, such as {default!r}")
    if isinstance(value, bool) != isinstance(default, bool):
        raise ConfigError(f"{where}={value!r} must be a value such as {default!r}")
    if isinstance(default, float) and isinstance(value, int):
        value = float(value)
    sources = ("mnist", "stacked", "drawn")
    known = {"recipe": RECIPES, "budget": BUDGETS, "loss": LOSSES, "source": sources}.get(key, ())
    try:
        if key == "size" and isinstance(value, str):
            value = parse_size(value)
        if key == "source" and isinstance(value, str):
            parse_source(value)
    except GanError as error:
        hint = _nearest(str(value), known)
        raise ConfigError(f"{where}={value!r}: {error}{hint}") from error
    if key == f"{_MODEL}img_channels":  # right or wrong only together with the source
        return value
    try:
        _config(where, {key: value})
    except ConfigError as error:
        raise ConfigError(f"{error}{_nearest(str(value), known)}") from error
    return value


def _config(where: str, settings: Mapping[str, Any]) -> TrainConfig:
    """{"size": ..., "model.latent_dim": ...} on top of the recipe that is among them."""
    changes = {key: value for key, value in settings.items() if not key.startswith(_MODEL)}
    model = {k.removeprefix(_MODEL): v for k, v in settings.items() if k.startswith(_MODEL)}
    recipe = changes.pop("recipe", TrainConfig().recipe)
    try:
        return recipe_config(recipe, **changes, model=model)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _refuse_twins(
    path: Path, chosen: Sequence[Mapping[str, Any]], configs: Sequence[TrainConfig]
) -> None:
    """Two runs that differ only in what their budget does not look at are one run, paid twice."""
    default = TrainConfig()
    seen: dict[TrainConfig, Mapping[str, Any]] = {}
    for settings, config in zip(chosen, configs, strict=True):
        unused = "updates" if config.budget == "epochs" else "epochs"
        twin = replace(config, **{unused: getattr(default, unused)})
        if twin in seen:
            raise ConfigError(
                f"{path}: {dict(seen[twin])} and {dict(settings)} are the same run, because {unused} "
                f"changes nothing under budget={config.budget!r}; give the two budgets a file each"
            )
        seen[twin] = settings
