"""The parts that run in the browser (gan/browser/js) as Streamlit components: what they are given and what they say."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException
from torch import Tensor

from gan.browser import payload, scripts
from gan.errors import ConfigError, GanError
from gan.evaluation import copies
from gan.networks import images
from gan.networks.latent_request import LatentRequest, resolve_latents
from gan.zoo import generate
from gan.zoo.cards import Model, ModelCard
from views.explore import controls
from views.shared import cache
from views.shared.i18n import text
from views.shared.pictures import data_link
from views.shared.run_charts import component_data

_KEY = "playground"
_pad = st.components.v2.component(
    "gan_pad", js=scripts.bundle_script("pad_component"), css=scripts.style("base", "playground")
)
_film = st.components.v2.component(
    "gan_film",
    js=scripts.bundle_script("film_component"),
    css=scripts.style("base", "charts", "film"),
)


def pad_works() -> bool:
    """Whether this session's browser could show the last pad that it was given."""
    return not st.session_state.get("pad_failed")


def playground(lang: str, model: Model, cards: Sequence[ModelCard]) -> None:
    """The pad and the wall of ``cards``, ascending by size, of which ``model`` is the chosen one. `pad_works`
    says whether it is seen. CheckpointError where its weights cannot be published; others are left out then."""
    start = controls.pad_start()
    chosen = model.card.name
    _pad(
        key=_KEY,
        data=component_data(
            lang,
            {
                "chosen": chosen,
                "cells": _cells(model.card, cards),
                "classifier": cache.classifier_weights() if model.card.metrics.digits else None,
                "columns": payload.wall_columns(cards, chosen),
                "start": payload.start(start["id"], start["request"], chosen),
                "still": _still(model, start["request"]),
                "neighbours": st.session_state.get("near"),
            },
            "playground",
            "load",
        ),
        on_request_change=_take_request,
        on_failed_change=_take_failure,
        on_focus_change=_looks_up(lang, model, {card.name: card for card in cards}),
    )
    if st.session_state.pop("pad_turned", False):
        st.rerun()  # the film is drawn by the server, too, or no longer
    _add_baseline(lang)


def film(lang: str, chosen: ModelCard, steps: Sequence[int], cards: Sequence[ModelCard]) -> bool:
    """The trainings of ``cards``, ascending by size, as a film; ``steps``: the moments of the ``chosen`` one, at one
    of which it stands. One that cannot be read or published is left out; False where that is the chosen one or the
    browser cannot show films: then the server has to draw."""
    if not pad_works() or st.session_state.get("film_failed"):  # it takes files from the same place
        return False
    cells = []
    for card in cards:
        with contextlib.suppress(GanError):
            cells.append(payload.film_cell(card, cache.film_sheet(card), cache.run_payload(card)))
    if chosen.name not in [cell["name"] for cell in cells]:
        return False
    position = payload.film_position(chosen, steps)
    start = None if position is None else {"position": position}
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
            cells.append(payload.cell(card, cache.weights(card)))
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
    """What the pad shows until the weights have arrived: the first latent, as a data link."""
    drawn = generate.generate_z(model, _first(model, request, 1))
    return data_link(images.to_png(drawn.pixels[0]))


def _first(model: Model, request: LatentRequest, count: int) -> Tensor:
    """The latents of a request, without what a model of few components has not got."""
    return resolve_latents(
        controls.fitting(request, model.generator.latent_dim), count, model.directions
    )


def _looks_up(lang: str, model: Model, known: dict[str, ModelCard]) -> Callable[[], None]:
    """Called when a picture of the wall was chosen: finds what it is nearest to."""

    def look_up() -> None:
        sent: Any = st.session_state[_KEY].focus
        try:
            card, row, asked = known[sent["name"]], sent["row"], int(sent["asked"])
            if row not in range(payload.WALL_ROWS):
                raise ConfigError(f"row {row!r} is not on the wall")
            z = _first(model, LatentRequest.from_dict(sent["request"]), row + 1)[row:]
        except (KeyError, TypeError, ValueError, OverflowError, ConfigError):
            return  # not what the pad sends
        st.session_state["near"] = {"asked": asked, **_nearest(lang, card, z)}

    return look_up


def _nearest(lang: str, card: ModelCard, z: Tensor) -> dict[str, Any]:
    """The pictures as data links, and what is to be said of them; the latter alone where there is no data set."""
    try:
        drawn = generate.generate_z(cache.model(card), z)
        found = cache.real_images(card.config).nearest(drawn.images[0], card.size)
    except GanError as error:
        words = text(lang, "near_none", reason=str(error))
        return {"training": None, "unseen": None, "words": words}
    st.session_state["near_ratio"] = (card, found.ratio)
    facts = {
        side: {"distance": f"{one.distance:.1f}", "searched": f"{one.searched:,}"}
        for side, one in (("training", found.training), ("unseen", found.unseen))
    }
    return {
        "training": data_link(images.to_png(found.training.pixels)),
        "unseen": data_link(images.to_png(found.unseen.pixels)),
        "words": text(lang, "near_words", **facts),
    }


def _add_baseline(lang: str) -> None:
    """How usual it is to be so near: said a moment later, for the first time it takes seconds to find out."""
    card, ratio = st.session_state.pop("near_ratio", (None, 0.0))
    if card is None:
        return
    with st.spinner(text(lang, "near_waiting")):
        try:
            usual = cache.copy_baseline(copies.image_set_of(card.config), card.size)
        except GanError:
            return  # said above
    if usual is not None:
        words = text(lang, "near_usual", count=f"{usual.count_as_close(ratio):,}", n=f"{usual.n:,}")
        near = st.session_state["near"]
        st.session_state["near"] = {**near, "words": f"{near['words']} {words}"}
        try:
            st.rerun(scope="fragment")
        except StreamlitAPIException:
            st.rerun()  # the whole page is running: its visitor chose something else as well
