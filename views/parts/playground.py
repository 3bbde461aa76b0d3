"""The parts that run in the browser (gan/web) as Streamlit components: what they are given and what they say."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from torch import Tensor

from gan import exhibit, explorer, images, webcode, zoo
from gan.errors import ConfigError, GanError
from gan.pose import Pose, pose_z
from views.parts import cache, controls
from views.parts.i18n import text
from views.parts.words import reason

ROWS = 4  # of the wall, as gan/web/wall.js has
_KEY = "playground"

_component = st.components.v2.component(
    "gan",
    js=webcode.script("component"),
    css=webcode.style("base", "playground"),
)


def playground(lang: str, model: zoo.Model, cards: Sequence[zoo.ModelCard]) -> bool:
    """The pad and the wall of ``cards``, ascending by size, of which ``model`` is the chosen one. False where
    it could not be shown: then the server has to draw. CheckpointError where the weights cannot be published."""
    start = controls.pad_start()
    chosen = model.card.name
    shown = {
        "chosen": chosen,
        "cells": [exhibit.cell(card, cache.weights(card)) for card in cards],
        "judge": cache.judge_weights() if model.card.metrics.digits else None,
        "columns": exhibit.wall_columns(cards, chosen),
        "start": exhibit.start(start["id"], start["pose"], chosen),
        "still": _still(model, start["pose"]),
        "neighbours": st.session_state.get("near"),
    }
    known = {card.name: card for card in cards}
    result = _component(
        key=_KEY,
        data={
            "part": "playground",
            "language": lang,
            "words": {lang: webcode.words()[lang]},
            "exhibit": shown,
        },
        on_pose_change=_take_pose,
        on_failed_change=_nothing,
        on_focus_change=_looks_up(lang, model, known),
    )
    return not result.failed


def _nothing() -> None:
    """A state is declared by naming who is told of it."""


def _take_pose() -> None:
    controls.take_pose(st.session_state[_KEY].pose)


def _still(model: zoo.Model, pose: Pose) -> str:
    """What the pad shows until the weights have arrived: the first latent, as a data link."""
    drawn = explorer.generate_z(model, _first(model, pose, 1))
    return data_link(images.to_png(drawn.pixels[0]))


def _first(model: zoo.Model, pose: Pose, count: int) -> Tensor:
    """The latents of a pose, without what a model of few components has not got."""
    return pose_z(controls.fitting(pose, model.generator.latent_dim), count, model.directions)


def data_link(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


# --- the nearest real pictures -------------------------------------------------------------


def _looks_up(
    lang: str, model: zoo.Model, known: dict[str, zoo.ModelCard]
) -> Callable[[], None]:
    """Called when a picture of the wall was chosen: finds what it is nearest to."""

    def look_up() -> None:
        sent: Any = st.session_state[_KEY].focus
        try:
            card, row = known[sent["name"]], sent["row"]
            if row not in range(ROWS) or not isinstance(sent["asked"], int):
                raise ConfigError(f"row {row!r} is not on the wall")
            z = _first(model, Pose.from_dict(sent["pose"]), row + 1)[row:]
        except (KeyError, TypeError, ConfigError):
            return  # not what the pad sends
        st.session_state["near"] = {"asked": sent["asked"], **_nearest(lang, card, z)}

    return look_up


def _nearest(lang: str, card: zoo.ModelCard, z: Tensor) -> dict[str, Any]:
    """The pictures as data links, and what is to be said of them; the latter alone where there is no data set."""
    try:
        drawn = explorer.generate_z(cache.model(card), z)
        found = cache.gallery(card.config).nearest(drawn.images[0], card.size)
    except GanError as error:
        return {"training": None, "unseen": None, "words": text(lang, "near_none", reason=reason(lang, error))}
    return {
        "training": data_link(images.to_png(found.training.pixels)),
        "unseen": data_link(images.to_png(found.unseen.pixels)),
        "words": text(
            lang,
            "near_words",
            training=found.training.distance,
            searched=f"{found.training.searched:,}",
            unseen=found.unseen.distance,
            unseen_searched=f"{found.unseen.searched:,}",
            ratio=found.ratio,
        ),
    }
