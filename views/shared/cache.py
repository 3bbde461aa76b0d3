"""Every cache of the app: bounded, loaded once, shared by all visitors.

Models and classifiers are in eval mode, and no page changes them. What belongs to one visitor is in the session.
Errors are raised, not cached.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
import torch

from gan.browser import payload, static_files
from gan.errors import CheckpointError, GanError
from gan.evaluation import classifier as digit_classifier
from gan.evaluation import copies
from gan.jobs import history, service
from gan.networks.images import to_uint8
from gan.networks.latent_request import LatentRequest, resolve_latents
from gan.runs import manifest
from gan.system import files
from gan.zoo import bundle
from gan.zoo import cards as model_cards
from gan.zoo.cards import Model, ModelCard, list_models, load_evidence, load_film, open_model

_PUBLISHED_SECONDS = 24 * 3600.0
_cached = partial(st.cache_resource, show_spinner=False)


def prepare() -> None:
    """At the start of every run. Makes this thread flush denormals (the setting is per thread)."""
    torch.set_flush_denormal(True)
    _start()
    _tidy()


@_cached()
def _start() -> None:
    """Once per process. Limits torch to one thread per request, because two slow each other down; freezes all loaded
    objects, so that the garbage collector skips them; and takes over the jobs of the previous server. If that fails
    (a cluster that does not answer takes seconds to fail), the Train page shows the error."""
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    with contextlib.suppress(GanError):
        training()


@_cached(ttl=3600)
def _tidy() -> None:
    """Once an hour: removes files for browsers that have not been used for a day, such as those of a removed model. A page
    that still needs one publishes it again when it runs."""
    static_files.tidy(static_files.STATIC, set(), older_than_seconds=_PUBLISHED_SECONDS)


#: The key of a file, or of a model with its files, in a cache: it changes when a file does. That of a model has the name
#: because the moments of one run share these files, but each has its own check for copies.
_KEYS: dict[Any, Any] = {
    type(Path()): lambda path: (str(path), files.stamp(path)),
    ModelCard: lambda card: (
        card.name,
        card.sha256,
        *map(files.stamp, (card.evidence_path, card.film_path)),
    ),
    Model: lambda opened: opened.card.sha256,
}
_of_files = partial(_cached, hash_funcs=_KEYS)

model = _of_files(open_model, max_entries=64)
evidence = _of_files(load_evidence, max_entries=64)
film = _of_files(load_film, max_entries=64)
packed = _of_files(bundle.pack, max_entries=8)
_sha256 = _of_files(files.sha256, max_entries=4096)
classifier = _cached(digit_classifier.load_classifier)
reference = _cached(digit_classifier.load_reference)
#: One gallery for all amounts of data.
real_images = _cached(copies.load_real_images, max_entries=3)


@_cached(max_entries=32)
def copy_baseline(image_set: copies.ImageSet, size: int) -> copies.Baseline | None:
    """How near unseen real images lie to the training images; takes seconds the first time."""
    return real_images(image_set).baseline(size)


@_of_files(max_entries=64)
def generated(opened: Model, request: LatentRequest, count: int) -> np.ndarray:
    """The images of the first ``count`` latents of ``request``: uint8 [count, H, W, C]."""
    return to_uint8(opened.generator(resolve_latents(request, count, opened.directions)))


def cards() -> list[ModelCard]:
    """All present models. Sees a changed manifest, or a run that has finished, at once."""
    own = model_cards.RUNS.glob(f"*/{manifest.MANIFEST}")
    return _cards([digit_classifier.PRETRAINED / manifest.MANIFEST, *own])


@_of_files(max_entries=2)
def _cards(manifests: list[Path]) -> list[ModelCard]:
    return list_models()


@_cached()
def training() -> service.Service:
    """The service of all jobs. Any visitor can clear this cache; a new service finds all jobs on disk."""
    opened = service.open_service(model_cards.RUNS, os.environ)
    opened.attach()
    return opened


@_cached(max_entries=32, hash_funcs={type(Path()): str})
def metrics(folder: Path) -> history.Reader:
    """The metrics of a job, parsed once for all who watch it."""
    return history.Reader(folder)


def asset(path: Path, sha256: str) -> dict[str, Any]:
    """A file that browsers may fetch: {"id": its digest, "url", "size": in bytes}. Not cached: the library checks in every
    run that the file is still there. CheckpointError if it cannot be served."""
    return _ref(static_files.publish(static_files.STATIC, path, sha256, path.suffix))


def _ref(name: str) -> dict[str, Any]:
    # relative: the app may be served below a path
    size = (static_files.STATIC / name).stat().st_size
    return {"id": Path(name).stem, "url": f"app/static/{name}", "size": size}


def classifier_weights() -> dict[str, Any]:
    """The file of the classifier, for browsers."""
    path = digit_classifier.weights_file("classifier")
    return asset(path, _sha256(path))


def film_sheet(card: ModelCard) -> dict[str, Any]:
    """The film of a card's run, for browsers. CheckpointError if it is missing."""
    path = card.film_path
    try:
        return asset(path, _sha256(path))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}); restore it") from error


def run_payload(card: ModelCard) -> dict[str, Any]:
    """The film payload of a card's run, as a file for browsers."""
    return _ref(static_files.publish_bytes(static_files.STATIC, _run_payload(card), ".json"))


@_of_files(max_entries=128)
def _run_payload(card: ModelCard) -> bytes:
    content = files.without_nan(payload.film_payload(card, load_evidence(card)))
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
