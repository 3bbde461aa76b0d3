"""Trains, scores and collects the models of the zoo."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan.config import BUDGETS, Budget, TrainConfig, recipe_config
from gan.data import sources
from gan.errors import CheckpointError, ConfigError
from gan.evaluation import classifier
from gan.evaluation.classifier import PRETRAINED
from gan.runs import manifest as run_manifest
from gan.runs import run
from gan.runs.manifest import is_finished
from gan.runs.names import cell_name, train_arguments
from gan.system import files as file_system
from gan.system import processes
from gan.system.files import read_json
from gan.zoo import cards, compare


@dataclass(frozen=True)
class Built:
    """A finished (or failed) part of the plan: which run, and how many of how many are done."""

    name: str
    done: int
    total: int
    seconds: float
    error: str


def plan(
    sizes: Sequence[int] = compare.ZOO_SIZES,
    budgets: Sequence[Budget] = BUDGETS,
    recipes: Sequence[str] = ("plain",),
    seeds: Sequence[int] = (0,),
    source: str = "mnist",
    updates: int | None = None,
) -> list[TrainConfig]:
    """Every combination, all of one seed before the next, so that an early end leaves whole tables."""
    changes: dict[str, Any] = {} if updates is None else {"updates": updates}
    return [
        recipe_config(recipe, source=source, size=size, budget=budget, seed=seed, **changes)
        for seed in seeds
        for recipe in recipes
        for size in sizes
        for budget in budgets
    ]


def run_folder(config: TrainConfig, work: Path) -> Path:
    """Where the run of ``config`` lies below ``work``."""
    return work / f"{cell_name(config)}-s{config.seed}"


def build(
    configs: Sequence[TrainConfig],
    work: Path,
    root: Path = PRETRAINED,
    workers: int = 1,
    threads: int = 1,
    device: str = "auto",
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Built]:
    """Trains what is not finished yet below ``work``, in child processes, and after each one brings
    ``root`` up to date. Killed and called again, it goes on where it was. ``on_progress`` is told, every
    second, how many updates of all ``configs`` are done."""
    standard = [_standard(c) for c in configs]
    if root.resolve() == PRETRAINED and standard != list(configs):
        raise ConfigError(
            f"{root} holds models that differ in data, budget, recipe and seed only; give other runs "
            "a zoo of their own with --out"
        )
    if configs:  # what is missing is said now, once, and not by every child
        for name in classifier.CLASSIFIERS:
            classifier.load_classifier(name)
            classifier.load_reference(name)
        largest = max(configs, key=lambda c: c.size)
        sources.load(largest.source, largest.size, largest.data_seed)
    todo = [c for c in configs if not is_finished(run_folder(c, work), c)]
    done = len(configs) - len(todo)
    if done:
        collect(configs, work, root)
    commands = [
        processes.gan_command(*train_arguments(c, run_folder(c, work), device, threads))
        for c in todo
    ]

    def tell() -> None:
        if on_progress is not None:
            on_progress(sum(run.updates_done(run_folder(c, work), c) for c in configs))

    for outcome in processes.run_all(commands, workers, poll_seconds=1.0, on_wait=tell):
        config = todo[outcome.index]
        done += outcome.code == 0
        if outcome.code == 0:
            collect(configs, work, root)
        yield Built(
            run_folder(config, work).name,
            done,
            len(configs),
            outcome.seconds,
            "" if outcome.code == 0 else outcome.error or f"exit code {outcome.code}",
        )


def _standard(config: TrainConfig) -> TrainConfig:
    """What the models of one zoo may differ in, taken from ``config``; the rest as its recipe has it."""
    names = ("source", "size", "budget", "seed")
    return recipe_config(config.recipe, **{name: getattr(config, name) for name in names})


def score(configs: Sequence[TrainConfig], work: Path, root: Path = PRETRAINED) -> Iterator[Built]:
    """Scores the finished runs of ``configs`` below ``work`` anew and brings ``root`` up to date: for
    when the classifier or a measure has changed."""
    finished = [c for c in configs if is_finished(run_folder(c, work), c)]
    for done, config in enumerate(finished, start=1):
        started = time.monotonic()
        run_manifest.rescore(run_folder(config, work), config)
        if done == len(finished):
            collect(configs, work, root)
        seconds = time.monotonic() - started
        yield Built(run_folder(config, work).name, done, len(finished), seconds, "")


def collect(configs: Sequence[TrainConfig], work: Path, root: Path) -> list[str]:
    """Copies the finished runs of ``configs`` into the zoo ``root`` and rewrites its manifest.

    Per cell (all but the seed) the weights of the seed with the median Frechet distance of its final
    model are taken, the lower one of an even number, and the rows of all seeds. Cells that are not
    among ``configs`` stay as they are. Returns the names of the models written.
    """
    cells: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for config in configs:
        folder = run_folder(config, work)
        if is_finished(folder, config):
            content = read_json(folder / run_manifest.MANIFEST, "train it anew")
            cells.setdefault(cell_name(config), []).append((folder, content))
    kept = []
    if (
        root / run_manifest.MANIFEST
    ).exists():  # one that cannot be read must not be taken for an empty one
        cards.read_manifest(root)
        kept = read_json(root / run_manifest.MANIFEST, "restore it")["models"]
    written: dict[str, dict[str, Any]] = {}
    for cell, finished in cells.items():
        for entry in _cell_entries(cell, finished, root):
            written[entry["name"]] = entry
    rebuilt = set(cells)
    models = [e for e in kept if e["name"].removesuffix("-best") not in rebuilt]
    models += written.values()
    models.sort(key=_manifest_order)
    manifest: dict[str, Any] = {"version": 1, "models": models}
    if root.resolve() == PRETRAINED:  # what is not there is said, not left to be noticed
        absent = compare.missing([cards.card(root, entry) for entry in models])
        manifest["missing"] = ["-".join(map(str, ("mnist", c[1], c[2], c[0]))) for c in absent]
    file_system.write_json(root / run_manifest.MANIFEST, manifest)
    for cell in cells:  # a best moment that a later median seed no longer has
        if f"{cell}-best" not in written:
            (root / f"{cell}-best.safetensors").unlink(missing_ok=True)
    return sorted(written)


def _cell_entries(
    cell: str, finished: list[tuple[Path, dict[str, Any]]], root: Path
) -> list[dict[str, Any]]:
    rows = [content["models"][0]["seeds"][0] for _, content in finished]
    median = statistics.median_low([row["fd"] for row in rows])
    chosen = next(i for i, row in enumerate(rows) if row["fd"] == median)
    folder, content = finished[chosen]
    entries = []
    for entry in content["models"]:
        name = cell + ("" if entry["snapshot"] == "final" else "-best")
        files, entry = entry, {**entry, "name": name, "file": f"{name}.safetensors"}
        # the rows of a best moment would be those of the one seed that has it
        entry["seeds"] = rows if entry["snapshot"] == "final" else entry["seeds"]
        _copy(folder / files["file"], root / entry["file"])
        for kind, suffix in (("evidence", "evidence.json"), ("film", "film.png")):
            entry[kind] = f"{cell}.{suffix}"
            _copy(folder / files[kind], root / entry[kind])
        entries.append(entry)
    return entries


def _copy(source: Path, target: Path) -> None:
    if not target.exists() or file_system.sha256(source) != file_system.sha256(target):
        file_system.write_atomically(target, source.read_bytes())


def _manifest_order(entry: dict[str, Any]) -> tuple[Any, ...]:
    config = entry["config"]
    return config["source"], config["recipe"], config["budget"], config["size"], entry["name"]


def verify(root: Path = PRETRAINED) -> list[str]:
    """Opens every model of the zoo; the complaints, empty when all is well."""
    complaints = []
    for card in cards.read_manifest(root):
        try:
            cards.open_model(card)
            cards.load_evidence(card)
        except CheckpointError as error:
            complaints.append(str(error))
    return complaints
