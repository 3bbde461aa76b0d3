"""Widgets of both pages. ``name`` is the key of the label's text, ``name_OPTION`` those of the options' texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from gan.browser.payload import share_text
from gan.data.mnist import FULL_SIZE
from views.shared.i18n import text


def segments(
    lang: str, name: str, options: Sequence[Any], help: str | None = None, **how: Any
) -> Any:
    """A choice among a few options, all of them visible."""
    how = {"format_func": lambda option: text(lang, f"{name}_{option}"), "key": name, **how}
    note = help and text(lang, help)
    return st.segmented_control(text(lang, name), options, required=True, help=note, **how)


def dropdown(lang: str, name: str, options: Sequence[str], **how: Any) -> Any:
    return st.selectbox(
        text(lang, name), options, format_func=lambda option: text(lang, f"{name}_{option}"), **how
    )


def button(
    label: str, key: str, icon: str, action: Callable[[], None], place: Any = st, **how: Any
) -> None:
    """A button in ``place``. icon: a name of Material Symbols."""
    place.button(label, key=key, icon=f":material/{icon}:", on_click=action, **how)


def size_slider(lang: str, name: str, sizes: Sequence[int], key: str) -> None:
    """A slider of amounts of data with their shares of MNIST."""
    st.select_slider(
        text(lang, name),
        sizes,
        format_func=lambda n: text(lang, "size_label", count=n, share=share_text(n, FULL_SIZE)),
        key=key,
    )


def step_slider(lang: str, name: str, steps: Sequence[int], value: int, key: str) -> int:
    """A slider of moments of a run."""
    return st.select_slider(text(lang, name), steps, value, format_func="{:,}".format, key=key)
