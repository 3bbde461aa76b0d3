"""The pages of the app; with ``streamlit_app.py`` the only code that knows Streamlit."""
