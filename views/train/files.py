"""A visitor's files on the Train page: images and models."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import streamlit as st

from gan.data import sources, uploads
from gan.data.folder import folder_size
from gan.errors import GanError
from gan.jobs.limits import UPLOADS
from gan.jobs.service import Service
from gan.networks import images
from views.shared import session
from views.shared.i18n import text
from views.shared.pictures import image_tag
from views.shared.words import reason
from views.train import form_state
from views.train.settings import RESOLUTIONS

_PREVIEW = 24


def own_images(lang: str, service: Service) -> None:
    limits = uploads.Limits()
    files = st.file_uploader(
        text(lang, "upload"),
        type=["zip", "png", "jpg", "jpeg"],
        accept_multiple_files=True,
        key="own_files",
        help=text(
            lang,
            "upload_note",
            count=limits.images,
            megabytes=round(limits.uploaded_bytes / 1e6),
        ),
    )
    if files:
        _store(lang, service, files)
    name = form_state.value("own")
    folder = service.runs / UPLOADS / name
    if not name or not folder.is_dir():
        form_state.set(own="")
        return
    available = folder_size(folder)
    st.session_state["own_count"] = available
    st.caption(
        text(
            lang, "uploaded" if files else "uploaded_before", count=len(list(folder.glob("*.png")))
        )
    )
    shown = sources.load(f"folder:{folder}", min(_PREVIEW, available)).images
    sheet = images.grid(shown.permute(0, 2, 3, 1).numpy(), 8, gap=1, background=40)
    st.html(image_tag(np.ascontiguousarray(sheet), text(lang, "upload_alt"), max_width=360))
    form_state.set(size=min(max(2, form_state.value("size")), available))
    if available > 2:
        st.slider(text(lang, "train_size_own"), 2, available, key=form_state.KEY.format("size"))
    st.segmented_control(
        text(lang, "img_size"), RESOLUTIONS, key=form_state.KEY.format("img_size"), required=True
    )


def _store(lang: str, service: Service, files: list[Any]) -> None:
    """Stores the files, once for the same files: decoding them at every rerun would be slow."""
    most = uploads.Limits().uploaded_bytes
    if sum(f.size for f in files) > most:
        st.error(
            text(lang, "upload_too_much", megabytes=round(most / 1e6)), icon=":material/error:"
        )
        return
    contents = [(f.name, f.getvalue()) for f in files]
    stamp = hashlib.sha256()
    for name, content in contents:
        stamp.update(name.encode() + b"\0" + content)
    digest = stamp.hexdigest()
    last = st.session_state.get("own_result")
    if last is None or last[0] != digest:
        try:
            with st.spinner(text(lang, "upload_reading")):
                kept = service.save_upload(contents)
        except GanError as error:
            st.session_state["own_result"] = (digest, error, ())
        else:
            st.session_state["own_result"] = (digest, None, kept.skipped)
            form_state.set(own=kept.folder.name, size=max(2, folder_size(kept.folder)))
    _, error, skipped = st.session_state["own_result"]
    if error is not None:
        st.error(reason(lang, error), icon=":material/error:")
    if skipped:
        with st.expander(text(lang, "upload_skipped", count=len(skipped))):
            st.dataframe(
                [{"file": name[:80], "reason": why} for name, why in skipped[:200]], hide_index=True
            )


def import_model(lang: str, service: Service) -> None:
    file = st.file_uploader(text(lang, "import_label"), type=["zip"], key="import_file")
    if file is None:
        return
    known = st.session_state.get("imported")
    if known is None or known[0] != file.file_id:  # once for the same file
        try:
            with st.spinner(text(lang, "import_reading")):
                known = (file.file_id, service.import_model(file.getvalue()), None)
        except GanError as error:
            known = (file.file_id, None, error)
        st.session_state["imported"] = known
    _, card, error = known
    if error is not None:
        st.error(reason(lang, error), icon=":material/error:")
        return
    st.success(text(lang, "imported", name=f"`{card.name}`"), icon=":material/check_circle:")
    st.button(
        text(lang, "explore_it"),
        key="explore_imported",
        on_click=session.go_explore,
        args=(card.name,),
        icon=":material/grid_view:",
    )
