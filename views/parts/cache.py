"""Every cache of the app: what is loaded once and shared by all visitors, bounded.

Models and judges are frozen, in eval mode, and never changed by a page; anything a visitor owns
lives in the session instead.
"""

from __future__ import annotations

import gc

import numpy as np
import streamlit as st
import torch
from PIL import Image

from gan import judge, run, zoo
from gan.errors import CheckpointError
from gan.explorer import GenerateRequest, GenerateResult, generate


@st.cache_resource(show_spinner=False)
def prepare() -> None:
    """Once for the process: one thread per request (two only get in each other's way), no slow
    denormals, and everything loaded so far kept out of the garbage collector's rounds."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    gc.collect()
    gc.freeze()


def cards() -> list[zoo.ModelCard]:
    """All models there are now: a changed manifest, or a run that finished, is seen at once."""
    manifests = [judge.PRETRAINED / run.MANIFEST, *zoo.RUNS.glob(f"*/{run.MANIFEST}")]
    return _cards(tuple((str(m), m.stat().st_mtime_ns) for m in manifests if m.exists()))


@st.cache_resource(show_spinner=False, max_entries=2)
def _cards(stamp: tuple[tuple[str, int], ...]) -> list[zoo.ModelCard]:
    return zoo.list_models()


def model(card: zoo.ModelCard) -> zoo.Model:
    """The model behind a card. CheckpointError passes through and is not remembered."""
    return _model(card.name, card.sha256, card)


@st.cache_resource(show_spinner=False, max_entries=64)
def _model(name: str, sha256: str, _card: zoo.ModelCard) -> zoo.Model:
    return zoo.open_model(_card)


@st.cache_resource(show_spinner=False, max_entries=256)
def _pictures(sha256: str, request: GenerateRequest, _model: zoo.Model) -> GenerateResult:
    return generate(_model, request)


def pictures(opened: zoo.Model, request: GenerateRequest) -> GenerateResult:
    return _pictures(opened.card.sha256, request, opened)


def evidence(card: zoo.ModelCard) -> dict:
    return _evidence(str(card.evidence_path), card.sha256, card)


@st.cache_resource(show_spinner=False, max_entries=64)
def _evidence(path: str, sha256: str, _card: zoo.ModelCard) -> dict:
    return zoo.load_evidence(_card)


@st.cache_resource(show_spinner=False, max_entries=64)
def film(path: str, moments: int, side: int) -> np.ndarray:
    """The film of a run: uint8 [moments, 16, side, side, 1]. CheckpointError where it is damaged."""
    try:
        with Image.open(path) as picture:
            frames = np.asarray(picture.convert("L"))
        rows = frames.reshape(moments, side, run.FILM_LATENTS, side)
        return rows.transpose(0, 2, 1, 3)[..., np.newaxis]
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not the film of {moments} moments it should be ({error}); "
            "restore it from the repository"
        ) from error


@st.cache_resource(show_spinner=False)
def classifier() -> judge.Judge:
    return judge.load()


@st.cache_resource(show_spinner=False)
def reference(test_images: int) -> judge.Reference:
    return judge.reference(test_images=test_images)


@st.cache_resource(show_spinner=False)
def monitor_real_fd() -> float:
    """What real digits score with the monitor: the floor under the curve of distances."""
    return judge.reference("monitor").real_fd[0]
