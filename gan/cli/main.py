"""The program: ``python -m gan COMMAND``, or ``gan COMMAND`` where the package is installed.

Results go to standard output (as one JSON value with ``--json``), progress and errors to standard
error. Exit codes: see `gan.system.terminal.run`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click
import torch

import gan
from gan.system import terminal

#: A new command is a module of this package that has a click command of the same name, and a word here.
COMMANDS = (
    *("train", "evaluate", "classifier", "zoo", "sweep", "jobs", "export", "bench"),
    "work",  # hidden: the app starts it
)


class _Commands(click.Group):
    """Imports the module of a command when it is needed, so that a worker of the app starts quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"gan.cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=_Commands)
@click.version_option(gan.__version__, prog_name="gan")
def program() -> None:
    """How much data does a GAN need?"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line ``arguments`` (those of this process by default); returns the exit code."""
    torch.set_flush_denormal(True)  # denormal numbers make a collapsed run many times slower
    return terminal.run(program, sys.argv[1:] if arguments is None else arguments, "python -m gan")


def run() -> NoReturn:
    """The entry point of the process."""
    code = main()
    if sys.argv[1:2] == ["work"]:
        # a worker has written everything; to unload torch properly takes another second
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
