"""The training curves of a run: the same charts on every page, drawn by the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from gan.browser import scripts

_charts = st.components.v2.component(
    "gan_charts",
    js=scripts.bundle_script("charts_component"),
    css=scripts.style("base", "charts"),
)


def run_charts(
    lang: str,
    payload: Mapping[str, Any],
    notes: Sequence[str],
    key: str,
    marked: int | None = None,
    described: bool = True,
) -> None:
    """payload: from `gan.browser.film_payload.chart_payload`. notes: a text below each chart. marked: update at
    which a vertical line stands. described: whether the text alternative contains the data; without it, a screen
    reader does not announce a chart that changes every second again and again."""
    shown = {**payload, "notes": list(notes), "marked": marked, "described": described}
    _charts(key=key, data=component_data(lang, shown, "charts"))


def component_data(lang: str, payload: Mapping[str, Any], *words: str) -> dict[str, Any]:
    """What `mountPart` of gan/browser/js/shared/mount.js expects; words: the files of words that the part uses."""
    table = scripts.words(*words)
    return {"language": lang, "words": {lang: table[lang]}, "payload": payload}
