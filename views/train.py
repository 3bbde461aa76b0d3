"""The Train page: what to train, how long that takes, and watching it."""

from __future__ import annotations

import streamlit as st

from gan.config import TrainConfig
from gan.errors import GanError
from gan.limits import UPLOADS
from gan.studio import Studio
from views.parts import cache, controls, train_controls, watching
from views.parts.i18n import text
from views.parts.train_form import Wish, config_of
from views.parts.words import about, job_title, reason

_STATE_ICONS = {
    "queued": ":material/hourglass_empty:",
    "starting": ":material/rocket_launch:",
    "training": ":material/model_training:",
    "paused": ":material/pause:",
    "scoring": ":material/rule:",
    "finished": ":material/check_circle:",
    "stopped": ":material/stop:",
    "failed": ":material/error:",
}
_MOST_LISTED = 20


def page(lang: str) -> None:
    controls.follow()
    cache.prepare()
    controls.head(lang, "train_title")
    try:
        studio = cache.training()
        studio.attach()  # what another server left behind
    except GanError as error:
        st.error(str(error), icon=":material/error:")
        return
    watched = train_controls.begin(lang)
    if watched and studio.view(watched) is None:
        st.warning(
            text(lang, "no_such_job", id=watched.replace("`", "")), icon=":material/link_off:"
        )
        watched = train_controls.watch("")
    _say_what_came_of_it(lang)
    if watched:
        watching.panel(lang, studio, watched)
        with st.expander(text(lang, "train_another"), icon=":material/add:"):
            wish = _form(lang, studio)
    else:
        st.markdown(text(lang, "train_lead"))
        wish = _form(lang, studio)
    _jobs(lang, studio, watched)
    _import(lang)
    train_controls.write_link(lang, wish, watched)


def _say_what_came_of_it(lang: str) -> None:
    """What the press of a button led to, said once after it."""
    key = st.session_state.pop("train_said", None)
    if key:
        st.toast(text(lang, key), icon=":material/info:")


def _form(lang: str, studio: Studio) -> Wish:
    wish = train_controls.wish_widgets(lang, studio)
    device = train_controls.device_choice(lang, studio.runner.devices())
    try:
        config = config_of(wish, str(studio.runs / UPLOADS))
        problem = None
    except GanError as error:
        config, problem = None, error
    if problem is not None:
        st.info(reason(lang, problem), icon=":material/info:")
    if config is not None:
        _expected(lang, studio, config, device)
    if not studio.limits.enabled:
        st.info(text(lang, "train_off"), icon=":material/block:")
    st.button(
        text(lang, "train"),
        type="primary",
        icon=":material/play_arrow:",
        key="train_go",
        disabled=config is None or not studio.limits.enabled,
        on_click=_press,
        args=(studio, config, device),
    )
    refused = st.session_state.pop("train_refused", None)
    if refused is not None:
        st.error(reason(lang, refused), icon=":material/error:")
    return wish


def _press(studio: Studio, config: TrainConfig, device: str) -> None:
    try:
        ticket = studio.submit(config, device, controls.visitor())
    except GanError as error:
        st.session_state["train_refused"] = error
        return
    said = {"joined": "joined", "finished": "already", "resumed": "resumed"}
    if ticket.kind in said:
        st.session_state["train_said"] = said[ticket.kind]
    if studio.view(ticket.id) is None:  # trained from the command line: there is nothing to watch
        controls.go_explore(ticket.id)
    else:
        train_controls.watch(ticket.id)


@st.fragment
def _expected(lang: str, studio: Studio, config: TrainConfig, device: str) -> None:
    """How long it would take, and who is before."""
    expected = studio.expected(config, device)
    if expected is None:
        if studio.measure(device):
            st.fragment(_until_measured, run_every=1.0)(lang, studio, config, device)
        else:
            st.caption(text(lang, "expected_never"))
        return
    st.markdown(
        text(
            lang,
            "expected",
            time=about(lang, expected.total),
            device=text(lang, f"device_{device}"),
            updates=f"{config.total_updates:,}",
            scoring=about(lang, expected.scoring),
        )
    )
    if expected.training > studio.limits.minutes * 60:
        st.warning(
            text(lang, "too_long", minutes=studio.limits.minutes), icon=":material/timer_off:"
        )
    ahead, wait = studio.wait(device)
    if not ahead:
        st.caption(text(lang, "queue_free"))
    elif wait is None:
        st.caption(text(lang, "queue_unknown", ahead=ahead))
    else:
        st.caption(text(lang, "queue_wait", ahead=ahead, time=about(lang, wait)))


def _until_measured(lang: str, studio: Studio, config: TrainConfig, device: str) -> None:
    if studio.expected(config, device) is not None or not studio.measure(device):
        st.rerun()
    st.caption(text(lang, "expected_unknown"))


def _jobs(lang: str, studio: Studio, watched: str) -> None:
    st.header(text(lang, "jobs_title"), anchor=False)
    views = studio.views()
    if not views:
        st.caption(text(lang, "jobs_none"))
        return
    visitor = controls.visitor()
    for view in sorted(views, key=lambda v: not v.status.active)[:_MOST_LISTED]:
        status = view.status
        row = st.container(horizontal=True, vertical_alignment="center", border=True)
        mine = f" · {text(lang, 'job_mine')}" if view.job.owner == visitor else ""
        done = ""
        if status.state in ("training", "paused", "stopped", "failed") and status.total:
            done = f" · {status.step / status.total:.0%}"
        row.markdown(
            f"{_STATE_ICONS[status.state]} **{text(lang, f'state_{status.state}')}**{done}{mine}  \n"
            f"{job_title(lang, view.job)}"
        )
        if view.job.id != watched:
            row.button(
                text(lang, "job_watch"),
                key=f"watch_{view.job.id}",
                on_click=train_controls.watch,
                args=(view.job.id,),
                icon=":material/visibility:",
            )


def _import(lang: str) -> None:
    with st.expander(text(lang, "import_title"), icon=":material/upload_file:"):
        train_controls.import_model(lang)


page(controls.language())
