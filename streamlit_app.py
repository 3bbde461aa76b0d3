"""The app: page settings, navigation, run. Start it with ``streamlit run streamlit_app.py``."""

import streamlit as st

from views.parts import controls
from views.parts.i18n import text
from views.parts.pictures import favicon

st.set_page_config(
    page_title="How much data does a GAN need?",
    page_icon=favicon(),
    layout="wide",
)
language = controls.language()
page = st.navigation(
    [
        st.Page(
            "views/explore.py",
            title=text(language, "page_explore"),
            icon=":material/grid_view:",
            url_path="explore",
            default=True,
        )
    ],
    position="hidden",
)
page.run()
