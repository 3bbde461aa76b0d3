"""The Train page's session: settings, link, and the job that is watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import streamlit as st

from views.shared import link as page_link
from views.shared import session
from views.shared.i18n import text
from views.train.settings import SIZES, Wish, from_query, to_query

KEY = "wish_{}"
_LINKED = "job"
_MOST_NAME = 200  # characters of a job's name in a link


def begin(lang: str) -> str:
    """At the start of every run: takes over the link of a new session. Returns the job that is watched,
    "" for none."""
    values = st.session_state
    asked = st.query_params.to_dict()
    if any(KEY.format(f.name) not in values for f in fields(Wish)):
        # a new session, or back from another page: by a link of this page, or by the navigation, which
        # brings none, and then what was left is found again
        left = values.get("train_wish")
        if left is not None and (not _is_ours(asked) or _LINKED in asked):
            _fill(left)
        else:
            _take_over(lang, asked)
        if left is None or _is_ours(asked):
            watch(asked.get(_LINKED, ""))
        return watched()
    for f in fields(Wish):  # Streamlit forgets what is not on the page
        values[KEY.format(f.name)] = values[KEY.format(f.name)]
    # A link that is not the one written last is a step through the browser's history only if nothing
    # was changed at the same time: then it is merely late, and the page is right.
    link, shown = values.get(session.WRITTEN["train"], ({}, None))
    if asked != link and shown == (wish(), watched(), lang):
        if not _is_ours(asked):  # but a bare address: one step on the way back
            values[session.WRITTEN["train"]] = (asked, shown)
            return watched()
        if _LINKED not in asked:
            _take_over(lang, asked)
        watch(asked.get(_LINKED, ""))
    return watched()


def _is_ours(asked: Mapping[str, str]) -> bool:
    """Whether a link is one that this page has written: all name the language, and none a model, as the
    address does for a moment when the way leads to the Explore page."""
    return "lang" in asked and "model" not in asked


def _take_over(lang: str, asked: Mapping[str, str]) -> None:
    """Fills the widgets as the link asks, and says what of it could not be used."""
    wished, problems = from_query(asked)
    _fill(wished)
    if problems:
        # from a stranger's link into Markdown: as code, with nothing in it that could end the code
        quoted = ", ".join(
            f"`{name}={' '.join(v.replace('`', '').split())}`" for name, v in problems
        )
        st.warning(text(lang, "link_problem", problems=quoted), icon=":material/link_off:")


def watched() -> str:
    """The job that this session watches, "" for none."""
    return str(st.session_state.get("train_job", ""))


def watch(id: str) -> str:
    st.session_state["train_job"] = id[:_MOST_NAME]
    return watched()


def write_link(lang: str, wished: Wish, watched: str) -> None:
    """The address says what is watched, or else what would be trained."""
    st.session_state["train_wish"] = wished
    wanted = {_LINKED: watched} if watched else to_query(wished)
    wanted["lang"] = lang
    page_link.put_link(session.WRITTEN["train"], wanted, (wished, watched, lang))


def _fill(wish: Wish) -> None:
    for f in fields(Wish):
        st.session_state[KEY.format(f.name)] = getattr(wish, f.name)
    if wish.source != "own" and wish.size not in SIZES:
        nearest = min(SIZES, key=lambda size: abs(size - wish.size))
        st.session_state[KEY.format("size")] = nearest


def wish() -> Wish:
    """What this session would train."""
    return Wish(**{f.name: st.session_state[KEY.format(f.name)] for f in fields(Wish)})


def value(name: str) -> Any:
    return st.session_state[KEY.format(name)]


def set(**values: Any) -> None:
    for name, value in values.items():
        st.session_state[KEY.format(name)] = value
