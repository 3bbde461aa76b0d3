"""Rewinding on the Train page: back to a snapshot, and on from there with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from gan.config import AUGMENTATIONS, TrainConfig
from gan.jobs import history
from gan.jobs.queries import View
from gan.jobs.service import Service
from views.shared import cache, session, widgets
from views.shared.i18n import text
from views.shared.pictures import png_tag
from views.train import actions, form_state
from views.train.settings import RANGES


def show(lang: str, service: Service, view: View) -> None:
    """The form that rewinds a job; nothing if it has no snapshots."""
    id, config, folder = view.job.id, view.job.config, view.job.folder
    steps = list(history.snapshots(folder))
    if not steps:
        return
    advice = history.advice(folder, config, cache.metrics(folder).lines())
    back = None if advice is None else advice.step
    with st.expander(text(lang, "rewind"), icon=":material/history:", expanded=back is not None):
        st.markdown(text(lang, "rewind_note"))
        if back is not None:
            st.info(text(lang, "rewind_hint", **asdict(advice)), icon=":material/lightbulb:")
        left, right = st.columns([1, 2], gap="large")
        with right:
            step = widgets.step_slider(
                lang, "rewind_step", steps, steps[-1] if back is None else back, f"rewind_step_{id}"
            )
            augment = config.augment if back is None else "fixed"
            changes = _changes(
                lang, id, replace(config, augment=augment), step, service.limits.updates
            )
            rewind, off = partial(_rewind, service, view, step, changes), not service.limits.enabled
            widgets.button(text(lang, "rewind_go"), "rewind_go", "history", rewind, disabled=off)
        with left:
            _images_at(lang, history.samples(folder), step)


def _changes(
    lang: str, id: str, suggested: TrainConfig, step: int, most_updates: int
) -> dict[str, Any]:
    """The widgets for what may differ after ``step``, and their values."""
    first, second = st.columns(2)
    changes: dict[str, Any] = {}
    for place, name in ((first, "lr_g"), (second, "lr_d")):
        low, high = RANGES[name]
        changes[name] = place.number_input(
            text(lang, name),
            low,
            high,
            min(max(low, getattr(suggested, name)), high),
            step=1e-4,
            format="%.6f",
            key=f"rewind_{name}_{id}",
        )
    with first:
        changes["augment"] = widgets.dropdown(
            lang,
            "augment",
            AUGMENTATIONS,
            index=AUGMENTATIONS.index(suggested.augment),
            key=f"rewind_augment_{id}",
        )
    most = max(most_updates, step + 1)
    changes["updates"] = second.number_input(
        text(lang, "rewind_updates"),
        step + 1,
        most,
        min(max(suggested.total_updates, step + 1), most),
        step=100,
        key=f"rewind_updates_{id}_{step}",  # another step has another range
    )
    return changes


def _images_at(lang: str, samples: Mapping[int, Path], step: int) -> None:
    """What the generator drew at ``step``, or shortly before."""
    shown = history.latest_sample({s: path for s, path in samples.items() if s <= step})
    if shown is None:
        return
    st.markdown(f"**{text(lang, 'rewind_shown')}**")
    drawn, png = shown
    st.html(png_tag(png, text(lang, "live_alt", step=drawn), max_width=260))
    st.caption(text(lang, "live_step", step=drawn))


def _rewind(service: Service, view: View, step: int, changes: dict[str, Any]) -> None:
    job = view.job
    with actions.remember_refusal():
        config = replace(job.config, budget="updates", **changes)
        ticket = service.rewind(job.id, step, config, job.device, session.visitor())
        form_state.watch(ticket.id)
