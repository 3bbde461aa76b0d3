"""Models as single files: export one, and import one as if a stranger had made it.

A bundle is a zip of exactly four files, stored without compression:

    evidence.json       the curves and moments of the run
    film.png            the images of the same latents at each moment
    manifest.json       version 1 and the model's one entry, as in any zoo (`gan.zoo.cards`)
    model.safetensors   the weights, with their configuration

An export leaves out the command, which names files, and all but the last part of a folder's path.
An import refuses a bundle unless all of it is what a run of ours writes, before it writes anything
where others look. The figures of an imported model are what its file says (`gan.zoo.cards.is_imported`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import reprlib
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gan.config import TrainConfig
from gan.errors import CheckpointError, GanError
from gan.runs import model_file
from gan.system import files as file_system
from gan.system import tensor_files, zips
from gan.zoo import bundle_check
from gan.zoo import cards as model_cards
from gan.zoo.bundle_check import EVIDENCE, FILM, MANIFEST, MEMBERS, WEIGHTS, public_source, require
from gan.zoo.cards import ModelCard, load_evidence, open_model, read_manifest

MAX_BYTES = 100_000_000
_MOST_ENTRIES = 20  # an archive of more entries is refused before their names are read
#: The part of a model's provenance that an export contains.
_PUBLIC = (
    *("device", "precision", "seconds", "together", "finished"),
    *("commit", "torch", "python", "platform"),
)


def pack(card: ModelCard) -> bytes:
    """The model behind ``card`` as one file. The same model gives the same bytes on any machine.

    CheckpointError if its files are missing, altered, or not what `install` would accept.
    """
    open_model(card)
    evidence = load_evidence(card)
    config = _public(card.config)
    try:
        film, weights = card.film_path.read_bytes(), card.path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{card.name} cannot be exported: {error}; restore the file, or train the model again"
        ) from error
    if config != card.config:
        weights = _with_config(card.path, config)
    provenance = {key: card.provenance[key] for key in _PUBLIC if key in card.provenance}
    if notes := card.provenance.get("continued_from"):
        provenance["continued_from"] = [
            {**note, "config": _public(TrainConfig.from_dict(note["config"])).to_dict()}
            for note in notes
        ]
    entry = {
        "name": card.provenance.get("imported_name", card.name),
        "snapshot": card.snapshot,
        "step": card.step,
        "file": WEIGHTS,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "bytes": len(weights),
        "evidence": EVIDENCE,
        "film": FILM,
        "config": config.to_dict(),
        "provenance": provenance,
        "evaluation": card.metrics.to_dict(),
        "seeds": list(card.seed_rows),
    }
    files = {
        EVIDENCE: _json(evidence),
        FILM: film,
        MANIFEST: _json({"version": 1, "models": [entry]}),
        WEIGHTS: weights,
    }
    with _refusing(f"{card.name} cannot be exported", "train the model again"):
        for name, content in files.items():
            most = MEMBERS[name]
            require(len(content) <= most, f"{name} has more than the {most:,} bytes of a bundle")
        bundle_check.check(files)
        packed = _zipped(files)
        require(len(packed) <= MAX_BYTES, f"it would be larger than {MAX_BYTES:,} bytes")
    return packed


def install(content: bytes, runs: Path = model_cards.RUNS) -> ModelCard:
    """Write the model of a bundle into a folder of its own below ``runs``; return its card.

    The folder is named after the weights, so the same bundle again changes nothing and gives the same
    card. CheckpointError, and nothing is written, if anything in the bundle is wrong.
    """
    remedy = "ask for the file again; it is made with: python -m gan zoo export NAME FILE"
    with _refusing("this file cannot be imported", remedy):
        files = _unzipped(content)
        entry = bundle_check.check(files)
    folder = runs / f"import-{entry['sha256'][:12]}-{entry['snapshot']}"
    provenance = {
        **{k: v for k, v in entry["provenance"].items() if k in (*_PUBLIC, "continued_from")},
        "imported": datetime.now(UTC).date().isoformat(),
        "imported_name": entry["name"],
    }
    entry = {**entry, "name": folder.name, "provenance": provenance}
    if not folder.exists():
        _place(files, entry, folder)
    return _installed(files, entry, folder)


def read_file(path: Path) -> bytes:
    """The bundle at ``path``, of one that is too large only the start. CheckpointError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); name a file that `zoo export` made"
        ) from error


def _public(config: TrainConfig) -> TrainConfig:
    """``config`` without the path of a folder."""
    return replace(config, source=public_source(config.source))


@contextlib.contextmanager
def _refusing(what: str, remedy: str) -> Iterator[None]:
    """Turn every error inside into a CheckpointError "WHAT: ...; REMEDY"."""
    try:
        yield
    except GanError as error:
        raise CheckpointError(f"{what}: {bundle_check.short(error)}; {remedy}") from error


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # no compression: weights hardly shrink, and each version of zlib gives other bytes
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name)  # its date is 1980-01-01
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, files[name])
    return buffer.getvalue()


def _unzipped(content: bytes) -> dict[str, bytes]:
    """The four files of a bundle."""
    require(
        len(content) <= MAX_BYTES, f"it is larger than the {MAX_BYTES:,} bytes a bundle may have"
    )
    page = " but a web page" if content[:64].lstrip()[:1] == b"<" else ""
    require(content.startswith(zips.STARTS), f"it is not a bundle{page}")
    name = "the zip"
    files = {}
    try:
        with zips.open_zip(content, _MOST_ENTRIES) as archive:
            members = archive.infolist()
            names = sorted(member.filename for member in members)
            require(
                names == sorted(MEMBERS),
                f"it holds {reprlib.repr(names)}, not exactly {', '.join(MEMBERS)}",
            )
            for member in members:
                name = member.filename
                limit = zips.InflateLimit(MEMBERS[name])
                files[name] = zips.read_member(archive, member, limit)
    except zips.ZipError as error:
        raise CheckpointError(f"{name} {error}") from error
    return files


def _with_config(path: Path, config: TrainConfig) -> bytes:
    """The model file at ``path`` with another configuration."""
    tensors, info = tensor_files.load_tensors(path, model_file.MODEL_KIND)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / WEIGHTS
        info["config"] = config.to_dict()
        tensor_files.save_tensors(file, model_file.MODEL_KIND, tensors, info)
        return file.read_bytes()


def _place(files: dict[str, bytes], entry: dict[str, Any], folder: Path) -> None:
    """Write all files into a hidden folder and move them in one step, so that no reader meets half of
    them."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=".import-", ignore_cleanup_errors=True
        ) as hidden:
            whole = Path(hidden) / folder.name
            for name in (WEIGHTS, FILM, EVIDENCE):
                file_system.write_atomically(whole / name, files[name])
            file_system.write_json(whole / MANIFEST, {"version": 1, "models": [entry]})
            try:
                whole.rename(folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process imported the same bundle
                    raise
    except OSError as error:
        raise CheckpointError(
            f"{folder} could not be written ({error}); free some space or choose another folder"
        ) from error


def _installed(files: dict[str, bytes], entry: dict[str, Any], folder: Path) -> ModelCard:
    """The card of the model in ``folder``. CheckpointError if it is not the one of ``entry``: all but
    the provenance must agree, which says when it came and from whom."""
    remedy = "remove that folder and import the file again"
    try:
        (card,) = read_manifest(folder)
        open_model(card)
        evidence, film = load_evidence(card), card.film_path.read_bytes()
    except (CheckpointError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder} is there but damaged ({bundle_check.short(error)}); {remedy}"
        ) from error
    described = replace(card, provenance=entry["provenance"])
    sent = model_cards.card(folder, entry), json.loads(files[EVIDENCE]), files[FILM]
    same = (described, evidence, film) == sent
    require(same, f"{folder} holds these weights with other figures or files; {remedy}")
    return card
