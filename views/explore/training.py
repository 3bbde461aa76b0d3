"""The training section of the Explore page: film, or curves where the browser cannot play it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from gan.errors import GanError
from gan.networks import images
from gan.zoo import cards, compare
from views.explore import latents, pad
from views.shared import cache, charts
from views.shared.i18n import text
from views.shared.pictures import image_tag
from views.shared.words import chart_alt

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
    """What the film tells, where it cannot run in the browser: charts, and pictures from here."""
    marked = card.step if card.snapshot == "best" else None
    step = text(lang, "step_axis")
    # how far pictures that are no digits are from digits tells nothing
    loss, belief, *distance = st.columns(3 if card.metrics.digits else 2)
    with loss:
        st.markdown(f"**{text(lang, 'loss_chart')}**")
        series = [
            ("g_loss", text(lang, "g_loss"), charts.FAKE),
            ("d_loss", text(lang, "d_loss"), charts.D_BLUE),
        ]
        chart = charts.training_curves(
            curves, series, step, text(lang, "loss_axis"), marked_step=marked
        )
        st.altair_chart(chart, key="losses", alt=chart_alt(lang, "loss_chart", curves, series))
        st.caption(text(lang, "loss_note"))
    with belief:
        st.markdown(f"**{text(lang, 'prob_chart')}**")
        series = [
            ("prob_real", text(lang, "prob_real"), charts.REAL),
            ("prob_held_out", text(lang, "prob_held_out"), charts.UNSEEN),
            ("prob_fake", text(lang, "prob_fake"), charts.FAKE),
        ]
        chart = charts.training_curves(
            curves, series, step, text(lang, "prob_axis"), (0.0, 1.0), marked
        )
        st.altair_chart(chart, key="belief", alt=chart_alt(lang, "prob_chart", curves, series))
        st.caption(text(lang, "prob_note"))
    for place in distance:
        _distance(lang, place, card, moments, marked)
    _film(lang, card, moments)


def _distance(
    lang: str, place: Any, card: cards.ModelCard, moments: list[dict[str, Any]], marked: int | None
) -> None:
    step = text(lang, "step_axis")
    with place:
        st.markdown(f"**{text(lang, 'fd_chart')}**")
        chart = charts.distance_curve(
            moments,
            cache.monitor_real_fd(card.metrics.test_images),
            step,
            text(lang, "fd_axis"),
            marked,
        )
        distances = {"fd": [moment["fd"] for moment in moments]}
        series = [("fd", text(lang, "fd_axis"), "")]
        st.altair_chart(chart, key="distance", alt=chart_alt(lang, "fd_chart", distances, series))
        st.caption(text(lang, "fd_chart_note"))


@st.fragment
def _film(lang: str, card: cards.ModelCard, moments: list[dict[str, Any]]) -> None:
    """One scrubber through the run: what the same latents gave at each moment."""
    st.subheader(text(lang, "film_title"), anchor=False)
    steps = [moment["step"] for moment in moments]
    try:
        frames = cache.film(card, len(steps))
    except GanError as error:
        st.error(str(error), icon=":material/error:")
        return
    step = st.select_slider(
        text(lang, "film_step"),
        steps,
        value=card.step if card.step in steps else steps[-1],
        format_func=lambda s: f"{s:,}",
        key=f"film_{card.name}",
    )
    with st.container(key="film"):
        frame = images.grid(frames[steps.index(step)], FILM_COLUMNS, gap=1, background=40)
        alt = text(lang, "film_alt", step=f"{step:,}")
        st.html(image_tag(frame, alt, max_width=640))
    st.caption(text(lang, "film_note"))
