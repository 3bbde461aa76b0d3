"""Options and types of values that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import torch

from gan.data import sources
from gan.errors import GanError

COUNT = click.IntRange(min=1)
PATH = click.Path(path_type=Path)


class Size(click.ParamType[int]):
    """An amount of data: 600, or a share of MNIST such as 1%."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return sources.parse_size(value)
        except GanError as error:
            self.fail(str(error), param, ctx)


def several(
    name: str, kind: click.ParamType[Any], default: Sequence[Any] | None, help: str
) -> Callable[[Any], Any]:
    """An option that gives a list: ``--sizes 200,600``, or the option repeated, or, where the command is a
    `Spread`, ``--sizes 200 600``."""

    def converted(ctx: click.Context, param: click.Parameter, given: Sequence[str]) -> Any:
        words = [word.strip() for text in given for word in text.split(",")]
        return [kind.convert(word, param, ctx) for word in words] or default

    metavar = kind.name.upper()
    return click.option(name, multiple=True, metavar=metavar, callback=converted, help=help)


class Spread(click.Command):
    """A command whose repeatable options also take several values in a row: ``--sizes 200 600``. It
    must have no positional arguments, which such an option would take as its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        repeatable = {
            name
            for option in self.params
            if isinstance(option, click.Option) and option.multiple
            for name in option.opts
        }
        words: list[str] = []
        option = None
        for word in args:
            if word.startswith("-"):
                option = word if word in repeatable else None
            elif option and words[-1] != option:
                words.append(option)
            words.append(word)
        return super().parse_args(ctx, words)


device = click.option("--device", default="auto", help="auto (default), cuda, mps or cpu.")


def threads(passed_on: bool = False, default: int | None = 1) -> Callable[[Any], Any]:
    """The option ``--threads``, which limits the CPU threads of this process. ``passed_on``: the command
    takes the value as well, for its children."""

    def limit(ctx: click.Context, param: click.Parameter, value: int | None) -> int | None:
        if value:
            torch.set_num_threads(value)
        return value

    text = f"CPU threads (default {default or 'all cores'})."
    return click.option(
        "--threads", type=COUNT, default=default, callback=limit, expose_value=passed_on, help=text
    )
