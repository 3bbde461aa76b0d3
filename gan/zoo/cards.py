"""The trained models: what there is, opened only if it is what it says, and how it is built.

A zoo is a folder with a ``manifest.json`` that names, for every model, its file with sha256, its
configuration, where it comes from and how it scores. ``pretrained/`` is one with many models;
every finished run below ``runs/`` is one with its own. One damaged file never hides the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from gan.config import Budget, TrainConfig
from gan.errors import CheckpointError, ConfigError
from gan.evaluation.classifier import PRETRAINED
from gan.evaluation.evaluate import Evaluation
from gan.networks.dcgan import Generator
from gan.runs import manifest as run_manifest
from gan.runs import model_file, monitor
from gan.system import files

RUNS = Path("runs")
#: The series every run writes down, all of one length.
CURVES = ("step", "g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out")


@dataclass(frozen=True)
class ModelCard:
    """A model and all that is known about it, without its weights.

    ``seeds`` says how many training seeds stand behind the cell, ``seed_rows`` what each scored;
    the weights are those of ``seed``. ``snapshot`` is "final", or "best" for the best moment of a run
    that got clearly worse afterwards (chosen by the monitor, not by the classifier that scores).
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
    [Z, Z], one a row, with their strengths [Z]; see `gan.networks.latents.principal_directions`."""

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
    for manifest in (
        sorted(runs.glob(f"[!.]*/{run_manifest.MANIFEST}")) if runs and runs.is_dir() else []
    ):
        try:
            cards += read_manifest(manifest.parent)
        except CheckpointError:
            continue  # a half-written or foreign folder is not a model
    return cards


def read_manifest(root: Path) -> list[ModelCard]:
    """The models of one zoo folder, in its order."""
    path = root / run_manifest.MANIFEST
    content = files.read_json(
        path, "restore it from the repository or run: python -m gan zoo build"
    )
    try:
        return [card(root, entry) for entry in content["models"]]
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(
            f"{path} is not a manifest this version reads ({type(error).__name__}: {error}); "
            "restore it from the repository"
        ) from error


def card(root: Path, entry: dict[str, Any]) -> ModelCard:
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
    """Whether a model came as a file from elsewhere (`gan.zoo.bundle`). Its figures are then what that file
    says: nobody measured them here."""
    return "imported" in card.provenance


def open_model(card: ModelCard) -> Model:
    """The model behind a card. CheckpointError, with the remedy, where its file is missing, altered
    since the manifest was written, or does not fit the card."""
    remedy = "restore it with git checkout, or rebuild it with: python -m gan zoo build"
    try:
        found = files.sha256(card.path)
    except OSError as error:
        raise CheckpointError(f"{card.path} cannot be read ({error}); {remedy}") from error
    if found != card.sha256:
        raise CheckpointError(
            f"{card.path} is not the file its manifest describes (sha256 {found[:12]}..., "
            f"expected {card.sha256[:12]}...); {remedy}"
        )
    generator, extra = model_file.load_model(card.path)
    if generator.config != card.config.model:
        raise CheckpointError(f"{card.path} holds another network than its manifest says; {remedy}")
    return Model(card, generator, extra["directions"], extra["strengths"])


def load(name: str, root: Path = PRETRAINED, runs: Path | None = RUNS) -> Generator:
    """The generator of that name: sha256 verified, strictly loaded, in eval mode."""
    return open_model(find(name, list_models(root, runs))).generator


def load_evidence(card: ModelCard) -> dict[str, Any]:
    """{"curves": {"step": [...], "g_loss": [...], ...}, "moments": [...]} of the run behind a card."""
    content = files.read_json(card.evidence_path, "restore it from the repository")
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
        rows = pixels.reshape(moments, side, monitor.FILM_LATENTS, side, channels)
    except (OSError, SyntaxError, ValueError) as error:
        raise CheckpointError(
            f"{card.film_path} is not the film of {moments} moments it should be ({error}); "
            "restore it from the repository"
        ) from error
    return rows.transpose(0, 2, 1, 3, 4)
