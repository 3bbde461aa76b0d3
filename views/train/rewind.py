"""Rewinding on the Train page: back to a snapshot, and on from there with other settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from gan.config import AUGMENTATIONS, TrainConfig
from gan.errors import GanError
from gan.jobs import history
from gan.jobs.history import Advice
from gan.jobs.queries import View
from gan.jobs.service import Service
from views.shared import cache, session
from views.shared.i18n import text
from views.shared.pictures import png_tag
from views.train import actions, form_state
from views.train.settings import RANGES


def show(lang: str, service: Service, view: View) -> None:
    """The form that rewinds a job; nothing if it has no snapshots."""
    steps = history.snapshots(view.job.folder)
    if not steps:
        return
    config = view.job.config
    advice = history.advice(view.job.folder, config, cache.metrics(view.job.folder).lines())
    if advice is not None and advice.step is None:
        advice = None
    with st.expander(text(lang, "rewind"), icon=":material/history:", expanded=advice is not None):
        st.markdown(text(lang, "rewind_note"))
        if advice is not None:
            st.info(_hint(lang, advice), icon=":material/lightbulb:")
        left, right = st.columns([1, 2], gap="large")
        with right:
            step = st.select_slider(
                text(lang, "rewind_step"),
                steps,
                value=steps[-1] if advice is None or advice.step is None else advice.step,
                format_func=lambda s: f"{s:,}",
                key=f"rewind_step_{view.job.id}",
            )
            changes = _changes(lang, view.job.id, config, step, service.limits.updates, advice)
            st.button(
                text(lang, "rewind_go"),
                key="rewind_go",
                icon=":material/history:",
                on_click=_rewind,
                args=(service, view, step, changes),
                disabled=not service.limits.enabled,
            )
        with left:
            _images_at(lang, history.samples(view.job.folder), step)


def _hint(lang: str, advice: Advice) -> str:
    return text(
        lang,
        "rewind_hint",
        then=advice.then,
        then_step=f"{advice.then_step:,}",
        now=advice.now,
        now_step=f"{advice.now_step:,}",
        step=f"{advice.step:,}",
    )


def _changes(
    lang: str, id: str, config: TrainConfig, step: int, most_updates: int, advice: Advice | None
) -> dict[str, Any]:
    """The widgets for what may differ from ``config`` after ``step``, and their values."""
    first, second = st.columns(2)
    changes: dict[str, Any] = {}
    for place, name in ((first, "lr_g"), (second, "lr_d")):
        low, high = RANGES[name]
        changes[name] = place.number_input(
            text(lang, name),
            low,
            high,
            min(max(low, getattr(config, name)), high),
            step=1e-4,
            format="%.6f",
            key=f"rewind_{name}_{id}",
        )
    suggested = config.augment if advice is None else "fixed"
    changes["augment"] = first.selectbox(
        text(lang, "augment"),
        AUGMENTATIONS,
        AUGMENTATIONS.index(suggested),
        format_func=lambda name: text(lang, f"augment_{name}"),
        key=f"rewind_augment_{id}",
    )
    most = max(most_updates, step + 1)
    changes["updates"] = second.number_input(
        text(lang, "rewind_updates"),
        step + 1,
        most,
        min(max(config.total_updates, step + 1), most),
        step=100,
        key=f"rewind_updates_{id}_{step}",  # another step has another range
    )
    return changes


def _images_at(lang: str, samples: Sequence[Path], step: int) -> None:
    """What the generator drew at ``step``, or shortly before."""
    shown = history.latest_sample([p for p in samples if history.sample_step(p) <= step])
    if shown is None:
        return
    st.markdown(f"**{text(lang, 'rewind_shown')}**")
    drawn = f"{shown[0]:,}"
    st.html(png_tag(shown[1], text(lang, "live_alt", step=drawn), max_width=260))
    st.caption(text(lang, "live_step", step=drawn))


def _rewind(service: Service, view: View, step: int, changes: dict[str, Any]) -> None:
    actions.clear()
    try:
        config = replace(view.job.config, budget="updates", **changes)
        ticket = service.orders.rewind(
            view.job.id, step, config, view.job.device, session.visitor()
        )
    except GanError as error:
        actions.refuse(error)
        return
    form_state.watch(ticket.id)
