"""``gan export``: the page that needs no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from gan.browser import site as static_site
from gan.cli import options
from gan.system.terminal import answers
from gan.zoo.cards import find, list_models


@click.group()
def export() -> None:
    """Write what the app shows in a form that needs no server."""


@export.command()
@click.argument("folder", type=options.PATH, metavar="DIR")
@options.several("--sizes", options.Size(), None, "Amounts of data: 200,600,6000 (default all).")
@options.several("--recipes", click.STRING, None, "plain,rescue (default all).")
@options.several("--budgets", click.STRING, None, "epochs,updates (default all).")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Also your own model of this name from `zoo list`; may be repeated.",
)
@answers
def site(folder: Path, models: Sequence[str], **chosen: Any) -> tuple[Any, str]:
    """Write the latent pad, the comparison, the film and the figures into DIR, as plain files for a web host or
    a USB stick. DIR is new or holds an earlier export."""
    cards = static_site.select(list_models(runs=None), **chosen)
    everything = list_models() if models else []
    own = [find(name, everything) for name in dict.fromkeys(models)]
    with tqdm(total=len(cards) + len(own), unit="model", disable=None) as bar:
        done = static_site.export(
            folder, cards, own, on_progress=lambda count, _: bar.update(count - bar.n)
        )
    index = (folder / static_site.INDEX).resolve()
    result = {"folder": str(folder), "index": str(index), **asdict(done)}
    text = (
        f"{folder}: {done.models} models, {done.files} files, {done.bytes / 1e6:.1f} MB "
        f"({done.written} written now)\n"
        f"open {index} in a browser, or copy the whole folder to a web host or a USB stick"
    )
    return result, text
