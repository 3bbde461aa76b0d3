"""Every cache of the app: what is loaded once and shared by all visitors, bounded.

Models and classifiers are frozen, in eval mode, and never changed by a page; anything a visitor owns
lives in the session instead.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
import torch

from gan.browser import film_payload, static_files
from gan.config import TrainConfig
from gan.errors import CheckpointError, GanError
from gan.evaluation import classifier as digit_classifier
from gan.evaluation import copies
from gan.evaluation.classifier import Classifier, Reference, weights_file
from gan.jobs import history, service
from gan.networks.latent_request import LatentRequest
from gan.runs import manifest, monitor
from gan.system import files
from gan.zoo import bundle
from gan.zoo import cards as model_cards
from gan.zoo.cards import Model, ModelCard, list_models, load_evidence, load_film, open_model
from gan.zoo.generate import GenerateResult, generate

_PUBLISHED_SECONDS = 24 * 3600.0


def prepare() -> None:
    """At the start of every run: this thread ignores denormals (the setting is a thread's own), and one
    thread of torch serves a request (two only get in each other's way)."""
    torch.set_flush_denormal(True)
    _settle()
    _wake()
    _tidy()


@st.cache_resource(show_spinner=False, ttl=3600)
def _tidy() -> None:
    """Once an hour: what was published and nobody has asked for since, such as a model that was removed. What
    is looked at now is published again when its page runs."""
    static_files.tidy(static_files.STATIC, set(), older_than_seconds=_PUBLISHED_SECONDS)


@st.cache_resource(show_spinner=False)
def _wake() -> None:
    """Once for the process: a server that has just started takes on the jobs of the one before. Where it
    cannot (a cluster that does not answer takes seconds to say so) the Train page says it."""
    with contextlib.suppress(GanError):
        training()


@st.cache_resource(show_spinner=False)
def _settle() -> None:
    """Once for the process. What is loaded by now is kept out of the garbage collector's rounds."""
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()


def cards() -> list[ModelCard]:
    """All models there are now: a changed manifest, or a run that finished, is seen at once."""
    manifests = [
        digit_classifier.PRETRAINED / manifest.MANIFEST,
        *model_cards.RUNS.glob(f"*/{manifest.MANIFEST}"),
    ]
    return _cards(tuple((str(m), _stamp(m)) for m in manifests))


@st.cache_resource(show_spinner=False, max_entries=2)
def _cards(stamp: tuple[tuple[str, int], ...]) -> list[ModelCard]:
    return list_models()


def model(card: ModelCard) -> Model:
    """The model behind a card. CheckpointError passes through and is not remembered."""
    return _model(card.name, card.sha256, card)


@st.cache_resource(show_spinner=False, max_entries=64)
def _model(name: str, sha256: str, _card: ModelCard) -> Model:
    return open_model(_card)


@st.cache_resource(show_spinner=False, max_entries=64)
def _generated(sha256: str, request: LatentRequest, count: int, _model: Model) -> GenerateResult:
    return generate(_model, request, count)


def generated(opened: Model, request: LatentRequest, count: int) -> GenerateResult:
    """The images of the first ``count`` latents of ``request``."""
    return _generated(opened.card.sha256, request, count, opened)


def evidence(card: ModelCard) -> dict[str, Any]:
    """The curves and moments of the run behind a card."""
    return _evidence(str(card.evidence_path), _stamp(card.evidence_path), card)


@st.cache_resource(show_spinner=False, max_entries=64)
def _evidence(path: str, stamp: int, _card: ModelCard) -> dict[str, Any]:
    return load_evidence(_card)


def film(card: ModelCard, moments: int) -> np.ndarray:
    """What the same latents gave at each moment of the run behind a card."""
    return _film(str(card.film_path), _stamp(card.film_path), moments, card)


@st.cache_resource(show_spinner=False, max_entries=64)
def _film(path: str, stamp: int, moments: int, _card: ModelCard) -> np.ndarray:
    return load_film(_card, moments)


def _stamp(path: Path) -> int:
    """Changes when the file does; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(show_spinner=False)
def classifier() -> Classifier:
    return digit_classifier.load_classifier()


@st.cache_resource(show_spinner=False)
def reference(test_images: int) -> Reference:
    return digit_classifier.load_reference(test_images=test_images)


@st.cache_resource(show_spinner=False)
def monitor_real_fd(test_images: int) -> float:
    """What real digits score with the monitor, in as many samples as it is shown during training."""
    return (
        digit_classifier.load_reference("monitor", test_images)
        .real_score(monitor.MONITOR_SAMPLES)
        .fd
    )


@st.cache_resource(show_spinner=False)
def training() -> service.Service:
    """The one way to jobs. Any visitor can clear this cache; a new one finds all of them on the disk."""
    opened = service.open_service(model_cards.RUNS, os.environ)
    opened.attach()
    return opened


def metrics(folder: Path) -> history.Reader:
    """The metrics of a job, read on and parsed once for all who watch."""
    return _metrics(str(folder))


@st.cache_resource(show_spinner=False, max_entries=32)
def _metrics(folder: str) -> history.Reader:
    return history.Reader(Path(folder))


def packed(card: ModelCard) -> bytes:
    """A model as one file."""
    return _packed(card.sha256, card)


@st.cache_resource(show_spinner=False, max_entries=8)
def _packed(sha256: str, _card: ModelCard) -> bytes:
    return bundle.pack(_card)


def asset(path: Path, sha256: str, suffix: str) -> dict[str, Any]:
    """A file that browsers may fetch: {"id": its digest, "url": where, "size": bytes}. Not remembered here: the
    library has read it once, and looks at every run whether it is still there. CheckpointError passes through."""
    return _ref(static_files.publish(static_files.STATIC, path, sha256, suffix))


def asset_of_bytes(content: bytes, suffix: str) -> dict[str, Any]:
    """The same of a content that is made here."""
    return _ref(static_files.publish_bytes(static_files.STATIC, content, suffix))


def _json(value: Any) -> bytes:
    """What JSON can say; NaN becomes null."""
    return json.dumps(
        files.without_nan(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode()


def _ref(name: str) -> dict[str, Any]:
    # relative: the app may be served below a path
    size = (static_files.STATIC / name).stat().st_size
    return {"id": Path(name).stem, "url": f"app/static/{name}", "size": size}


def weights(card: ModelCard) -> dict[str, Any]:
    """The file of a model, for browsers: the very one that the server loads."""
    return asset(card.path, card.sha256, ".safetensors")


def classifier_weights() -> dict[str, Any]:
    """The file of the classifier, for browsers."""
    path = weights_file("classifier")
    return asset(path, _sha256(str(path), _stamp(path)), path.suffix)


@st.cache_resource(show_spinner=False, max_entries=4096)
def _sha256(path: str, stamp: int) -> str:
    return files.sha256(Path(path))


def film_sheet(card: ModelCard) -> dict[str, Any]:
    """The film of the run behind a card, for browsers. CheckpointError where it is not there."""
    try:
        digest = _sha256(str(card.film_path), _stamp(card.film_path))
    except OSError as error:
        raise CheckpointError(f"{card.film_path} cannot be read ({error}); restore it") from error
    return asset(card.film_path, digest, card.film_path.suffix)


def run_payload(card: ModelCard) -> dict[str, Any]:
    """The film payload of the run behind a card, as a file for browsers."""
    return asset_of_bytes(
        _run_payload(str(card.evidence_path), _stamp(card.evidence_path), card.name, card), ".json"
    )


@st.cache_resource(show_spinner=False, max_entries=128)
def _run_payload(path: str, stamp: int, name: str, _card: ModelCard) -> bytes:
    # by name, for the moments of one run share its evidence, and copies were looked for at each one's own
    return _json(film_payload.film_payload(_card, load_evidence(_card)))


def real_images(config: TrainConfig) -> copies.RealImages:
    """The real pictures a model is compared with; those of all amounts of data are one gallery."""
    return _real_images(copies.image_set_of(config))


@st.cache_resource(show_spinner=False, max_entries=3)
def _real_images(image_set: copies.ImageSet) -> copies.RealImages:
    return copies.load_real_images(image_set)


@st.cache_resource(show_spinner=False, max_entries=32)
def copy_baseline(image_set: copies.ImageSet, size: int) -> copies.Baseline | None:
    """How near unseen real pictures lie to the training images; takes seconds the first time."""
    return _real_images(image_set).baseline(size)
