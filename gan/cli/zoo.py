"""``gan zoo``: the pretrained models."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from gan.cli import options
from gan.config import BUDGETS, RECIPES, TrainConfig
from gan.data import mnist
from gan.errors import ConfigError
from gan.evaluation import classifier
from gan.system import files
from gan.system.terminal import answers
from gan.zoo import build as zoo_build
from gan.zoo import bundle, compare
from gan.zoo import cards as model_cards
from gan.zoo.cards import ModelCard, find, is_imported, list_models, read_manifest

_out = click.option(
    "--out", type=options.PATH, default=classifier.PRETRAINED, help="Folder of the zoo."
)


@click.group()
def zoo() -> None:
    """List, check, rebuild, export or import the pretrained models."""


@zoo.command("list")
@click.option("--markdown", is_flag=True, help="Print the table of the README.")
@_out
@answers
def list_zoo(markdown: bool, out: Path) -> tuple[Any, str]:
    """List every model of the zoo and of runs/ with its scores."""
    if markdown:
        table = markdown_table(read_manifest(out))
        return table, table
    cards = list_models(out)
    lines = [_card_line(c) for c in cards]
    absent = [f"{recipe} {size:,} {budget}" for recipe, size, budget in compare.missing(cards)]
    if absent and out.resolve() == classifier.PRETRAINED:
        lines.append(f"not trained: {', '.join(absent)}")
    return [_card_row(c) for c in cards], "\n".join(lines)


@zoo.command()
@_out
@answers
def verify(out: Path) -> tuple[Any, str]:
    """Check that every model file is what the manifest says."""
    complaints = zoo_build.verify(out)
    return {"failed": len(complaints), "complaints": complaints}, (
        "\n".join(complaints) or "every model is what the manifest says"
    )


def _plan_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which runs are meant, where they are, and which zoo they belong to."""
    given = (
        click.option("--source", default="mnist", help="Training images (default mnist)."),
        options.several("--sizes", options.Size(), compare.ZOO_SIZES, "Default all of the zoo."),
        options.several("--budgets", click.Choice(BUDGETS), BUDGETS, "Default both."),
        options.several(
            "--recipes",
            click.Choice(sorted(RECIPES)),
            compare.ZOO_RECIPES,
            f"Default {' and '.join(compare.ZOO_RECIPES)}.",
        ),
        options.several("--seeds", click.INT, (0, 1, 2), "Default 0 1 2."),
        click.option("--updates", type=int, help="Of the updates budget (default 6000)."),
        click.option(
            "--work", type=options.PATH, default=Path("runs/zoo"), help="Folder of the runs."
        ),
        _out,
    )
    for option in reversed(given):
        function = option(function)
    return function


@zoo.command(cls=options.Spread)
@_plan_options
@click.option("--workers", type=options.COUNT, default=1, help="Runs side by side (default 1).")
@options.device
@options.threads(passed_on=True)
@answers
def build(
    work: Path, out: Path, workers: int, device: str, threads: int, **plan: Any
) -> tuple[Any, str]:
    """Train and score what is missing. Killed and started again, it goes on where it was."""
    configs = zoo_build.plan(**plan)
    start = partial(zoo_build.build, configs, work, out, workers, threads, device)
    result, text = train_all(configs, start, out)
    return result, "\n".join([text, *result["failed"]])


def train_all(
    configs: Sequence[TrainConfig], start: Callable[..., Iterator[zoo_build.Built]], folder: Path
) -> tuple[dict[str, Any], str]:
    """Follows ``start``, which trains ``configs``, with a progress bar. Returns the counts with the errors, and
    the counts in words."""
    failed = []
    total = sum(config.total_updates for config in configs)
    with tqdm(total=total, unit="update", disable=None) as bar:
        for built in start(on_progress=lambda done: bar.update(done - bar.n)):
            bar.set_postfix_str(f"{built.done} of {built.total} runs, {built.name}")
            if built.error:
                failed.append(f"{built.name}: {built.error}")
                tqdm.write(failed[-1], file=sys.stderr)
    done = len(configs) - len(failed)
    result = {"done": done, "total": len(configs), "failed": failed}
    return result, f"{done} of {len(configs)} runs are in {folder}"


@zoo.command(cls=options.Spread)
@_plan_options
@options.threads()
@answers
def score(work: Path, out: Path, **plan: Any) -> tuple[Any, str]:
    """Score finished runs again, after the classifier or a measure has changed."""
    scored = 0
    with tqdm(unit="run", disable=None) as bar:
        for built in zoo_build.score(zoo_build.plan(**plan), work, out):
            scored, bar.total = built.done, built.total
            bar.update(1)
    return {"scored": scored}, f"{scored} runs were scored again into {out}"


@zoo.command("export")
@click.argument("name")
@click.argument("file", type=options.PATH)
@_out
@answers
def export_model(name: str, file: Path, out: Path) -> tuple[Any, str]:
    """Write the model NAME with its evidence into one FILE."""
    content = bundle.pack(find(name, list_models(out)))
    if file.exists() and (not file.is_file() or bundle.read_file(file) != content):
        raise ConfigError(f"{file} exists and is something else; name another file, or remove it")
    files.write_atomically(file, content)
    result = {"name": name, "file": str(file), "bytes": len(content)}
    return result, f"{name} is in {file}, {len(content):,} bytes"


@zoo.command("import")
@click.argument("file", type=options.PATH)
@answers
def import_model(file: Path) -> tuple[Any, str]:
    """Put the model in FILE, which `zoo export` has written, into runs/."""
    card = bundle.install(bundle.read_file(file), model_cards.RUNS)
    folder = str(card.path.parent)
    name = card.provenance["imported_name"]
    text = f"{name} is in {folder}; its figures are those in the file\n{_card_line(card)}"
    return {**_card_row(card), "folder": folder}, text


def _card_row(card: ModelCard) -> dict[str, Any]:
    shown = ("name", "size", "budget", "recipe", "snapshot", "step", "seed", "seeds")
    modes = card.metrics.modes
    return {
        **{key: getattr(card, key) for key in shown},
        "imported": is_imported(card),
        "verdicts": [v.kind for v in card.metrics.verdicts()],
        **{name: figure.value for name, figure in card.metrics.figures.items()},
        **({"modes": modes.modes, "kl": modes.kl} if modes else {}),
    }


def _card_line(card: ModelCard) -> str:
    row = _card_row(card)
    modes = f"modes {row['modes']}, KL {row['kl']:.3f}  " if "modes" in row else ""
    return (
        f"{card.name:38} update {card.step:6,}  {card.seeds} seed(s)  FD {row['fd']:7.2f}  "
        f"legible {row['legible']:6.1%}  coverage {row['coverage']:.2f}  {modes}{', '.join(row['verdicts'])}"
        f"{'  (imported)' if row['imported'] else ''}"
    )


def markdown_table(cards: Sequence[ModelCard]) -> str:
    """A table for each recipe, sizes by budgets, as the README shows them: legible share and FD over
    the seeds, verdict. A dash stands for a cell that was not trained."""
    tables = compare.tables([c for c in cards if (c.source, c.snapshot) == ("mnist", "final")])
    return "\n\n".join(
        f"**{recipe}**\n\n{_markdown_sizes(table)}" for recipe, table in tables.items()
    )


def _markdown_sizes(table: compare.Table) -> str:
    head = "| images | 20 epochs: updates | legible | FD | verdict "
    head += "| equal updates: legible | FD | verdict |"
    lines = [head, "|" + "---|" * 8]
    for size in sorted({card.size for card in table.values()}, reverse=True):
        row = [f"{size:,} ({100 * size / mnist.FULL_SIZE:.3g} %)"]
        for budget in BUDGETS:
            card = table.get((size, budget, "final"))
            if budget == "epochs":
                row.append(f"{card.step:,}" if card else "–")
            row += _markdown_cell(card) if card else ["–"] * 3
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def _markdown_cell(card: ModelCard) -> list[str]:
    legible = [row["legible"] for row in card.seed_rows]
    distance = [row["fd"] for row in card.seed_rows]
    titles = " + ".join(v.words().title.partition(" (")[0] for v in card.metrics.verdicts())
    return [_range(legible, "{:.1%}"), _range(distance, "{:.1f}"), titles.lower()]


def _range(values: Sequence[float], form: str) -> str:
    """ "84.1%" of one seed, "82.0% to 84.1% (n = 3)" of several, "0.0% (n = 3)" where they agree."""
    low, high = form.format(min(values)), form.format(max(values))
    shown = low if low == high else f"{low} to {high}"
    return shown if len(values) == 1 else f"{shown} (n = {len(values)})"
