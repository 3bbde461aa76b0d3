"""Widgets of the Train page, the session's state behind them, and its link."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import streamlit as st

from gan import data, images, uploads
from gan.config import AUGMENTATIONS, BUDGETS, LOSSES, RECIPES, TrainConfig
from gan.errors import GanError
from gan.limits import UPLOADS
from gan.studio import Studio
from views.parts import controls
from views.parts.i18n import text
from views.parts.pictures import image_tag
from views.parts.train_form import (
    RANGES,
    RESOLUTIONS,
    SIZES,
    SOURCES,
    Wish,
    config_of,
    from_query,
    recipe_values,
    to_query,
)
from views.parts.words import reason

_KEY = "wish_{}"
_LINKED = "job"
_PREVIEW = 24
_MOST_NAME = 200  # characters of a job's name in a link
_MINUTE = 60.0


def begin(lang: str) -> str:
    """At the start of every run: takes over the link of a new session. Returns the job that is watched,
    "" for none."""
    values = st.session_state
    asked = st.query_params.to_dict()
    if any(_KEY.format(f.name) not in values for f in fields(Wish)):
        # a new session, or back from another page: by a link of this page, or by the navigation, which
        # brings none, and then what was left is found again
        left = values.get("train_wish")
        if left is not None and (not _is_ours(asked) or _LINKED in asked):
            _fill(left)
        else:
            _take_over(lang, asked)
        if left is None or _is_ours(asked):
            watch(asked.get(_LINKED, ""))
        return watched()
    for f in fields(Wish):  # Streamlit forgets what is not on the page
        values[_KEY.format(f.name)] = values[_KEY.format(f.name)]
    # A link that is not the one written last is a step through the browser's history only if nothing
    # was changed at the same time: then it is merely late, and the page is right.
    link, shown = values.get(controls.WRITTEN["train"], ({}, None))
    if asked != link and shown == (wish(), watched(), lang):
        if not _is_ours(asked):  # but a bare address: one step on the way back
            values[controls.WRITTEN["train"]] = (asked, shown)
            return watched()
        if _LINKED not in asked:
            _take_over(lang, asked)
        watch(asked.get(_LINKED, ""))
    return watched()


def _is_ours(asked: Mapping[str, str]) -> bool:
    """Whether a link is one that this page has written: all name the language, and none a model, as the
    address does for a moment when the way leads to the Explore page."""
    return "lang" in asked and "model" not in asked


def _take_over(lang: str, asked: Mapping[str, str]) -> None:
    """Fills the widgets as the link asks, and says what of it could not be used."""
    wished, problems = from_query(asked)
    _fill(wished)
    if problems:
        # from a stranger's link into Markdown: as code, with nothing in it that could end the code
        quoted = ", ".join(
            f"`{name}={' '.join(v.replace('`', '').split())}`" for name, v in problems
        )
        st.warning(text(lang, "link_problem", problems=quoted), icon=":material/link_off:")


def watched() -> str:
    """The job that this session watches, "" for none."""
    return str(st.session_state.get("train_job", ""))


def watch(id: str) -> str:
    st.session_state["train_job"] = id[:_MOST_NAME]
    return watched()


def write_link(lang: str, wished: Wish, watched: str) -> None:
    """The address says what is watched, or else what would be trained."""
    st.session_state["train_wish"] = wished
    wanted = {_LINKED: watched} if watched else to_query(wished)
    wanted["lang"] = lang
    controls.put_link(controls.WRITTEN["train"], wanted, (wished, watched, lang))


def _fill(wish: Wish) -> None:
    for f in fields(Wish):
        st.session_state[_KEY.format(f.name)] = getattr(wish, f.name)
    if wish.source != "own" and wish.size not in SIZES:
        nearest = min(SIZES, key=lambda size: abs(size - wish.size))
        st.session_state[_KEY.format("size")] = nearest


def wish() -> Wish:
    """What this session would train."""
    return Wish(**{f.name: st.session_state[_KEY.format(f.name)] for f in fields(Wish)})


def _value(name: str) -> Any:
    return st.session_state[_KEY.format(name)]


def _set(**values: Any) -> None:
    for name, value in values.items():
        st.session_state[_KEY.format(name)] = value


def wish_widgets(lang: str, studio: Studio) -> Wish:
    left, right = st.columns(2, gap="large")
    with left:
        st.segmented_control(
            text(lang, "source"),
            SOURCES,
            format_func=lambda s: text(lang, f"source_{s}"),
            key=_KEY.format("source"),
            required=True,
            wrap=True,
            help=text(lang, "source_help"),
            on_change=_source_changed,
        )
        if _value("source") == "own":
            _own_pictures(lang, studio)
        else:
            st.select_slider(
                text(lang, "train_size"),
                _sizes(studio),
                format_func=lambda size: controls.size_text(lang, size),
                key=_KEY.format("size"),
            )
        st.segmented_control(
            text(lang, "recipe"),
            list(RECIPES),
            format_func=lambda r: text(lang, f"recipe_{r}"),
            key=_KEY.format("recipe"),
            required=True,
            wrap=True,
            help=text(lang, "train_recipe_help"),
            on_change=_recipe_changed,
        )
    with right:
        _duration(lang, studio)
        st.number_input(
            text(lang, "seed"),
            *map(int, RANGES["seed"]),
            step=1,
            key=_KEY.format("seed"),
            help=text(lang, "train_seed_help"),
        )
    with st.expander(text(lang, "more"), icon=":material/tune:"):
        _fine(lang)
    return wish()


def _sizes(studio: Studio) -> list[int]:
    return [size for size in SIZES if size <= studio.limits.size]


def _source_changed() -> None:
    if _value("source") == "own":
        _set(size=max(2, st.session_state.get("own_count", 2)))
    else:
        _set(img_size=28)
        if _value("size") not in SIZES:
            _set(size=min(SIZES, key=lambda size: abs(size - _value("size"))))


def _recipe_changed() -> None:
    _set(**recipe_values(_value("recipe")))


def _duration(lang: str, studio: Studio) -> None:
    st.segmented_control(
        text(lang, "train_budget"),
        BUDGETS[::-1],
        format_func=lambda b: text(lang, f"train_budget_{b}"),
        key=_KEY.format("budget"),
        required=True,
    )
    if _value("budget") == "updates":
        least, most = map(int, RANGES["updates"])
        most = min(most, studio.limits.updates)
        least = min(least, most)
        _set(updates=min(max(least, _value("updates")), most))
        st.number_input(
            text(lang, "updates"),
            least,
            most,
            step=100,
            key=_KEY.format("updates"),
            help=text(lang, "updates_help"),
        )
    else:
        st.number_input(
            text(lang, "epochs"),
            *map(int, RANGES["epochs"]),
            step=1,
            key=_KEY.format("epochs"),
            help=text(lang, "epochs_help"),
        )
    full = min(TrainConfig().updates, studio.limits.updates)
    with st.container(horizontal=True):
        st.button(
            text(lang, "preset_minute"),
            key="preset_minute",
            icon=":material/bolt:",
            on_click=_a_minute,
            args=(studio,),
        )
        st.button(
            text(lang, "preset_full", updates=f"{full:,}"),
            key="preset_full",
            icon=":material/all_inclusive:",
            on_click=_set,
            kwargs={"budget": "updates", "updates": full},
        )


def _a_minute(studio: Studio) -> None:
    """As many updates as fit into a minute on the chosen device, judging included."""
    _set(budget="updates")
    try:
        config = config_of(wish(), str(studio.runs / UPLOADS))
    except GanError:
        config = TrainConfig()
    device = st.session_state.get("wish_device", studio.runner.devices()[0])
    fitting = studio.updates_for(config, device, _MINUTE)
    _set(updates=min(fitting or 1_000, studio.limits.updates))


def _fine(lang: str) -> None:
    first, second, third = st.columns(3)
    with first:
        for name in ("lr_g", "lr_d"):
            low, high = RANGES[name]
            st.number_input(
                text(lang, name), low, high, step=1e-4, format="%.6f", key=_KEY.format(name)
            )
        st.selectbox(
            text(lang, "loss"),
            LOSSES,
            format_func=lambda name: text(lang, f"loss_{name}"),
            key=_KEY.format("loss"),
        )
    with second:
        for name in ("batch_size", "base_channels", "hidden_units"):
            st.number_input(
                text(lang, name), *map(int, RANGES[name]), step=1, key=_KEY.format(name)
            )
    with third:
        st.number_input(
            text(lang, "latent_dim"),
            *map(int, RANGES["latent_dim"]),
            step=1,
            key=_KEY.format("latent_dim"),
        )
        st.selectbox(
            text(lang, "augment"),
            AUGMENTATIONS,
            format_func=lambda name: text(lang, f"augment_{name}"),
            key=_KEY.format("augment"),
        )


def device_choice(lang: str, devices: list[str]) -> str:
    """The fastest unless another is chosen; said, not asked, where there is one only."""
    if len(devices) == 1:
        st.caption(text(lang, "device_only", device=text(lang, f"device_{devices[0]}")))
        return devices[0]
    if st.session_state.get("wish_device") not in devices:
        st.session_state["wish_device"] = devices[0]
    return str(
        st.segmented_control(
            text(lang, "device"),
            devices,
            format_func=lambda d: text(lang, f"device_{d}"),
            key="wish_device",
            required=True,
        )
    )


# --- one's own pictures --------------------------------------------------------------------


def _own_pictures(lang: str, studio: Studio) -> None:
    limits = uploads.Limits()
    files = st.file_uploader(
        text(lang, "upload"),
        type=["zip", "png", "jpg", "jpeg"],
        accept_multiple_files=True,
        key="own_files",
        help=text(
            lang,
            "upload_note",
            count=limits.pictures,
            megabytes=round(limits.uploaded_bytes / 1e6),
        ),
    )
    if files:
        _take_in(lang, studio, files)
    name = _value("own")
    folder = studio.runs / UPLOADS / name
    if not name or not folder.is_dir():
        _set(own="")
        return
    pictures = sorted(folder.glob("*.png"))
    available = data.folder_size(folder)
    st.session_state["own_count"] = available
    st.caption(text(lang, "uploaded" if files else "uploaded_before", count=len(pictures)))
    shown = data.load(f"folder:{folder}", min(_PREVIEW, available)).images
    sheet = images.grid(shown.permute(0, 2, 3, 1).numpy(), 8, gap=1, background=40)
    st.html(image_tag(np.ascontiguousarray(sheet), text(lang, "upload_alt"), max_width=360))
    _set(size=min(max(2, _value("size")), available))
    if available > 2:
        st.slider(text(lang, "train_size_own"), 2, available, key=_KEY.format("size"))
    st.segmented_control(
        text(lang, "img_size"), RESOLUTIONS, key=_KEY.format("img_size"), required=True
    )


def _take_in(lang: str, studio: Studio, files: list[Any]) -> None:
    """Once for the same files: decoding them at every rerun would take its time."""
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
    said = st.session_state.get("own_said")
    if said is None or said[0] != digest:
        try:
            with st.spinner(text(lang, "upload_reading")):
                kept = studio.take_in(contents)
        except GanError as error:
            st.session_state["own_said"] = (digest, error, ())
        else:
            st.session_state["own_said"] = (digest, None, kept.skipped)
            _set(own=kept.folder.name, size=max(2, data.folder_size(kept.folder)))
    _, error, skipped = st.session_state["own_said"]
    if error is not None:
        st.error(reason(lang, error), icon=":material/error:")
    if skipped:
        with st.expander(text(lang, "upload_skipped", count=len(skipped))):
            st.dataframe(
                [{"file": name[:80], "reason": why} for name, why in skipped[:200]], hide_index=True
            )


# --- models from elsewhere -----------------------------------------------------------------


def import_model(lang: str, studio: Studio) -> None:
    file = st.file_uploader(text(lang, "import_label"), type=["zip"], key="import_file")
    if file is None:
        return
    known = st.session_state.get("imported")
    if known is None or known[0] != file.file_id:  # once for the same file
        try:
            with st.spinner(text(lang, "import_reading")):
                known = (file.file_id, studio.install(file.getvalue()), None)
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
        on_click=controls.go_explore,
        args=(card.name,),
        icon=":material/grid_view:",
    )
