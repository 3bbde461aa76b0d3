"""The trained models: what there is, opened only if it is what it says, and how it is built.

A zoo is a folder with a ``manifest.json`` that names, for every model, its file with sha256, its
configuration, where it comes from and how it scores. ``pretrained/`` is one with many models;
every finished run below ``runs/`` is one with its own. One damaged file never hides the others.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from gan import checkpoint, data, jobs, judge, run
from gan.config import BUDGETS, RECIPES, Budget, TrainConfig, recipe_config
from gan.errors import CheckpointError, ConfigError
from gan.evaluation import Evaluation
from gan.judge import PRETRAINED
from gan.models import Generator

RUNS = Path("runs")
#: Every size the articles speak of, and two below.
ZOO_SIZES = (50, 100, *data.ARTICLE_SIZES)
ZOO_RECIPES = ("plain", "rescue")
#: The series every run writes down, all of one length.
CURVES = ("step", "g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out")


@dataclass(frozen=True)
class ModelCard:
    """A model and all that is known about it, without its weights.

    ``seeds`` says how many training seeds stand behind the cell, ``seed_rows`` what each scored;
    the weights are those of ``seed``. ``snapshot`` is "final", or "best" for the best moment of a run
    that got clearly worse afterwards (chosen by the monitor, not by the judge that scores).
    """

    name: str
    source: str
    size: int
    budget: Budget
    recipe: str
    seed: int
    seeds: int
    resolution: int
    snapshot: str
    step: int
    metrics: Evaluation
    provenance: dict[str, Any]
    config: TrainConfig
    seed_rows: tuple[dict[str, Any], ...]
    path: Path = field(repr=False)
    sha256: str = field(repr=False)
    evidence_path: Path = field(repr=False)
    film_path: Path = field(repr=False)


@dataclass(frozen=True)
class Model:
    """A card with its generator (eval mode, no gradients) and the generator's principal directions
    [Z, Z], one a row, with their strengths [Z]; see `gan.latents.principal_directions`."""

    card: ModelCard
    generator: Generator
    directions: Tensor
    strengths: Tensor


def list_models(root: Path = PRETRAINED, runs: Path | None = RUNS) -> list[ModelCard]:
    """Every pretrained model, then every finished run below ``runs``.

    CheckpointError only where the manifest of ``root`` itself is missing or unreadable; a run that
    cannot be read is left out.
    """
    cards = read_manifest(root)
    for manifest in sorted(runs.glob(f"[!.]*/{run.MANIFEST}")) if runs and runs.is_dir() else []:
        try:
            cards += read_manifest(manifest.parent)
        except CheckpointError:
            continue  # a half-written or foreign folder is not a model
    return cards


def read_manifest(root: Path) -> list[ModelCard]:
    """The models of one zoo folder, in its order."""
    path = root / run.MANIFEST
    content = checkpoint.read_json(
        path, "restore it from the repository or run: python -m gan zoo build"
    )
    try:
        return [_card(root, entry) for entry in content["models"]]
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(
            f"{path} is not a manifest this version reads ({type(error).__name__}: {error}); "
            "restore it from the repository"
        ) from error


def _card(root: Path, entry: dict[str, Any]) -> ModelCard:
    config = TrainConfig.from_dict(entry["config"])
    for name in ("file", "evidence", "film"):
        if Path(entry[name]).name != entry[name]:
            raise ValueError(f"{name} {entry[name]!r} leads out of the folder")
    return ModelCard(
        name=entry["name"],
        source=config.source,
        size=config.size,
        budget=config.budget,
        recipe=config.recipe,
        seed=config.seed,
        seeds=len(entry["seeds"]),
        resolution=config.model.img_size,
        snapshot=entry["snapshot"],
        step=entry["step"],
        metrics=Evaluation.from_dict(entry["evaluation"]),
        provenance=entry["provenance"],
        config=config,
        seed_rows=tuple(entry["seeds"]),
        path=root / entry["file"],
        sha256=entry["sha256"],
        evidence_path=root / entry["evidence"],
        film_path=root / entry["film"],
    )


def find(name: str, cards: Sequence[ModelCard]) -> ModelCard:
    """The card of that name. ConfigError that lists what there is."""
    for card in cards:
        if card.name == name:
            return card
    known = ", ".join(card.name for card in cards) or "none"
    raise ConfigError(f"model {name!r} is not in the zoo; there are: {known}")


def is_imported(card: ModelCard) -> bool:
    """Whether a model came as a file from elsewhere (`gan.bundle`). Its figures are then what that file
    says: nobody measured them here."""
    return "imported" in card.provenance


def open_model(card: ModelCard) -> Model:
    """The model behind a card. CheckpointError, with the remedy, where its file is missing, altered
    since the manifest was written, or does not fit the card."""
    remedy = "restore it with git checkout, or rebuild it with: python -m gan zoo build"
    try:
        found = checkpoint.sha256(card.path)
    except OSError as error:
        raise CheckpointError(f"{card.path} cannot be read ({error}); {remedy}") from error
    if found != card.sha256:
        raise CheckpointError(
            f"{card.path} is not the file its manifest describes (sha256 {found[:12]}..., "
            f"expected {card.sha256[:12]}...); {remedy}"
        )
    generator, extra = run.load_model(card.path)
    if generator.config != card.config.model:
        raise CheckpointError(f"{card.path} holds another network than its manifest says; {remedy}")
    return Model(card, generator, extra["directions"], extra["strengths"])


def load(name: str, root: Path = PRETRAINED, runs: Path | None = RUNS) -> Generator:
    """The generator of that name: sha256 verified, strictly loaded, in eval mode."""
    return open_model(find(name, list_models(root, runs))).generator


def load_evidence(card: ModelCard) -> dict[str, Any]:
    """{"curves": {"step": [...], "g_loss": [...], ...}, "moments": [...]} of the run behind a card."""
    content = checkpoint.read_json(card.evidence_path, "restore it from the repository")
    try:
        lengths = {len(content["curves"][name]) for name in CURVES}
        complete = len(lengths) == 1 and all({"step", "fd"} <= set(m) for m in content["moments"])
    except (KeyError, TypeError):
        complete = False
    if not complete:
        raise CheckpointError(f"{card.evidence_path} holds no curves of a run; restore it")
    return content


def load_film(card: ModelCard, moments: int) -> np.ndarray:
    """What the same 16 latents gave at each of the run's ``moments``: uint8 [moments, 16, H, W, C].
    CheckpointError where the file is missing, damaged, or of another number of moments."""
    side, channels = card.resolution, card.config.model.img_channels
    try:
        with Image.open(card.film_path) as picture:
            pixels = np.asarray(picture.convert("RGB" if channels == 3 else "L"))
        rows = pixels.reshape(moments, side, run.FILM_LATENTS, side, channels)
    except (OSError, SyntaxError, ValueError) as error:
        raise CheckpointError(
            f"{card.film_path} is not the film of {moments} moments it should be ({error}); "
            "restore it from the repository"
        ) from error
    return rows.transpose(0, 2, 1, 3, 4)


# --- comparing -----------------------------------------------------------------------------

#: The models of one recipe, by size, budget and snapshot.
Table = dict[tuple[int, str, str], ModelCard]


def comparable(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """The digit models that differ in data, budget and recipe only: the same epochs and updates, and
    the same settings all the way; measured here, not elsewhere."""
    names = ("size", "budget", "seed")
    return [
        c
        for c in cards
        if recipe_config(c.recipe, **{n: getattr(c.config, n) for n in names}) == c.config
        and "continued_from" not in c.provenance
        and not is_imported(c)
    ]


def tables(cards: Sequence[ModelCard]) -> dict[str, Table]:
    """A table for each recipe, in the recipes' own order. One run a place: the first, which is the
    pretrained one where there is one, with its moments."""
    run_of: dict[tuple[str, int, str], Path] = {}
    found: dict[str, Table] = {r: {} for r in RECIPES if any(c.recipe == r for c in cards)}
    for card in cards:
        place = (card.recipe, card.size, card.budget)
        if run_of.setdefault(place, card.evidence_path) == card.evidence_path:
            found[card.recipe][card.size, card.budget, card.snapshot] = card
    return found


# --- building ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Built:
    """A finished (or failed) part of the plan: which run, and how many of how many are done."""

    name: str
    done: int
    total: int
    seconds: float
    error: str


def missing(cards: Sequence[ModelCard]) -> list[tuple[str, int, Budget]]:
    """(recipe, size, budget) of the whole zoo that no final model in ``cards`` has."""
    there = {
        (c.recipe, c.size, c.budget) for c in cards if (c.source, c.snapshot) == ("mnist", "final")
    }
    cells = itertools.product(ZOO_RECIPES, ZOO_SIZES, BUDGETS)
    return [cell for cell in cells if cell not in there]


def plan(
    sizes: Sequence[int] = ZOO_SIZES,
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
    return work / f"{run.cell_name(config)}-s{config.seed}"


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
        for name in judge.JUDGES:
            judge.load(name)
            judge.reference(name)
        largest = max(configs, key=lambda c: c.size)
        data.load(largest.source, largest.size, largest.data_seed)
    todo = [c for c in configs if not run.is_finished(run_folder(c, work), c)]
    done = len(configs) - len(todo)
    if done:
        collect(configs, work, root)
    commands = [
        jobs.gan_command(*run.train_arguments(c, run_folder(c, work), device, threads))
        for c in todo
    ]

    def tell() -> None:
        if on_progress is not None:
            on_progress(sum(run.updates_done(run_folder(c, work), c) for c in configs))

    for outcome in jobs.run_all(commands, workers, poll_seconds=1.0, on_wait=tell):
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
    when the judge or a measure has changed."""
    finished = [c for c in configs if run.is_finished(run_folder(c, work), c)]
    for done, config in enumerate(finished, start=1):
        started = time.monotonic()
        run.rescore(run_folder(config, work), config)
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
        if run.is_finished(folder, config):
            content = checkpoint.read_json(folder / run.MANIFEST, "train it anew")
            cells.setdefault(run.cell_name(config), []).append((folder, content))
    kept = []
    if (root / run.MANIFEST).exists():  # one that cannot be read must not be taken for an empty one
        read_manifest(root)
        kept = checkpoint.read_json(root / run.MANIFEST, "restore it")["models"]
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
        absent = missing([_card(root, entry) for entry in models])
        manifest["missing"] = ["-".join(map(str, ("mnist", c[1], c[2], c[0]))) for c in absent]
    checkpoint.write_json(root / run.MANIFEST, manifest)
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
    if not target.exists() or checkpoint.sha256(source) != checkpoint.sha256(target):
        checkpoint.write_atomically(target, source.read_bytes())


def _manifest_order(entry: dict[str, Any]) -> tuple[Any, ...]:
    config = entry["config"]
    return config["source"], config["recipe"], config["budget"], config["size"], entry["name"]


def verify(root: Path = PRETRAINED) -> list[str]:
    """Opens every model of the zoo; the complaints, empty when all is well."""
    complaints = []
    for card in read_manifest(root):
        try:
            open_model(card)
            load_evidence(card)
        except CheckpointError as error:
            complaints.append(str(error))
    return complaints
