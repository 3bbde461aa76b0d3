"""Components that run in the browser, and the one that both pages have: the training curves of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from gan.browser import scripts, static_files
from gan.errors import CheckpointError


def component(name: str, *styles: str) -> Callable[..., Any]:
    """The Streamlit component of ``gan/browser/js/.../NAME_component.js``. Browsers fetch its script once. Streamlit sends
    the script of a component with every message, which is done only where the folder of static files cannot be
    written."""
    script, css = scripts.bundle_script(f"{name}_component"), scripts.style("base", *styles)
    lazy = st.components.v2.component(
        f"gan_{name}", js=scripts.bundle_script("lazy_component"), css=css
    )
    whole = st.components.v2.component(f"gan_{name}_whole", js=script, css=css)

    def mount(*, data: dict[str, Any], **options: Any) -> Any:
        try:
            file = static_files.publish_bytes(static_files.STATIC, script.encode(), ".js")
        except CheckpointError:
            return whole(data=data, **options)
        return lazy(data={**data, "script": f"app/static/{file}"}, **options)

    return mount


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
