"""A visitor's files on the Train page: images and models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from gan.data import sources, uploads
from gan.data.folder import folder_size
from gan.errors import GanError
from gan.jobs.limits import UPLOADS
from gan.jobs.service import Service
from gan.networks import images
from views.shared import session, widgets
from views.shared.i18n import text
from views.shared.pictures import image_tag
from views.shared.words import escaped
from views.train import form_state
from views.train.settings import RESOLUTIONS

_PREVIEW = 24


def own_images(lang: str, service: Service) -> None:
    limits = uploads.Limits()
    megabytes = round(limits.uploaded_bytes / 1e6)
    files = st.file_uploader(
        text(lang, "upload"),
        type=["zip", "png", "jpg", "jpeg"],
        accept_multiple_files=True,
        key="own_files",
        help=text(lang, "upload_note", count=limits.images, megabytes=megabytes),
    )
    if sum(f.size for f in files) > limits.uploaded_bytes:
        st.error(text(lang, "upload_too_much", megabytes=megabytes), icon=":material/error:")
    elif files:
        _store(lang, service, files)
    name = form_state.value("own")
    folder = service.runs / UPLOADS / name
    if not name or not folder.is_dir():
        form_state.set(own="")
        return
    available = folder_size(folder)
    st.session_state["own_count"] = available
    said = "uploaded" if files else "uploaded_before"
    st.caption(text(lang, said, count=len(list(folder.glob("*.png")))))
    shown = sources.load(f"folder:{folder}", min(_PREVIEW, available)).images
    sheet = images.grid(shown.permute(0, 2, 3, 1).numpy(), 8, gap=1, background=40)
    st.html(image_tag(np.ascontiguousarray(sheet), text(lang, "upload_alt"), max_width=360))
    form_state.set(size=min(max(2, form_state.value("size")), available))
    if available > 2:
        st.slider(text(lang, "train_size_own"), 2, available, key=form_state.key("size"))
    widgets.segments(lang, "img_size", RESOLUTIONS, key=form_state.key("img_size"), format_func=str)


def _store(lang: str, service: Service, files: list[Any]) -> None:
    contents = [(f.name, f.getvalue()) for f in files]
    stamp = hashlib.sha256()
    for name, content in contents:
        stamp.update(name.encode() + b"\0" + content)

    def store() -> Sequence[tuple[str, str]]:
        kept = service.save_upload(contents)
        form_state.set(own=kept.folder.name, size=max(2, folder_size(kept.folder)))
        return kept.skipped

    skipped = _once("own_result", stamp.hexdigest(), text(lang, "upload_reading"), store)
    if skipped:
        with st.expander(text(lang, "upload_skipped", count=len(skipped))):
            st.dataframe(
                [{"file": name[:80], "reason": why} for name, why in skipped[:200]], hide_index=True
            )


def import_model(lang: str, service: Service) -> None:
    file = st.file_uploader(text(lang, "import_label"), type=["zip"], key="import_file")
    if file is None:
        return
    card = _once(
        "imported",
        file.file_id,
        text(lang, "import_reading"),
        lambda: service.import_model(file.getvalue()),
    )
    if card is None:
        return
    st.success(text(lang, "imported", name=f"`{card.name}`"), icon=":material/check_circle:")
    go = partial(session.go_explore, card.name)
    widgets.button(text(lang, "explore_it"), "explore_imported", "grid_view", go)


def _once(key: str, content: str, waiting: str, work: Callable[[], Any]) -> Any:
    """The result of ``work``, which runs once for the same ``content``, because that is slow. If it failed, shows the
    error; None. ``key``: where the session keeps the result."""
    last = st.session_state.get(key)
    if last is None or last[0] != content:
        try:
            with st.spinner(waiting):
                last = (content, work(), None)
        except GanError as error:
            last = (content, None, error)
        st.session_state[key] = last
    _, result, error = last
    if error is not None:
        st.error(escaped(error), icon=":material/error:")
    return result
