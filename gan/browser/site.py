"""The app without a server: a folder of plain files that any browser opens, from a disk or from any web host.

    index.html          script, style, words and all that is known of the models, in one file
    files/<sha256>.js   weights (base64) and the stories of the films; the digest is that of what is inside
    files/<sha256>.png  films
    README.txt          how to open it, in both languages; by its first line an export is known

A page from a disk may not fetch the files beside it, nor import a script module, but it may run scripts and show
pictures; hence the layout (see gan/browser/js/shared/loading.js). What the pages' parts are told is what the app tells them
(`gan.browser.payload`, `gan.browser.film_payload`), and what runs there is the app's (`gan.browser.scripts`).

No picture of a data set is in it: films are drawn by generators.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import re
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan.browser import film_payload, payload, scripts
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
# what `gan.system.tensor_files` writes in, before it renames
_HALF = re.compile(rf"\.{_NAME.pattern}\..*\.tmp")
_STYLES = ("base", "playground", "charts", "film", "site")


@dataclass(frozen=True)
class Exported:
    """What an export amounts to: its files and their bytes, ``written`` of them anew, and its models."""

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
    """The models among ``cards`` that can be compared, of these sizes, recipes and budgets; None stands for all.
    ConfigError where one of them has no model, or nothing is left."""
    found = [
        card
        for table in compare.tables(compare.comparable(cards)).values()
        for card in table.values()
    ]
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
        raise ConfigError("no models to compare; restore pretrained/ or leave the choice wider")
    return found


def export(
    folder: Path,
    cards: Sequence[ModelCard],
    own: Sequence[ModelCard] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Writes the page of the comparison of ``cards`` (see `select`), in which each of ``own`` is a choice by itself.

    What is there already is not written again, so an export that was interrupted goes on, and files of an earlier
    export that this one does not need are removed; nobody else's are. ``on_progress(done, total)`` counts models.
    ConfigError where the folder holds something other than an earlier export; CheckpointError where a model cannot
    be read, or the folder cannot be written.
    """
    if not cards:
        raise ConfigError("an export without models to compare shows nothing; name some")
    _refuse_strangers(folder)
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


def _refuse_strangers(folder: Path) -> None:
    """ConfigError where something lies in the folder that no export wrote, and no export marks it as one."""
    advice = "name another folder, or empty this one"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is there and is no folder; name another")
    for name in (READ_ME, INDEX):
        path = folder / name
        if path.exists() and not _is_marked(path):
            raise ConfigError(f"{path} is there and is not from an export; {advice}")
    if (folder / READ_ME).exists() or not folder.exists():
        return
    # hidden ones belong to the system of a disk, or to git
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others:
        raise ConfigError(f"{folder} holds {others[0]}, which is not from an export; {advice}")


def _is_marked(path: Path) -> bool:
    try:
        return _MARK in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


@dataclass
class _Shelf:
    """The files of an export by name, with their bytes, and how many were not there yet."""

    folder: Path
    sizes: dict[str, int] = field(default_factory=dict)
    written: int = 0

    def put(self, name: str, content: bytes) -> None:
        """``content`` under ``name``, unless it is there. CheckpointError where it cannot be written."""
        path = self.folder / name
        self.sizes[name] = len(content)
        if _holds(path, content):
            return
        try:
            file_system.write_atomically(path, content)
        except CheckpointError as error:
            raise CheckpointError(
                f"the export into {self.folder} is not complete: {error}, and run the same command again: it goes "
                "on where it was"
            ) from error
        self.written += 1

    def put_script(self, digest: str, value: Any) -> dict[str, Any]:
        """What JSON can say, as the script that hands it to the page -> its ref."""
        content = f'ganFile("{digest}", {_json(value)});\n'.encode()
        return self._put_file(digest, "js", content)

    def put_picture(self, path: Path) -> dict[str, Any]:
        """A PNG -> its ref."""
        content = _read(path)
        return self._put_file(hashlib.sha256(content).hexdigest(), "png", content)

    def _put_file(self, digest: str, suffix: str, content: bytes) -> dict[str, Any]:
        name = f"{FILES}/{digest}.{suffix}"
        self.put(name, content)
        return {"id": digest, "url": name, "size": len(content)}

    def tidy(self) -> None:
        """Removes what earlier exports left: files that this one does not need, and half-written ones."""
        for path in sorted((self.folder / FILES).iterdir()):
            needed = f"{FILES}/{path.name}" in self.sizes
            if not needed and (_NAME.fullmatch(path.name) or _HALF.fullmatch(path.name)):
                with contextlib.suppress(OSError):  # it is in nobody's way
                    path.unlink()


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}); restore it") from error


def _json(value: Any) -> str:
    """Without NaN, and without anything that ends a script element; of ASCII, so that no host can take it for text
    of another encoding."""
    text = json.dumps(without_nan(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _model(shelf: _Shelf, card: ModelCard, alone: bool) -> dict[str, Any]:
    """All that the page says of a model; its files are put on the shelf. ``alone``: a choice by itself."""
    evidence = load_evidence(card)
    told = film_payload.film_payload(card, evidence)
    told_bytes = _json(told).encode()
    digest = hashlib.sha256(told_bytes).hexdigest()
    film = payload.film_cell(
        card, shelf.put_picture(card.film_path), shelf.put_script(digest, told)
    )
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
        "film": film,
        "place": payload.film_position(card, steps),
        "verdicts": payload.verdicts(card),
        "figures": payload.figures(card, reference) if digits else [],
        "protocol": payload.protocol(card, reference) if digits else None,
    }


@functools.cache
def _reference(test_images: int) -> classifier.Reference:
    return classifier.load_reference(test_images=test_images)


def _weights(shelf: _Shelf, path: Path, sha256: str | None) -> dict[str, Any]:
    """A weight file, which must have that digest where one is known -> its ref."""
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, digest):
        raise CheckpointError(
            f"{path} is not the file its manifest describes (sha256 {digest[:12]}..., expected "
            f"{str(sha256)[:12]}...); restore it"
        )
    return shelf.put_script(digest, base64.b64encode(content).decode()) | {"size": len(content)}


def _page(models: Sequence[dict[str, Any]], classifier_weights: dict[str, Any] | None) -> str:
    shown = {
        "words": scripts.words(),
        "models": list(models),
        "classifier": classifier_weights,
        "columns": list(payload.WALL_SIZES),
        "recipes": _in_order(RECIPES, (m["recipe"] for m in models if not m["alone"])),
        "budgets": _in_order(BUDGETS, (m["budget"] for m in models if not m["alone"])),
        "request": LatentRequest(Seeds(0), shifts=(0.0,) * payload.NUM_SHIFTS).to_dict(),
    }
    code = scripts.bundle_script("site")
    for forbidden in ("</script", "<!--"):
        assert forbidden not in code, f"{forbidden} in a script would end it early"
    template = string.Template(scripts.read("site.html"))
    words = scripts.words()
    return template.substitute(
        mark=_MARK,
        style=scripts.style(*_STYLES),
        data=_json(shown),
        script=code,
        title=words["en"]["site_title"],
        no_script=" ".join(words[language]["site_no_script"] for language in scripts.LANGUAGES),
    )


def _in_order(order: Iterable[str], present: Iterable[str]) -> list[str]:
    there = set(present)
    return [name for name in order if name in there]


def _read_me() -> str:
    words = scripts.words()
    parts = [_MARK, *(words[language]["site_read_me"] for language in scripts.LANGUAGES)]
    return "\n\n".join([*parts, _read(_LICENSE).decode()])
