"""The Train page: what to train, how long that takes, and watching it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from gan.config import TrainConfig
from gan.errors import GanError
from gan.jobs.limits import UPLOADS
from gan.jobs.service import Service
from views.shared import cache, session, widgets
from views.shared.i18n import text
from views.shared.words import about, escaped, job_title, queue_words
from views.train import files, form, form_state, watch
from views.train.settings import config_of

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
_LIST_SECONDS = 5.0
_MEASURE_SECONDS = 1.0


def page(lang: str) -> None:
    session.follow()
    cache.prepare()
    session.head(lang, "train_title", other="explore")
    try:
        service = cache.training()
        service.attach(every=5.0)  # to trainings that another server started
    except GanError as error:
        st.error(escaped(error), icon=":material/error:")
        return
    watched = form_state.begin(lang)
    if watched and service.queries.view(watched) is None:
        gone = text(lang, "no_such_job", id=watched.replace("`", ""))
        st.warning(gone, icon=":material/link_off:")
        watched = form_state.watch("")
    _show_notice(lang)
    if not service.limits.enabled:
        st.info(text(lang, "train_off"), icon=":material/block:")
    if watched:
        # before the rest is drawn, in case the visitor leaves before the run ends
        form_state.write_link(lang)
        watch.panel(lang, service, watched)
        with st.expander(text(lang, "train_another"), icon=":material/add:"):
            _form(lang, service)
    else:
        st.markdown(text(lang, "train_lead"))
        _form(lang, service)
    listed = any(v.status.active for v in service.queries.views() if v.job.id != watched)
    st.fragment(_jobs, run_every=_LIST_SECONDS if listed else None)(lang, service, watched)
    with st.expander(text(lang, "import_title"), icon=":material/upload_file:"):
        files.import_model(lang, service)
    form_state.write_link(lang)


def _show_notice(lang: str) -> None:
    """Shows once what the last press of a button led to."""
    key = st.session_state.pop("train_notice", None)
    if key:
        st.toast(text(lang, key), icon=":material/info:")


def _form(lang: str, service: Service) -> None:
    settings = form.show(lang, service)
    device = form.device_choice(lang, service.runner.devices())
    config = None
    if settings.source == "own" and not settings.own:
        st.info(text(lang, "upload_first"), icon=":material/upload:")
    else:
        try:
            config = config_of(settings, str(service.runs / UPLOADS))
        except GanError as error:
            st.info(escaped(error), icon=":material/info:")
    trainable = config is not None and service.limits.enabled
    if trainable:
        queries = service.queries
        measuring = queries.expected(config, device) is None and queries.measure(device)
        polled = st.fragment(_expected, run_every=_MEASURE_SECONDS if measuring else None)
        polled(lang, service, config, device, measuring)
    how = {"type": "primary", "disabled": not trainable}
    press = partial(_press, service, config, device)
    widgets.button(text(lang, "train"), "train_go", "play_arrow", press, **how)
    refused = st.session_state.get("train_refused")
    if refused is not None and refused[0] == (config, device):  # until the settings change
        st.error(escaped(refused[1]), icon=":material/error:")


def _press(service: Service, config: TrainConfig, device: str) -> None:
    st.session_state.pop("train_refused", None)
    try:
        ticket = service.submit(config, device, session.visitor())
    except GanError as error:
        st.session_state["train_refused"] = ((config, device), error)
        return
    notices = {"joined": "joined", "finished": "already", "resumed": "resumed"}
    if ticket.kind in notices and ticket.id != form_state.watched():  # not after a second press
        st.session_state["train_notice"] = notices[ticket.kind]
    # a model trained from the command line has no job to watch
    if service.queries.view(ticket.id) is None:
        session.go_explore(ticket.id)
    else:
        form_state.watch(ticket.id)


def _expected(
    lang: str, service: Service, config: TrainConfig, device: str, measuring: bool
) -> None:
    """Shows the estimated time and the queue. Polls while the device is being measured."""
    expected = service.queries.expected(config, device)
    if measuring and (expected is not None or not service.queries.measure(device)):
        st.rerun()  # the estimate is known or failed: stop polling
    if expected is None:
        st.caption(text(lang, "expected_unknown" if measuring else "expected_never"))
        return
    times = {"time": about(lang, expected.total), "scoring": about(lang, expected.scoring)}
    where = text(lang, f"device_{device}")
    st.markdown(text(lang, "expected", device=where, updates=config.total_updates, **times))
    minutes = service.limits.minutes
    if expected.training > minutes * 60:
        st.warning(text(lang, "too_long", minutes=minutes), icon=":material/timer_off:")
    st.caption(queue_words(lang, *service.queries.wait(device)))


def _jobs(lang: str, service: Service, watched: str) -> None:
    """Lists all trainings except the watched one. Polls while one of them is active."""
    views = [v for v in service.queries.views() if v.job.id != watched]
    if watched and not views:
        return
    st.header(text(lang, "jobs_title"), anchor=False)
    if not views:
        st.caption(text(lang, "jobs_none"))
    visitor = session.visitor()
    shown = sorted(views, key=lambda v: not v.status.active)
    for view in shown[:_MOST_LISTED]:
        status = view.status
        row = st.container(horizontal=True, vertical_alignment="center", border=True)
        facts = [f"{_STATE_ICONS[status.state]} **{text(lang, f'state_{status.state}')}**"]
        if status.state in ("training", "paused", "stopped", "failed") and status.total:
            facts.append(f"{status.step / status.total:.0%}")
        if view.job.owner == visitor:
            facts.append(text(lang, "job_mine"))
        title = job_title(lang, view.job)
        row.markdown(f"{' · '.join(facts)}  \n{title}", width="stretch")
        # rerun the whole page: the fragment cannot change which job is watched
        key = f"watch_{view.job.id}"
        if row.button(text(lang, "job_watch"), key, title, icon=":material/visibility:"):
            form_state.watch(view.job.id)
            st.rerun()
    if len(shown) > _MOST_LISTED:
        st.caption(text(lang, "jobs_more", count=len(shown) - _MOST_LISTED))


page(session.language())
