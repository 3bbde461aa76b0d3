"""The checks of a bundle: whatever a stranger put into one, pages can show it and networks can load it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from gan.config import StrictModel, TrainConfig, read_as
from gan.data import sources
from gan.errors import CheckpointError, GanError
from gan.evaluation import evaluate
from gan.networks import dcgan
from gan.runs import entries, model_file, monitor
from gan.system import tensor_files
from gan.zoo import cards

EVIDENCE, FILM = "evidence.json", "film.png"
MANIFEST, WEIGHTS = "manifest.json", "model.safetensors"
#: The files of a bundle, and the most bytes that each may have after it is inflated.
MEMBERS = {EVIDENCE: 2_000_000, FILM: 20_000_000, MANIFEST: 1_000_000, WEIGHTS: 100_000_000}
MAX_PARAMETERS = 50_000_000


class BundleEntry(entries.ManifestEntry):
    """A model whose files have the names that they have in every bundle."""

    file: Literal["model.safetensors"]
    evidence: Literal["evidence.json"]
    film: Literal["film.png"]


class BundleManifest(StrictModel):
    """A manifest of one model."""

    version: Literal[1]
    models: Annotated[list[BundleEntry], Field(min_length=1, max_length=1)]


class WeightsInfo(StrictModel):
    """The text beside the tensors in a model file."""

    kind: str
    config: TrainConfig
    step: int


def public_source(source: str) -> str:
    """``source`` without the path: of a folder only the last part."""
    kind, colon, rest = source.partition(":")
    if kind != "folder":
        return source
    parts = [part for part in re.split(r"[/\\]", rest) if part not in ("", ".", "..")]
    return f"{kind}{colon}{parts[-1] if parts else 'pictures'}"


def require(condition: bool, message: str) -> None:
    """CheckpointError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise CheckpointError(message)


def short(error: BaseException | str, folder: str = "") -> str:
    """The message of an error in up to 200 printable characters, without its remedy and ``folder``."""
    text = str(error).replace(f"{folder}{os.sep}", "") if folder else str(error)
    text = "".join(c if c.isprintable() else " " for c in text.partition("; ")[0])
    return text if len(text) <= 200 else f"{text[:200]}..."


def check(files: dict[str, bytes]) -> dict[str, Any]:
    """The manifest's entry for the model in ``files`` (name -> content), with every setting written
    out, because another version may have other defaults. A GanError says what is wrong."""
    manifest = _parsed(MANIFEST, files[MANIFEST])
    entry = read_as(BundleManifest, manifest, MANIFEST, CheckpointError).models[0]
    _check_config(entry.config, MANIFEST)
    for note in entry.provenance.continued_from:
        _check_config(note.config, f"{MANIFEST}: continued_from")
    found = hashlib.sha256(files[WEIGHTS]).hexdigest()
    require(
        found == entry.sha256 and len(files[WEIGHTS]) == entry.bytes,
        f"{WEIGHTS} is not the file that {MANIFEST} describes (sha256 {found[:12]}..., "
        f"{len(files[WEIGHTS]):,} bytes)",
    )
    content = _parsed(EVIDENCE, files[EVIDENCE])
    evidence = read_as(entries.Evidence, content, EVIDENCE, CheckpointError)
    last, total = evidence.last_step, entry.config.total_updates
    require(last <= total, f"{EVIDENCE} goes on to update {last:,} of {total:,}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            _check_folder(Path(folder), entry, len(evidence.moments))
    except OSError as error:
        raise CheckpointError(f"there is no space to unpack it ({short(error)})") from error
    except GanError as error:
        raise CheckpointError(short(error, folder)) from error
    typed = {"config": entry.config.to_dict(), "evaluation": entry.evaluation.to_dict()}
    return {**manifest["models"][0], **typed}


def _parsed(name: str, content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not readable JSON ({short(error)})") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _check_config(config: TrainConfig, where: str) -> None:
    """Networks of this size can be opened here, and the source is one that `public_source` gives."""
    source = config.source
    sources.parse_source(source)
    require(
        source == public_source(source) and len(source) <= 200 and source.isprintable(),
        f"{where}: source={short(source)!r} must not hold a path",
    )
    with torch.device("meta"):  # counts without allocating
        count = dcgan.count_parameters(dcgan.Generator(config.model))
    require(
        count <= MAX_PARAMETERS,
        f"{where}: the network has {count:,} parameters, more than {MAX_PARAMETERS:,}",
    )


def _check_folder(folder: Path, entry: BundleEntry, moments: int) -> None:
    """The four files can be opened as those of any other model."""
    _check_weights(folder / WEIGHTS, entry)
    (card,) = cards.read_manifest(folder)
    generator = cards.open_model(card).generator
    cards.load_film(card, moments)
    try:
        card.metrics.verdicts()
    except (ArithmeticError, ValueError) as error:
        raise CheckpointError(f"no verdict follows from the evaluation ({short(error)})") from error
    latent_dim = entry.config.model.latent_dim
    images = evaluate.sample_images(generator, latent_dim, 0, monitor.FILM_LATENTS)
    require(bool(torch.isfinite(images).all()), f"{WEIGHTS} gives images with NaN or infinity")


def _check_weights(path: Path, entry: BundleEntry) -> None:
    """Check the tensors before a network is made: their own configuration might ask for a huge one."""
    try:
        tensors, text = tensor_files.load_tensors(path, model_file.MODEL_KIND)
    except (TypeError, RecursionError) as error:
        raise CheckpointError(f"{WEIGHTS} is damaged ({short(error)})") from error
    info = read_as(WeightsInfo, text, WEIGHTS, CheckpointError)
    same = (info.config, info.step) == (entry.config, entry.step)
    require(same, f"{WEIGHTS} is from another training than {MANIFEST} describes")
    with torch.device("meta"):
        expected = dcgan.Generator(entry.config.model).state_dict()
    names = {f"generator.{name}" for name in expected} | {"directions", "strengths"}
    require(set(tensors) == names, f"{WEIGHTS} belongs to another network")
    for name, tensor in tensors.items():
        like = expected.get(name.removeprefix("generator."))
        counts = like is not None and not like.is_floating_point()
        allowed = (torch.int64,) if counts else (torch.float16, torch.float32)
        require(tensor.dtype in allowed, f"{WEIGHTS} holds {name} as {tensor.dtype}")
        negative = name.endswith("running_var") and bool((tensor < 0).any())
        require(
            bool(torch.isfinite(tensor).all()) and not negative,
            f"{WEIGHTS} holds impossible values in {name}",
        )
