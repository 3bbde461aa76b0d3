"""MNIST in the layout of torchvision, from the folder that ``GAN_DATA`` names."""

from __future__ import annotations

import os
import urllib.error
from pathlib import Path

import torch
from torch import Tensor

from gan.data import labelled
from gan.data.labelled import Labelled, Source
from gan.data.torchvision_compat import import_datasets
from gan.errors import DataError

FULL_SIZE = 60_000  # training images of MNIST, and what "100 %" of the data means
TEST_IMAGES_FOR_TRAINING = 5_000  # sizes above 60,000 also train on up to this many test images
_TEST_SIZE = 10_000
_FILES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


class Mnist(Source):
    """MNIST itself; there is no ``detail``."""

    forms = ("mnist",)

    def require_available(self) -> None:
        require_files()

    def load(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        return load_mnist(FULL_SIZE if size is None else size, seed)

    def load_held_out(self, detail: str, size: int | None, seed: int, side: int) -> Labelled:
        test = read_mnist(train=False)
        if size is None or size <= FULL_SIZE:
            return test
        return labelled.take(test, _test_order()[TEST_IMAGES_FOR_TRAINING:])

    def pool_size(self, detail: str, size: int) -> int:
        return FULL_SIZE + TEST_IMAGES_FOR_TRAINING


def data_folder() -> Path:
    """The folder with the data sets: ``$GAN_DATA``, or ``data`` below the current folder."""
    return Path(os.environ.get("GAN_DATA") or "data")


def load_mnist(size: int, seed: int) -> Labelled:
    """The first ``size`` training images in the order of ``seed``, then test images."""
    labelled.require_size(size, FULL_SIZE + TEST_IMAGES_FOR_TRAINING, "mnist")
    train = read_mnist(train=True)
    order = torch.randperm(FULL_SIZE, generator=torch.Generator().manual_seed(seed))
    chosen = labelled.take(train, order[: min(size, FULL_SIZE)])
    if size <= FULL_SIZE:
        return chosen
    added = labelled.take(read_mnist(train=False), _test_order()[: size - FULL_SIZE])
    assert chosen.labels is not None and added.labels is not None
    return Labelled(
        torch.cat([chosen.images, added.images]), torch.cat([chosen.labels, added.labels])
    )


def _test_order() -> Tensor:
    """The order in which test images are added to the training images. It is the same for every seed, so
    that all models are scored on the same test images."""
    return torch.randperm(_TEST_SIZE, generator=torch.Generator().manual_seed(5_000))


def require_files() -> None:
    """DataError if one of the four files of MNIST, packed or not, is missing."""
    raw = data_folder() / "MNIST" / "raw"
    if not all((raw / name).is_file() or (raw / f"{name}.gz").is_file() for name in _FILES):
        raise DataError(
            f"MNIST is not in {raw}; put its four files there, or point GAN_DATA at a folder that "
            "has MNIST/raw"
        )


def read_mnist(train: bool) -> Labelled:
    """The 60,000 training or 10,000 test images in the order of the files; downloaded if missing."""
    root = data_folder()
    datasets = import_datasets()
    remedy = (
        "put the four MNIST files into "
        f"{root / 'MNIST' / 'raw'}, or point GAN_DATA at a folder that has MNIST/raw, "
        "or train on the built-in digits with --source drawn"
    )
    try:
        found = datasets.MNIST(root, train=train, download=False)
    except RuntimeError:  # how torchvision says that the files are missing
        try:
            found = datasets.MNIST(root, train=train, download=True)
        except (RuntimeError, OSError, urllib.error.URLError) as error:
            raise DataError(
                f"MNIST is not in {root} and could not be downloaded ({error}); {remedy}"
            ) from error
    except (OSError, ValueError, AssertionError) as error:
        raise DataError(f"MNIST in {root} cannot be read ({error}); {remedy}") from error
    images, labels = found.data, found.targets
    expected = FULL_SIZE if train else _TEST_SIZE
    if (
        tuple(images.shape) != (expected, labelled.RESOLUTION, labelled.RESOLUTION)
        or len(labels) != expected
    ):
        raise DataError(
            f"MNIST in {root} holds {tuple(images.shape)} instead of "
            f"({expected}, 28, 28): the files are damaged or of another data set; {remedy}"
        )
    return Labelled(images.unsqueeze(1), labels.to(torch.int64))
