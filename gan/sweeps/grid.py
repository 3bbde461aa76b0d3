"""A TOML file with a grid of settings, read into a list of configurations."""

from __future__ import annotations

import difflib
import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, BeforeValidator, create_model, model_validator

from gan.config import ModelConfig, StrictModel, TrainConfig, read_as, recipe_config
from gan.data.sources import parse_size, parse_source
from gan.errors import ConfigError

MOST_RUNS = 100_000  # more is a mistake: a list too many multiplies
_MODEL = "model."


@dataclass(frozen=True)
class Sweep:
    """The content of a file: its name, and the runs in the order in which they are made."""

    name: str
    configs: tuple[TrainConfig, ...]


class _Table(StrictModel):
    """A table of the file; a key that it does not know is answered with the most similar one."""

    @model_validator(mode="before")
    @classmethod
    def _know_keys(cls, values: Any) -> Any:
        known = sorted(cls.model_fields)
        for key in values if isinstance(values, dict) else ():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise ConfigError(
                    f"{cls.__name__} does not know {key!r}{hint}; it knows {', '.join(known)}"
                )
        return values


def _check_source(source: str) -> str:
    parse_source(source)
    return source


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise ValueError("it names a folder: use letters, digits, dot, dash and underscore only")
    return name


def _check_list(values: Any) -> Any:
    if not isinstance(values, list):
        raise ValueError("it must be a list; single values belong in [fixed]")
    if not values:
        raise ValueError("it is an empty list; give it a value or leave it out")
    return values


def _check_different(values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"it has {value!r} twice; leave one out")
    return values


def _tables(name: str, wrap: Callable[[Any], Any]) -> type[_Table]:
    """The model of a table with the keys of `TrainConfig`, each of its type there as ``wrap`` changes it,
    and a table "model" inside with those of `ModelConfig`. Nothing has to be given."""

    def fields(config: type) -> dict[str, Any]:
        hints = get_type_hints(config, include_extras=True)
        return {key: (wrap(hint), None) for key, hint in (hints | special).items() if key in hints}

    count = get_type_hints(TrainConfig, include_extras=True)["size"]
    special: dict[str, Any] = {
        "size": Annotated[
            count, BeforeValidator(lambda size: parse_size(size) if isinstance(size, str) else size)
        ],
        "source": Annotated[str, AfterValidator(_check_source)],
    }
    inner = create_model(f"[{name}.model]", __base__=_Table, **fields(ModelConfig))
    outer = fields(TrainConfig) | {"model": (inner, None)}
    return create_model(f"[{name}]", __base__=_Table, **outer)


_Fixed = _tables("fixed", lambda kind: kind)
_Grid = _tables(
    "grid",
    lambda kind: Annotated[
        list[kind],  # type: ignore[valid-type]
        BeforeValidator(_check_list),
        AfterValidator(_check_different),
    ],
)
_File = create_model(
    "the file",
    __base__=_Table,
    name=Annotated[str, AfterValidator(_check_name)],
    grid=(_Grid, _Grid()),
    fixed=(_Fixed, _Fixed()),
)


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
    file: Any = read_as(_File, content, str(path))
    grid = _flat(file.grid, content.get("grid", {}))
    fixed = _flat(file.fixed, content.get("fixed", {}))
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


def _flat(table: StrictModel, order: Iterable[str]) -> dict[str, Any]:
    """{"size": ..., "model.latent_dim": ...}: what the table gives on one level, in the ``order`` of the file."""
    given = table.model_dump(exclude_unset=True)
    model = given.get("model", {})
    outer = {key: given[key] for key in order if key != "model"}
    return outer | {f"{_MODEL}{key}": value for key, value in model.items()}


def _config(path: Path, settings: Mapping[str, Any]) -> TrainConfig:
    """{"size": ..., "model.latent_dim": ...} on top of the recipe that is among them."""
    changes = {key: value for key, value in settings.items() if not key.startswith(_MODEL)}
    model = {k.removeprefix(_MODEL): v for k, v in settings.items() if k.startswith(_MODEL)}
    recipe = changes.pop("recipe", TrainConfig.recipe)
    try:
        return recipe_config(recipe, **changes, model=model)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _refuse_twins(
    path: Path, chosen: Sequence[Mapping[str, Any]], configs: Sequence[TrainConfig]
) -> None:
    """ConfigError if two runs differ only in a setting that their budget ignores: they would be one run,
    trained twice."""
    seen: dict[TrainConfig, Mapping[str, Any]] = {}
    for settings, config in zip(chosen, configs, strict=True):
        unused = "updates" if config.budget == "epochs" else "epochs"
        twin = replace(config, **{unused: getattr(TrainConfig, unused)})
        if twin in seen:
            raise ConfigError(
                f"{path}: {dict(seen[twin])} and {dict(settings)} are the same run, because {unused} "
                f"changes nothing under budget={config.budget!r}; give each budget its own file"
            )
        seen[twin] = settings
