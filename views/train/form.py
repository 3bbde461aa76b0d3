"""The widgets of the Train page."""

from __future__ import annotations

import streamlit as st

from gan.config import AUGMENTATIONS, BUDGETS, LOSSES, RECIPES, TrainConfig
from gan.errors import GanError
from gan.jobs.limits import UPLOADS
from gan.jobs.service import Service
from views.shared import session
from views.shared.i18n import text
from views.train import files, form_state
from views.train.settings import RANGES, SIZES, SOURCES, TrainSettings, config_of, recipe_values

_MINUTE = 60.0


def widgets(lang: str, service: Service) -> TrainSettings:
    left, right = st.columns(2, gap="large")
    with left:
        st.segmented_control(
            text(lang, "source"),
            SOURCES,
            format_func=lambda s: text(lang, f"source_{s}"),
            key=form_state.KEY.format("source"),
            required=True,
            wrap=True,
            help=text(lang, "source_help"),
            on_change=_source_changed,
        )
        if form_state.value("source") == "own":
            files.own_images(lang, service)
        else:
            st.select_slider(
                text(lang, "train_size"),
                _sizes(service),
                format_func=lambda size: session.size_text(lang, size),
                key=form_state.KEY.format("size"),
            )
        st.segmented_control(
            text(lang, "recipe"),
            list(RECIPES),
            format_func=lambda r: text(lang, f"recipe_{r}"),
            key=form_state.KEY.format("recipe"),
            required=True,
            wrap=True,
            help=text(lang, "train_recipe_help"),
            on_change=_recipe_changed,
        )
    with right:
        _duration(lang, service)
        st.number_input(
            text(lang, "seed"),
            *map(int, RANGES["seed"]),
            step=1,
            key=form_state.KEY.format("seed"),
            help=text(lang, "train_seed_help"),
        )
    with st.expander(text(lang, "more"), icon=":material/tune:"):
        _fine(lang)
    return form_state.settings()


def _sizes(service: Service) -> list[int]:
    return [size for size in SIZES if size <= service.limits.size]


def _source_changed() -> None:
    if form_state.value("source") == "own":
        form_state.set(size=max(2, st.session_state.get("own_count", 2)))
    else:
        form_state.set(img_size=28)
        if form_state.value("size") not in SIZES:
            form_state.set(size=min(SIZES, key=lambda size: abs(size - form_state.value("size"))))


def _recipe_changed() -> None:
    form_state.set(**recipe_values(form_state.value("recipe")))


def _duration(lang: str, service: Service) -> None:
    st.segmented_control(
        text(lang, "train_budget"),
        BUDGETS[::-1],
        format_func=lambda b: text(lang, f"train_budget_{b}"),
        key=form_state.KEY.format("budget"),
        required=True,
    )
    if form_state.value("budget") == "updates":
        least, most = map(int, RANGES["updates"])
        most = min(most, service.limits.updates)
        least = min(least, most)
        form_state.set(updates=min(max(least, form_state.value("updates")), most))
        st.number_input(
            text(lang, "updates"),
            least,
            most,
            step=100,
            key=form_state.KEY.format("updates"),
            help=text(lang, "updates_help"),
        )
    else:
        st.number_input(
            text(lang, "epochs"),
            *map(int, RANGES["epochs"]),
            step=1,
            key=form_state.KEY.format("epochs"),
            help=text(lang, "epochs_help"),
        )
    full = min(TrainConfig().updates, service.limits.updates)
    with st.container(horizontal=True):
        st.button(
            text(lang, "preset_minute"),
            key="preset_minute",
            icon=":material/bolt:",
            on_click=_a_minute,
            args=(service,),
        )
        st.button(
            text(lang, "preset_full", updates=f"{full:,}"),
            key="preset_full",
            icon=":material/all_inclusive:",
            on_click=form_state.set,
            kwargs={"budget": "updates", "updates": full},
        )


def _a_minute(service: Service) -> None:
    """Sets as many updates as fit into a minute on the chosen device, scoring included."""
    form_state.set(budget="updates")
    try:
        config = config_of(form_state.settings(), str(service.runs / UPLOADS))
    except GanError:
        config = TrainConfig()
    device = st.session_state.get("setting_device", service.runner.devices()[0])
    fitting = service.queries.updates_for(config, device, _MINUTE)
    form_state.set(updates=min(fitting or 1_000, service.limits.updates))


def _fine(lang: str) -> None:
    first, second, third = st.columns(3)
    with first:
        for name in ("lr_g", "lr_d"):
            low, high = RANGES[name]
            st.number_input(
                text(lang, name),
                low,
                high,
                step=1e-4,
                format="%.6f",
                key=form_state.KEY.format(name),
            )
        st.selectbox(
            text(lang, "loss"),
            LOSSES,
            format_func=lambda name: text(lang, f"loss_{name}"),
            key=form_state.KEY.format("loss"),
        )
    with second:
        for name in ("batch_size", "base_channels", "hidden_units"):
            st.number_input(
                text(lang, name), *map(int, RANGES[name]), step=1, key=form_state.KEY.format(name)
            )
    with third:
        st.number_input(
            text(lang, "latent_dim"),
            *map(int, RANGES["latent_dim"]),
            step=1,
            key=form_state.KEY.format("latent_dim"),
        )
        st.selectbox(
            text(lang, "augment"),
            AUGMENTATIONS,
            format_func=lambda name: text(lang, f"augment_{name}"),
            key=form_state.KEY.format("augment"),
        )


def device_choice(lang: str, devices: list[str]) -> str:
    """The device to train on: the fastest unless the visitor chooses another. A single device is only named."""
    if len(devices) == 1:
        st.caption(text(lang, "device_only", device=text(lang, f"device_{devices[0]}")))
        return devices[0]
    if st.session_state.get("setting_device") not in devices:
        st.session_state["setting_device"] = devices[0]
    return str(
        st.segmented_control(
            text(lang, "device"),
            devices,
            format_func=lambda d: text(lang, f"device_{d}"),
            key="setting_device",
            required=True,
        )
    )
