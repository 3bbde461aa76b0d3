"""The link of a page: controls to query parameters and back."""

from __future__ import annotations

from typing import Any

import streamlit as st


def put_link(key: str, wanted: dict[str, str], shown: Any) -> None:
    """Writes the link ``wanted`` for what is ``shown``, unless the address at hand was accepted for it:
    whoever goes back in the browser must not be sent forward again. ``key``: one of `WRITTEN`."""
    asked = st.query_params.to_dict()
    if st.session_state.get(key) == (asked, shown):
        return
    st.session_state[key] = (wanted, shown)
    if asked != wanted:
        st.query_params.from_dict(wanted)
