"""The app: page settings, navigation, run. Start it with ``streamlit run streamlit_app.py``."""

import streamlit as st

from views.shared import session
from views.shared.i18n import text
from views.shared.pictures import favicon

language = session.language()
st.set_page_config(
    page_title=text(language, "title"),
    page_icon=favicon(),
    layout="wide",
)
page = st.navigation(
    [
        st.Page(
            "views/explore/explore.py",
            title=text(language, "page_explore"),
            icon=session.PAGE_ICONS["explore"],
            default=True,
        ),
        st.Page(
            "views/train/train.py",
            title=text(language, "page_train"),
            icon=session.PAGE_ICONS["train"],
            url_path="train",
        ),
    ],
    position="top",
)
page.run()
