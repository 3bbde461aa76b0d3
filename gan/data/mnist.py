"""MNIST in the layout of torchvision, from the folder that ``GAN_DATA`` names."""

from __future__ import annotations

import os
import urllib.error
from pathlib import Path

import torch
from torch import Tensor

from gan.data import labelled
from gan.data.labelled import Labelled
from gan.data.torchvision_compat import import_datasets
from gan.errors import DataError

FULL_SIZE = 60_000  # what "100 %" means: MNIST's training set
MNIST_LENT = 5_000  # test images that sizes past 60,000 may train on
_MNIST_TEST = 10_000
MNIST_FILES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


def data_folder() -> Path:
    """Where data sets are looked for: ``$GAN_DATA``, or ``data`` below the current folder."""
    return Path(os.environ.get("GAN_DATA") or "data")


def load_mnist(size: int, seed: int) -> Labelled:
    labelled.require_available(size, FULL_SIZE + MNIST_LENT, "mnist")
    train = read_mnist(train=True)
    order = torch.randperm(FULL_SIZE, generator=torch.Generator().manual_seed(seed))
    chosen = labelled.take(train, order[: min(size, FULL_SIZE)])
    if size <= FULL_SIZE:
        return chosen
    lent = labelled.take(read_mnist(train=False), test_order()[: size - FULL_SIZE])
    assert chosen.labels is not None and lent.labels is not None
    return Labelled(
        torch.cat([chosen.images, lent.images]), torch.cat([chosen.labels, lent.labels])
    )


def test_order() -> Tensor:
    """The one split of the test pool, the same for every seed, so that scores stay comparable."""
    return torch.randperm(_MNIST_TEST, generator=torch.Generator().manual_seed(5_000))


def read_mnist(train: bool) -> Labelled:
    root = data_folder()
    datasets = import_datasets()
    remedy = (
        "put the four MNIST files into "
        f"{root / 'MNIST' / 'raw'}, or point GAN_DATA at a folder that has MNIST/raw, "
        "or train on the built-in digits with --source drawn"
    )
    try:
        found = datasets.MNIST(root, train=train, download=False)
    except RuntimeError:  # torchvision's word for "not there"
        try:
            found = datasets.MNIST(root, train=train, download=True)
        except (RuntimeError, OSError, urllib.error.URLError) as error:
            raise DataError(
                f"MNIST is not in {root} and could not be downloaded ({error}); {remedy}"
            ) from error
    except (OSError, ValueError, AssertionError) as error:
        raise DataError(f"MNIST in {root} cannot be read ({error}); {remedy}") from error
    images, labels = found.data, found.targets
    expected = FULL_SIZE if train else _MNIST_TEST
    if (
        tuple(images.shape) != (expected, labelled.RESOLUTION, labelled.RESOLUTION)
        or len(labels) != expected
    ):
        raise DataError(
            f"MNIST in {root} holds {tuple(images.shape)} instead of "
            f"({expected}, 28, 28): the files are damaged or of another data set; {remedy}"
        )
    return Labelled(images.unsqueeze(1), labels.to(torch.int64))
