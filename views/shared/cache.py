"""Every cache of the app: bounded, loaded once, shared by all visitors.

Models and classifiers are in eval mode, and no page changes them. What belongs to one visitor is in the session.
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
from gan.networks.images import to_uint8
from gan.networks.latent_request import LatentRequest, resolve_latents
from gan.runs import manifest, monitor
from gan.system import files
from gan.zoo import bundle
from gan.zoo import cards as model_cards
from gan.zoo.cards import Model, ModelCard, list_models, load_evidence, load_film, open_model

_PUBLISHED_SECONDS = 24 * 3600.0


def prepare() -> None:
    """At the start of every run. Makes this thread flush denormals (the setting is per thread); the first run also limits
    torch to one thread per request, because two slow each other down, takes over jobs, and removes old files."""
    torch.set_flush_denormal(True)
    _settle()
    _wake()
    _tidy()


@st.cache_resource(show_spinner=False, ttl=3600)
def _tidy() -> None:
    """Once an hour: removes files for browsers that have not been used for a day, such as those of a removed model. A page
    that still needs one publishes it again when it runs."""
    static_files.tidy(static_files.STATIC, set(), older_than_seconds=_PUBLISHED_SECONDS)


@st.cache_resource(show_spinner=False)
def _wake() -> None:
    """Once per process: a new server takes over the jobs of the previous one. If that fails (a cluster that does not answer
    takes seconds to fail), the Train page shows the error."""
    with contextlib.suppress(GanError):
        training()


@st.cache_resource(show_spinner=False)
def _settle() -> None:
    """Once per process. Freezes all loaded objects, so that the garbage collector skips them."""
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()


def cards() -> list[ModelCard]:
    """All present models. Sees a changed manifest, or a run that has finished, at once."""
    manifests = [
        digit_classifier.PRETRAINED / manifest.MANIFEST,
        *model_cards.RUNS.glob(f"*/{manifest.MANIFEST}"),
    ]
    return _cards(tuple((str(m), _stamp(m)) for m in manifests))


@st.cache_resource(show_spinner=False, max_entries=2)
def _cards(stamp: tuple[tuple[str, int], ...]) -> list[ModelCard]:
    return list_models()


def _stamp(path: Path) -> int:
    """Changes when the file does; 0 without a file."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


#: The key of a model in a cache changes when one of its files does. It has the name because the moments of one run share
#: these files, but each has its own check for copies.
_KEYS: dict[Any, Any] = {
    ModelCard: lambda card: (
        card.name,
        card.sha256,
        *map(_stamp, (card.evidence_path, card.film_path)),
    ),
    Model: lambda opened: opened.card.sha256,
}


@st.cache_resource(show_spinner=False, max_entries=64, hash_funcs=_KEYS)
def model(card: ModelCard) -> Model:
    """The model of a card. A CheckpointError is raised, not cached."""
    return open_model(card)


@st.cache_resource(show_spinner=False, max_entries=64, hash_funcs=_KEYS)
def generated(opened: Model, request: LatentRequest, count: int) -> np.ndarray:
    """The images of the first ``count`` latents of ``request``: uint8 [count, H, W, C]."""
    return to_uint8(opened.generator(resolve_latents(request, count, opened.directions)))


@st.cache_resource(show_spinner=False, max_entries=64, hash_funcs=_KEYS)
def evidence(card: ModelCard) -> dict[str, Any]:
    """The curves and moments of a card's run."""
    return load_evidence(card)


@st.cache_resource(show_spinner=False, max_entries=64, hash_funcs=_KEYS)
def film(card: ModelCard, moments: int) -> np.ndarray:
    """The images of the same latents at each moment of a card's run."""
    return load_film(card, moments)


@st.cache_resource(show_spinner=False)
def classifier() -> Classifier:
    """The digit classifier."""
    return digit_classifier.load_classifier()


@st.cache_resource(show_spinner=False)
def reference(test_images: int) -> Reference:
    """The digit classifier's statistics of real test images."""
    return digit_classifier.load_reference(test_images=test_images)


@st.cache_resource(show_spinner=False)
def monitor_real_fd(test_images: int) -> float:
    """The monitor's distance for real digits, with as many samples as it gets during training."""
    return (
        digit_classifier.load_reference("monitor", test_images)
        .real_score(monitor.MONITOR_SAMPLES)
        .fd
    )


@st.cache_resource(show_spinner=False)
def training() -> service.Service:
    """The service of all jobs. Any visitor can clear this cache; a new service finds all jobs on disk."""
    opened = service.open_service(model_cards.RUNS, os.environ)
    opened.attach()
    return opened


def metrics(folder: Path) -> history.Reader:
    """The metrics of a job, parsed once for all who watch it."""
    return _metrics(str(folder))


@st.cache_resource(show_spinner=False, max_entries=32)
def _metrics(folder: str) -> history.Reader:
    return history.Reader(Path(folder))


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=_KEYS)
def packed(card: ModelCard) -> bytes:
    """A model as a bundle."""
    return bundle.pack(card)


def asset(path: Path, sha256: str, suffix: str) -> dict[str, Any]:
    """A file that browsers may fetch: {"id": its digest, "url", "size": in bytes}. Not cached: the library checks in every
    run that the file is still there. CheckpointError if it cannot be served."""
    return _ref(static_files.publish(static_files.STATIC, path, sha256, suffix))


def asset_of_bytes(content: bytes, suffix: str) -> dict[str, Any]:
    """The same for content that is not a file."""
    return _ref(static_files.publish_bytes(static_files.STATIC, content, suffix))


def _json(value: Any) -> bytes:
    """``value`` as JSON; NaN becomes null."""
    return json.dumps(
        files.without_nan(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode()


def _ref(name: str) -> dict[str, Any]:
    # relative: the app may be served below a path
    size = (static_files.STATIC / name).stat().st_size
    return {"id": Path(name).stem, "url": f"app/static/{name}", "size": size}


def weights(card: ModelCard) -> dict[str, Any]:
    """The file of a model, for browsers: the same file that the server loads."""
    return asset(card.path, card.sha256, ".safetensors")


def classifier_weights() -> dict[str, Any]:
    """The file of the classifier, for browsers."""
    path = weights_file("classifier")
    return asset(path, _sha256(str(path), _stamp(path)), path.suffix)


@st.cache_resource(show_spinner=False, max_entries=4096)
def _sha256(path: str, stamp: int) -> str:
    return files.sha256(Path(path))


def film_sheet(card: ModelCard) -> dict[str, Any]:
    """The film of a card's run, for browsers. CheckpointError if it is missing."""
    try:
        digest = _sha256(str(card.film_path), _stamp(card.film_path))
    except OSError as error:
        raise CheckpointError(f"{card.film_path} cannot be read ({error}); restore it") from error
    return asset(card.film_path, digest, card.film_path.suffix)


def run_payload(card: ModelCard) -> dict[str, Any]:
    """The film payload of a card's run, as a file for browsers."""
    return asset_of_bytes(_run_payload(card), ".json")


@st.cache_resource(show_spinner=False, max_entries=128, hash_funcs=_KEYS)
def _run_payload(card: ModelCard) -> bytes:
    return _json(film_payload.film_payload(card, load_evidence(card)))


def real_images(config: TrainConfig) -> copies.RealImages:
    """The real images that a model is compared with, one gallery for all amounts of data."""
    return _real_images(copies.image_set_of(config))


@st.cache_resource(show_spinner=False, max_entries=3)
def _real_images(image_set: copies.ImageSet) -> copies.RealImages:
    return copies.load_real_images(image_set)


@st.cache_resource(show_spinner=False, max_entries=32)
def copy_baseline(image_set: copies.ImageSet, size: int) -> copies.Baseline | None:
    """How near unseen real images lie to the training images; takes seconds the first time."""
    return _real_images(image_set).baseline(size)
