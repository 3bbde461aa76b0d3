"""The list of trained models, and how one is opened, if its file is the one that the manifest describes.

A zoo is a folder with a ``manifest.json``. It gives for every model its file with sha256, its
configuration, provenance and scores. ``pretrained/`` is a zoo of many models; every finished run
below ``runs/`` is a zoo of its own. One damaged file never hides the other models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from gan.config import Budget, TrainConfig, read_as
from gan.errors import CheckpointError, ConfigError
from gan.evaluation.classifier import PRETRAINED
from gan.evaluation.evaluate import Evaluation
from gan.networks.dcgan import Generator
from gan.runs import entries, model_file, monitor
from gan.runs import manifest as run_manifest
from gan.system import files

RUNS = Path("runs")
#: The curves of every run, all of one length.
CURVES = tuple(entries.Curves.model_fields)


@dataclass(frozen=True)
class ModelCard:
    """A model and all that is known about it, without its weights.

    ``seeds`` is the number of training seeds of the cell (same source, size, budget and recipe),
    ``seed_rows`` has their scores; the weights are those of ``seed``. ``snapshot`` is "final", or
    "best" for the best moment of a run that got clearly worse afterwards (the monitor chooses it, not
    the classifier that scores).
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
    [Z, Z], one per row, with their strengths [Z]; see `gan.networks.latents.principal_directions`."""

    card: ModelCard
    generator: Generator
    directions: Tensor
    strengths: Tensor


def list_models(root: Path = PRETRAINED, runs: Path | None = RUNS) -> list[ModelCard]:
    """Every model in ``root``, then every finished run below ``runs``.

    CheckpointError only if the manifest of ``root`` itself is missing or unreadable; a run that cannot
    be read is left out.
    """
    cards = read_manifest(root)
    # glob finds nothing in a folder that is not there
    for manifest in sorted(runs.glob(f"[!.]*/{run_manifest.MANIFEST}")) if runs else ():
        try:
            cards += read_manifest(manifest.parent)
        except CheckpointError:
            continue  # a half-written or foreign folder is not a model
    return cards


def read_manifest(root: Path) -> list[ModelCard]:
    """The models of one zoo folder, in the order of its manifest. CheckpointError."""
    path = root / run_manifest.MANIFEST
    remedy = "restore it from the repository or run: python -m gan zoo build"
    content = files.read_json(path, remedy)
    read_as(entries.Manifest, content, f"{path} is not a manifest of this version", CheckpointError)
    return [card(root, entry) for entry in content["models"]]


def card(root: Path, entry: dict[str, Any]) -> ModelCard:
    """The card of a valid entry of the manifest in ``root``."""
    config = TrainConfig.from_dict(entry["config"])
    return ModelCard(
        **{key: entry[key] for key in ("name", "snapshot", "step", "sha256", "provenance")},
        **{key: getattr(config, key) for key in ("source", "size", "budget", "recipe", "seed")},
        config=config,
        resolution=config.model.img_size,
        metrics=Evaluation.from_dict(entry["evaluation"]),
        seeds=len(entry["seeds"]),
        seed_rows=tuple(entry["seeds"]),
        path=root / entry["file"],
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
    """Whether a model came as a file from elsewhere (`gan.zoo.bundle`). Its figures are then what that
    file says: nobody measured them here."""
    return "imported" in card.provenance


def open_model(card: ModelCard) -> Model:
    """The model of a card. CheckpointError, with the remedy, if its file is missing, has changed since
    the manifest was written, or does not fit the card."""
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
    """The generator of that name in eval mode, after a check of its sha256 and of every tensor's name
    and shape. ConfigError for an unknown name, CheckpointError as of `open_model`."""
    return open_model(find(name, list_models(root, runs))).generator


def load_evidence(card: ModelCard) -> dict[str, Any]:
    """{"curves": {"step": [...], "g_loss": [...], ...}, "moments": [...]} of a card's run, as
    `gan.runs.entries.Evidence` describes it."""
    path = card.evidence_path
    content: dict[str, Any] = files.read_json(path, "restore it from the repository")
    read_as(entries.Evidence, content, f"{path} holds no curves of a run", CheckpointError)
    return content


def load_film(card: ModelCard, moments: int) -> np.ndarray:
    """The images of the same 16 latents at each of the run's ``moments``: uint8 [moments, 16, H, W, C].
    CheckpointError if the file is missing, damaged, or of another number of moments."""
    side, channels = card.resolution, card.config.model.img_channels
    size = (monitor.FILM_LATENTS * side, moments * side)
    try:
        with Image.open(card.film_path, formats=["PNG"]) as image:
            if image.size != size:  # checked before a pixel is decoded
                raise ValueError(f"it has {image.width} x {image.height} pixels")
            pixels = np.asarray(image.convert("RGB" if channels == 3 else "L"))
    except Exception as error:  # a damaged or hostile file can raise anything in the decoder
        raise CheckpointError(
            f"{card.film_path} is not the film of {moments} moments with {size[0]} x {size[1]} pixels "
            f"({error}); restore it from the repository"
        ) from error
    rows = pixels.reshape(moments, side, monitor.FILM_LATENTS, side, channels)
    return rows.transpose(0, 2, 1, 3, 4)
