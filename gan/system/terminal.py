"""The door to the terminal: how a command answers, fails and is interrupted."""

from __future__ import annotations

import functools
import json
import signal
from collections.abc import Callable, Sequence
from typing import Any

import click

from gan.errors import GanError
from gan.system.files import without_nan


def answers(function: Callable[..., tuple[Any, str]]) -> Callable[..., None]:
    """Turns a function that returns (result, text) into one for `click.command`, with the option ``--json``.

    Prints the result as one JSON value with ``--json``, else the text. Exit code 1 if the result is
    a dictionary with a true ``"failed"``.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(function)
    def command(as_json: bool, **options: Any) -> None:
        result, text = function(**options)
        click.echo(json.dumps(without_nan(result)) if as_json else text)
        if isinstance(result, dict) and result.get("failed"):
            raise click.exceptions.Exit(1)

    return command


def run(command: click.Command, arguments: Sequence[str], name: str) -> int:
    """Runs a command line and returns its exit code. ``name``: what the usage message calls the program.

    0: done. 1: a `GanError`, printed as one line to standard error. 2: wrong usage. 130: interrupted by
    Ctrl-C or a termination signal, which are treated alike so that the command ends its children.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with command.make_context(name, list(arguments)) as context:
            command.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except GanError as error:
        click.echo(f"error: {error}", err=True)
        return 1
    except KeyboardInterrupt:
        click.echo("interrupted; run the same command again to go on", err=True)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0
