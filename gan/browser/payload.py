"""What the browser's parts are told of the models: plain values that JSON can say.

The app sends them to its components, the page without a server has them in a file; the parts are the
same, so what they are told has one form, which is made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gan.data import mnist
from gan.evaluation.classifier import Reference
from gan.evaluation.verdict import verdict_words
from gan.evaluation.verdict_words import LANGUAGES
from gan.networks.latent_request import LatentRequest
from gan.runs import monitor
from gan.zoo.cards import ModelCard

#: Where a file is: {"id": sha256, "url": ..., "size": bytes}; see gan/browser/js/shared/loading.js.
Ref = Mapping[str, Any]
#: Rows of the wall, and sliders of the pad: what gan/browser/js/playground/wall.js and gan/browser/js/playground/pad.js have (a test says so).
WALL_ROWS = 4
NUM_SHIFTS = 8
#: The columns that a wall begins with, besides the chosen one: what the articles speak of.
WALL_SIZES = (200, 600, 6_000, 60_000)


def share_text(count: int, full: int) -> str:
    """A share of ``full`` as people write it: "1 %", "0.33 %", "108 %"."""
    share = 100 * count / full
    return f"{share:.0f} %" if share >= 1 else f"{share:.2g} %"


def size_title(card: ModelCard) -> str:
    """An amount of data as a heading of one or two lines: "600" and, of MNIST, its share."""
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


def film_cell(card: ModelCard, film: Ref, story: Ref) -> dict[str, Any]:
    """A training for the film; ``story``: what `gan.browser.film_payload` tells of it."""
    return {
        "name": card.name,
        "size": card.size,
        "title": size_title(card),
        "side": card.resolution,
        "channels": card.config.model.img_channels,
        "latents": monitor.FILM_LATENTS,
        "film": dict(film),
        "story": dict(story),
    }


def film_position(card: ModelCard, steps: Sequence[int]) -> float | None:
    """Where the film stands at first, 0..1 along the moments after ``steps`` updates: at the moment of ``card``, None
    for the end."""
    return steps.index(card.step) / (len(steps) - 1) if card.step in steps[:-1] else None


def wall_columns(cards: Sequence[ModelCard], chosen: str) -> list[str]:
    """Names of the models that the wall begins with."""
    return [card.name for card in cards if card.size in WALL_SIZES or card.name == chosen]


def start(identity: str, request: LatentRequest, chosen: str) -> dict[str, Any]:
    """Where the pad begins. Another ``identity`` than before sends a visitor back there."""
    return {"id": identity, "request": request.to_dict(), "focus": {"name": chosen, "row": 0}}


def verdicts(card: ModelCard) -> list[dict[str, Any]]:
    """What the figures of a model amount to, the gravest first, in every language: {"kind", "en": {"title", "seen",
    "measured", "meaning"}, "ja": the same}."""
    told = []
    for verdict in card.metrics.verdicts():
        said: dict[str, Any] = {"kind": verdict.kind}
        for language in LANGUAGES:
            words = verdict_words(language, verdict)
            names = ("title", "seen", "measured", "meaning")
            said[language] = {name: getattr(words, name) for name in names}
        told.append(said)
    return told


def figures(card: ModelCard, reference: Reference) -> list[dict[str, Any]]:
    """The three numbers of a model of digits, each beside what real digits get under the same protocol: {"name",
    "number", "real_number"} and, as people read them, {"value", "spread", "real"}. ``reference``: the classifier's, of as
    many test images as the model was judged against."""
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
    """How the figures came about: "draws" of "n" samples each against "tests" real digits, "seeds" training runs whose
    distances reach from "low" to "high"."""
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
