"""The widgets of the Explore page, and the session's state behind them."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st

from gan.browser.payload import NUM_SHIFTS
from gan.config import BUDGETS, TrainConfig
from gan.errors import ConfigError
from gan.networks.latent_request import MAX_SHIFT, LatentRequest
from views.explore.state import MAX_SEED, ExploreState, from_query, to_query
from views.shared import link, widgets
from views.shared.i18n import text

_PAGE = link.PAGES["explore"]
_PLAIN = ("model", "size", "budget", "recipe", "moment", "seed", "rows", "truncation")
_MOVES = tuple(f"move{i}" for i in range(NUM_SHIFTS))
_KEYS = (*_PLAIN, *_MOVES, "axes")
_AXIS = "axis{}"  # of a single component; "axes" has the chosen ones


def begin(
    sizes: Sequence[int],
    recipes: Collection[str],
    best: Collection[tuple[int, str, str]],
    lang: str,
    models: Collection[str],
) -> None:
    """At the start of every run: takes over the link if it is not what the widgets show. The arguments are what is on
    offer; see `views.explore.state.from_query`."""
    values = st.session_state
    # Streamlit drops the value of a widget that was not on the page in the last run; assigning it keeps it.
    for key in list(values):
        if key in (*_KEYS, "server_draws") or _is_axis(key):
            values[key] = values[key]
    if values.get("model", "") not in ("", *models):
        values["model"] = ""  # the model has been removed
    known = all(key in values for key in _KEYS)
    known = known and values["size"] in sizes and values["recipe"] in recipes

    def take(query: Mapping[str, str]) -> list[link.Problem]:
        wanted, problems = from_query(query, sizes, best, recipes, models)
        _fill(wanted)
        restart_pad()
        return problems

    link.begin(_PAGE, lang, known, take, lambda: _current(lang, state().moment))


def _current(lang: str, moment: str) -> tuple[dict[str, str], Any]:
    """The link, and what is shown. ``moment``: see `write_link`."""
    shown = state()
    query = to_query(shown.model_copy(update={"moment": moment}))
    return {**query, "lang": lang}, (shown, lang)


def _fill(wanted: ExploreState) -> None:
    values = st.session_state
    for name in _PLAIN:
        values[name] = getattr(wanted, name)
    values.update(dict(zip(_MOVES, wanted.shifts, strict=True)))
    values["axes"] = [axis for axis, _ in wanted.axes]
    _forget_axes()
    for axis, value in wanted.axes:
        values[_AXIS.format(axis)] = value


def state() -> ExploreState:
    """What this session looks at."""
    values = st.session_state
    return ExploreState(
        **{name: values[name] for name in _PLAIN},
        shifts=tuple(values[key] for key in _MOVES),
        axes=tuple((axis, values.get(_AXIS.format(axis), 0.0)) for axis in values["axes"]),
    )


def write_link(lang: str, moment: str) -> None:
    """Writes what is shown into the address bar. ``moment``: the one on the page, which is "final" for a run without a
    best moment, whatever was chosen for another run."""
    link.write(_PAGE, *_current(lang, moment))


def model_choice(lang: str, names: Mapping[str, str]) -> None:
    """The comparison, or one of the models that were trained or imported here. names: model -> title."""
    st.selectbox(
        text(lang, "which_models"),
        ["", *names],
        format_func=lambda name: names.get(name) or text(lang, "which_zoo"),
        key="model",
        help=text(lang, "which_help"),
    )


def budget_switch(lang: str) -> None:
    def words(budget: str) -> str:
        return text(lang, f"budget_{budget}", updates=TrainConfig().updates)

    widgets.segments(lang, "budget", BUDGETS, "budget_help", wrap=True, format_func=words)


def moment_switch(lang: str, steps: dict[str, int]) -> None:
    """steps: "final" and "best" -> the update of each snapshot."""

    def words(moment: str) -> str:
        return text(lang, f"moment_{moment}", step=steps[moment])

    widgets.segments(lang, "moment", list(steps), "moment_help", wrap=True, format_func=words)


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
    """The pad starts with the grid's latents again."""
    st.session_state["rows"] = None
    restart_pad()


def restart_pad() -> None:
    """Makes the pad start from the session's state. Otherwise it keeps the visitor's latents, and its data stay the same
    when the visitor lets a slider go, so that they are not sent again."""
    st.session_state["pad_start"] = {"id": secrets.token_hex(8), "request": None}


def pad_start() -> dict[str, Any]:
    """Where the pad starts: {"id": str, "request": LatentRequest}, with a new id after every `restart_pad`."""
    start = st.session_state["pad_start"]
    if start["request"] is None:
        start["request"] = state().latent_request()
    return start


def server_switch(lang: str) -> None:
    """For browsers that cannot run the pad, and for expensive connections."""
    st.toggle(
        text(lang, "server_switch"),
        key="server_draws",
        help=text(lang, "server_switch_help"),
        on_change=restart_pad,
    )


def take_request(sent: object) -> None:
    """Takes over the latents of the pad. They come from a browser: anything but a latent request is ignored."""
    with contextlib.suppress(ConfigError):
        _fill(state().with_latents(LatentRequest.from_dict(sent)))


def _slider(label: str, key: str, help: str | None = None) -> None:
    st.slider(label, -MAX_SHIFT, MAX_SHIFT, step=0.1, key=key, on_change=restart_pad, help=help)


def shift_sliders(lang: str, strengths: Sequence[float]) -> None:
    """The principal directions, two in a row, and a button that resets all of them."""
    for first in range(0, min(NUM_SHIFTS, len(strengths)), 2):
        # row by row, so that they stay in order where a narrow screen stacks them
        for index, column in enumerate(st.columns(2)[: len(strengths) - first], start=first):
            note = text(lang, "direction_help", strength=strengths[index])
            with column:
                _slider(text(lang, "direction", k=index + 1), _MOVES[index], note)
    st.button(text(lang, "reset"), on_click=_reset_latents, icon=":material/restart_alt:")


def _reset_latents() -> None:
    _fill(state().with_latents(LatentRequest(state().latent_request().rows)))
    restart_pad()


def _is_axis(key: object) -> bool:
    return isinstance(key, str) and key.removeprefix("axis").isdigit()


def _forget_axes() -> None:
    """Drops the values of components that are no longer chosen; chosen again, they start at 0."""
    chosen = {_AXIS.format(axis) for axis in st.session_state["axes"]}
    for key in [key for key in st.session_state if _is_axis(key) and key not in chosen]:
        del st.session_state[key]


def _choose_axes() -> None:
    _forget_axes()
    restart_pad()


def axis_sliders(lang: str, latent_dim: int) -> None:
    """A slider for each single component of z that is chosen."""
    st.caption(text(lang, "raw_note"))
    # without those chosen for a model with more components
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
        key = _AXIS.format(axis)
        st.session_state.setdefault(key, 0.0)
        _slider(text(lang, "raw_axis", axis=axis), key)
