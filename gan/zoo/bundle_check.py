"""Checks of a model file that comes from elsewhere."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import reprlib
import struct
import tempfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from PIL import Image
from torch import Tensor

from gan.config import TrainConfig
from gan.data import sources
from gan.errors import CheckpointError, ConfigError, DataError, GanError
from gan.evaluation import classifier, evaluate
from gan.evaluation import modes as digit_modes
from gan.evaluation.verdict import Kind
from gan.networks import dcgan
from gan.runs import manifest as run_manifest
from gan.runs import model_file, monitor
from gan.runs.names import reference_images
from gan.system import tensor_files
from gan.zoo import cards

EVIDENCE, FILM, MANIFEST, WEIGHTS = (
    "evidence.json",
    "film.png",
    run_manifest.MANIFEST,
    "model.safetensors",
)
#: What a bundle holds, and the most bytes each file may have once it is inflated.
MEMBERS = {EVIDENCE: 2_000_000, FILM: 20_000_000, MANIFEST: 1_000_000, WEIGHTS: 100_000_000}
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


@dataclass(frozen=True)
class Opened:
    """A model that has been checked: its entry in a manifest, and the contents of its files."""

    entry: dict[str, Any]
    evidence: dict[str, Any]
    weights: bytes
    film: bytes


def public_source(source: str) -> str:
    """``source`` as others may see it: of a folder its last part only."""
    kind, colon, rest = source.partition(":")
    if kind != "folder":
        return source
    parts = [part for part in re.split(r"[/\\]", rest) if part not in ("", ".", "..")]
    return f"{kind}{colon}{parts[-1] if parts else 'pictures'}"


def require(condition: bool, told: str) -> None:
    if not condition:
        raise CheckpointError(told)


def cause(error: BaseException, folder: str = "") -> str:
    """What an error says, in short, without the remedy and the folder that fit another place."""
    text = str(error).replace(f"{folder}{os.sep}", "") if folder else str(error)
    text = "".join(c if c.isprintable() else " " for c in text.partition("; ")[0])
    return text if len(text) <= 200 else f"{text[:200]}..."


def bounded(name: str, size: int) -> None:
    require(
        size <= MEMBERS[name],
        f"{name} has more than the {MEMBERS[name]:,} bytes it may have",
    )


def _parsed(name: str, content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not readable JSON ({cause(error)})") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def shown(value: Any) -> str:
    """``value`` in a few words, however large and deep it is."""
    return reprlib.repr(value)


def require_object(
    value: Any, where: str, names: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """``value``, if it is an object with these keys."""
    require(isinstance(value, dict), f"{where} is {shown(value)}, where an object belongs")
    missing = sorted(set(names) - set(value))
    require(not missing, f"{where} lacks {', '.join(missing)}")
    unknown = sorted(set(value) - set(names) - set(optional))
    require(not unknown, f"{where} has {shown(unknown)}, which this version does not know")
    return value


def require_list(value: Any, where: str, least: int, most: int) -> list[Any]:
    require(
        isinstance(value, list) and least <= len(value) <= most,
        f"{where} is {shown(value)}, where a list of {least:,} to {most:,} belongs",
    )
    return value


def _number(value: Any, where: str, low: float = -_MOST, high: float = _MOST) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    require(good, f"{where} is {shown(value)}, where a number from {low:g} to {high:g} belongs")


def _whole(value: Any, where: str, low: int = 0, high: int = int(_MOST)) -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    require(
        good, f"{where} is {shown(value)}, where a whole number from {low:,} to {high:,} belongs"
    )


def require_text(value: Any, where: str, most: int = 200) -> None:
    good = isinstance(value, str) and 1 <= len(value) <= most and value.isprintable()
    require(
        good, f"{where} is {shown(value)}, where 1 to {most} characters that can be printed belong"
    )


def _one_of(value: Any, where: str, known: Collection[str]) -> None:
    require(
        isinstance(value, str) and value in known,
        f"{where} is {shown(value)}, where one of {', '.join(known)} belongs",
    )


def _rising(values: list[Any], where: str, high: int) -> None:
    """Numbers of updates, each larger than the one before."""
    last = 0
    for value in values:
        _whole(value, where, last + 1, high)
        last = value


def checked(files: dict[str, bytes]) -> Opened:
    """The model in these files, all of which were looked at. CheckpointError says what is wrong."""
    manifest = require_object(_parsed(MANIFEST, files[MANIFEST]), MANIFEST, ("version", "models"))
    require(
        manifest["version"] == 1,
        f"{MANIFEST} has version {shown(manifest['version'])}, this program reads version 1",
    )
    (entry,) = require_list(manifest["models"], "models", 1, 1)
    config = _check_entry(entry)
    weights = files[WEIGHTS]
    found = hashlib.sha256(weights).hexdigest()
    require(
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
                raise CheckpointError(cause(error, folder)) from error
    except OSError as error:
        raise CheckpointError(f"there is no room to look into it ({cause(error)})") from error
    # every setting written out: a default that is relied on may be another one tomorrow
    return Opened({**entry, "config": config.to_dict()}, evidence, weights, files[FILM])


def _check_entry(entry: Any) -> TrainConfig:
    """Everything in a manifest's entry; its configuration. Nothing large is allocated."""
    require_object(
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
    require_text(entry["name"], "name")
    _one_of(entry["snapshot"], "snapshot", SNAPSHOTS)
    for key, name in (("file", WEIGHTS), ("evidence", EVIDENCE), ("film", FILM)):
        _one_of(entry[key], key, (name,))
    config = parse_config(entry["config"], "config")
    _whole(entry["step"], "step", 1, config.total_updates)
    provenance = entry["provenance"]
    require(
        isinstance(provenance, dict) and len(provenance) <= 50,
        f"provenance is {shown(provenance)}, where an object of at most 50 entries belongs",
    )
    for note in require_list(
        provenance.get("continued_from", []), "provenance.continued_from", 0, 20
    ):
        found = require_object(note, "provenance.continued_from", ("config", "step"))
        parse_config(found["config"], "provenance.continued_from.config")
        _whole(found["step"], "provenance.continued_from.step")
    for key, value in provenance.items():
        if key == "continued_from":
            continue
        where = f"provenance.{shown(key)}"
        require_text(key, "a name in provenance", 50)
        if key in ("seconds", "together"):
            _number(value, where, 0.0)
        elif isinstance(value, str) or key in TRAVELS:
            require_text(
                " " if value == "" else value, where, 500
            )  # nothing may be known, as of the commit
        elif value is not None:
            _number(int(value) if isinstance(value, bool) else value, where)
    _check_evaluation(entry["evaluation"], f"test{reference_images(config)}")
    rows = require_list(entry["seeds"], "seeds", 1, 1_000)
    for row in rows:
        _check_row(row)
    require(
        any(row["seed"] == config.seed for row in rows),
        f"seeds has no row of the model's own seed {config.seed}",
    )
    return config


def parse_config(values: Any, where: str) -> TrainConfig:
    """The configuration, if networks of that size can be opened here."""
    require(isinstance(values, dict), f"{where} is {shown(values)}, where settings belong")
    try:
        config = TrainConfig.from_dict(values)
        sources.parse_source(config.source)
    except (ConfigError, DataError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{where} cannot work: {cause(error)}") from error
    require_text(config.source, f"{where}.source")
    require(
        config.source == public_source(config.source),
        f"{where}.source is {shown(config.source)}, where no path belongs",
    )
    with torch.device("meta"):  # counts without allocating
        count = dcgan.count_parameters(dcgan.Generator(config.model))
    require(
        count <= MAX_PARAMETERS,
        f"{where} is of a network of {count:,} parameters, more than {MAX_PARAMETERS:,}",
    )
    return config


def _check_evaluation(value: Any, reference: str) -> None:
    names = ("classifier", "reference", "samples", "counts", "figures", "copies")
    found = require_object(value, "evaluation", names, ("modes", "digits"))
    if not isinstance(found.get("digits", True), bool):
        raise CheckpointError(
            f"evaluation.digits is {shown(found['digits'])}, where true or false belongs"
        )
    _one_of(found["classifier"], "evaluation.classifier", classifier.CLASSIFIERS)
    _one_of(found["reference"], "evaluation.reference", (reference,))
    _whole(found["samples"], "evaluation.samples", 1)
    for count in require_list(found["counts"], "evaluation.counts", 10, 10):
        _whole(count, "evaluation.counts")
    require(
        sum(found["counts"]) <= found["samples"],
        f"evaluation.counts has {sum(found['counts']):,} digits of {found['samples']:,} samples",
    )
    figures = found["figures"]
    require(
        isinstance(figures, dict) and set(FIGURES) <= set(figures) and len(figures) <= 30,
        f"evaluation.figures is {shown(figures)}, where {', '.join(FIGURES)} belong",
    )
    for name, figure in figures.items():
        require_text(name, "a name in evaluation.figures", 30)
        where = f"evaluation.figures.{name}"
        require_object(figure, where, ("value", "spread", "n", "draws"))
        _number(figure["value"], f"{where}.value", 0.0, 1.0 if name in _SHARES else _MOST)
        _number(figure["spread"], f"{where}.spread", 0.0)
        _whole(figure["n"], f"{where}.n", 1)
        _whole(figure["draws"], f"{where}.draws", 1)
    if found["copies"] is not None:
        where, shares = "evaluation.copies", ("closer_share", "copied_share")
        copies = require_object(found["copies"], where, (*shares, "n", "m", "baseline_n"))
        for name, number in copies.items():
            if name in shares:
                _number(number, f"{where}.{name}", 0.0, 1.0)
            else:
                _whole(number, f"{where}.{name}", 1)
    if found.get("modes") is not None:
        where = "evaluation.modes"
        modes = require_object(found["modes"], where, ("modes", "kl", "legible", "n"))
        _whole(modes["modes"], f"{where}.modes", 0, digit_modes.MODES)
        _number(modes["kl"], f"{where}.kl", _NO_LESS)
        _number(modes["legible"], f"{where}.legible", 0.0, 1.0)
        _whole(modes["n"], f"{where}.n", 1)


def _check_row(value: Any) -> None:
    names = ("seed", "legible", "fd", "coverage", "verdicts", "seconds")
    row = require_object(value, "a row of seeds", names, ("modes", "kl"))
    _whole(row["seed"], "seeds.seed")
    for name in ("legible", "coverage"):
        _number(row[name], f"seeds.{name}", 0.0, 1.0)
    for name in ("fd", "seconds", "kl"):
        if name in row:
            _number(row[name], f"seeds.{name}", _NO_LESS)
    if "modes" in row:
        _whole(row["modes"], "seeds.modes", 0, digit_modes.MODES)
    for kind in require_list(row["verdicts"], "seeds.verdicts", 1, 4):
        _one_of(kind, "seeds.verdicts", get_args(Kind))


def _check_evidence(value: Any, updates: int) -> int:
    """Curves and moments; the number of moments."""
    found = require_object(value, EVIDENCE, ("curves", "moments"))
    curves = found["curves"]
    require(
        isinstance(curves, dict) and set(cards.CURVES) <= set(curves) and len(curves) <= 30,
        f"the curves in {EVIDENCE} are {shown(curves)}, where {', '.join(cards.CURVES)} belong",
    )
    length = len(require_list(curves["step"], "curves.step", 1, 1_000))
    for name, values in curves.items():
        require_text(name, "the name of a curve", 30)
        for number in require_list(values, f"curves.{name}", length, length):
            # not measured, where too few images were held out
            if number is not None or name != "prob_held_out":
                _number(number, f"curves.{name}")
    _rising(curves["step"], "curves.step", updates)
    moments = require_list(found["moments"], "moments", 1, 200)
    for moment in moments:
        require_object(moment, "a moment", ("step", "counts", "fd", "spread"), ("contrast",))
        for count in require_list(moment["counts"], "moments.counts", 10, 10):
            _whole(count, "moments.counts")
        _number(moment["fd"], "moments.fd", 0.0)
        _number(moment["spread"], "moments.spread", 0.0)
        if moment.get("contrast") is not None:
            _number(moment["contrast"], "moments.contrast", 0.0)
    _rising([moment["step"] for moment in moments], "moments.step", updates)
    return len(moments)


def _check_film(content: bytes, moments: int, side: int) -> None:
    """A PNG of the one size that fits, which is read before a pixel is decoded."""
    require(content[:8] == b"\x89PNG\r\n\x1a\n", f"{FILM} is not a PNG picture")
    width, height = monitor.FILM_LATENTS * side, moments * side
    told = f"{FILM} is not the {width} x {height} pixels of {moments} moments"
    require(content[16:24] == struct.pack(">II", width, height), told)
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            require(picture.size == (width, height), told)  # a second header could say another
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
        raise CheckpointError(f"{FILM} cannot be decoded ({cause(error)})") from error


def _check_folder(folder: Path, config: TrainConfig, step: int, moments: int) -> None:
    """The four files as everybody else will open them."""
    _check_weights(folder / WEIGHTS, config, step)
    (card,) = cards.read_manifest(folder)
    generator = cards.open_model(card).generator
    cards.load_evidence(card)
    cards.load_film(card, moments)
    try:
        card.metrics.verdicts()
    except (ArithmeticError, ValueError) as error:
        raise CheckpointError(f"no verdict follows from evaluation ({cause(error)})") from error
    pictures = evaluate.sample_images(generator, config.model.latent_dim, 0, monitor.FILM_LATENTS)
    require(bool(torch.isfinite(pictures).all()), f"{WEIGHTS} draws pictures that are no numbers")


def _check_weights(path: Path, config: TrainConfig, step: int) -> None:
    """The tensors of a file, before a network is made: one of its own configuration might be huge."""
    try:
        tensors, info = tensor_files.load_tensors(path, model_file.MODEL_KIND)
    except (TypeError, RecursionError) as error:
        raise CheckpointError(f"{WEIGHTS} is damaged ({cause(error)})") from error
    require_object(info, f"the text in {WEIGHTS}", ("kind", "config", "step"))
    same = parse_config(info["config"], f"the configuration in {WEIGHTS}") == config
    require(same and info["step"] == step, f"{WEIGHTS} is of another training than {MANIFEST} says")
    with torch.device("meta"):
        expected = dcgan.Generator(config.model).state_dict()
    names = {f"generator.{name}" for name in expected} | {"directions", "strengths"}
    require(set(tensors) == names, f"{WEIGHTS} belongs to another network")
    for name, tensor in tensors.items():
        _check_tensor(name, tensor, expected.get(name.removeprefix("generator.")))


def _check_tensor(name: str, tensor: Tensor, expected: Tensor | None) -> None:
    counted = expected is not None and not expected.is_floating_point()
    kinds = (torch.int64,) if counted else (torch.float16, torch.float32)
    require(tensor.dtype in kinds, f"{WEIGHTS} holds {name} as {tensor.dtype}")
    require(
        bool(torch.isfinite(tensor).all())
        and not (name.endswith("running_var") and bool((tensor < 0).any())),
        f"{WEIGHTS} holds values in {name} that cannot be",
    )
