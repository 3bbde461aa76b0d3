"""Payloads of the browser's parts: what the pad, the wall and the film are given, as plain JSON values.

The app sends them to its components, and the page without a server reads the same from a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from gan.config import has_digits
from gan.data import mnist
from gan.errors import CheckpointError
from gan.evaluation import classifier, metrics
from gan.evaluation.verdict import LANGUAGES, Measures, diagnose, missing_digits
from gan.networks import images
from gan.runs import monitor, names
from gan.zoo import cards
from gan.zoo.cards import ModelCard

#: A file for the browser: {"id": sha256, "url": ..., "size": bytes}; see gan/browser/js/shared/loading.js.
Ref = Mapping[str, Any]
#: Rows of the wall and sliders of the pad, as in js/playground/wall.js and pad.js (a test compares them).
WALL_ROWS = 4
NUM_SHIFTS = 8
#: Data sizes whose columns a wall shows first, besides the chosen one: those of the articles.
WALL_SIZES = (200, 600, 6_000, 60_000)
_SIGNIFICANT_DIGITS = 4  # more than any chart can show


def share_text(count: int, full: int) -> str:
    """The share of ``full`` as text: "1 %", "0.33 %", "108 %"."""
    share = 100 * count / full
    return f"{share:.0f} %" if share >= 1 else f"{share:.2g} %"


def size_title(card: ModelCard) -> str:
    """The data size as a heading: "600" and, for MNIST, a second line with its share."""
    count = f"{card.size:,}"
    return f"{count}\n{share_text(card.size, mnist.FULL_SIZE)}" if card.source == "mnist" else count


def cell(card: ModelCard, weights: Ref) -> dict[str, Any]:
    """A model for the pad and the wall."""
    return {
        "name": card.name,
        "title": size_title(card),
        "count": card.size,
        "side": card.resolution,
        "channels": card.config.model.img_channels,
        "digits": card.metrics.digits,
        "weights": dict(weights),
    }


def film_cell(card: ModelCard, film: Ref, run: Ref) -> dict[str, Any]:
    """A run for the film. film: the PNG sheet; run: the file with its `film_payload`."""
    return {
        "name": card.name,
        "size": card.size,
        "title": size_title(card),
        "side": card.resolution,
        "latents": monitor.FILM_LATENTS,
        "film": dict(film),
        "payload": dict(run),
    }


def film_position(card: ModelCard, steps: Sequence[int]) -> float | None:
    """Where the film starts, 0..1 along the moments after ``steps`` updates: at the moment of ``card``; None for the
    end."""
    return steps.index(card.step) / (len(steps) - 1) if card.step in steps[:-1] else None


def verdicts(card: ModelCard) -> list[dict[str, Any]]:
    """The verdicts on a model, the most serious first: {"kind", "en": {"title", "seen", "measured", "meaning"}, "ja":
    the same}."""
    return [
        {"kind": verdict.kind, **{lang: verdict.words(lang)._asdict() for lang in LANGUAGES}}
        for verdict in card.metrics.verdicts()
    ]


def figures(card: ModelCard, reference: classifier.Reference) -> list[dict[str, Any]]:
    """The three scores of a model of digits, each with the score of real digits under the same protocol: {"name",
    "number", "real_number"} and, formatted for reading, {"value", "spread", "real"}. ``reference``: statistics of the
    test images that the model was scored against."""
    found = card.metrics.figures
    real = reference.real_score(found["fd"].n)
    rows = (
        ("legible", "{:.1%}", sum(reference.counts) / reference.n),
        ("fd", "{:.2f}" if found["fd"].value < 10 else "{:.1f}", real.fd),
        ("coverage", "{:.2f}", real.coverage),
    )
    return [
        {
            "name": name,
            "number": found[name].value,
            "real_number": ideal,
            "value": form.format(found[name].value),
            "spread": form.format(found[name].spread),
            "real": form.replace(".1f", ".2f").format(ideal),
        }
        for name, form, ideal in rows
    ]


def protocol(card: ModelCard, reference: classifier.Reference) -> dict[str, Any]:
    """How the scores were measured: "draws" of "n" samples each against "tests" real digits; "seeds" training runs, with
    distances from "low" to "high"."""
    figure = card.metrics.figures["legible"]
    distances = [row["fd"] for row in card.seed_rows]
    return {
        "draws": figure.draws,
        "n": figure.n,
        "tests": reference.n,
        "seeds": card.seeds,
        "low": f"{min(distances):.1f}",
        "high": f"{max(distances):.1f}",
    }


def chart_payload(
    curves: Mapping[str, Sequence[float | None]],
    moments: Sequence[Mapping[str, Any]],
    total: int,
    digits: bool,
    real_fd: float | None = None,
) -> dict[str, Any]:
    """The training curves of a run, finished or not, as JSON; numbers that are not finite become None.

    curves: columns of `gan.zoo.cards.CURVES`. moments: measurements of the monitor with "step" and "fd". total:
    updates of the whole run, the end of the x axis. digits: whether it is trained on digits; only then is the
    distance shown. real_fd: distance of as many real digits, drawn as a dashed line.
    """
    return {
        "curves": {name: _rounded(curves[name]) for name in cards.CURVES},
        "moments": [{"step": m["step"], "fd": _rounded(m["fd"])} for m in moments],
        "total": total,
        "digits": digits,
        "real_fd": _rounded(real_fd),
    }


def film_payload(card: ModelCard, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What the film shows of the run of ``card``, as JSON; None stands for "not measured".

    evidence: from `gan.zoo.cards.load_evidence`. Returned: `chart_payload`, and

        moments   one for each row of images of the film, the earliest first:
                  step, fd, and spread (see `gan.runs.monitor.Moment`);
                  verdict: kinds of `gan.evaluation.verdict`, the most serious first; empty if the measurements are
                  not sufficient; copies are known only at the moment of ``card`` itself, usually the end;
                  for digits also: counts of 0 to 9 among ``samples``, legible (their share), present (the
                  digits that occur) and kinds (how many occur)
        samples   number of images each moment was measured on
        contrast_from_film   whether contrast was measured on the 16 images of the film, because the run did not
                  record it

    CheckpointError if the monitor's statistics cannot be read.
    """
    digits = has_digits(card.source)
    moments = evidence["moments"]
    contrasts = [_number(moment.get("contrast")) for moment in moments]
    filmed = real_fd = None  # without digits, neither distance nor contrast is used
    if digits:
        reference = classifier.load_reference("monitor", names.reference_images(card.config))
        real_fd = reference.real_score(monitor.MONITOR_SAMPLES).fd
        if any(map(math.isnan, contrasts)):
            filmed = _film_contrasts(card, len(moments), reference.contrast)
    if filmed:
        contrasts = [
            other if math.isnan(own) else own for own, other in zip(contrasts, filmed, strict=True)
        ]
    total = evidence["curves"]["step"][-1]
    return chart_payload(evidence["curves"], moments, total, digits, real_fd) | {
        "moments": [_moment(card, *found) for found in zip(moments, contrasts, strict=True)],
        "samples": monitor.MONITOR_SAMPLES,
        "contrast_from_film": filmed is not None,
    }


def _moment(card: ModelCard, moment: Mapping[str, Any], contrast: float) -> dict[str, Any]:
    digits = has_digits(card.source)
    counts = tuple(moment["counts"])
    measures = Measures(
        n=monitor.MONITOR_SAMPLES,
        counts=counts,
        spread=_number(moment["spread"]),
        contrast=contrast,
        copies=card.metrics.copies if moment["step"] == card.step else None,
        digits=digits,
    )
    entry = {
        "step": moment["step"],
        "fd": _rounded(moment["fd"]),
        "spread": _rounded(moment["spread"]),
        "verdict": _verdict(measures),
    }
    if not digits:
        return entry
    missing = missing_digits(counts)
    present = [digit for digit, count in enumerate(counts) if count and digit not in missing]
    return entry | {
        "counts": list(counts),
        "legible": _rounded(measures.legible),
        "present": present,
        "kinds": len(present),
    }


def _verdict(measures: Measures) -> list[str]:
    """The kinds of finding. Without a contrast, they are known only if no contrast and full contrast give the same."""
    if not math.isnan(measures.contrast):
        return _kinds(measures, measures.contrast)
    grey, strong = _kinds(measures, 0.0), _kinds(measures, math.inf)
    return grey if grey == strong else []


def _kinds(measures: Measures, contrast: float) -> list[str]:
    return [verdict.kind for verdict in diagnose(replace(measures, contrast=contrast))]


def _film_contrasts(card: ModelCard, moments: int, real: float) -> list[float] | None:
    """The contrast of the film's 16 images at each moment, relative to that of real digits; None if the film cannot
    be read. Contrast matters only if all images are alike, and then 16 of them are enough."""
    try:
        film = cards.load_film(card, moments)
    except CheckpointError:
        return None
    pixels = images.from_uint8(torch.from_numpy(film.copy())).permute(0, 1, 4, 2, 3)
    return [metrics.contrast(images.one_channel(drawn)) / real for drawn in pixels]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _rounded(value: Any) -> Any:
    """A number or a list of numbers, with few significant digits; None in place of one that is not finite."""
    if isinstance(value, Sequence):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    return value
