"""The buttons that control a job, and why the last press was refused."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import streamlit as st

from gan.errors import GanError
from gan.jobs.folder import ACTIVE
from gan.jobs.limits import may_control
from gan.jobs.queries import View
from gan.jobs.service import Service
from views.shared import session, widgets
from views.shared.i18n import text
from views.shared.words import escaped
from views.train import form_state

_STEPS = 20
_REFUSED_SECONDS = 15.0


def buttons(lang: str, service: Service, view: View) -> None:
    """The buttons that fit the state of the job and the visitor's rights."""
    id, visitor = view.job.id, session.visitor()
    row = st.container(horizontal=True)
    if may_control(view.job, visitor):
        presses = (
            ("pause", "pause", ("starting", "training"), service.pause),
            ("resume", "play_arrow", ("paused", "stopped", "failed"), service.resume),
            ("step_one", "skip_next", ("paused",), service.step),
            ("step_many", "fast_forward", ("paused",), service.step, _STEPS),
            ("stop", "stop", ACTIVE, service.stop),
        )
        for key, icon, states, order, *more in presses:
            if view.status.state in states:
                act = partial(_act, order, id, visitor, *more)
                note = text(lang, "stop_help") if key == "stop" else None
                widgets.button(text(lang, key), f"job_{key}", icon, act, row, help=note)
        if not view.status.active:
            _remove(row, lang, service, id, visitor)
    else:
        row.caption(text(lang, "not_yours"))
    # rerun the whole page: the fragment cannot change which job is watched
    if row.button(text(lang, "close_watch"), key="close_watch", icon=":material/arrow_back:"):
        form_state.watch("")
        st.rerun()


def _remove(row: Any, lang: str, service: Service, id: str, visitor: str) -> None:
    """Asks for confirmation: a deleted model cannot be restored."""
    confirm = row.popover(text(lang, "remove"), icon=":material/delete:", key="job_remove")
    confirm.markdown(text(lang, "remove_help"))
    remove = partial(_press_remove, service, id, visitor)
    label = text(lang, "remove_sure")
    widgets.button(label, "job_remove_sure", "delete_forever", remove, confirm)


def _press_remove(service: Service, id: str, visitor: str) -> None:
    _act(service.remove, id, visitor)
    if service.queries.view(id) is None:
        form_state.watch("")
        st.session_state["train_notice"] = "removed"


def _act(action: Callable[..., Any], *args: Any) -> None:
    with remember_refusal():
        action(*args)


@contextlib.contextmanager
def remember_refusal() -> Iterator[None]:
    """Forgets the last refusal, and keeps an error of the block for `show_refusal`."""
    st.session_state.pop("steer_refused", None)
    try:
        yield
    except GanError as error:
        st.session_state["steer_refused"] = (time.monotonic(), error)


def show_refusal() -> None:
    """Shows why the last press was refused, for long enough to read it while the panel polls."""
    refused = st.session_state.get("steer_refused")
    if refused is not None and time.monotonic() - refused[0] < _REFUSED_SECONDS:
        st.error(escaped(refused[1]), icon=":material/error:")
