"""Payloads of the browser's parts: what the pad, the wall and the film are given, as plain JSON values.

The app sends them to its components, and the page without a server reads the same from a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gan.data import mnist
from gan.evaluation.classifier import Reference
from gan.evaluation.verdict import LANGUAGES
from gan.networks.latent_request import LatentRequest
from gan.runs import monitor
from gan.zoo.cards import ModelCard

#: A file for the browser: {"id": sha256, "url": ..., "size": bytes}; see gan/browser/js/shared/loading.js.
Ref = Mapping[str, Any]
#: Rows of the wall and sliders of the pad, as in js/playground/wall.js and pad.js (a test compares them).
WALL_ROWS = 4
NUM_SHIFTS = 8
#: Data sizes whose columns a wall shows first, besides the chosen one: those of the articles.
WALL_SIZES = (200, 600, 6_000, 60_000)


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
    """A run for the film. film: the PNG sheet; run: the file with its `gan.browser.film_payload`."""
    return {
        "name": card.name,
        "size": card.size,
        "title": size_title(card),
        "side": card.resolution,
        "channels": card.config.model.img_channels,
        "latents": monitor.FILM_LATENTS,
        "film": dict(film),
        "payload": dict(run),
    }


def film_position(card: ModelCard, steps: Sequence[int]) -> float | None:
    """Where the film starts, 0..1 along the moments after ``steps`` updates: at the moment of ``card``; None for the
    end."""
    return steps.index(card.step) / (len(steps) - 1) if card.step in steps[:-1] else None


def wall_columns(cards: Sequence[ModelCard], chosen: str) -> list[str]:
    """Names of the models whose columns the wall shows first."""
    return [card.name for card in cards if card.size in WALL_SIZES or card.name == chosen]


def start(identity: str, request: LatentRequest, chosen: str) -> dict[str, Any]:
    """Where the pad starts. A new ``identity`` moves a visitor's pad back to the start."""
    return {"id": identity, "request": request.to_dict(), "focus": {"name": chosen, "row": 0}}


def verdicts(card: ModelCard) -> list[dict[str, Any]]:
    """The verdicts on a model, the most serious first: {"kind", "en": {"title", "seen", "measured", "meaning"}, "ja":
    the same}."""
    return [
        {"kind": verdict.kind, **{lang: verdict.words(lang)._asdict() for lang in LANGUAGES}}
        for verdict in card.metrics.verdicts()
    ]


def figures(card: ModelCard, reference: Reference) -> list[dict[str, Any]]:
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


def protocol(card: ModelCard, reference: Reference) -> dict[str, Any]:
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
