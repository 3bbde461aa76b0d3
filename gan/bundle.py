"""A model as one file that can be carried elsewhere; opened as if a stranger had made it.

A bundle is a zip of exactly four files, stored as they are:

    evidence.json       the curves and moments of the run
    film.png            what the same latents gave at each moment
    manifest.json       the model's one entry, as a zoo has it (`gan.zoo`), and the version 1
    model.safetensors   the weights, with their configuration

**What leaves the house.** The weights, the settings, the figures, the curves, the film, the name of the
model, and of where it comes from only `TRAVELS`: machine, duration, versions. Of a folder of pictures
its last part is told, not the path. The command stays at home, for it names files.

**What comes in** is refused unless all of it is what a run of ours writes, before anything is written
where others look. The figures of an imported model are what its file says; nobody measured them here
(`gan.zoo.is_imported`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import reprlib
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import torch
from PIL import Image
from torch import Tensor

from gan import checkpoint, data, evaluation, judge, models, run, stacked, zoo
from gan.collapse import Kind
from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError, DataError, GanError

EVIDENCE, FILM, MANIFEST, WEIGHTS = (
    "evidence.json",
    "film.png",
    run.MANIFEST,
    "model.safetensors",
)
#: What a bundle holds, and the most bytes each file may have once it is inflated.
MEMBERS = {EVIDENCE: 2_000_000, FILM: 20_000_000, MANIFEST: 1_000_000, WEIGHTS: 100_000_000}
MAX_BYTES = 100_000_000
MAX_PARAMETERS = 50_000_000
SNAPSHOTS = ("final", "best")
#: Of a model's provenance: what is told to others.
TRAVELS = (
    "device",
    "precision",
    "seconds",
    "together",
    "finished",
    "commit",
    "torch",
    "python",
    "platform",
)
#: The figures that pages show; a later version may have more.
FIGURES = (
    "legible",
    "fd",
    "precision",
    "recall",
    "density",
    "coverage",
    "vendi",
    "spread",
    "contrast",
)
_SHARES = ("legible", "precision", "recall", "coverage")
_MOST = 1e12  # no figure, loss or count of ours is larger
_NO_LESS = -1e-6  # a divergence of nearly 0, rounded
_CHUNK = 1 << 16
_END = struct.Struct("<4s4H2LH")  # the last bytes of a zip: what it holds, and where the list is
_ZIP64 = b"PK\x06\x07"


@dataclass(frozen=True)
class _Opened:
    """A model that has been checked: its entry in a manifest, and the contents of its files."""

    entry: dict[str, Any]
    evidence: dict[str, Any]
    weights: bytes
    film: bytes


def pack(card: zoo.ModelCard) -> bytes:
    """The model behind ``card`` as one file. The same model gives the same bytes, on any machine.

    CheckpointError where its files are missing, altered, or not what `install` would take.
    """
    zoo.open_model(card)
    evidence = zoo.load_evidence(card)
    config = replace(card.config, source=public_source(card.config.source))
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
    imported = zoo.is_imported(card)
    entry = {
        "name": card.provenance.get("imported_name", card.name) if imported else card.name,
        "snapshot": card.snapshot,
        "step": card.step,
        "file": WEIGHTS,
        "sha256": digest,
        "bytes": len(weights),
        "evidence": EVIDENCE,
        "film": FILM,
        "config": config.to_dict(),
        "provenance": _told(card.provenance),
        "evaluation": card.metrics.to_dict(),
        "seeds": list(card.seed_rows),
    }
    files = {
        EVIDENCE: _json(evidence),
        FILM: film,
        MANIFEST: _json({"version": 1, "models": [entry]}),
        WEIGHTS: weights,
    }
    with _refusing(f"{card.name} cannot be exported", "train the model anew"):
        for name, content in files.items():
            _bounded(name, len(content))
        _checked(files)
        packed = _zipped(files)
        _require(len(packed) <= MAX_BYTES, f"it would be larger than {MAX_BYTES:,} bytes")
    return packed


def install(content: bytes, runs: Path = zoo.RUNS) -> zoo.ModelCard:
    """The model of a bundle as a folder of its own below ``runs``; its card.

    The folder is named after the weights, so the same bundle again changes nothing and gives the same
    card. CheckpointError, and nothing is written, where anything in the bundle is not as it should be.
    """
    remedy = "ask for the file again; it is made with: python -m gan zoo export NAME FILE"
    with _refusing("this file cannot be imported", remedy):
        opened = _checked(_unzipped(content))
    entry = opened.entry
    folder = Path(runs) / f"import-{entry['sha256'][:12]}-{entry['snapshot']}"
    told = {
        key: value
        for key, value in entry["provenance"].items()
        if key in (*TRAVELS, "continued_from")
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
    told = {key: provenance[key] for key in TRAVELS if key in provenance}
    before = [
        {**note, "config": {**note["config"], "source": public_source(note["config"]["source"])}}
        for note in provenance.get("continued_from", ())
    ]
    return told | ({"continued_from": before} if before else {})


def public_source(source: str) -> str:
    """``source`` as others may see it: of a folder its last part only."""
    kind, colon, rest = source.partition(":")
    if kind != "folder":
        return source
    parts = [part for part in re.split(r"[/\\]", rest) if part not in ("", ".", "..")]
    return f"{kind}{colon}{parts[-1] if parts else 'pictures'}"


# --- refusing ------------------------------------------------------------------------------


@contextlib.contextmanager
def _refusing(what: str, remedy: str) -> Iterator[None]:
    """One sentence of one form for all that is wrong inside."""
    try:
        yield
    except GanError as error:
        raise CheckpointError(f"{what}: {error}; {remedy}") from error


def _require(condition: bool, told: str) -> None:
    if not condition:
        raise CheckpointError(told)


def _cause(error: BaseException, folder: str = "") -> str:
    """What an error says, in short, without the remedy and the folder that fit another place."""
    text = str(error).replace(f"{folder}{os.sep}", "") if folder else str(error)
    text = "".join(c if c.isprintable() else " " for c in text.partition("; ")[0])
    return text if len(text) <= 200 else f"{text[:200]}..."


def _bounded(name: str, size: int) -> None:
    _require(
        size <= MEMBERS[name],
        f"{name} has more than the {MEMBERS[name]:,} bytes it may have",
    )


# --- zip -----------------------------------------------------------------------------------


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
    """The four files of a bundle. What a header says of a size is not relied on."""
    _require(
        len(content) <= MAX_BYTES, f"it is larger than the {MAX_BYTES:,} bytes a bundle may have"
    )
    page = " but a web page" if content[:64].lstrip()[:1] == b"<" else ""
    _require(content[:4] == b"PK\x03\x04", f"it is not a bundle{page}")
    _check_end(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            names = sorted(member.filename for member in members)
            _require(
                names == sorted(MEMBERS),
                f"it holds {_shown(names)}, where exactly {', '.join(MEMBERS)} belong",
            )
            for member in members:
                _require(not member.flag_bits & 1, f"{member.filename} is encrypted")
                _require(
                    member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
                    f"{member.filename} is packed in a way that is not read here",
                )
            return {member.filename: _inflated(archive, member) for member in members}
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        RuntimeError,
        ValueError,
        EOFError,
        OSError,
    ) as error:
        raise CheckpointError(f"the zip is damaged ({_cause(error)})") from error


def _check_end(content: bytes) -> None:
    """The list of members must be short and stand at the end: a list of millions costs gigabytes to
    read, before any of its names can be looked at."""
    end = len(content) - _END.size
    whole = end >= 0 and content[end : end + 4] == b"PK\x05\x06"
    _require(whole, "the zip is cut off at its end, or has something behind it")
    _, disk, first, here, total, size, offset, _ = _END.unpack_from(content, end)
    simple = disk == first == 0 and here == total and content[end - 20 : end - 16] != _ZIP64
    _require(simple and size <= 4_096 and offset + size == end, "the zip's list is not of 4 files")


def _inflated(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    parts, size = [], 0
    with archive.open(member) as file:
        while part := file.read(_CHUNK):
            size += len(part)
            _bounded(member.filename, size)
            parts.append(part)
    return b"".join(parts)


# --- JSON ----------------------------------------------------------------------------------


def _parsed(name: str, content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not readable JSON ({_cause(error)})") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _shown(value: Any) -> str:
    """``value`` in a few words, however large and deep it is."""
    return reprlib.repr(value)


def _object(
    value: Any, where: str, names: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """``value``, if it is an object with these keys."""
    _require(isinstance(value, dict), f"{where} is {_shown(value)}, where an object belongs")
    missing = sorted(set(names) - set(value))
    _require(not missing, f"{where} lacks {', '.join(missing)}")
    unknown = sorted(set(value) - set(names) - set(optional))
    _require(not unknown, f"{where} has {_shown(unknown)}, which this version does not know")
    return value


def _list(value: Any, where: str, least: int, most: int) -> list[Any]:
    _require(
        isinstance(value, list) and least <= len(value) <= most,
        f"{where} is {_shown(value)}, where a list of {least:,} to {most:,} belongs",
    )
    return value


def _number(value: Any, where: str, low: float = -_MOST, high: float = _MOST) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    _require(good, f"{where} is {_shown(value)}, where a number from {low:g} to {high:g} belongs")


def _whole(value: Any, where: str, low: int = 0, high: int = int(_MOST)) -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    _require(
        good, f"{where} is {_shown(value)}, where a whole number from {low:,} to {high:,} belongs"
    )


def _text(value: Any, where: str, most: int = 200) -> None:
    good = isinstance(value, str) and 1 <= len(value) <= most and value.isprintable()
    _require(
        good, f"{where} is {_shown(value)}, where 1 to {most} characters that can be printed belong"
    )


def _one_of(value: Any, where: str, known: Collection[str]) -> None:
    _require(
        isinstance(value, str) and value in known,
        f"{where} is {_shown(value)}, where one of {', '.join(known)} belongs",
    )


def _rising(values: list[Any], where: str, high: int) -> None:
    """Numbers of updates, each larger than the one before."""
    last = 0
    for value in values:
        _whole(value, where, last + 1, high)
        last = value


# --- checking ------------------------------------------------------------------------------


def _checked(files: dict[str, bytes]) -> _Opened:
    """The model in these files, all of which were looked at. CheckpointError says what is wrong."""
    manifest = _object(_parsed(MANIFEST, files[MANIFEST]), MANIFEST, ("version", "models"))
    _require(
        manifest["version"] == 1,
        f"{MANIFEST} has version {_shown(manifest['version'])}, this program reads version 1",
    )
    (entry,) = _list(manifest["models"], "models", 1, 1)
    config = _check_entry(entry)
    weights = files[WEIGHTS]
    found = hashlib.sha256(weights).hexdigest()
    _require(
        found == entry["sha256"] and len(weights) == entry["bytes"],
        f"{WEIGHTS} is not the file that {MANIFEST} describes (sha256 {found[:12]}..., "
        f"{len(weights):,} bytes)",
    )
    evidence = _parsed(EVIDENCE, files[EVIDENCE])
    moments = _check_evidence(evidence, config.total_updates)
    _check_film(files[FILM], moments, config.model.img_size)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            try:
                _check_folder(Path(folder), config, entry["step"], moments)
            except GanError as error:
                raise CheckpointError(_cause(error, folder)) from error
    except OSError as error:
        raise CheckpointError(f"there is no room to look into it ({_cause(error)})") from error
    # every setting written out: a default that is relied on may be another one tomorrow
    return _Opened({**entry, "config": config.to_dict()}, evidence, weights, files[FILM])


def _check_entry(entry: Any) -> TrainConfig:
    """Everything in a manifest's entry; its configuration. Nothing large is allocated."""
    _object(
        entry,
        "the model",
        (
            "name",
            "snapshot",
            "step",
            "file",
            "sha256",
            "bytes",
            "evidence",
            "film",
            "config",
            "provenance",
            "evaluation",
            "seeds",
        ),
    )
    _text(entry["name"], "name")
    _one_of(entry["snapshot"], "snapshot", SNAPSHOTS)
    for key, name in (("file", WEIGHTS), ("evidence", EVIDENCE), ("film", FILM)):
        _one_of(entry[key], key, (name,))
    config = _config(entry["config"], "config")
    _whole(entry["step"], "step", 1, config.total_updates)
    provenance = entry["provenance"]
    _require(
        isinstance(provenance, dict) and len(provenance) <= 50,
        f"provenance is {_shown(provenance)}, where an object of at most 50 entries belongs",
    )
    for note in _list(provenance.get("continued_from", []), "provenance.continued_from", 0, 20):
        found = _object(note, "provenance.continued_from", ("config", "step"))
        _config(found["config"], "provenance.continued_from.config")
        _whole(found["step"], "provenance.continued_from.step")
    for key, value in provenance.items():
        if key == "continued_from":
            continue
        where = f"provenance.{_shown(key)}"
        _text(key, "a name in provenance", 50)
        if key in ("seconds", "together"):
            _number(value, where, 0.0)
        elif isinstance(value, str) or key in TRAVELS:
            _text(
                " " if value == "" else value, where, 500
            )  # nothing may be known, as of the commit
        elif value is not None:
            _number(int(value) if isinstance(value, bool) else value, where)
    _check_evaluation(entry["evaluation"], f"test{run.reference_images(config)}")
    rows = _list(entry["seeds"], "seeds", 1, 1_000)
    for row in rows:
        _check_row(row)
    _require(
        any(row["seed"] == config.seed for row in rows),
        f"seeds has no row of the model's own seed {config.seed}",
    )
    return config


def _config(values: Any, where: str) -> TrainConfig:
    """The configuration, if networks of that size can be opened here."""
    _require(isinstance(values, dict), f"{where} is {_shown(values)}, where settings belong")
    try:
        config = TrainConfig.from_dict(values)
        data.parse_source(config.source)
    except (ConfigError, DataError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{where} cannot work: {_cause(error)}") from error
    _text(config.source, f"{where}.source")
    _require(
        config.source == public_source(config.source),
        f"{where}.source is {_shown(config.source)}, where no path belongs",
    )
    with torch.device("meta"):  # counts without allocating
        count = models.count_parameters(models.Generator(config.model))
    _require(
        count <= MAX_PARAMETERS,
        f"{where} is of a network of {count:,} parameters, more than {MAX_PARAMETERS:,}",
    )
    return config


def _check_evaluation(value: Any, reference: str) -> None:
    names = ("judge", "reference", "samples", "counts", "figures", "copies")
    found = _object(value, "evaluation", names, ("modes", "digits"))
    if not isinstance(found.get("digits", True), bool):
        raise CheckpointError(
            f"evaluation.digits is {_shown(found['digits'])}, where true or false belongs"
        )
    _one_of(found["judge"], "evaluation.judge", judge.JUDGES)
    _one_of(found["reference"], "evaluation.reference", (reference,))
    _whole(found["samples"], "evaluation.samples", 1)
    for count in _list(found["counts"], "evaluation.counts", 10, 10):
        _whole(count, "evaluation.counts")
    _require(
        sum(found["counts"]) <= found["samples"],
        f"evaluation.counts has {sum(found['counts']):,} digits of {found['samples']:,} samples",
    )
    figures = found["figures"]
    _require(
        isinstance(figures, dict) and set(FIGURES) <= set(figures) and len(figures) <= 30,
        f"evaluation.figures is {_shown(figures)}, where {', '.join(FIGURES)} belong",
    )
    for name, figure in figures.items():
        _text(name, "a name in evaluation.figures", 30)
        where = f"evaluation.figures.{name}"
        _object(figure, where, ("value", "spread", "n", "draws"))
        _number(figure["value"], f"{where}.value", 0.0, 1.0 if name in _SHARES else _MOST)
        _number(figure["spread"], f"{where}.spread", 0.0)
        _whole(figure["n"], f"{where}.n", 1)
        _whole(figure["draws"], f"{where}.draws", 1)
    if found["copies"] is not None:
        where, shares = "evaluation.copies", ("closer_share", "copied_share")
        copies = _object(found["copies"], where, (*shares, "n", "m", "baseline_n"))
        for name, number in copies.items():
            if name in shares:
                _number(number, f"{where}.{name}", 0.0, 1.0)
            else:
                _whole(number, f"{where}.{name}", 1)
    if found.get("modes") is not None:
        where = "evaluation.modes"
        modes = _object(found["modes"], where, ("modes", "kl", "legible", "n"))
        _whole(modes["modes"], f"{where}.modes", 0, stacked.MODES)
        _number(modes["kl"], f"{where}.kl", _NO_LESS)
        _number(modes["legible"], f"{where}.legible", 0.0, 1.0)
        _whole(modes["n"], f"{where}.n", 1)


def _check_row(value: Any) -> None:
    names = ("seed", "legible", "fd", "coverage", "verdicts", "seconds")
    row = _object(value, "a row of seeds", names, ("modes", "kl"))
    _whole(row["seed"], "seeds.seed")
    for name in ("legible", "coverage"):
        _number(row[name], f"seeds.{name}", 0.0, 1.0)
    for name in ("fd", "seconds", "kl"):
        if name in row:
            _number(row[name], f"seeds.{name}", _NO_LESS)
    if "modes" in row:
        _whole(row["modes"], "seeds.modes", 0, stacked.MODES)
    for kind in _list(row["verdicts"], "seeds.verdicts", 1, 4):
        _one_of(kind, "seeds.verdicts", get_args(Kind))


def _check_evidence(value: Any, updates: int) -> int:
    """Curves and moments; the number of moments."""
    found = _object(value, EVIDENCE, ("curves", "moments"))
    curves = found["curves"]
    _require(
        isinstance(curves, dict) and set(zoo.CURVES) <= set(curves) and len(curves) <= 30,
        f"the curves in {EVIDENCE} are {_shown(curves)}, where {', '.join(zoo.CURVES)} belong",
    )
    length = len(_list(curves["step"], "curves.step", 1, 1_000))
    for name, values in curves.items():
        _text(name, "the name of a curve", 30)
        for number in _list(values, f"curves.{name}", length, length):
            # not measured, where too few images were held out
            if number is not None or name != "prob_held_out":
                _number(number, f"curves.{name}")
    _rising(curves["step"], "curves.step", updates)
    moments = _list(found["moments"], "moments", 1, 200)
    for moment in moments:
        _object(moment, "a moment", ("step", "counts", "fd", "spread"), ("contrast",))
        for count in _list(moment["counts"], "moments.counts", 10, 10):
            _whole(count, "moments.counts")
        _number(moment["fd"], "moments.fd", 0.0)
        _number(moment["spread"], "moments.spread", 0.0)
        if moment.get("contrast") is not None:
            _number(moment["contrast"], "moments.contrast", 0.0)
    _rising([moment["step"] for moment in moments], "moments.step", updates)
    return len(moments)


def _check_film(content: bytes, moments: int, side: int) -> None:
    """A PNG of the one size that fits, which is read before a pixel is decoded."""
    _require(content[:8] == b"\x89PNG\r\n\x1a\n", f"{FILM} is not a PNG picture")
    width, height = run.FILM_LATENTS * side, moments * side
    told = f"{FILM} is not the {width} x {height} pixels of {moments} moments"
    _require(content[16:24] == struct.pack(">II", width, height), told)
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            _require(picture.size == (width, height), told)  # a second header could say another
            picture.load()
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise CheckpointError(f"{FILM} cannot be decoded ({_cause(error)})") from error


def _check_folder(folder: Path, config: TrainConfig, step: int, moments: int) -> None:
    """The four files as everybody else will open them."""
    _check_weights(folder / WEIGHTS, config, step)
    (card,) = zoo.read_manifest(folder)
    generator = zoo.open_model(card).generator
    zoo.load_evidence(card)
    zoo.load_film(card, moments)
    try:
        card.metrics.verdicts()
    except (ArithmeticError, ValueError) as error:
        raise CheckpointError(f"no verdict follows from evaluation ({_cause(error)})") from error
    pictures = evaluation.sample_images(generator, config.model.latent_dim, 0, run.FILM_LATENTS)
    _require(bool(torch.isfinite(pictures).all()), f"{WEIGHTS} draws pictures that are no numbers")


def _check_weights(path: Path, config: TrainConfig, step: int) -> None:
    """The tensors of a file, before a network is made: one of its own configuration might be huge."""
    try:
        tensors, info = checkpoint.load_tensors(path, run.MODEL_KIND)
    except (TypeError, RecursionError) as error:
        raise CheckpointError(f"{WEIGHTS} is damaged ({_cause(error)})") from error
    _object(info, f"the text in {WEIGHTS}", ("kind", "config", "step"))
    same = _config(info["config"], f"the configuration in {WEIGHTS}") == config
    _require(
        same and info["step"] == step, f"{WEIGHTS} is of another training than {MANIFEST} says"
    )
    with torch.device("meta"):
        expected = models.Generator(config.model).state_dict()
    names = {f"generator.{name}" for name in expected} | {"directions", "strengths"}
    _require(set(tensors) == names, f"{WEIGHTS} belongs to another network")
    for name, tensor in tensors.items():
        _check_tensor(name, tensor, expected.get(name.removeprefix("generator.")))


def _check_tensor(name: str, tensor: Tensor, expected: Tensor | None) -> None:
    counted = expected is not None and not expected.is_floating_point()
    kinds = (torch.int64,) if counted else (torch.float16, torch.float32)
    _require(tensor.dtype in kinds, f"{WEIGHTS} holds {name} as {tensor.dtype}")
    _require(
        bool(torch.isfinite(tensor).all())
        and not (name.endswith("running_var") and bool((tensor < 0).any())),
        f"{WEIGHTS} holds values in {name} that cannot be",
    )


# --- writing -------------------------------------------------------------------------------


def _with_config(path: Path, config: TrainConfig) -> bytes:
    """The weights at ``path`` under another configuration."""
    tensors, info = checkpoint.load_tensors(path, run.MODEL_KIND)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / WEIGHTS
        told = {"config": config.to_dict(), "step": info["step"]}
        checkpoint.save_tensors(file, run.MODEL_KIND, tensors, told)
        return file.read_bytes()


def _place(opened: _Opened, folder: Path) -> None:
    """Writes a folder whole, under another name first: a reader meets all of it or nothing."""
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".import-"))
        checkpoint.write_atomically(temporary / WEIGHTS, opened.weights)
        checkpoint.write_atomically(temporary / FILM, opened.film)
        checkpoint.write_json(temporary / EVIDENCE, opened.evidence)
        checkpoint.write_json(temporary / MANIFEST, {"version": 1, "models": [opened.entry]})
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


def _installed(opened: _Opened, folder: Path) -> zoo.ModelCard:
    """The card of the model in ``folder``, which must be the one that was opened."""
    remedy = "remove that folder and import the file again"
    try:
        cards = zoo.read_manifest(folder)
        same = len(cards) == 1 and _same(opened, cards[0])
        if same:
            zoo.open_model(cards[0])
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder} is there but damaged ({_cause(error)}); {remedy}"
        ) from error
    _require(same, f"{folder} holds these weights with other figures or files; {remedy}")
    return cards[0]


def _same(opened: _Opened, card: zoo.ModelCard) -> bool:
    """Whether all but name and provenance agree, which say when and from whom it came."""
    entry = opened.entry
    return (
        card.sha256 == entry["sha256"]
        and card.step == entry["step"]
        and card.config == TrainConfig.from_dict(entry["config"])
        and card.metrics == evaluation.Evaluation.from_dict(entry["evaluation"])
        and list(card.seed_rows) == entry["seeds"]
        and zoo.load_evidence(card) == opened.evidence
        and card.film_path.is_file()
        and card.film_path.read_bytes() == opened.film
    )
