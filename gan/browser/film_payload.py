"""A run as the film tells it: its curves, and of every moment what was measured and what that amounts to.

The pictures themselves are the run's film (`gan.zoo.cards.load_film`); this is what stands beside them.
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

_DIGITS = 4  # significant ones of every number that is no count: more than any chart can show


def film_payload(card: cards.ModelCard, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What the film shows of one run; JSON can say all of it, None stands for "not measured".

    evidence: what `gan.zoo.cards.load_evidence` gives of ``card``. Returned:

        curves    "step", "g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out": lists of one length
        moments   one a picture row of the film, the earliest first:
                  step; fd and spread (see `gan.runs.monitor.Moment`);
                  verdict: the kinds of `gan.evaluation.verdict`, the gravest first; copies were looked for only at the
                  moment of ``card`` itself, the end as a rule; empty where the measures decide nothing;
                  of digits also: counts of 0 to 9 among ``samples``, legible (their share), present (the
                  digits that occur) and kinds (how many those are)
        total     updates of the run
        samples   how many pictures each moment was measured on
        real_fd   the distance of as many real digits; None for other pictures
        digits    whether it was trained on digits
        contrast_from_film   whether the run wrote down no contrast and that of the film's pictures stands in

    CheckpointError where the monitor's statistics cannot be read.
    """
    digits = has_digits(card.source)
    moments = evidence["moments"]
    # pictures that are no digits are told apart without contrast and distance
    drawn = real_fd = None
    if digits:
        reference = classifier.load_reference("monitor", names.reference_images(card.config))
        real_fd = reference.real_score(monitor.MONITOR_SAMPLES).fd
        if any(math.isnan(_number(moment.get("contrast"))) for moment in moments):
            drawn = _film_contrasts(card, len(moments), reference.contrast)
    return {
        "curves": {name: _short(evidence["curves"][name]) for name in cards.CURVES},
        "moments": [
            _moment(card, moment, math.nan if drawn is None else drawn[place])
            for place, moment in enumerate(moments)
        ],
        "total": evidence["curves"]["step"][-1],
        "samples": monitor.MONITOR_SAMPLES,
        "real_fd": _short(real_fd),
        "digits": digits,
        "contrast_from_film": drawn is not None,
    }


def _moment(
    card: cards.ModelCard, moment: Mapping[str, Any], drawn_contrast: float
) -> dict[str, Any]:
    """``drawn_contrast``: that of the film's pictures, for a moment that has none of its own."""
    digits = has_digits(card.source)
    counts = tuple(moment["counts"])
    contrast = _number(moment.get("contrast"))
    measures = Measures(
        n=monitor.MONITOR_SAMPLES,
        counts=counts,
        spread=_number(moment["spread"]),
        contrast=drawn_contrast if math.isnan(contrast) else contrast,
        copies=card.metrics.copies if moment["step"] == card.step else None,
        digits=digits,
    )
    told = {
        "step": moment["step"],
        "fd": _short(moment["fd"]),
        "spread": _short(moment["spread"]),
        "verdict": _verdict(measures),
    }
    if not digits:
        return told
    missing = missing_digits(counts)
    present = [digit for digit, count in enumerate(counts) if count and digit not in missing]
    return told | {
        "counts": list(counts),
        "legible": _short(measures.legible),
        "present": present,
        "kinds": len(present),
    }


def _verdict(measures: Measures) -> list[str]:
    """The kinds of finding. Where contrast is not known the answer must be the same for none and for
    plenty of it: what the comparison with a NaN would give is no finding."""
    if not math.isnan(measures.contrast):
        return _kinds(measures, measures.contrast)
    grey, strong = _kinds(measures, 0.0), _kinds(measures, math.inf)
    return grey if grey == strong else []


def _kinds(measures: Measures, contrast: float) -> list[str]:
    return [verdict.kind for verdict in diagnose(replace(measures, contrast=contrast))]


def _film_contrasts(card: cards.ModelCard, moments: int, real: float) -> list[float] | None:
    """The contrast of the film's 16 pictures at each moment, over that of ``real`` digits; None where
    the film cannot be read. Contrast decides only where the pictures are alike, and there few of them
    tell as much as a thousand."""
    try:
        film = cards.load_film(card, moments)
    except CheckpointError:
        return None
    pixels = images.from_uint8(torch.from_numpy(film.copy())).permute(0, 1, 4, 2, 3)
    return [metrics.contrast(images.one_channel(drawn)) / real for drawn in pixels]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _short(value: Any) -> Any:
    """A number or a list of them with `_DIGITS` significant digits; None for one that is not finite."""
    if isinstance(value, Sequence):
        return [_short(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value
