"""The panel that shows a training and polls while it is active."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import streamlit as st

from gan.browser.payload import chart_payload
from gan.config import has_digits
from gan.errors import GanError
from gan.evaluation.verdict import diagnose, missing_digits
from gan.jobs import history
from gan.jobs.queries import View
from gan.jobs.service import Service
from gan.zoo import cards
from views.shared import cache, session, widgets
from views.shared.i18n import text
from views.shared.pictures import digit_row, frame, png_tag
from views.shared.run_charts import run_charts
from views.shared.words import about, escaped, first_verdict, hardly_begun, job_title, queue_words
from views.train import actions, rewind

POLL_SECONDS = 1.0
_STOP_ICONS = {"failed": ":material/error:", "stopped": ":material/stop:"}


def panel(lang: str, service: Service, id: str) -> None:
    """Shows the job. Polls while it is active or paused."""
    view = service.queries.view(id)
    phase = _phase(view)
    if view is not None:
        st.subheader(job_title(lang, view.job), anchor=False)
        if view.status.state == "finished":
            _finished(lang, view)
    polls = phase in ("active", "paused")
    st.fragment(_panel, run_every=POLL_SECONDS if polls else None)(lang, service, id, phase)
    if view is not None and phase in ("paused", "over"):
        rewind.show(lang, service, view)


def _phase(view: View | None) -> str:
    """What the page shows besides the panel depends on this."""
    if view is None:
        return "gone"
    if view.status.state == "paused":
        return "paused"
    return "active" if view.status.active else "over"


def _panel(lang: str, service: Service, id: str, phase: str) -> None:
    view = service.queries.view(id)
    if view is None or _phase(view) != phase:
        st.rerun()  # the rest of the page changes too
    status = view.status
    _progress(lang, service, view)
    actions.buttons(lang, service, view)
    actions.show_refusal()
    if status.problem:
        show = st.error if status.state == "failed" else st.warning
        show(
            f"**{text(lang, f'problem_{status.problem}')}** {escaped(status.message)}",
            icon=_STOP_ICONS.get(status.state, ":material/info:"),
        )
    metrics = cache.metrics(view.job.folder)
    lines = metrics.lines()
    measured = history.measurements(lines)
    if phase == "active":  # there is time to do something about it
        advice = history.advice(view.job.folder, view.job.config, lines)
        if advice is not None:
            st.warning(text(lang, "alarm", **asdict(advice)), icon=":material/trending_down:")
    left, right = st.columns([1, 1], gap="large")
    with left:
        _images(lang, view)
    with right:
        _verdict_so_far(lang, view, measured)
    _curves(lang, view, metrics.curves(), measured)


def _progress(lang: str, service: Service, view: View) -> None:
    status = view.status
    state = text(lang, f"state_{status.state}")
    total = max(1, status.total or view.job.config.total_updates)
    words = [f"**{state}**"]
    words.append(text(lang, "progress", step=status.step, total=total))
    if status.state == "training":
        words.append(text(lang, "progress_speed", speed=status.images_per_second))
        left = service.queries.remaining(view)
        if left is not None:
            words.append(text(lang, "progress_left", time=about(lang, left)))
    st.progress(min(1.0, status.step / total), text=" · ".join(words))
    if status.active:  # a line in every state, so that nothing below it moves
        st.caption(_note(lang, service, view))


def _note(lang: str, service: Service, view: View) -> str:
    """What an active job is waiting for, or where it is at work."""
    if view.status.state == "training":
        return escaped(view.status.device)
    if view.status.state != "queued":
        return text(lang, f"{view.status.state}_note")
    ahead, wait = service.queries.wait(view.job.device, before=view.job.id)
    return queue_words(lang, ahead, wait)


def _images(lang: str, view: View) -> None:
    step, png = history.latest_sample(history.samples(view.job.folder)) or (0, b"")
    with st.container(key="live"):
        alt = text(lang, "live_alt", step=step)
        st.html(png_tag(png, alt) if png else frame(text(lang, "live_none")))
        st.caption(text(lang, "live_step", step=step))


def _verdict_so_far(lang: str, view: View, measured: Sequence[Mapping[str, Any]]) -> None:
    """The verdict so far and the digits there are."""
    if not measured:
        st.caption(text(lang, "look_none"))
        return
    last = measured[-1]
    measures = history.measures(view.job.config, last)
    verdicts = diagnose(measures)
    total = view.job.config.total_updates
    if view.status.state != "finished" and hardly_begun(last["step"], total, verdicts):
        with st.container(border=True, key="live_begun"):
            begun = {"step": last["step"], "total": total, "from_step": first_verdict(total)}
            st.markdown(text(lang, "hardly_begun", **begun))
        verdicts = []
    for verdict in verdicts:
        words = verdict.words(lang)
        with st.container(border=True, key=f"live_{verdict.kind}"):
            title = words.title
            if view.status.state != "finished":
                title = text(lang, "verdict_early", title=title)
            st.markdown(f"**{title}**  \n{words.seen} {words.measured}")
    if measures.digits:
        missing = missing_digits(measures.counts)
        present = [d for d in range(10) if measures.counts[d] and d not in missing]
        absent = ", ".join(str(d) for d in range(10) if d not in present) or "–"
        st.markdown(f"**{text(lang, 'digits_so_far')}**")
        alt = text(lang, "digits_alt", present=len(present), missing=absent)
        st.html(digit_row(measures.counts, present, alt))
        st.caption(text(lang, "digits_note", n=last["n"], step=last["step"]))


def _curves(
    lang: str,
    view: View,
    curves: Mapping[str, Sequence[float | None]],
    measured: Sequence[Mapping[str, Any]],
) -> None:
    """Also before there is any data, so that nothing on the page moves later."""
    config = view.job.config
    payload = chart_payload(curves, measured, config.total_updates, has_digits(config.source))
    notes = [text(lang, f"live_{name}_note") for name in ("loss", "prob", "fd")]
    run_charts(lang, payload, notes, key="live_curves", described=not view.status.active)


def _finished(lang: str, view: View) -> None:
    """What the visitor can do with the finished model."""
    taken = about(lang, view.status.seconds)
    st.success(text(lang, "finished_note", time=taken), icon=":material/check_circle:")
    row = st.container(horizontal=True)
    go = partial(session.go_explore, view.job.id)
    widgets.button(text(lang, "explore_it"), "explore_it", "grid_view", go, row, type="primary")
    try:
        card = cards.find(view.job.id, cache.cards())
    except GanError as error:
        st.error(escaped(error), icon=":material/error:")
        return
    row.download_button(
        text(lang, "export"),
        data=partial(cache.packed, card),  # packed only when the visitor downloads it
        file_name=f"{card.name}.zip",
        mime="application/zip",
        on_click="ignore",
        icon=":material/download:",
        help=text(lang, "export_help"),
    )
