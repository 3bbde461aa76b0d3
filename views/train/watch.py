"""A training as one watches it: the one part of the app that polls."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from gan.browser.film_payload import chart_payload
from gan.config import AUGMENTATIONS, has_digits
from gan.errors import GanError
from gan.evaluation.verdict import diagnose, missing_digits, verdict_words
from gan.jobs import history
from gan.jobs.service import Service, View
from gan.zoo import cards
from views.shared import cache, session
from views.shared.i18n import text
from views.shared.pictures import digit_row, frame, picture_tag
from views.shared.run_charts import run_charts
from views.shared.words import about, job_title, queue_words, reason
from views.train import early, form_state
from views.train.settings import RANGES

POLL_SECONDS = 1.0
_STEPS = 20
_REFUSED_SECONDS = 15.0
_STOP_ICONS = {"failed": ":material/error:", "stopped": ":material/stop:"}


def panel(lang: str, studio: Service, id: str) -> None:
    """Polls while there is something to wait for."""
    view = studio.view(id)
    phase = _phase(view)
    if view is not None:
        st.subheader(job_title(lang, view.job), anchor=False)
        if view.status.state == "finished":
            _finished(lang, view)
    polls = phase in ("active", "paused")
    st.fragment(_panel, run_every=POLL_SECONDS if polls else None)(lang, studio, id, phase)
    if view is not None and phase in ("paused", "over"):
        _rewind(lang, studio, view)


def _phase(view: View | None) -> str:
    """Of the page: what is on it besides the panel depends on it."""
    if view is None:
        return "gone"
    if view.status.state == "paused":
        return "paused"
    return "active" if view.status.active else "over"


def _panel(lang: str, studio: Service, id: str, phase: str) -> None:
    view = studio.view(id)
    if view is None or _phase(view) != phase:
        st.rerun()  # another kind of page from now on
    status = view.status
    _progress(lang, studio, view)
    _buttons(lang, studio, view)
    _refused(lang)
    if status.problem:
        told = st.error if status.state == "failed" else st.warning
        told(
            f"**{text(lang, f'problem_{status.problem}')}** {_escaped(status.message)}",
            icon=_STOP_ICONS.get(status.state, ":material/info:"),
        )
    reel = cache.reel(view.job.folder)
    lines = reel.lines()
    looks = history.looks(lines)
    if phase == "active":
        _alarm(lang, view, lines)
    left, right = st.columns([1, 1], gap="large")
    with left:
        _pictures(lang, view)
    with right:
        _look(lang, view, looks)
    _curves(lang, view, reel.curves(), looks)


def _refused(lang: str) -> None:
    """Why the last press of a button led to nothing: long enough to be read, though the panel polls."""
    refused = st.session_state.get("steer_refused")
    if refused is not None and time.monotonic() - refused[0] < _REFUSED_SECONDS:
        st.error(reason(lang, refused[1]), icon=":material/error:")


def _alarm(lang: str, view: View, lines: list[dict[str, Any]]) -> None:
    """Said while there is time to do something about it."""
    advice = history.advice(view.job.folder, view.job.config, lines)
    if advice is not None:
        facts = {"then": advice.then, "then_step": f"{advice.then_step:,}"}
        facts |= {"now": advice.now, "now_step": f"{advice.now_step:,}"}
        st.warning(text(lang, "alarm", **facts), icon=":material/trending_down:")


def _escaped(message: str) -> str:
    return reason("en", Exception(message))


def _progress(lang: str, studio: Service, view: View) -> None:
    status = view.status
    state = text(lang, f"state_{status.state}")
    total = max(1, status.total or view.job.config.total_updates)
    words = [f"**{state}**"]
    words.append(text(lang, "progress", step=f"{status.step:,}", total=f"{total:,}"))
    if status.state == "training":
        words.append(text(lang, "progress_speed", speed=f"{status.images_per_second:,.0f}"))
        left = studio.remaining(view)
        if left is not None:
            words.append(text(lang, "progress_left", time=about(lang, left)))
    st.progress(min(1.0, status.step / total), text=" · ".join(words))
    if status.active:  # a line in every state, so that nothing below it moves
        st.caption(_note(lang, studio, view))


def _note(lang: str, studio: Service, view: View) -> str:
    """What an active job is waiting for, or where it is at work."""
    if view.status.state == "training":
        return _escaped(view.status.device)
    if view.status.state != "queued":
        return text(lang, f"{view.status.state}_note")
    ahead, wait = studio.wait(view.job.device, before=view.job.id)
    return queue_words(lang, ahead, wait)


def _buttons(lang: str, studio: Service, view: View) -> None:
    status, id = view.status, view.job.id
    visitor = session.visitor()
    row = st.container(horizontal=True)
    if studio.may_control(view, visitor):
        if status.state in ("starting", "training"):
            _button(row, lang, "pause", ":material/pause:", studio.pause, id, visitor)
        if status.state in ("paused", "stopped", "failed"):
            _button(row, lang, "resume", ":material/play_arrow:", studio.resume, id, visitor)
        if status.state == "paused":
            _button(row, lang, "step_one", ":material/skip_next:", studio.step, id, visitor)
            _button(
                row, lang, "step_many", ":material/fast_forward:", studio.step, id, visitor, _STEPS
            )
        if status.active:
            _button(
                row,
                lang,
                "stop",
                ":material/stop:",
                studio.stop,
                id,
                visitor,
                help=text(lang, "stop_help"),
            )
        else:
            _remove(row, lang, studio, id, visitor)
    else:
        row.caption(text(lang, "not_yours"))
    # of the whole page: what is watched is not this fragment's to say
    if row.button(text(lang, "close_watch"), key="close_watch", icon=":material/arrow_back:"):
        form_state.watch("")
        st.rerun()


def _button(row: Any, lang: str, key: str, icon: str, action: Any, *args: Any, **how: Any) -> None:
    row.button(
        text(lang, key), key=f"job_{key}", icon=icon, on_click=_steer, args=(action, *args), **how
    )


def _remove(row: Any, lang: str, studio: Service, id: str, visitor: str) -> None:
    """Asks once more: nothing brings a model back."""
    asked = row.popover(text(lang, "remove"), icon=":material/delete:", key="job_remove")
    asked.markdown(text(lang, "remove_help"))
    asked.button(
        text(lang, "remove_sure"),
        key="job_remove_sure",
        icon=":material/delete_forever:",
        on_click=_press_remove,
        args=(studio, id, visitor),
    )


def _press_remove(studio: Service, id: str, visitor: str) -> None:
    _steer(studio.remove, id, visitor)
    if studio.view(id) is None:
        form_state.watch("")
        st.session_state["train_said"] = "removed"


def _steer(action: Any, *args: Any) -> None:
    st.session_state.pop("steer_refused", None)
    try:
        action(*args)
    except GanError as error:
        _refuse(error)


def _refuse(error: GanError) -> None:
    st.session_state["steer_refused"] = (time.monotonic(), error)


def _pictures(lang: str, view: View) -> None:
    with st.container(key="live"):
        shown = _latest(history.samples(view.job.folder))
        if shown is None:
            st.html(frame(text(lang, "live_none")))
            st.caption(text(lang, "live_step", step=0))
            return
        step, content = f"{shown[0]:,}", shown[1]
        st.html(picture_tag(content, text(lang, "live_alt", step=step)))
        st.caption(text(lang, "live_step", step=step))


def _latest(pictures: Sequence[Path]) -> tuple[int, bytes] | None:
    """(update, content) of the last one that can be read: the worker replaces some as it goes."""
    for picture in reversed(pictures[-3:]):
        with contextlib.suppress(OSError):
            return history.sample_step(picture), picture.read_bytes()
    return None


def _look(lang: str, view: View, looks: Sequence[Mapping[str, Any]]) -> None:
    """The verdict so far and the digits there are."""
    if not looks:
        st.caption(text(lang, "look_none"))
        return
    look = looks[-1]
    measures = history.measures(view.job.config, look)
    verdicts = diagnose(measures)
    total = view.job.config.total_updates
    if view.status.state != "finished" and early.hardly_begun(look["step"], total, verdicts):
        with st.container(border=True, key="live_begun"):
            facts = {"step": look["step"], "from_step": early.first_verdict(total)}
            facts = {name: f"{value:,}" for name, value in {**facts, "total": total}.items()}
            st.markdown(text(lang, "hardly_begun", **facts))
        verdicts = []
    for verdict in verdicts:
        words = verdict_words(lang, verdict)
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
        st.caption(text(lang, "digits_note", n=look["n"], step=f"{look['step']:,}"))


def _curves(
    lang: str,
    view: View,
    curves: Mapping[str, Sequence[float | None]],
    looks: Sequence[Mapping[str, Any]],
) -> None:
    """Also before there is any data, so that nothing on the page moves later."""
    config = view.job.config
    payload = chart_payload(curves, looks, config.total_updates, has_digits(config.source))
    notes = [text(lang, f"live_{name}_note") for name in ("loss", "prob", "fd")]
    run_charts(lang, payload, notes, key="live_curves", described=not view.status.active)


def _finished(lang: str, view: View) -> None:
    """Its model is there: what can be done with it."""
    taken = about(lang, view.status.seconds)
    st.success(text(lang, "finished_note", time=taken), icon=":material/check_circle:")
    row = st.container(horizontal=True)
    row.button(
        text(lang, "explore_it"),
        key="explore_it",
        type="primary",
        icon=":material/grid_view:",
        on_click=session.go_explore,
        args=(view.job.id,),
    )
    _export(lang, row, view)


def _export(lang: str, row: Any, view: View) -> None:
    try:
        card = cards.find(view.job.id, cache.cards())
    except GanError as error:
        st.error(reason(lang, error), icon=":material/error:")
        return
    row.download_button(
        text(lang, "export"),
        data=partial(cache.packed, card),  # made when it is asked for
        file_name=f"{card.name}.zip",
        mime="application/zip",
        on_click="ignore",
        icon=":material/download:",
        help=text(lang, "export_help"),
    )


def _rewind(lang: str, studio: Service, view: View) -> None:
    steps = history.snapshots(view.job.folder)
    if not steps:
        return
    config = view.job.config
    advice = history.advice(view.job.folder, config, cache.reel(view.job.folder).lines())
    if advice is not None and advice.step is None:
        advice = None
    with st.expander(text(lang, "rewind"), icon=":material/history:", expanded=advice is not None):
        st.markdown(text(lang, "rewind_note"))
        if advice is not None:
            st.info(
                text(
                    lang,
                    "rewind_hint",
                    then=advice.then,
                    then_step=f"{advice.then_step:,}",
                    now=advice.now,
                    now_step=f"{advice.now_step:,}",
                    step=f"{advice.step:,}",
                ),
                icon=":material/lightbulb:",
            )
        left, right = st.columns([1, 2], gap="large")
        with right:
            step = st.select_slider(
                text(lang, "rewind_step"),
                steps,
                value=steps[-1] if advice is None or advice.step is None else advice.step,
                format_func=lambda s: f"{s:,}",
                key=f"rewind_step_{view.job.id}",
            )
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
                    key=f"rewind_{name}_{view.job.id}",
                )
            suggested = config.augment if advice is None else "fixed"
            changes["augment"] = first.selectbox(
                text(lang, "augment"),
                AUGMENTATIONS,
                AUGMENTATIONS.index(suggested),
                format_func=lambda name: text(lang, f"augment_{name}"),
                key=f"rewind_augment_{view.job.id}",
            )
            most = max(studio.limits.updates, step + 1)
            changes["updates"] = second.number_input(
                text(lang, "rewind_updates"),
                step + 1,
                most,
                min(max(config.total_updates, step + 1), most),
                step=100,
                key=f"rewind_updates_{view.job.id}_{step}",  # another step, another range
            )
            st.button(
                text(lang, "rewind_go"),
                key="rewind_go",
                icon=":material/history:",
                on_click=_press_rewind,
                args=(studio, view, step, changes),
                disabled=not studio.limits.enabled,
            )
        shown = _latest(
            [p for p in history.samples(view.job.folder) if history.sample_step(p) <= step]
        )
        if shown is not None:
            left.markdown(f"**{text(lang, 'rewind_shown')}**")
            drawn = f"{shown[0]:,}"
            alt = text(lang, "live_alt", step=drawn)
            left.html(picture_tag(shown[1], alt, max_width=260))
            left.caption(text(lang, "live_step", step=drawn))


def _press_rewind(studio: Service, view: View, step: int, changes: dict[str, Any]) -> None:
    st.session_state.pop("steer_refused", None)
    try:
        config = replace(view.job.config, budget="updates", **changes)
        ticket = studio.rewind(view.job.id, step, config, view.job.device, session.visitor())
    except GanError as error:
        _refuse(error)
        return
    form_state.watch(ticket.id)
