"""Trained models on disk: list them, find one by name, open it."""

from gan.zoo.cards import (
    Model,
    ModelCard,
    find,
    is_imported,
    list_models,
    load,
    load_evidence,
    load_film,
    open_model,
    read_manifest,
)

__all__ = [
    "Model",
    "ModelCard",
    "find",
    "is_imported",
    "list_models",
    "load",
    "load_evidence",
    "load_film",
    "open_model",
    "read_manifest",
]
