"""What both pages share of a session: language, visitor, navigation."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import secrets

import streamlit as st

from views.shared import link
from views.shared.i18n import LANGUAGES, text
from views.shared.widgets import segments

PAGE_ICONS = {"explore": ":material/grid_view:", "train": ":material/model_training:"}


def language() -> str:
    """The language of this session: the visitor's choice, else the link's, else the browser's."""
    if st.session_state.get("lang") not in LANGUAGES:
        linked = st.query_params.get("lang", "")
        browser = (st.context.locale or "").partition("-")[0]
        st.session_state["lang"] = next((x for x in (linked, browser) if x in LANGUAGES), "en")
    return st.session_state["lang"]


def head(lang: str, title: str, other: str) -> None:
    """The title of a page, a link to the ``other`` page (on a phone the navigation hides in a menu) and the language
    switch."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    left.title(text(lang, title), anchor=False)
    with (
        right,
        st.container(
            horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="head"
        ),
    ):
        # With the link of what was shown there last: a bare address would be one more step on the way back.
        last = link.written(link.PAGES[other])
        st.page_link(
            f"views/{other}/{other}.py",
            label=text(lang, f"to_{other}"),
            icon=PAGE_ICONS[other],
            query_params={**(last.link if last else {}), "lang": lang},
        )
        segments(
            lang,
            "language",
            LANGUAGES,
            key="lang",
            format_func={"en": "English", "ja": "日本語"}.__getitem__,
            label_visibility="collapsed",
        )


def visitor() -> str:
    """An id that tells visitors apart: a hash of the random number in Streamlit's cookie, else of one made for this
    session. Streamlit masks its number differently every time, so it is unmasked first."""
    if "visitor" not in st.session_state:
        parts = str(st.context.cookies.get("_streamlit_xsrf", "")).strip("\"'").split("|")
        token = secrets.token_bytes(16)
        if len(parts) == 4 and parts[0] == "2":
            with contextlib.suppress(ValueError):
                mask, masked = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
                token = bytes(b ^ m for b, m in zip(masked, itertools.cycle(mask), strict=False))
        st.session_state["visitor"] = hashlib.sha256(b"visitor" + token).hexdigest()[:16]
    return st.session_state["visitor"]


def go_explore(name: str) -> None:
    """Opens the Explore page with the model ``name`` in the next run, because a callback cannot change pages."""
    st.session_state["go_explore"] = name


def follow() -> None:
    """At the start of a page: opens the page that a callback chose with `go_explore`."""
    name = st.session_state.pop("go_explore", None)
    if name is not None:
        query = {"model": name, "lang": language()}
        st.switch_page("views/explore/explore.py", query_params=query)
