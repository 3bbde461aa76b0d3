"""What every test gets: one thread, a folder of its own to write in, and networks small enough
to train in a blink. Nothing here needs the network or the shipped weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import pages
from gan.browser import static_files
from gan.config import ModelConfig, TrainConfig
from gan.data import labelled, mnist, sources
from gan.errors import ConfigError
from gan.evaluation import classifier as digit_classifier
from gan.evaluation import evaluate
from gan.evaluation.classifier import make_classifier, make_reference, rounded, save
from gan.runs import manifest, monitor, run

ROOT = Path(__file__).resolve().parent.parent
# resolved before a test changes the current folder
DATA = Path(os.environ.get("GAN_DATA") or "data").resolve()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def sealed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Its own folder, and MNIST only for who says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(static_files, "STATIC", tmp_path / "static")
    if request.node.get_closest_marker("mnist"):
        if not (DATA / "MNIST" / "raw").is_dir():
            pytest.skip("the real MNIST is not here; point GAN_DATA at it")
        monkeypatch.setenv("GAN_DATA", str(DATA))
    else:
        monkeypatch.setenv("GAN_DATA", str(tmp_path / "no-data"))
    yield
    # the command line sets both for its process
    torch.set_num_threads(1)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser (playwright). Of a module, not of the session: two may not be open at once."""
    try:
        pages.find_browser()
    except ConfigError as error:
        if os.environ.get("CI"):
            raise  # CI installs one: its absence is a failure there
        pytest.skip(str(error))
    with pages.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The app on a server of its own."""
    with pages.serve() as url:
        yield url


@pytest.fixture(scope="session")
def tiny_model() -> ModelConfig:
    return ModelConfig(base_channels=4, hidden_units=8, latent_dim=6)


@pytest.fixture(scope="session")
def tiny(tiny_model: ModelConfig) -> Callable[..., TrainConfig]:
    """tiny(seed=1, ...) -> a run of 12 updates on 40 drawn digits, five batches an epoch."""
    defaults = TrainConfig(source="drawn", size=40, updates=12, batch_size=8, model=tiny_model)
    return partial(dataclasses.replace, defaults)


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained classifier and monitor, and statistics of 400 drawn digits that go
    by the name of the 10,000 that a run asks for."""
    folder = tmp_path_factory.mktemp("classifiers")
    pictures = sources.load("drawn", 400, seed=7).images
    for seed, name in enumerate(digit_classifier.CLASSIFIERS):
        classifier = make_classifier(width=4, seed=seed)
        with torch.no_grad():
            classifier.to_logits.weight.mul_(10)  # sure of itself, so that something is read
        classifier = rounded(classifier)
        statistics = make_reference(classifier, pictures)
        statistics = dataclasses.replace(statistics, name="test10000")
        save(classifier, [statistics], {"accuracy": 0.1}, name, folder)
    return folder


@pytest.fixture(scope="session")
def drawn_mnist() -> dict[bool, labelled.Labelled]:
    """As many drawn digits as MNIST has, whether of its training set: 600 and 200, many times over."""
    parts = {}
    for train, count, seed in ((True, 600, 21), (False, 200, 22)):
        images, labels = sources.load("drawn", count, seed)
        times = (60_000 if train else 10_000) // count
        parts[train] = labelled.Labelled(images.repeat(times, 1, 1, 1), labels.repeat(times))
    return parts


@pytest.fixture
def fake_mnist(
    monkeypatch: pytest.MonkeyPatch, drawn_mnist: dict[bool, labelled.Labelled]
) -> dict[bool, labelled.Labelled]:
    """Drawn digits in the place of MNIST's files."""
    monkeypatch.setattr(mnist, "read_mnist", lambda train: drawn_mnist[train])
    monkeypatch.setattr(sources, "require_available", lambda source: None)
    return drawn_mnist


@pytest.fixture(scope="session", autouse=True)
def small_scores() -> Iterator[None]:
    """Runs are monitored and scored on few samples: their figures are not what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor, "MONITOR_SAMPLES", 100)
        small = {"samples": 200, "draws": 2, "mode_samples": 300}
        patch.setattr(manifest, "evaluate", partial(evaluate.evaluate, **small))
        yield


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    tiny: Callable[..., TrainConfig],
    classifiers: Path,
) -> Path:
    """The folder of a finished tiny run. Shared: copy it before changing it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    for _ in run.run(tiny(), folder, torch.device("cpu"), classifiers, command=["the", "command"]):
        pass
    return folder
