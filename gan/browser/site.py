"""The app without a server: a folder of plain files that any browser opens, from a disk or from any web host.

    index.html          script, style, words and the facts about the models, in one file
    files/<sha256>.js   weights (base64) and film payloads; the digest is that of the content
    files/<sha256>.png  films
    README.txt          how to open it, in both languages; its first line identifies an export

A page opened from a disk cannot fetch the files beside it or import modules, but it can run scripts and show images;
hence this layout (see gan/browser/js/shared/loading.js). The scripts and their payloads are the same as in the app
(`gan.browser.scripts`, `gan.browser.payload`).

An export contains no image of a data set: films are drawn by generators.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan.browser import payload, scripts
from gan.config import BUDGETS, RECIPES
from gan.errors import CheckpointError, ConfigError
from gan.evaluation import classifier
from gan.networks.latent_request import LatentRequest, Seeds
from gan.system import files as file_system
from gan.system.files import without_nan
from gan.zoo import compare
from gan.zoo.cards import ModelCard, is_imported, load_evidence

INDEX, READ_ME, FILES = "index.html", "README.txt", "files"
_MARK = "GAN: how much data does a GAN need? (exported page)"
_LICENSE = Path(__file__).resolve().parents[2] / "LICENSE"
_NAME = re.compile(r"[0-9a-f]{64}\.(js|png)")
# temporary files of `gan.system.files.write_atomically`
_HALF = re.compile(rf"\.{_NAME.pattern}\..*\.tmp")
_STYLES = ("base", "playground", "charts", "film", "site")


@dataclass(frozen=True)
class Exported:
    """The size of an export: number of files, their bytes, files ``written`` this time, and models."""

    files: int
    bytes: int
    written: int
    models: int


def select(
    cards: Sequence[ModelCard],
    sizes: Sequence[int] | None = None,
    recipes: Sequence[str] | None = None,
    budgets: Sequence[str] | None = None,
) -> list[ModelCard]:
    """The comparable models among ``cards`` with these sizes, recipes and budgets; None stands for all. ConfigError if
    one of the values has no model, or if no model is left."""
    tables = compare.tables(compare.comparable(cards)).values()
    found = [card for table in tables for card in table.values()]
    for name, wanted in (("size", sizes), ("recipe", recipes), ("budget", budgets)):
        if wanted is None:
            continue
        there = {getattr(card, name) for card in found}
        absent = [value for value in wanted if value not in there]
        if absent or not wanted:
            known = ", ".join(str(value) for value in sorted(there)) or "none"
            raise ConfigError(
                f"no model of {name} {absent[0] if absent else ''}; there are: {known}"
            )
        found = [card for card in found if getattr(card, name) in wanted]
    if not found:
        raise ConfigError("no models to compare; restore pretrained/ or choose more")
    return found


def export(
    folder: Path,
    cards: Sequence[ModelCard],
    own: Sequence[ModelCard] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Writes the page that compares ``cards`` (see `select`) and also offers each of ``own`` by itself.

    Files that exist already are not written again, so an interrupted export continues. Files of an earlier export that
    this one does not need are removed, but no other files. ``on_progress(done, total)`` counts models. ConfigError if
    the folder contains anything but an earlier export; CheckpointError if a model cannot be read or the folder cannot
    be written.
    """
    if not cards:
        raise ConfigError("an export needs at least one model to compare; choose some")
    _require_own_folder(folder)
    shelf = _Shelf(folder)
    shelf.put(READ_ME, _read_me().encode())
    models: list[dict[str, Any]] = []
    for card in (*cards, *own):
        models.append(_model(shelf, card, alone=len(models) >= len(cards)))
        if on_progress is not None:
            on_progress(len(models), len(cards) + len(own))
    digits = any(model["digits"] for model in models)
    weights = _weights(shelf, classifier.weights_file("classifier"), None) if digits else None
    shelf.put(INDEX, _page(models, weights).encode())
    shelf.tidy()
    return Exported(len(shelf.sizes), sum(shelf.sizes.values()), shelf.written, len(models))


def _require_own_folder(folder: Path) -> None:
    """ConfigError if the folder contains files and is not marked as an export."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} exists and is not a folder; name another")
    # hidden files belong to the operating system or to git
    names = sorted(path.name for path in folder.glob("[!.]*"))
    for name in names:
        foreign = name in (READ_ME, INDEX) and not _is_marked(folder / name)
        if foreign or READ_ME not in names:
            raise ConfigError(
                f"{folder} holds {name}, which is not from an export; name another folder, or empty this one"
            )


def _is_marked(path: Path) -> bool:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return _MARK in path.read_text(encoding="utf-8")
    return False


@dataclass
class _Shelf:
    """The files of an export: name -> bytes, and how many had to be written."""

    folder: Path
    sizes: dict[str, int] = field(default_factory=dict)
    written: int = 0

    def put(self, name: str, content: bytes) -> None:
        """Writes ``content`` unless the file has it already. CheckpointError if it cannot be written."""
        path = self.folder / name
        self.sizes[name] = len(content)
        if _has_content(path, content):
            return
        try:
            file_system.write_atomically(path, content)
        except CheckpointError as error:
            raise CheckpointError(
                f"the export into {self.folder} is not complete: {error}, and run the same command again to continue"
            ) from error
        self.written += 1

    def put_script(self, digest: str, value: Any) -> dict[str, Any]:
        """Puts a JSON value into a script that passes it to the page; returns its ref."""
        content = f'ganFile("{digest}", {_json(value)});\n'.encode()
        return self._put_file(digest, "js", content)

    def put_image(self, path: Path) -> dict[str, Any]:
        """Copies a PNG; returns its ref."""
        content = _read(path)
        return self._put_file(hashlib.sha256(content).hexdigest(), "png", content)

    def _put_file(self, digest: str, suffix: str, content: bytes) -> dict[str, Any]:
        name = f"{FILES}/{digest}.{suffix}"
        self.put(name, content)
        return {"id": digest, "url": name, "size": len(content)}

    def tidy(self) -> None:
        """Removes files of earlier exports that this one does not need, and temporary files."""
        for path in sorted((self.folder / FILES).iterdir()):
            needed = f"{FILES}/{path.name}" in self.sizes
            if not needed and (_NAME.fullmatch(path.name) or _HALF.fullmatch(path.name)):
                with contextlib.suppress(OSError):  # harmless if it stays
                    path.unlink()


def _has_content(path: Path, content: bytes) -> bool:
    with contextlib.suppress(OSError):
        return path.read_bytes() == content
    return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}); restore it") from error


def _json(value: Any) -> str:
    """JSON without NaN and without anything that ends a script element; ASCII, so that the encoding a host declares
    does not matter."""
    text = json.dumps(without_nan(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _model(shelf: _Shelf, card: ModelCard, alone: bool) -> dict[str, Any]:
    """The page's facts about a model, whose files are put on the shelf. ``alone``: not part of the comparison."""
    evidence = load_evidence(card)
    run = payload.film_payload(card, evidence)
    run_file = shelf.put_script(hashlib.sha256(_json(run).encode()).hexdigest(), run)
    steps = [moment["step"] for moment in evidence["moments"]]
    digits = card.metrics.digits
    reference = _reference(card.metrics.test_images)
    continued = card.provenance.get("continued_from")
    return {
        "name": card.name,
        "alone": alone,
        "recipe": card.recipe,
        "size": card.size,
        "budget": card.budget,
        "snapshot": card.snapshot,
        "step": card.step,
        "seed": card.seed,
        "source": card.source.partition(":")[0],
        "imported": is_imported(card),
        "continued": continued[-1]["step"] if continued else None,
        "digits": digits,
        "cell": payload.cell(card, _weights(shelf, card.path, card.sha256)),
        "film": payload.film_cell(card, shelf.put_image(card.film_path), run_file),
        "place": payload.film_position(card, steps),
        "verdicts": payload.verdicts(card),
        "figures": payload.figures(card, reference) if digits else [],
        "protocol": payload.protocol(card, reference) if digits else None,
    }


@functools.cache
def _reference(test_images: int) -> classifier.Reference:
    return classifier.load_reference(test_images=test_images)


def _weights(shelf: _Shelf, path: Path, sha256: str | None) -> dict[str, Any]:
    """Puts a weight file on the shelf, which must have that digest if it is given; returns its ref."""
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, digest):
        raise CheckpointError(
            f"{path} is not the file its manifest describes (sha256 {digest[:12]}..., expected "
            f"{str(sha256)[:12]}...); restore it"
        )
    return shelf.put_script(digest, base64.b64encode(content).decode()) | {"size": len(content)}


def _page(models: Sequence[dict[str, Any]], classifier_weights: dict[str, Any] | None) -> str:
    words = scripts.words()
    compared = [model for model in models if not model["alone"]]
    data = {
        "words": words,
        "models": list(models),
        "classifier": classifier_weights,
        "columns": list(payload.WALL_SIZES),
        "recipes": [name for name in RECIPES if any(m["recipe"] == name for m in compared)],
        "budgets": [name for name in BUDGETS if any(m["budget"] == name for m in compared)],
        "request": LatentRequest(Seeds(0), shifts=(0.0,) * payload.NUM_SHIFTS).to_dict(),
    }
    code = scripts.bundle_script("site")
    for forbidden in ("</script", "<!--"):
        assert forbidden not in code, f"{forbidden} would end the script element early"
    return string.Template(scripts.read("site.html")).substitute(
        mark=_MARK,
        style=scripts.style(*_STYLES),
        data=_json(data),
        script=code,
        title=words["en"]["site_title"],
        no_script=" ".join(table["site_no_script"] for table in words.values()),
    )


def _read_me() -> str:
    words = scripts.words()
    parts = [_MARK, *(table["site_read_me"] for table in words.values())]
    return "\n\n".join([*parts, _read(_LICENSE).decode()])
