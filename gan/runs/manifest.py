"""Writes and reads the manifest of a finished run; `gan.runs.entries` says what is in it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from gan.config import TrainConfig, has_digits
from gan.data import labelled, sources
from gan.errors import CheckpointError, ConfigError
from gan.evaluation import classifier
from gan.evaluation.evaluate import evaluate
from gan.evaluation.modes import mode_probabilities
from gan.evaluation.verdict import NOISE_LEGIBLE
from gan.networks import dcgan, images
from gan.runs import model_file, monitor, names
from gan.runs.record import RunRecord
from gan.system import devices, files, processes
from gan.training.state import TrainState

MANIFEST = "manifest.json"
Data = tuple[labelled.Labelled, labelled.Labelled]  # training images, held-out images
_BEST_FACTOR = 0.7  # the best moment is kept if its FD is below this share of the last one's


def load_singles(config: TrainConfig) -> Data:
    """The images as the scoring takes them; see `gan.data.sources.load_singles`."""
    side = config.model.img_size
    return sources.load_singles(config.source, config.size, config.data_seed, side)


def finished_config(folder: Path) -> TrainConfig:
    """The configuration of the finished run in ``folder``. CheckpointError if there is none."""
    path = folder / MANIFEST
    content = files.read_json(path, "remove the folder to train anew")
    try:
        return TrainConfig.from_dict(content["models"][0]["config"])
    except (KeyError, IndexError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"{path} is not the manifest of a run ({error}); remove it"
        ) from error


def is_finished(folder: Path, config: TrainConfig) -> bool:
    """Whether ``folder`` holds the finished run of ``config``. CheckpointError if it holds that of another
    configuration."""
    if not (folder / MANIFEST).exists():
        return False
    if finished_config(folder) != config:
        raise CheckpointError(
            f"{folder} holds the finished run of another configuration; choose another folder"
        )
    return True


def finish(
    folder: Path,
    state: TrainState,
    record: RunRecord,
    data: Data,
    classifiers: Path,
    command: Sequence[str] | None,
    together: int,
) -> None:
    """Scores the end of a run and its best moment, if that was clearly better, and writes the files of
    a finished folder. ``data``: as `load_singles` gives it. ``together``: how many runs were trained as
    one stack."""
    config = state.config
    provenance: dict[str, Any] = {
        "command": " ".join(command) if command else "",
        "device": devices.describe_device(state.device),
        "precision": state.precision,
        "seconds": round(record.seconds, 1),
        "together": together,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    if state.continued_from:
        provenance["continued_from"] = list(state.continued_from)
    files.write_json(folder / "evidence.json", record.evidence())
    _write_film(folder / "film.png", record, config)
    models = [("final", state.step, state.generator_ema.cpu())]
    if best := _best_generator(record, state):
        models.append(("best", record.best_step, best))
    entries = []
    for snapshot, step, generator in models:
        final = snapshot == "final"
        path = folder / ("model.safetensors" if final else "best.safetensors")
        model_file.save_model(path, generator, config, step)
        entries.append(
            {
                "name": folder.name + ("" if final else "-best"),
                "snapshot": snapshot,
                "step": step,
                "file": path.name,
                "sha256": files.sha256(path),
                "bytes": path.stat().st_size,
                "evidence": "evidence.json",
                "film": "film.png",
                "config": config.to_dict(),
                "provenance": provenance,
                **_score(path, config, classifiers, data, record.seconds),
            }
        )
    files.write_json(folder / MANIFEST, {"version": 1, "models": entries})


def _best_generator(record: RunRecord, state: TrainState) -> dcgan.Generator | None:
    """The generator of the best moment; None if the end was about as good."""
    config = state.config
    # for images that are not digits, the distance to digits does not say which moment is better
    if not (has_digits(config.source) and record.moments and record.best_step != state.step):
        return None
    best = min(record.moments, key=lambda m: m.fd)
    # illegible images can have a lower distance than clear images of a single digit
    if sum(best.counts) < NOISE_LEGIBLE * monitor.MONITOR_SAMPLES:
        return None
    if best.fd >= _BEST_FACTOR * record.moments[-1].fd:
        return None
    generator = dcgan.Generator(config.model)
    generator.load_state_dict(record.best)
    return generator.eval()


def _write_film(path: Path, record: RunRecord, config: TrainConfig) -> None:
    """A PNG with one row of 16 images per moment."""
    frames = torch.stack(record.frames).flatten(0, 1)  # [T * 16, H, W] or [T * 16, H, W, 3]
    frames = frames.reshape(*frames.shape[:3], config.model.img_channels)
    sheet = images.grid(frames.numpy(), monitor.FILM_LATENTS, gap=0)
    files.write_atomically(path, images.to_png(sheet))


def rescore(folder: Path, config: TrainConfig, classifiers: Path = classifier.PRETRAINED) -> None:
    """Scores the models of a finished folder again; for when the classifier or a metric has changed."""
    if not is_finished(folder, config):
        raise CheckpointError(f"{folder} holds no finished run; train it first")
    data = load_singles(config)
    content = files.read_json(folder / MANIFEST, "train it anew")
    for entry in content["models"]:
        seconds = entry["provenance"]["seconds"]
        entry |= _score(folder / entry["file"], config, classifiers, data, seconds)
    files.write_json(folder / MANIFEST, content)


def _score(
    path: Path, config: TrainConfig, classifiers: Path, data: Data, seconds: float
) -> dict[str, Any]:
    """The keys of a manifest entry that hold scores. Scores the file and not the network in memory, so
    that the scores are those of the published weights."""
    generator, _ = model_file.load_model(path)
    training, held_out = data
    probabilities = None
    if config.model.img_channels > 1:
        assert training.labels is not None
        probabilities = mode_probabilities(training.labels)
    scored = evaluate(
        generator,
        config.model.latent_dim,
        classifier.load_classifier(root=classifiers),
        classifier.load_reference(test_images=names.reference_images(config), root=classifiers),
        training_images=training.images,
        held_out_images=held_out.images,
        mode_probabilities=probabilities,
        digits=has_digits(config.source),
    )
    row = {
        "seed": config.seed,
        **{name: scored.figures[name].value for name in ("legible", "fd", "coverage")},
        "verdicts": [verdict.kind for verdict in scored.verdicts()],
        "seconds": round(seconds, 1),
    }
    if scored.modes is not None:
        row |= {"modes": scored.modes.modes, "kl": scored.modes.kl}
    return {"evaluation": scored.to_dict(), "seeds": [row]}


def _commit() -> str:
    """The commit of the code, with "+" if files were changed since; "" outside a repository."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    git = ["git", "-C", str(root)]
    head = processes.output([*git, "rev-parse", "--short", "HEAD"])
    changed = processes.output([*git, "status", "--porcelain", "--", "gan"])
    return head + ("+" if head and changed else "")


def this_command() -> list[str]:
    """The command of this process, as a person would type it."""
    return ["python", "-m", "gan", *sys.argv[1:]]
