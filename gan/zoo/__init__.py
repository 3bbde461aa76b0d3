"""Trained models on disk: list them, find one by name, open it."""

from gan.zoo.cards import ModelCard, list_models, load

__all__ = ["ModelCard", "list_models", "load"]
