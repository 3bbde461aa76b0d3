"""Widgets, the session's state behind them, and the link in the address bar.

A session begins with what its link asks for (`views.parts.state.from_query`), put into the widgets'
own keys; after every run the link is written anew from those keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from gan.config import BUDGETS
from gan.data import FULL_SIZE
from gan.explorer import MAX_SHIFT
from views.parts.i18n import share_text, text
from views.parts.state import (
    LANGUAGES,
    MAX_SEED,
    NUM_SHIFTS,
    ExploreState,
    from_query,
    to_query,
)

_AXIS_KEY = "axis{}"


def language() -> str:
    """The language of this session: chosen before, asked for by the link, or the browser's."""
    if st.session_state.get("lang") not in LANGUAGES:
        asked = st.query_params.get("lang", "")
        browser = (st.context.locale or "").partition("-")[0]
        st.session_state["lang"] = next((x for x in (asked, browser) if x in LANGUAGES), "en")
    chosen: str = st.session_state["lang"]
    return chosen


def language_switch(current: str) -> None:
    st.segmented_control(
        text(current, "language"),
        LANGUAGES,
        format_func={"en": "English", "ja": "日本語"}.__getitem__,
        key="lang",
        required=True,
        label_visibility="collapsed",
    )


def begin(sizes: Sequence[int], lang: str) -> None:
    """Once a session: take over the link, and say what of it could not be used."""
    if "size" in st.session_state and st.session_state["size"] in sizes:
        _keep_alive()
        return
    state, problems = from_query(st.query_params.to_dict(), sizes)
    st.session_state["size"] = state.size
    st.session_state["budget"] = state.budget
    st.session_state["moment"] = state.moment
    st.session_state["seed"] = state.seed
    for index, value in enumerate(state.shifts):
        st.session_state[f"move{index}"] = value
    st.session_state["axes"] = [axis for axis, _ in state.axes]
    for axis, value in state.axes:
        st.session_state[_AXIS_KEY.format(axis)] = value
    asked = st.query_params.get("lang")
    named = [f"{p.name}={p.value}" for p in problems]
    if asked is not None and asked not in LANGUAGES:
        named.append(f"lang={asked[:40]}")
    if named:
        # from a stranger's link into Markdown: as code, with nothing in it that could end the code
        shown = ", ".join(f"`{' '.join(n.replace('`', '').split())}`" for n in named)
        st.warning(text(lang, "link_problem", problems=shown), icon=":material/link_off:")


def _keep_alive() -> None:
    """Streamlit drops the value of a widget that is not on the page; assigning it keeps it."""
    for key in list(st.session_state):
        if isinstance(key, str) and key.startswith(("move", "axis", "axes", "moment")):
            st.session_state[key] = st.session_state[key]


def state() -> ExploreState:
    """What this session is looking at."""
    values = st.session_state
    return ExploreState(
        size=values["size"],
        budget=values["budget"],
        moment=values["moment"],
        seed=int(values["seed"]),
        shifts=tuple(float(values[f"move{i}"]) for i in range(NUM_SHIFTS)),
        axes=tuple(
            (axis, float(values.get(_AXIS_KEY.format(axis), 0.0)))
            for axis in sorted(values["axes"])
        ),
    )


def write_link(lang: str) -> None:
    """The address bar says what is shown, in as few words as possible."""
    wanted = to_query(state()) | {"lang": lang}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def size_text(lang: str, size: int) -> str:
    return text(lang, "size_label", count=f"{size:,}", share=share_text(size, FULL_SIZE))


def size_slider(lang: str, sizes: Sequence[int]) -> None:
    st.select_slider(
        text(lang, "size"), sizes, format_func=lambda size: size_text(lang, size), key="size"
    )


def budget_switch(lang: str, updates: int) -> None:
    st.segmented_control(
        text(lang, "budget"),
        BUDGETS,
        format_func=lambda b: text(lang, f"budget_{b}", updates=f"{updates:,}"),
        key="budget",
        required=True,
        wrap=True,
        help=text(lang, "budget_help"),
    )


def moment_switch(lang: str, steps: dict[str, int]) -> None:
    """steps: "final" and "best" -> the update each was taken after."""
    st.segmented_control(
        text(lang, "moment"),
        list(steps),
        format_func=lambda m: text(lang, f"moment_{m}", step=f"{steps[m]:,}"),
        key="moment",
        required=True,
        wrap=True,
        help=text(lang, "moment_help"),
    )


def seed_input(lang: str) -> None:
    st.number_input(
        text(lang, "seed"), 0, MAX_SEED, step=64, key="seed", help=text(lang, "seed_help")
    )


def shift_sliders(lang: str, strengths: Sequence[float]) -> None:
    """The principal directions, two in a row, and a button that brings all back to 0."""
    for first in range(0, NUM_SHIFTS, 2):
        # a row at a time, so that they stay in order where a narrow screen stacks them
        for index, column in enumerate(st.columns(2), start=first):
            column.slider(
                text(lang, "direction", k=index + 1),
                -MAX_SHIFT,
                MAX_SHIFT,
                step=0.1,
                key=f"move{index}",
                help=text(lang, "direction_help", strength=strengths[index]),
            )
    st.button(text(lang, "reset"), on_click=_reset_latents, icon=":material/restart_alt:")


def _reset_latents() -> None:
    for index in range(NUM_SHIFTS):
        st.session_state[f"move{index}"] = 0.0
    st.session_state["axes"] = []


def axis_sliders(lang: str, latent_dim: int) -> None:
    """Any raw components of z: choose some, get a slider for each."""
    st.caption(text(lang, "raw_note"))
    st.multiselect(
        text(lang, "raw_axes"),
        range(latent_dim),
        key="axes",
        format_func=lambda axis: text(lang, "raw_axis", axis=axis),
        placeholder=f"z[0] … z[{latent_dim - 1}]",
    )
    for axis in sorted(st.session_state["axes"]):
        key = _AXIS_KEY.format(axis)
        st.session_state.setdefault(key, 0.0)
        st.slider(text(lang, "raw_axis", axis=axis), -MAX_SHIFT, MAX_SHIFT, step=0.1, key=key)
