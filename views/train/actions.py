"""The buttons that control a job, and why the last press was refused."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from gan.errors import GanError
from gan.jobs.limits import may_control
from gan.jobs.queries import View
from gan.jobs.service import Service
from views.shared import session
from views.shared.i18n import text
from views.shared.words import reason
from views.train import form_state

_STEPS = 20
_REFUSED_SECONDS = 15.0


def buttons(lang: str, service: Service, view: View) -> None:
    """The buttons that fit the state of the job and the visitor's rights."""
    status, id = view.status, view.job.id
    visitor = session.visitor()
    row = st.container(horizontal=True)
    if may_control(view.job, visitor):
        if status.state in ("starting", "training"):
            _button(row, lang, "pause", ":material/pause:", service.orders.pause, id, visitor)
        if status.state in ("paused", "stopped", "failed"):
            _button(
                row, lang, "resume", ":material/play_arrow:", service.orders.resume, id, visitor
            )
        if status.state == "paused":
            _button(row, lang, "step_one", ":material/skip_next:", service.orders.step, id, visitor)
            _button(
                row,
                lang,
                "step_many",
                ":material/fast_forward:",
                service.orders.step,
                id,
                visitor,
                _STEPS,
            )
        if status.active:
            _button(
                row,
                lang,
                "stop",
                ":material/stop:",
                service.orders.stop,
                id,
                visitor,
                help=text(lang, "stop_help"),
            )
        else:
            _remove(row, lang, service, id, visitor)
    else:
        row.caption(text(lang, "not_yours"))
    # rerun the whole page: the fragment cannot change which job is watched
    if row.button(text(lang, "close_watch"), key="close_watch", icon=":material/arrow_back:"):
        form_state.watch("")
        st.rerun()


def _button(row: Any, lang: str, key: str, icon: str, action: Any, *args: Any, **how: Any) -> None:
    row.button(
        text(lang, key), key=f"job_{key}", icon=icon, on_click=_act, args=(action, *args), **how
    )


def _remove(row: Any, lang: str, service: Service, id: str, visitor: str) -> None:
    """Asks for confirmation: a deleted model cannot be restored."""
    confirm = row.popover(text(lang, "remove"), icon=":material/delete:", key="job_remove")
    confirm.markdown(text(lang, "remove_help"))
    confirm.button(
        text(lang, "remove_sure"),
        key="job_remove_sure",
        icon=":material/delete_forever:",
        on_click=_press_remove,
        args=(service, id, visitor),
    )


def _press_remove(service: Service, id: str, visitor: str) -> None:
    _act(service.orders.remove, id, visitor)
    if service.queries.view(id) is None:
        form_state.watch("")
        st.session_state["train_notice"] = "removed"


def _act(action: Any, *args: Any) -> None:
    clear()
    try:
        action(*args)
    except GanError as error:
        refuse(error)


def refuse(error: GanError) -> None:
    """Remembers the error for `show_refusal`."""
    st.session_state["steer_refused"] = (time.monotonic(), error)


def clear() -> None:
    """Forgets the last refusal."""
    st.session_state.pop("steer_refused", None)


def show_refusal(lang: str) -> None:
    """Shows why the last press was refused, for long enough to read it while the panel polls."""
    refused = st.session_state.get("steer_refused")
    if refused is not None and time.monotonic() - refused[0] < _REFUSED_SECONDS:
        st.error(reason(lang, refused[1]), icon=":material/error:")
