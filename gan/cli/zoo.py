"""``gan zoo`` and ``gan export``: the pretrained models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gan.browser import site
from gan.config import BUDGETS, RECIPES, Budget
from gan.data import mnist
from gan.errors import ConfigError
from gan.evaluation import classifier
from gan.system import files
from gan.zoo import build, bundle, compare
from gan.zoo import cards as model_cards
from gan.zoo.cards import ModelCard, find, is_imported, list_models, read_manifest

#: What the verbs of ``zoo`` take that make a model one file, and a file a model.
CARRIES = {"export": ("NAME", "FILE"), "import": ("FILE",)}


def zoo(options: argparse.Namespace) -> tuple[Any, str]:
    taken = CARRIES.get(options.verb, ())
    if len(options.names) != len(taken):
        raise ConfigError(
            f"zoo {options.verb} takes {' and '.join(taken) or 'no name and no file'}, not "
            f"{' '.join(options.names) or 'nothing'}; write: "
            f"python -m gan zoo {' '.join((options.verb, *taken))}"
        )
    if options.verb == "export":
        return _zoo_export(options)
    if options.verb == "import":
        card = bundle.install(bundle.read_file(Path(options.names[0])), model_cards.RUNS)
        folder = str(card.path.parent)
        result = {**_card_row(card), "folder": folder}
        told = (
            f"{card.provenance['imported_name']} is in {folder}; its figures are what the file says"
        )
        return result, f"{told}\n{_card_line(card)}"
    if options.verb == "list":
        cards = list_models(options.out)
        if options.markdown:
            table = markdown_table(read_manifest(options.out))
            return table, table
        lines = [_card_line(c) for c in cards]
        absent = [f"{recipe} {size:,} {budget}" for recipe, size, budget in compare.missing(cards)]
        if absent and options.out.resolve() == classifier.PRETRAINED:
            lines.append(f"not trained: {', '.join(absent)}")
        return [_card_row(c) for c in cards], "\n".join(lines)
    if options.verb == "verify":
        complaints = build.verify(options.out)
        return {"failed": len(complaints), "complaints": complaints}, (
            "\n".join(complaints) or "every model is what the manifest says"
        )
    configs = build.plan(
        options.sizes,
        options.budgets,
        options.recipes,
        options.seeds,
        options.source,
        options.updates,
    )
    if options.verb == "score":
        scored = 0
        with tqdm(unit="run", disable=None) as bar:
            for built in build.score(configs, options.work, options.out):
                scored, bar.total = built.done, built.total
                bar.update(1)
        return {"scored": scored}, f"{scored} runs were scored anew into {options.out}"
    failed = []
    total = sum(config.total_updates for config in configs)
    with tqdm(total=total, unit="update", disable=None) as bar:
        for built in build.build(
            configs,
            options.work,
            options.out,
            options.workers,
            options.threads,
            options.device,
            on_progress=lambda done: bar.update(done - bar.n),
        ):
            bar.set_postfix_str(f"{built.done} of {built.total} runs, {built.name}")
            if built.error:
                failed.append(f"{built.name}: {built.error}")
                tqdm.write(failed[-1], file=sys.stderr)
    done = len(configs) - len(failed)
    text = f"{done} of {len(configs)} runs are in {options.out}"
    return {"done": done, "total": len(configs), "failed": failed}, "\n".join([text, *failed])


def _zoo_export(options: argparse.Namespace) -> tuple[Any, str]:
    name, path = options.names[0], Path(options.names[1])
    content = bundle.pack(find(name, list_models(options.out)))
    if path.exists() and (not path.is_file() or bundle.read_file(path) != content):
        raise ConfigError(f"{path} is there and is something else; name another file, or remove it")
    files.write_atomically(path, content)
    result = {"name": name, "file": str(path), "bytes": len(content)}
    return result, f"{name} is in {path}, {len(content):,} bytes"


def _card_row(card: ModelCard) -> dict[str, Any]:
    figures = {name: figure.value for name, figure in card.metrics.figures.items()}
    modes = card.metrics.modes
    return {
        "name": card.name,
        "size": card.size,
        "budget": card.budget,
        "recipe": card.recipe,
        "snapshot": card.snapshot,
        "step": card.step,
        "seed": card.seed,
        "seeds": card.seeds,
        "imported": is_imported(card),
        "verdicts": [v.kind for v in card.metrics.verdicts()],
        **figures,
        **({} if modes is None else {"modes": modes.modes, "kl": modes.kl}),
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
    shown = [c for c in cards if (c.source, c.snapshot) == ("mnist", "final")]
    tables = []
    for recipe in RECIPES:
        cells = {(c.size, c.budget): c for c in shown if c.recipe == recipe}
        if cells:
            tables.append(f"**{recipe}**\n\n{_markdown_sizes(cells)}")
    return "\n\n".join(tables)


def _markdown_sizes(cells: Mapping[tuple[int, Budget], ModelCard]) -> str:
    head = "| images | 20 epochs: updates | legible | FD | verdict "
    head += "| equal updates: legible | FD | verdict |"
    lines = [head, "|" + "---|" * 8]
    for size in sorted({size for size, _ in cells}, reverse=True):
        row = [f"{size:,} ({100 * size / mnist.FULL_SIZE:.3g} %)"]
        for budget in BUDGETS:
            card = cells.get((size, budget))
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


def export(options: argparse.Namespace) -> tuple[Any, str]:
    cards = site.select(list_models(runs=None), options.sizes, options.recipes, options.budgets)
    everything = list_models() if options.model else []
    own = [find(name, everything) for name in dict.fromkeys(options.model)]
    with tqdm(total=len(cards) + len(own), unit="model", disable=None) as bar:
        done = site.export(
            options.folder, cards, own, on_progress=lambda models, _: bar.update(models - bar.n)
        )
    index = (options.folder / site.INDEX).resolve()
    result = {"folder": str(options.folder), "index": str(index), **asdict(done)}
    text = (
        f"{options.folder}: {done.models} models, {done.files} files, {done.bytes / 1e6:.1f} MB "
        f"({done.written} written now)\n"
        f"open {index} in a browser, or put the whole folder on a web host or a stick"
    )
    return result, text
