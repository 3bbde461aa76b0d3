"""The parts that run in the browser (gan/browser/js), as Streamlit components: their data and their events."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException
from torch import Tensor

from gan.browser import payload
from gan.errors import ConfigError, GanError
from gan.evaluation import copies
from gan.networks import images
from gan.networks.latent_request import LatentRequest, resolve_latents
from gan.zoo.cards import Model, ModelCard
from views.explore import controls
from views.shared import cache
from views.shared.i18n import text
from views.shared.pictures import data_link
from views.shared.run_charts import component, component_data

_KEY = "playground"
_pad = component("pad", "playground")
_film = component("film", "charts", "film")


def pad_works() -> bool:
    """False if this session's browser could not show its last pad."""
    return not st.session_state.get("pad_failed")


def playground(lang: str, model: Model, cards: Sequence[ModelCard]) -> None:
    """The pad, and the wall of ``cards``, ascending by size; ``model`` is the chosen one. `pad_works` tells afterwards
    whether the browser shows it. CheckpointError if the weights of ``model`` cannot be served; other cards are then left
    out."""
    start = controls.pad_start()
    chosen = model.card.name
    shown = {
        "chosen": chosen,
        "cells": _cells(model.card, cards),
        "classifier": cache.classifier_weights() if model.card.metrics.digits else None,
        "columns": payload.WALL_SIZES,
        "start": {**start, "request": start["request"].to_dict()},
        "still": _still(model, start["request"]),
        "nearest": st.session_state.get("near"),
    }
    _pad(
        key=_KEY,
        data=component_data(lang, shown, "playground", "load"),
        on_request_change=_take_request,
        on_failed_change=_take_failure,
        on_focus_change=partial(_look_up, lang, model, {card.name: card for card in cards}),
    )
    if st.session_state.pop("pad_turned", False):
        st.rerun()  # the server now draws the film, too, or no longer does
    _add_baseline(lang)


def film(lang: str, chosen: ModelCard, steps: Sequence[int], cards: Sequence[ModelCard]) -> bool:
    """The trainings of ``cards``, ascending by size, as a film; ``steps``: the moments of the ``chosen`` one, which
    determine where it starts. A training that cannot be read or served is left out. False if that is the chosen one, or the
    browser cannot show films; the server then has to draw it."""
    # the film loads files from the same folder as the pad
    if not pad_works() or st.session_state.get("film_failed"):
        return False
    cells = []
    for card in cards:
        with contextlib.suppress(GanError):
            cells.append(payload.film_cell(card, cache.film_sheet(card), cache.run_payload(card)))
    if chosen.name not in [cell["name"] for cell in cells]:
        return False
    start = payload.film_position(chosen, steps)
    shown = {"chosen": chosen.name, "cells": cells, "start": start}
    _film(
        key="film",
        data=component_data(lang, shown, "film", "charts"),
        on_failed_change=_take_film_failure,
    )
    return True


def _cells(chosen: ModelCard, cards: Sequence[ModelCard]) -> list[dict[str, Any]]:
    cells = []
    for card in cards:
        try:
            cells.append(payload.cell(card, cache.asset(card.path, card.sha256)))
        except GanError:
            if card == chosen:
                raise
    return cells


def _take_request() -> None:
    controls.take_request(st.session_state[_KEY].request)


def _take_failure() -> None:
    st.session_state["pad_failed"] = bool(st.session_state[_KEY].failed)
    st.session_state["pad_turned"] = True


def _take_film_failure() -> None:
    st.session_state["film_failed"] = True


def _still(model: Model, request: LatentRequest) -> str:
    """The image of the first latent, as a data link: the pad shows it until the weights have arrived."""
    drawn = model.generator(first(model, request, 1))
    return data_link(images.to_png(images.to_uint8(drawn)[0]))


def first(model: Model, request: LatentRequest, count: int) -> Tensor:
    """The first ``count`` latents of the request, without directions and components that the model lacks."""
    latent_dim = model.generator.latent_dim
    axes = tuple(pair for pair in request.axes if pair[0] < latent_dim)
    fitting = replace(request, shifts=request.shifts[:latent_dim], axes=axes)
    return resolve_latents(fitting, count, model.directions)


def _look_up(lang: str, model: Model, known: dict[str, ModelCard]) -> None:
    """An image on the wall was chosen: finds the real images nearest to it."""
    sent: Any = st.session_state[_KEY].focus
    try:
        card, row, number = known[sent["name"]], sent["row"], int(sent["number"])
        if row not in range(payload.WALL_ROWS):
            raise ConfigError(f"row {row!r} is not on the wall")
        z = first(model, LatentRequest.from_dict(sent["request"]), row + 1)[row:]
    except (KeyError, TypeError, ValueError, OverflowError, ConfigError):
        return  # the pad does not send such values
    st.session_state["near"] = {"number": number, **_nearest(lang, card, z)}


def _nearest(lang: str, card: ModelCard, z: Tensor) -> dict[str, Any]:
    """The nearest images as data links, and a sentence about them; only a sentence if the data set is missing."""
    try:
        (drawn,) = cache.model(card).generator(z)
        gallery = cache.real_images(copies.image_set_of(card.config))
        found = gallery.nearest(drawn, card.size)
    except GanError as error:
        words = text(lang, "near_none", reason=str(error))
        return {"training": None, "unseen": None, "words": words}
    st.session_state["near_ratio"] = (card, found.ratio)
    return {
        "training": data_link(images.to_png(found.training.pixels)),
        "unseen": data_link(images.to_png(found.unseen.pixels)),
        "words": text(lang, "near_words", training=found.training, unseen=found.unseen),
    }


def _add_baseline(lang: str) -> None:
    """Adds how many unseen real images lie as near. This comes later because the first time takes seconds."""
    card, ratio = st.session_state.pop("near_ratio", (None, 0.0))
    if card is None:
        return
    with st.spinner(text(lang, "near_waiting")):
        try:
            usual = cache.copy_baseline(copies.image_set_of(card.config), card.size)
        except GanError:
            return  # `_nearest` has already shown this error
    if usual is not None:
        words = text(lang, "near_usual", count=usual.count_as_close(ratio), n=usual.n)
        near = st.session_state["near"]
        st.session_state["near"] = {**near, "words": f"{near['words']} {words}"}
        try:
            st.rerun(scope="fragment")
        except StreamlitAPIException:
            st.rerun()  # the whole page is running, not only the fragment
