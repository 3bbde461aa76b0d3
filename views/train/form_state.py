"""The session of the Train page: its settings, its link, and the job that is watched."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from views.shared import link
from views.train.settings import NAMES, TrainSettings, from_query, nearest_size, to_query

_PAGE = link.PAGES["train"]
_JOB = "job"  # the query parameter
_MOST_NAME = 200  # characters of a job's name in a link


def begin(lang: str) -> str:
    """At the start of every run: takes over the link if it is not what the page shows. Returns the job that is watched,
    "" for none."""
    known = all(key(name) in st.session_state for name in NAMES)
    if known:  # Streamlit forgets widgets that are not on the page
        set(**{name: value(name) for name in NAMES})
    link.begin(_PAGE, lang, known, _take, partial(_current, lang))
    return watched()


def _take(query: Mapping[str, str]) -> list[link.Problem]:
    """Fills the widgets from query parameters; returns those that do not fit."""
    last = link.written(_PAGE)
    problems: list[link.Problem] = []
    if _JOB in query and last is not None:
        _fill(last.shown[0])  # the link of a job has no settings
    else:
        linked, problems = from_query(query)
        _fill(linked)
    watch(query.get(_JOB, ""))
    return problems


def _current(lang: str) -> tuple[dict[str, str], Any]:
    """The link, and what is shown: the job that is watched, or else the settings."""
    shown, job = settings(), watched()
    query = {_JOB: job} if job else to_query(shown)
    return {**query, "lang": lang}, (shown, job, lang)


def write_link(lang: str) -> None:
    link.write(_PAGE, *_current(lang))


def watched() -> str:
    """The job that this session watches, "" for none."""
    return str(st.session_state.get("train_job", ""))


def watch(id: str) -> str:
    """Makes this session watch a job, "" for none."""
    st.session_state["train_job"] = id[:_MOST_NAME]
    return watched()


def _fill(wanted: TrainSettings) -> None:
    set(**dict(wanted))
    if wanted.source != "own":
        set(size=nearest_size(wanted.size))


def settings() -> TrainSettings:
    """What this session would train."""
    return TrainSettings(**{name: value(name) for name in NAMES})


def key(name: str) -> str:
    """The key of a setting's widget."""
    return f"setting_{name}"


def value(name: str) -> Any:
    return st.session_state[key(name)]


def set(**values: Any) -> None:
    """Sets the widgets of settings."""
    st.session_state.update({key(name): new for name, new in values.items()})
