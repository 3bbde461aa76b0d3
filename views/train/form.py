"""The widgets of the Train page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from gan.config import AUGMENTATIONS, BUDGETS, LOSSES, RECIPES, TrainConfig
from gan.errors import GanError
from gan.jobs.limits import UPLOADS
from gan.jobs.service import Service
from views.shared import widgets
from views.shared.i18n import text
from views.train import files, form_state
from views.train.settings import (
    RANGES,
    SIZES,
    SOURCES,
    TrainSettings,
    config_of,
    nearest_size,
    recipe_values,
)

_MINUTE = 60.0


def show(lang: str, service: Service) -> TrainSettings:
    left, right = st.columns(2, gap="large")
    with left:
        _segments(lang, "source", SOURCES, "source_help", _source_changed)
        if form_state.value("source") == "own":
            files.own_images(lang, service)
        else:
            sizes = [size for size in SIZES if size <= service.limits.size]
            widgets.size_slider(lang, "train_size", sizes, form_state.key("size"))
        _segments(lang, "recipe", list(RECIPES), "train_recipe_help", _recipe_changed)
    with right:
        _duration(lang, service)
        _number(lang, "seed", help=text(lang, "train_seed_help"))
    with st.expander(text(lang, "more"), icon=":material/tune:"):
        _fine(lang)
    return form_state.settings()


def _segments(
    lang: str, name: str, options: Sequence[str], help: str, changed: Callable[[], None]
) -> None:
    key = form_state.key(name)
    widgets.segments(lang, name, options, help, key=key, wrap=True, on_change=changed)


def _dropdown(lang: str, name: str, options: Sequence[str]) -> None:
    widgets.dropdown(lang, name, options, key=form_state.key(name))


def _number(lang: str, name: str, step: float = 1, most: float = math.inf, **how: Any) -> None:
    """A number in the range of that name, and at most ``most``."""
    low, high = RANGES[name]
    high = min(high, most)
    st.number_input(
        text(lang, name), min(low, high), high, step=step, key=form_state.key(name), **how
    )


def _source_changed() -> None:
    if form_state.value("source") == "own":
        form_state.set(size=max(2, st.session_state.get("own_count", 2)))
    else:
        form_state.set(img_size=28, size=nearest_size(form_state.value("size")))


def _recipe_changed() -> None:
    form_state.set(**recipe_values(form_state.value("recipe")))


def _duration(lang: str, service: Service) -> None:
    widgets.segments(lang, "train_budget", BUDGETS[::-1], key=form_state.key("budget"))
    if form_state.value("budget") == "updates":
        least, most = RANGES["updates"]
        most = min(most, service.limits.updates)
        form_state.set(updates=min(max(least, form_state.value("updates")), most))
        _number(lang, "updates", 100, most, help=text(lang, "updates_help"))
    else:
        _number(lang, "epochs", help=text(lang, "epochs_help"))
    full = min(TrainConfig().updates, service.limits.updates)
    with st.container(horizontal=True):
        set_minute = partial(_a_minute, service)
        widgets.button(text(lang, "preset_minute"), "preset_minute", "bolt", set_minute)
        set_full = partial(form_state.set, budget="updates", updates=full)
        label = text(lang, "preset_full", updates=full)
        widgets.button(label, "preset_full", "all_inclusive", set_full)


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
        _number(lang, "lr_g", 1e-4, format="%.6f")
        _number(lang, "lr_d", 1e-4, format="%.6f")
        _dropdown(lang, "loss", LOSSES)
    with second:
        for name in ("batch_size", "base_channels", "hidden_units"):
            _number(lang, name)
    with third:
        _number(lang, "latent_dim")
        _dropdown(lang, "augment", AUGMENTATIONS)


def device_choice(lang: str, devices: list[str]) -> str:
    """The device to train on: the fastest unless the visitor chooses another. A single device is only named."""
    if len(devices) == 1:
        st.caption(text(lang, "device_only", device=text(lang, f"device_{devices[0]}")))
        return devices[0]
    if st.session_state.get("setting_device") not in devices:
        st.session_state["setting_device"] = devices[0]
    return str(widgets.segments(lang, "device", devices, key="setting_device"))
