"""The manifest of a finished run: its files, where they come from, how they score."""

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
from gan.evaluation.evaluate import Evaluation, evaluate
from gan.evaluation.modes import mode_probabilities
from gan.evaluation.verdict import NOISE_LEGIBLE
from gan.networks import dcgan, images
from gan.runs import model_file, monitor, names
from gan.runs.record import RunRecord
from gan.system import devices, files, processes
from gan.training.state import TrainState

MANIFEST = "manifest.json"
_BEST_FACTOR = 0.7  # the best moment is kept when its FD is below this share of the last one's


def load_singles(config: TrainConfig) -> tuple[labelled.Labelled, labelled.Labelled]:
    side = config.model.img_size
    return sources.load_singles(config.source, config.size, config.data_seed, side)


def finished_config(folder: Path) -> TrainConfig:
    """The configuration of the finished run in ``folder``. CheckpointError where there is none."""
    path = folder / MANIFEST
    content = files.read_json(path, "remove the folder to train anew")
    try:
        return TrainConfig.from_dict(content["models"][0]["config"])
    except (KeyError, IndexError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"{path} is not the manifest of a run ({error}); remove it"
        ) from error


def is_finished(folder: Path, config: TrainConfig) -> bool:
    """Whether ``folder`` holds the finished run of ``config``. CheckpointError where it holds that of
    another configuration."""
    if not (folder / MANIFEST).exists():
        return False
    if finished_config(folder) != config:
        raise CheckpointError(
            f"{folder} holds the finished run of another configuration; choose another folder"
        )
    return True


def finish(
    config: TrainConfig,
    folder: Path,
    state: TrainState,
    book: RunRecord,
    training: labelled.Labelled,
    held_out: labelled.Labelled,
    classifiers: Path,
    command: Sequence[str] | None,
    together: int,
) -> None:
    """Scores the end and, where it was clearly better, the best moment; writes the folder's files."""
    provenance: dict[str, Any] = {
        "command": " ".join(command) if command else "",
        "device": devices.describe_device(state.device),
        "precision": state.precision,
        "seconds": round(book.seconds, 1),
        "together": together,  # how many runs shared the device and these seconds, as one stack
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    if state.continued_from:
        provenance["continued_from"] = list(state.continued_from)
    snapshots = [("final", state.step, state.generator_ema.cpu())]
    # how far a picture is from a digit says nothing of the moments of another data set
    if has_digits(config.source) and book.moments and book.best_step != state.step:
        best = min(book.moments, key=lambda m: m.fd)
        # pictures in which nothing is read can have a lower distance than clear ones of one digit
        drew_digits = sum(best.counts) >= NOISE_LEGIBLE * monitor.MONITOR_SAMPLES
        if drew_digits and best.fd < _BEST_FACTOR * book.moments[-1].fd:
            generator = dcgan.Generator(config.model)
            generator.load_state_dict(book.best)
            snapshots.append(("best", book.best_step, generator.eval()))
    files.write_json(folder / "evidence.json", book.evidence())
    frames = torch.stack(book.frames).flatten(0, 1)  # [T * 16, H, W] or [T * 16, H, W, 3]
    frames = frames.reshape(*frames.shape[:3], config.model.img_channels)
    sheet = images.grid(frames.numpy(), monitor.FILM_LATENTS, gap=0)
    files.write_atomically(folder / "film.png", images.to_png(sheet))
    entries = []
    for snapshot, step, generator in snapshots:
        path = folder / ("model.safetensors" if snapshot == "final" else "best.safetensors")
        model_file.save_model(path, generator, config, step)
        entries.append(
            {
                "name": folder.name + ("" if snapshot == "final" else "-best"),
                "snapshot": snapshot,
                "step": step,
                "file": path.name,
                "sha256": files.sha256(path),
                "bytes": path.stat().st_size,
                "evidence": "evidence.json",
                "film": "film.png",
                "config": config.to_dict(),
                "provenance": provenance,
                **_score(path, config, classifiers, training, held_out, book.seconds),
            }
        )
    files.write_json(folder / MANIFEST, {"version": 1, "models": entries})


def rescore(folder: Path, config: TrainConfig, classifiers: Path = classifier.PRETRAINED) -> None:
    """Scores the models of a finished folder anew, after the classifier or a measure has changed."""
    if not is_finished(folder, config):
        raise CheckpointError(f"{folder} holds no finished run; train it first")
    training, held_out = load_singles(config)
    content = files.read_json(folder / MANIFEST, "train it anew")
    for entry in content["models"]:
        seconds = entry["provenance"]["seconds"]
        entry |= _score(folder / entry["file"], config, classifiers, training, held_out, seconds)
    files.write_json(folder / MANIFEST, content)


def seed_row(seed: int, scored: Evaluation, seconds: float) -> dict[str, Any]:
    """One seed's line in the table behind a model's figures."""
    modes = scored.modes
    return {
        "seed": seed,
        "legible": scored.figures["legible"].value,
        "fd": scored.figures["fd"].value,
        "coverage": scored.figures["coverage"].value,
        "verdicts": [v.kind for v in scored.verdicts()],
        "seconds": round(seconds, 1),
        **({} if modes is None else {"modes": modes.modes, "kl": modes.kl}),
    }


def _score(
    path: Path,
    config: TrainConfig,
    classifiers: Path,
    training: labelled.Labelled,
    held_out: labelled.Labelled,
    seconds: float,
) -> dict[str, Any]:
    """The scored part of a manifest's entry. Scores the file, not the network in memory: what is
    reported is what is shipped. ``training`` and ``held_out`` as `gan.data.sources.load_singles` has them."""
    generator, _ = model_file.load_model(path)
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
    return {
        "evaluation": scored.to_dict(),
        "seeds": [seed_row(config.seed, scored, seconds)],
    }


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
