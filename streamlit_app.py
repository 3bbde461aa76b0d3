"""The app: page settings, navigation, run. Start it with ``streamlit run streamlit_app.py``."""

import streamlit as st

from views.parts import controls
from views.parts.i18n import text
from views.parts.pictures import favicon

language = controls.language()
st.set_page_config(
    page_title=text(language, "title"),
    page_icon=favicon(),
    layout="wide",
)
page = st.navigation(
    [
        st.Page(
            "views/explore.py",
            title=text(language, "page_explore"),
            icon=controls.PAGE_ICONS["explore"],
            default=True,
        ),
        st.Page(
            "views/train.py",
            title=text(language, "page_train"),
            icon=controls.PAGE_ICONS["train"],
            url_path="train",
        ),
    ],
    position="top",
)
page.run()
