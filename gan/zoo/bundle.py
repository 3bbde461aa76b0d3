"""A model as one file that can be carried elsewhere; opened as if a stranger had made it.

A bundle is a zip of exactly four files, stored as they are:

    evidence.json       the curves and moments of the run
    film.png            what the same latents gave at each moment
    manifest.json       the model's one entry, as a zoo has it (`gan.zoo.cards`), and the version 1
    model.safetensors   the weights, with their configuration

**What leaves the house.** The weights, the settings, the figures, the curves, the film, the name of the
model, and of where it comes from only `TRAVELS`: machine, duration, versions. Of a folder of pictures
its last part is told, not the path. The command stays at home, for it names files.

**What comes in** is refused unless all of it is what a run of ours writes, before anything is written
where others look. The figures of an imported model are what its file says; nobody measured them here
(`gan.zoo.cards.is_imported`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gan.config import TrainConfig
from gan.errors import CheckpointError, GanError
from gan.evaluation import evaluate
from gan.runs import model_file
from gan.system import files as file_system
from gan.system import tensor_files, zips
from gan.zoo import bundle_check
from gan.zoo import cards as model_cards
from gan.zoo.bundle_check import Opened
from gan.zoo.cards import ModelCard, is_imported, load_evidence, open_model, read_manifest

MAX_BYTES = 100_000_000
_MOST_ENTRIES = 20  # of which 4 are right; more than that are not even named


def pack(card: ModelCard) -> bytes:
    """The model behind ``card`` as one file. The same model gives the same bytes, on any machine.

    CheckpointError where its files are missing, altered, or not what `install` would take.
    """
    open_model(card)
    evidence = load_evidence(card)
    config = replace(card.config, source=bundle_check.public_source(card.config.source))
    try:
        film, weights = card.film_path.read_bytes(), card.path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{card.name} cannot be exported: {error}; restore the file, or train the model anew"
        ) from error
    digest = card.sha256
    if config != card.config:
        weights = _with_config(card.path, config)
        digest = hashlib.sha256(weights).hexdigest()
    imported = is_imported(card)
    entry = {
        "name": card.provenance.get("imported_name", card.name) if imported else card.name,
        "snapshot": card.snapshot,
        "step": card.step,
        "file": bundle_check.WEIGHTS,
        "sha256": digest,
        "bytes": len(weights),
        "evidence": bundle_check.EVIDENCE,
        "film": bundle_check.FILM,
        "config": config.to_dict(),
        "provenance": _told(card.provenance),
        "evaluation": card.metrics.to_dict(),
        "seeds": list(card.seed_rows),
    }
    files = {
        bundle_check.EVIDENCE: _json(evidence),
        bundle_check.FILM: film,
        bundle_check.MANIFEST: _json({"version": 1, "models": [entry]}),
        bundle_check.WEIGHTS: weights,
    }
    with _refusing(f"{card.name} cannot be exported", "train the model anew"):
        for name, content in files.items():
            bundle_check.bounded(name, len(content))
        bundle_check.checked(files)
        packed = _zipped(files)
        bundle_check.require(
            len(packed) <= MAX_BYTES, f"it would be larger than {MAX_BYTES:,} bytes"
        )
    return packed


def install(content: bytes, runs: Path = model_cards.RUNS) -> ModelCard:
    """The model of a bundle as a folder of its own below ``runs``; its card.

    The folder is named after the weights, so the same bundle again changes nothing and gives the same
    card. CheckpointError, and nothing is written, where anything in the bundle is not as it should be.
    """
    remedy = "ask for the file again; it is made with: python -m gan zoo export NAME FILE"
    with _refusing("this file cannot be imported", remedy):
        opened = bundle_check.checked(_unzipped(content))
    entry = opened.entry
    folder = Path(runs) / f"import-{entry['sha256'][:12]}-{entry['snapshot']}"
    told = {
        key: value
        for key, value in entry["provenance"].items()
        if key in (*bundle_check.TRAVELS, "continued_from")
    }
    told["imported"] = datetime.now(UTC).date().isoformat()
    told["imported_name"] = entry["name"]
    here = replace(opened, entry={**entry, "name": folder.name, "provenance": told})
    if not folder.exists():
        _place(here, folder)
    return _installed(here, folder)


def read_file(path: Path) -> bytes:
    """The bundle at ``path``, no more of it than tells that it is too large. CheckpointError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); name a file that `zoo export` made"
        ) from error


def _told(provenance: dict[str, Any]) -> dict[str, Any]:
    """Of where a model comes from, what others may know."""
    told = {key: provenance[key] for key in bundle_check.TRAVELS if key in provenance}
    before = [
        {
            **note,
            "config": {
                **note["config"],
                "source": bundle_check.public_source(note["config"]["source"]),
            },
        }
        for note in provenance.get("continued_from", ())
    ]
    return told | ({"continued_from": before} if before else {})


@contextlib.contextmanager
def _refusing(what: str, remedy: str) -> Iterator[None]:
    """One sentence of one form for all that is wrong inside."""
    try:
        yield
    except GanError as error:
        raise CheckpointError(f"{what}: {error}; {remedy}") from error


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # stored: weights hardly shrink, and every version of zlib deflates to other bytes
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, files[name])
    return buffer.getvalue()


def _unzipped(content: bytes) -> dict[str, bytes]:
    """The four files of a bundle."""
    bundle_check.require(
        len(content) <= MAX_BYTES, f"it is larger than the {MAX_BYTES:,} bytes a bundle may have"
    )
    page = " but a web page" if content[:64].lstrip()[:1] == b"<" else ""
    bundle_check.require(content.startswith(zips.STARTS), f"it is not a bundle{page}")
    name = "the zip"
    files = {}
    try:
        with zips.open_zip(content, _MOST_ENTRIES) as archive:
            members = archive.infolist()
            names = sorted(member.filename for member in members)
            bundle_check.require(
                names == sorted(bundle_check.MEMBERS),
                f"it holds {bundle_check.shown(names)}, where exactly {', '.join(bundle_check.MEMBERS)} belong",
            )
            for member in members:
                name = member.filename
                limit = zips.InflateLimit(bundle_check.MEMBERS[name])
                files[name] = zips.read_member(archive, member, limit)
    except zips.ZipError as error:
        raise CheckpointError(f"{name} {bundle_check.cause(error)}") from error
    return files


def _with_config(path: Path, config: TrainConfig) -> bytes:
    """The weights at ``path`` under another configuration."""
    tensors, info = tensor_files.load_tensors(path, model_file.MODEL_KIND)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / bundle_check.WEIGHTS
        told = {"config": config.to_dict(), "step": info["step"]}
        tensor_files.save_tensors(file, model_file.MODEL_KIND, tensors, told)
        return file.read_bytes()


def _place(opened: Opened, folder: Path) -> None:
    """Writes a folder whole, under another name first: a reader meets all of it or nothing."""
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".import-"))
        file_system.write_atomically(temporary / bundle_check.WEIGHTS, opened.weights)
        file_system.write_atomically(temporary / bundle_check.FILM, opened.film)
        file_system.write_json(temporary / bundle_check.EVIDENCE, opened.evidence)
        file_system.write_json(
            temporary / bundle_check.MANIFEST, {"version": 1, "models": [opened.entry]}
        )
        temporary.chmod(0o755)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.is_dir():  # or else another process imported the same
                raise
    except OSError as error:
        raise CheckpointError(
            f"{folder} could not be written ({error}); free some space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _installed(opened: Opened, folder: Path) -> ModelCard:
    """The card of the model in ``folder``, which must be the one that was opened."""
    remedy = "remove that folder and import the file again"
    try:
        cards = read_manifest(folder)
        same = len(cards) == 1 and _same(opened, cards[0])
        if same:
            open_model(cards[0])
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder} is there but damaged ({bundle_check.cause(error)}); {remedy}"
        ) from error
    bundle_check.require(
        same, f"{folder} holds these weights with other figures or files; {remedy}"
    )
    return cards[0]


def _same(opened: Opened, card: ModelCard) -> bool:
    """Whether all but name and provenance agree, which say when and from whom it came."""
    entry = opened.entry
    return (
        card.sha256 == entry["sha256"]
        and card.step == entry["step"]
        and card.config == TrainConfig.from_dict(entry["config"])
        and card.metrics == evaluate.Evaluation.from_dict(entry["evaluation"])
        and list(card.seed_rows) == entry["seeds"]
        and load_evidence(card) == opened.evidence
        and card.film_path.is_file()
        and card.film_path.read_bytes() == opened.film
    )
