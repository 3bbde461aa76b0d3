"""Trains, scores and collects the models of the zoo."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan.config import BUDGETS, Budget, TrainConfig, recipe_config, standard_config
from gan.data import sources
from gan.errors import CheckpointError, ConfigError
from gan.evaluation import classifier
from gan.evaluation.classifier import PRETRAINED
from gan.runs import manifest as run_manifest
from gan.runs import run
from gan.runs.manifest import MANIFEST, is_finished
from gan.runs.names import cell_name, train_arguments
from gan.system import files, processes
from gan.zoo import cards, compare


@dataclass(frozen=True)
class Built:
    """A run that has just finished or failed: its name, how many of the ``total`` runs are done, and what
    went wrong ("" if nothing did)."""

    name: str
    done: int
    total: int
    error: str = ""


def plan(
    sizes: Sequence[int] = compare.ZOO_SIZES,
    budgets: Sequence[Budget] = BUDGETS,
    recipes: Sequence[str] = ("plain",),
    seeds: Sequence[int] = (0,),
    source: str = "mnist",
    updates: int | None = None,
) -> list[TrainConfig]:
    """Every combination. All runs of a seed come before the next seed, so that a build that ends early
    leaves whole tables."""
    changes: dict[str, Any] = {} if updates is None else {"updates": updates}
    return [
        recipe_config(recipe, source=source, size=size, budget=budget, seed=seed, **changes)
        for seed, recipe, size, budget in itertools.product(seeds, recipes, sizes, budgets)
    ]


def build(
    configs: Sequence[TrainConfig],
    work: Path,
    root: Path = PRETRAINED,
    workers: int = 1,
    threads: int = 1,
    device: str = "auto",
    on_progress: Callable[[int], None] = lambda updates: None,
) -> Iterator[Built]:
    """Trains in child processes, below ``work``, what is not finished yet, and updates the zoo
    ``root`` after each run. A build that was killed goes on where it was.

    ``workers``: child processes at a time, ``threads``: of each. ``on_progress`` gets, every second,
    the number of updates done of all ``configs``. ConfigError if ``root`` is the zoo that comes
    with the program and a configuration differs from its recipe.
    """
    if root.resolve() == PRETRAINED and any(standard_config(c) != c for c in configs):
        raise ConfigError(
            f"{root} holds models that differ in data, budget, recipe and seed only; give other runs "
            "a zoo of their own with --out"
        )
    check_inputs(configs)
    runs = [(config, run.run_folder(config, work)) for config in configs]
    todo = [(config, folder) for config, folder in runs if not is_finished(folder, config)]
    done = len(runs) - len(todo)
    if done:
        collect(configs, work, root)
    commands = [
        processes.gan_command(*train_arguments(config, folder, device, threads))
        for config, folder in todo
    ]
    for outcome in processes.run_all(
        commands, workers, poll_seconds=1.0, on_wait=lambda: on_progress(run.updates_done(runs))
    ):
        error = outcome.error or f"exit code {outcome.code}"
        if outcome.code == 0:
            done += 1
            error = ""
            collect(configs, work, root)
        yield Built(todo[outcome.index][1].name, done, len(runs), error)


def check_inputs(configs: Sequence[TrainConfig]) -> None:
    """Raises what training ``configs`` would raise for want of data or of a classifier. Called once, so that
    not every child process reports the same error."""
    if configs:
        for name in classifier.CLASSIFIERS:
            classifier.load_classifier(name)
            classifier.load_reference(name)
    by_size = sorted(configs, key=lambda config: config.size)
    # of equal keys the last stays, which has the largest size
    largest = {(c.source, c.data_seed, c.model.img_size): c.size for c in by_size}
    for (source, data_seed, side), size in largest.items():
        sources.load(source, size, data_seed, side)


def _finished(configs: Sequence[TrainConfig], work: Path) -> list[tuple[TrainConfig, Path]]:
    runs = [(config, run.run_folder(config, work)) for config in configs]
    return [(config, folder) for config, folder in runs if is_finished(folder, config)]


def score(configs: Sequence[TrainConfig], work: Path, root: Path = PRETRAINED) -> Iterator[Built]:
    """Scores the finished runs of ``configs`` below ``work`` again and updates the zoo ``root``; for
    when the classifier or a metric has changed."""
    finished = _finished(configs, work)
    for done, (config, folder) in enumerate(finished, start=1):
        run_manifest.rescore(folder, config)
        if done == len(finished):
            collect(configs, work, root)
        yield Built(folder.name, done, len(finished))


def collect(configs: Sequence[TrainConfig], work: Path, root: Path) -> None:
    """Copies the finished runs of ``configs`` into the zoo ``root`` and rewrites its manifest.

    A *cell* is all runs that differ in nothing but the seed. Each cell gets one model: the weights of
    the seed whose final model has the median Frechet distance (the lower one of an even number), with
    the scores of all seeds. Cells without a run in ``configs`` stay as they are.
    """
    cells: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for config, folder in _finished(configs, work):
        content = files.read_json(folder / MANIFEST, "train it anew")
        cells.setdefault(cell_name(config), []).append((folder, content))
    kept = []
    if (root / MANIFEST).exists():
        cards.read_manifest(root)  # a manifest that cannot be read is an error, not an empty zoo
        kept = files.read_json(root / MANIFEST, "restore it")["models"]
    models = [e for e in kept if e["name"].removesuffix("-best") not in cells]
    for cell, finished in cells.items():
        models += _cell_entries(cell, finished, root)
    models.sort(key=_manifest_order)
    manifest: dict[str, Any] = {"version": 1, "models": models}
    if root.resolve() == PRETRAINED:
        absent = compare.missing([cards.card(root, entry) for entry in models])
        manifest["missing"] = [f"mnist-{size}-{budget}-{recipe}" for recipe, size, budget in absent]
    files.write_json(root / MANIFEST, manifest)
    used = {entry["file"] for entry in models}
    for cell in cells:  # the median seed may be another than before, and have no best moment
        if (best := f"{cell}-best.safetensors") not in used:
            (root / best).unlink(missing_ok=True)


def _cell_entries(
    cell: str, finished: list[tuple[Path, dict[str, Any]]], root: Path
) -> list[dict[str, Any]]:
    """The manifest entries of a cell; copies their files into ``root``."""
    rows = [content["models"][0]["seeds"][0] for _, content in finished]
    median = statistics.median_low([row["fd"] for row in rows])
    chosen = next(i for i, row in enumerate(rows) if row["fd"] == median)
    folder, content = finished[chosen]
    entries = []
    for entry in content["models"]:
        final = entry["snapshot"] == "final"
        name = cell if final else f"{cell}-best"
        targets = {
            "file": f"{name}.safetensors",
            "evidence": f"{cell}.evidence.json",
            "film": f"{cell}.film.png",
        }
        for key, target in targets.items():
            _copy(folder / entry[key], root / target)
        # a best moment keeps the one row of its own seed: the rows of the others are of their ends
        seeds = rows if final else entry["seeds"]
        entries.append({**entry, **targets, "name": name, "seeds": seeds})
    return entries


def _copy(source: Path, target: Path) -> None:
    if not target.exists() or files.sha256(source) != files.sha256(target):
        files.write_atomically(target, source.read_bytes())


def _manifest_order(entry: dict[str, Any]) -> tuple[Any, ...]:
    config = entry["config"]
    return config["source"], config["recipe"], config["budget"], config["size"], entry["name"]


def verify(root: Path = PRETRAINED) -> list[str]:
    """Opens every model of the zoo with its evidence. Returns what is wrong, one message a model."""
    problems = []
    for card in cards.read_manifest(root):
        try:
            cards.open_model(card)
            cards.load_evidence(card)
        except CheckpointError as error:
            problems.append(str(error))
    return problems
