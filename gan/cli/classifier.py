"""``gan classifier``: trains the digit classifier that scores."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import torch
from tqdm import tqdm

from gan.cli import options
from gan.data import labelled, mnist, sources
from gan.evaluation import classifier as digits
from gan.evaluation import classifier_training
from gan.runs import manifest
from gan.system import devices
from gan.system.terminal import answers


@click.command()
@click.option(
    "--name",
    type=click.Choice(sorted(digits.CLASSIFIERS)),
    default="classifier",
    help="Which of the two (default classifier).",
)
@click.option(
    "--epochs",
    type=options.COUNT,
    default=classifier_training.EPOCHS,
    help=f"Passes over the training images (default {classifier_training.EPOCHS}).",
)
@click.option("--out", type=options.PATH, default=digits.PRETRAINED, help="Folder.")
@click.option(
    "--statistics-only", is_flag=True, help="Keep the weights; measure the data again only."
)
@options.threads(default=None)
@answers
def classifier(name: str, epochs: int, out: Path, statistics_only: bool) -> tuple[Any, str]:
    """Train the digit classifier that scores; needs MNIST."""
    training, test = sources.load("mnist"), sources.load_held_out("mnist")
    # the half of the test images that no training set contains
    never_trained = sources.load_held_out("mnist", mnist.FULL_SIZE + 1)
    assert test.labels is not None
    if statistics_only:
        trained, info = digits.load_classifier(name, out), digits.provenance(name, out)
    else:
        trained, info = _train(name, epochs, training, test)
    references = [digits.make_reference(trained, part.images) for part in (test, never_trained)]
    reading = digits.read(trained, test.images)
    info |= {
        "accuracy": float((reading.digit == test.labels).double().mean()),
        "legible_real": sum(references[0].counts) / references[0].n,
        "legible_junk": classifier_training.legible_junk(trained, test.images, test.labels),
    }
    digits.save(trained, references, info, name, out)
    path = out / f"{name}.safetensors"
    result = info | {"file": str(path), "bytes": path.stat().st_size}
    text = (
        f"{path}: {info['accuracy']:.2%} of 10,000 test digits read correctly; read with 0.9 confidence: "
        f"{info['legible_real']:.1%} of them, {info['legible_junk']:.1%} of junk"
    )
    return result, text


def _train(
    name: str, epochs: int, training: labelled.Labelled, test: labelled.Labelled
) -> tuple[digits.Classifier, dict[str, Any]]:
    """The classifier, rounded as its file stores it, and its provenance."""
    assert training.labels is not None and test.labels is not None
    width, seed = digits.CLASSIFIERS[name]
    started = time.monotonic()
    network = digits.make_classifier(width, seed)
    data = (training.images, training.labels, test.images, test.labels)
    with tqdm(total=epochs, unit="epoch", disable=None) as bar:
        for progress in classifier_training.train(network, *data, epochs=epochs, seed=seed):
            bar.update(1)
            bar.set_postfix(loss=f"{progress.loss:.3f}", accuracy=f"{progress.accuracy:.2%}")
    info = {
        "seed": seed,
        "epochs": epochs,
        "seconds": round(time.monotonic() - started, 1),
        "device": devices.describe_device(torch.device("cpu")),
        "command": " ".join(manifest.this_command()),
        "torch": torch.__version__,
    }
    return digits.rounded(network), info
