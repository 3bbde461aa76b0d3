"""The latent pad on the Explore page, or the images that the server draws instead."""

from __future__ import annotations

import streamlit as st
from torch import Tensor

from gan.browser import payload
from gan.errors import GanError
from gan.evaluation.classifier import read
from gan.networks import images
from gan.zoo import compare
from gan.zoo.cards import Model, ModelCard
from views.explore import controls, pad
from views.shared import cache
from views.shared.i18n import text
from views.shared.pictures import image_tag, strip


@st.fragment
def latents(lang: str, model: Model, table: compare.Table) -> None:
    """The pad, and the same latents drawn by the model of every data size. Reruns without the rest of the page."""
    note = "own_latents_note" if controls.state().model else "latents_note"
    st.markdown(text(lang, note))
    if any(v.kind == "one_picture" for v in model.card.metrics.verdicts()):
        st.info(text(lang, "collapsed_note"), icon=":material/info:")
    cards = beside(model.card, table)
    if st.session_state.get("server_draws") or not _shown_live(lang, model, cards):
        _drawn_by_the_server(lang, model, cards)
    controls.server_switch(lang)
    controls.write_link(lang, model.card.snapshot)


def beside(chosen: ModelCard, table: compare.Table) -> list[ModelCard]:
    """The final models of all sizes for the chosen budget, with ``chosen`` at its own size."""
    return [
        chosen if size == chosen.size else card
        for (size, budget, snapshot), card in sorted(table.items(), key=lambda item: item[0])
        if (budget, snapshot) == (controls.state().budget, "final")
    ]


def _shown_live(lang: str, model: Model, cards: list[ModelCard]) -> bool:
    """Shows the pad; False if it is known not to run in the visitor's browser."""
    try:
        pad.playground(lang, model, cards)
    except GanError as error:
        st.warning(f"{text(lang, 'pad_not_served')} {error}", icon=":material/warning:")
        return False
    return pad.pad_works()


def _drawn_by_the_server(lang: str, model: Model, cards: list[ModelCard]) -> None:
    """What the pad would show, if it cannot run in the browser: sliders, and images from the server."""
    st.caption(text(lang, "pad_server_note"))
    wall, sliders = st.columns([3, 2], gap="large")
    with sliders:
        controls.shift_sliders(lang, model.strengths.tolist())
        with st.expander(text(lang, "raw")):
            controls.axis_sliders(lang, model.generator.latent_dim)
    z = pad.first(model, controls.state().latent_request(), payload.WALL_ROWS)
    columns = []
    for card in cards:
        current = card == model.card
        try:
            shown = model if current else cache.model(card)
        except GanError:
            continue  # the page names the problem when this model is the chosen one
        pixels = images.to_uint8(shown.generator(z))
        alt = text(lang, "same_z_alt", n=payload.WALL_ROWS, count=card.size)
        sheet = images.grid(pixels, 1, gap=1, background=40)
        columns.append((payload.size_title(card), alt, sheet, current))
    first = model.generator(z[:1])
    with wall:
        st.html(strip(columns, text(lang, "latents_title")))
        if model.card.metrics.digits and first.shape[1] == 1:
            _first_digit(lang, first)


def _first_digit(lang: str, first: Tensor) -> None:
    """The image [1, 1, H, W] of the first latent, enlarged, and the classifier's reading of it."""
    try:
        reading = read(cache.classifier(), first)
    except GanError as error:
        st.error(str(error), icon=":material/error:")
        return
    digit, confidence = int(reading.digit[0]), float(reading.confidence[0])
    enlarged, words = st.columns([1, 3], vertical_alignment="center")
    with enlarged:
        alt = text(lang, "first_digit_alt", digit=digit)
        st.html(image_tag(images.to_uint8(first)[0], alt, max_width=140))
    words.caption(text(lang, "first_digit", digit=digit, confidence=confidence))
