"""What the film shows of a run, apart from the images: training curves, measurements and findings.

The images themselves are the run's film (`gan.zoo.cards.load_film`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from gan.config import has_digits
from gan.errors import CheckpointError
from gan.evaluation import classifier, metrics
from gan.evaluation.verdict import Measures, diagnose, missing_digits
from gan.networks import images
from gan.runs import monitor, names
from gan.zoo import cards

_SIGNIFICANT_DIGITS = 4  # more than any chart can show


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


def film_payload(card: cards.ModelCard, evidence: Mapping[str, Any]) -> dict[str, Any]:
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
    # without digits, neither distance nor contrast is used
    contrasts = real_fd = None
    if digits:
        reference = classifier.load_reference("monitor", names.reference_images(card.config))
        real_fd = reference.real_score(monitor.MONITOR_SAMPLES).fd
        if any(math.isnan(_number(moment.get("contrast"))) for moment in moments):
            contrasts = _film_contrasts(card, len(moments), reference.contrast)
    total = evidence["curves"]["step"][-1]
    return chart_payload(evidence["curves"], moments, total, digits, real_fd) | {
        "moments": [
            _moment(card, moment, contrasts[row] if contrasts else math.nan)
            for row, moment in enumerate(moments)
        ],
        "samples": monitor.MONITOR_SAMPLES,
        "contrast_from_film": contrasts is not None,
    }


def _moment(
    card: cards.ModelCard, moment: Mapping[str, Any], film_contrast: float
) -> dict[str, Any]:
    """``film_contrast``: used if the moment has no contrast of its own."""
    digits = has_digits(card.source)
    counts = tuple(moment["counts"])
    contrast = _number(moment.get("contrast"))
    measures = Measures(
        n=monitor.MONITOR_SAMPLES,
        counts=counts,
        spread=_number(moment["spread"]),
        contrast=film_contrast if math.isnan(contrast) else contrast,
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


def _film_contrasts(card: cards.ModelCard, moments: int, real: float) -> list[float] | None:
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
