"""Measures of generated images and the verdicts they lead to."""

from gan.evaluation.classifier import Classifier, load_classifier
from gan.evaluation.evaluate import Evaluation
from gan.evaluation.figures import Figure
from gan.evaluation.metrics import (
    frechet_distance,
    precision_recall_density_coverage,
    vendi_score,
)

__all__ = [
    "Classifier",
    "Evaluation",
    "Figure",
    "frechet_distance",
    "load_classifier",
    "precision_recall_density_coverage",
    "vendi_score",
]
