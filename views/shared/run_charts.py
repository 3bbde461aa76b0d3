"""Components that run in the browser, and the one that both pages have: the training curves of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from gan.browser import scripts


def component(name: str, *styles: str) -> Callable[..., Any]:
    """The Streamlit component of ``gan/browser/js/.../NAME_component.js``."""
    script = scripts.bundle_script(f"{name}_component")
    return st.components.v2.component(f"gan_{name}", js=script, css=scripts.style("base", *styles))


_charts = component("charts", "charts")


def run_charts(
    lang: str,
    payload: Mapping[str, Any],
    notes: Sequence[str],
    key: str,
    marked: int | None = None,
    described: bool = True,
) -> None:
    """payload: from `gan.browser.payload.chart_payload`. notes: a text below each chart. marked: update at
    which a vertical line stands. described: whether the text alternative contains the data; without it, a screen
    reader does not announce a chart that changes every second again and again."""
    shown = {**payload, "notes": list(notes), "marked": marked, "described": described}
    _charts(key=key, data=component_data(lang, shown, "charts"))


def component_data(lang: str, payload: Mapping[str, Any], *words: str) -> dict[str, Any]:
    """What `mountPart` of gan/browser/js/shared/mount.js expects; words: the files of words that the part uses."""
    table = scripts.words(*words)
    return {"language": lang, "words": {lang: table[lang]}, "payload": payload}
