"""Widgets, the session's state behind them, and the link in the address bar.

A session begins with what its link asks for (`views.parts.state.from_query`), put into the widgets'
own keys; after every run the link is written anew from those keys.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from gan.config import BUDGETS
from gan.errors import ConfigError
from gan.networks.latent_request import MAX_SHIFT, LatentRequest
from views.explore.state import LANGUAGES, MAX_SEED, NUM_SHIFTS, ExploreState, from_query, to_query
from views.shared import link as page_link
from views.shared import session
from views.shared.i18n import text

_AXIS_KEY = "axis{}"
_KEYS = (
    "size",
    "budget",
    "recipe",
    "moment",
    "seed",
    "move",
    "axes",
    "axis",
    "model",
    "rows",
    "psi",
    "server_draws",
)  # how the widgets' keys begin
_STATE_KEYS = (
    "budget",
    "moment",
    "seed",
    "model",
    "axes",
    "rows",
    "psi",
    *(f"move{i}" for i in range(NUM_SHIFTS)),
)


def begin(
    sizes: Sequence[int],
    recipes: Collection[str],
    best: Collection[tuple[int, str, str]],
    lang: str,
    models: Collection[str] = (),
) -> None:
    """At the start of every run: take over the link of a new session, or of one whose visitor went
    back or forward in the browser; say what of it could not be used."""
    asked = st.query_params.to_dict()
    values = st.session_state
    # back from another page some are gone: those of the widgets that were shown last
    known = values.get("size") in sizes and values.get("recipe") in recipes
    known = known and all(key in values for key in _STATE_KEYS)
    if values.get("model", "") not in ("", *models):
        values["model"] = ""  # it was removed meanwhile
    if known:
        _keep_alive()
        # A link that is not the one written last is a step through the browser's history only if no
        # widget was moved at the same time: then it is merely late, and the widget is right.
        link, shown = st.session_state.get("written", ({}, None))
        if asked == link or (state(), lang) != shown:
            return
        if "lang" not in asked:  # not a link of ours but a bare address: one step on the way back
            values["written"] = (asked, shown)
            return
    left = values.get("written", (None, None))[1]
    if not known and not asked and left is not None:
        # by the navigation, from another page, which drops the link: what was left is found again
        asked = to_query(left[0])
    wanted, problems = from_query(asked, sizes, best, recipes, models)
    _fill_widgets(wanted)
    # at once: if the next step through the history cuts this run short, nothing else would tell that one
    # from an address which is merely late
    values["written"] = (to_query(wanted) | {"lang": lang}, (state(), lang))
    named = [f"{p.name}={p.value}" for p in problems]
    if asked.get("lang", lang) not in LANGUAGES:
        named.append(f"lang={asked['lang'][:40]}")
    if named:
        # from a stranger's link into Markdown: as code, with nothing in it that could end the code
        quoted = ", ".join(f"`{' '.join(n.replace('`', '').split())}`" for n in named)
        st.warning(text(lang, "link_problem", problems=quoted), icon=":material/link_off:")


def _fill_widgets(wanted: ExploreState) -> None:
    values = st.session_state
    values["size"], values["budget"], values["model"] = wanted.size, wanted.budget, wanted.model
    values["recipe"], values["moment"], values["seed"] = wanted.recipe, wanted.moment, wanted.seed
    _fill_latents(wanted)
    restart_pad()


def _fill_latents(wanted: ExploreState) -> None:
    values = st.session_state
    values["rows"], values["psi"] = wanted.rows, wanted.truncation
    for index, value in enumerate(wanted.shifts):
        values[f"move{index}"] = value
    _forget_axes()
    values["axes"] = [axis for axis, _ in wanted.axes]
    for axis, value in wanted.axes:
        values[_AXIS_KEY.format(axis)] = value


def _keep_alive() -> None:
    """Streamlit drops the value of a widget that was not on the page in the last run (that of a model
    that cannot be shown, for one); assigning it keeps it."""
    for key in list(st.session_state):
        if isinstance(key, str) and key.startswith(_KEYS):
            st.session_state[key] = st.session_state[key]


def state() -> ExploreState:
    """What this session is looking at."""
    values = st.session_state
    return ExploreState(
        size=values["size"],
        budget=values["budget"],
        recipe=values["recipe"],
        moment=values["moment"],
        seed=int(values["seed"]),
        shifts=tuple(float(values[f"move{i}"]) for i in range(NUM_SHIFTS)),
        model=values["model"],
        rows=values["rows"],
        truncation=float(values["psi"]),
        axes=tuple(
            (axis, float(values.get(_AXIS_KEY.format(axis), 0.0)))
            for axis in sorted(values["axes"])
        ),
    )


def write_link(lang: str, moment: str) -> None:
    """The address bar says what is shown, in as few words as possible. ``moment``: the one on the
    page; a size without a best moment shows its end, whatever was chosen for another."""
    wanted = to_query(replace(state(), moment=moment)) | {"lang": lang}
    page_link.put_link(session.WRITTEN["explore"], wanted, (state(), lang))


def model_choice(lang: str, names: Mapping[str, str]) -> None:
    """The comparison, or one of the models that were trained or imported here: name -> what it is."""
    st.selectbox(
        text(lang, "which_models"),
        ["", *names],
        format_func=lambda name: names.get(name) or text(lang, "which_zoo"),
        key="model",
        help=text(lang, "which_help"),
    )


def size_slider(lang: str, sizes: Sequence[int]) -> None:
    st.select_slider(
        text(lang, "size"),
        sizes,
        format_func=lambda size: session.size_text(lang, size),
        key="size",
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


def recipe_switch(lang: str, recipes: Sequence[str]) -> None:
    st.segmented_control(
        text(lang, "recipe"),
        recipes,
        format_func=lambda recipe: text(lang, f"recipe_{recipe}"),
        key="recipe",
        required=True,
        wrap=True,
        help=text(lang, "recipe_help"),
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
        text(lang, "seed"),
        0,
        MAX_SEED,
        step=64,
        key="seed",
        help=text(lang, "seed_help"),
        on_change=_new_seed,
    )


def _new_seed() -> None:
    """The grid has other latents now, and so has the pad."""
    st.session_state["rows"] = None
    restart_pad()


def restart_pad() -> None:
    """The pad is to begin at what the session's state says. It keeps its own request otherwise, so that what
    it is given stays the same, and is not sent again, when a visitor lets it go."""
    st.session_state["pad_start"] = {"id": secrets.token_hex(8), "request": None}


def pad_start() -> dict[str, Any]:
    """Where the pad begins: {"id": str, "request": LatentRequest}, another id for every `restart_pad`."""
    start: dict[str, Any] = st.session_state["pad_start"]
    if start["request"] is None:
        start["request"] = state().latent_request()
    return start


def fitting(request: LatentRequest, latent_dim: int) -> LatentRequest:
    """``request`` without what a model of ``latent_dim`` components has not got."""
    axes = tuple(pair for pair in request.axes if pair[0] < latent_dim)
    return replace(request, shifts=request.shifts[:latent_dim], axes=axes)


def server_draws() -> bool:
    """Whether this visitor wants the pad's pictures from the server."""
    return bool(st.session_state.get("server_draws"))


def server_switch(lang: str) -> None:
    """For browsers that run no such parts, and for connections that are dear."""
    st.toggle(
        text(lang, "server_switch"),
        key="server_draws",
        help=text(lang, "server_switch_help"),
        on_change=restart_pad,
    )


def take_request(sent: object) -> None:
    """What the pad says when it was let go. It comes from a browser: what is no request changes nothing."""
    with contextlib.suppress(ConfigError):
        _fill_latents(state().with_latents(LatentRequest.from_dict(sent)))


def shift_sliders(lang: str, strengths: Sequence[float]) -> None:
    """The principal directions, two in a row, and a button that brings all back to 0."""
    for first in range(0, min(NUM_SHIFTS, len(strengths)), 2):
        # a row at a time, so that they stay in order where a narrow screen stacks them
        for index, column in enumerate(st.columns(2)[: len(strengths) - first], start=first):
            column.slider(
                text(lang, "direction", k=index + 1),
                -MAX_SHIFT,
                MAX_SHIFT,
                step=0.1,
                key=f"move{index}",
                on_change=restart_pad,
                help=text(lang, "direction_help", strength=strengths[index]),
            )
    st.button(text(lang, "reset"), on_click=_reset_latents, icon=":material/restart_alt:")


def _reset_latents() -> None:
    for index in range(NUM_SHIFTS):
        st.session_state[f"move{index}"] = 0.0
    st.session_state["axes"] = []
    st.session_state["psi"] = 1.0
    _forget_axes()
    restart_pad()


def _forget_axes() -> None:
    """Values of components that are no longer chosen; chosen again, they start at 0."""
    chosen = {_AXIS_KEY.format(axis) for axis in st.session_state.get("axes", [])}
    for key in list(st.session_state):
        is_axis = isinstance(key, str) and key.removeprefix("axis").isdigit()
        if is_axis and key not in chosen:
            del st.session_state[key]


def _choose_axes() -> None:
    _forget_axes()
    restart_pad()


def axis_sliders(lang: str, latent_dim: int) -> None:
    """Any raw components of z: choose some, get a slider for each."""
    st.caption(text(lang, "raw_note"))
    # chosen for a model with more components than this one
    st.session_state["axes"] = [a for a in st.session_state["axes"] if a < latent_dim]
    st.multiselect(
        text(lang, "raw_axes"),
        range(latent_dim),
        key="axes",
        on_change=_choose_axes,
        format_func=lambda axis: text(lang, "raw_axis", axis=axis),
        placeholder=f"z[0] … z[{latent_dim - 1}]",
    )
    for axis in sorted(st.session_state["axes"]):
        key = _AXIS_KEY.format(axis)
        st.session_state.setdefault(key, 0.0)
        st.slider(
            text(lang, "raw_axis", axis=axis),
            -MAX_SHIFT,
            MAX_SHIFT,
            step=0.1,
            key=key,
            on_change=restart_pad,
        )
