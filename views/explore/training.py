"""The training section of the Explore page: the film or, if the browser cannot show it, the curves."""

from __future__ import annotations

from typing import Any

import streamlit as st

from gan.browser.payload import chart_payload
from gan.errors import GanError
from gan.networks import images
from gan.runs import monitor
from gan.zoo import cards, compare
from views.explore import latents, pad
from views.shared import cache
from views.shared.i18n import text
from views.shared.pictures import image_tag
from views.shared.run_charts import run_charts
from views.shared.widgets import step_slider

FILM_COLUMNS = 8


def training(lang: str, card: cards.ModelCard, table: compare.Table) -> None:
    st.header(text(lang, "curves_title"), anchor=False)
    try:
        found = cache.evidence(card)
    except GanError as error:
        st.error(f"{text(lang, 'broken_evidence')} {error}", icon=":material/error:")
        return
    note = st.empty()
    steps = [moment["step"] for moment in found["moments"]]
    if pad.film(lang, card, steps, latents.beside(card, table)):
        note.caption(f"{text(lang, 'loss_note')} {text(lang, 'prob_note')}")
    else:
        _curves(lang, card, found["curves"], found["moments"])


def _curves(
    lang: str, card: cards.ModelCard, curves: dict[str, Any], moments: list[dict[str, Any]]
) -> None:
    """In place of the film: charts, and images that the server draws."""
    digits = card.metrics.digits
    real = None
    if digits:
        reference = cache.reference("monitor", card.metrics.test_images)
        real = reference.real_score(monitor.MONITOR_SAMPLES).fd
    total = curves["step"][-1]
    notes = [text(lang, key) for key in ("loss_note", "prob_note", "fd_chart_note")]
    marked = card.step if card.snapshot == "best" else None
    payload = chart_payload(curves, moments, total, digits, real)
    run_charts(lang, payload, notes, key="curves", marked=marked)
    _film(lang, card, moments)


@st.fragment
def _film(lang: str, card: cards.ModelCard, moments: list[dict[str, Any]]) -> None:
    """A slider through the moments of the run: the images of the same latents at each."""
    st.subheader(text(lang, "film_title"), anchor=False)
    steps = [moment["step"] for moment in moments]
    try:
        frames = cache.film(card, len(steps))
    except GanError as error:
        st.error(str(error), icon=":material/error:")
        return
    start = card.step if card.step in steps else steps[-1]
    step = step_slider(lang, "film_step", steps, start, f"film_{card.name}")
    with st.container(key="film"):
        frame = images.grid(frames[steps.index(step)], FILM_COLUMNS, gap=1, background=40)
        alt = text(lang, "film_alt", step=step)
        st.html(image_tag(frame, alt, max_width=640))
    st.caption(text(lang, "film_note"))
