"""One training run as a folder on disk: it can be killed at any moment and goes on from there.

    checkpoint.safetensors   everything needed to go on (gone when the run has finished)
    model.safetensors        the generator's average at the end
    best.safetensors         the same at the best moment, if that was clearly better than the end
    evidence.json            loss curves and what the monitor saw along the way
    film.png                 the same 16 latents at about 24 moments
    snapshots/               checkpoints of some of these moments, where they were asked for
    manifest.json            what the files are, where they come from, and how they score

A finished folder is a zoo of one model (see `gan.zoo`). The *best moment* is chosen by the
``monitor``, never by the judge whose figures are reported.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan import (
    checkpoint,
    data,
    images,
    jobs,
    judge,
    latents,
    metrics,
    models,
    parallel,
    stacked,
    trainer,
)
from gan.collapse import NOISE_LEGIBLE
from gan.config import ModelConfig, TrainConfig, has_digits, recipe_config
from gan.errors import CheckpointError, ConfigError, TrainingError
from gan.evaluation import (
    FIRST_SEED,
    Evaluation,
    evaluate,
    in_units_of,
    relative_spread,
    sample_images,
)

MODEL_KIND = "generator"
MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint.safetensors"
SNAPSHOTS = "snapshots"  # in it 00000300.safetensors, a checkpoint after 300 updates
PROGRESS = "progress.json"  # while a process works on the folder: how far it is
FILM_LATENTS = 16
_NOTE_SECONDS = 2.0
_MOMENTS = 24
MONITOR_SAMPLES = 1_000
_CURVE_POINTS = 150
_BEST_FACTOR = 0.7  # the best moment is kept when its FD is below this share of the last one's


@dataclass(frozen=True)
class Moment:
    """What the monitor saw of the average after ``step`` updates, in `MONITOR_SAMPLES` samples: digits
    read, Frechet distance in the monitor's own features, spread and contrast of the pictures against real ones
    (where these are no digits: against the training images). Of stacked digits it sees one a sample,
    as `gan.evaluation` does."""

    step: int
    counts: tuple[int, ...]
    fd: float
    spread: float
    contrast: float = math.nan  # likewise; runs before this was measured have none


@dataclass(frozen=True)
class Progress:
    """Sent after every report of the trainer; ``moment`` when one was measured just now. ``average`` is
    there to be looked at, not to be changed; ``keep`` writes the checkpoint now."""

    report: trainer.Report
    images_per_second: float
    moment: Moment | None
    average: models.Generator
    keep: Callable[[], None]
    run: int = 0  # which of several that are trained together


def cell_name(config: TrainConfig) -> str:
    """What is compared with what: "mnist-600-updates-plain". A folder source gives its last part, and
    pictures of another size than MNIST's give theirs: "folder_cats-600-updates-plain-64px"."""
    source = config.source
    if source.startswith("folder:"):
        source = "folder_" + Path(source.partition(":")[2]).name
    cleaned = "".join(c if c.isalnum() or c == "_" else "_" for c in source)
    side = config.model.img_size
    pixels = "" if side == data.RESOLUTION else f"-{side}px"
    return f"{cleaned}-{config.size}-{config.budget}-{config.recipe}{pixels}"


def run_name(config: TrainConfig) -> str:
    """The name of the run's folder, another for every configuration: cell and seed, and where it
    differs from the recipe in anything else, eight digits of a hash of the differences. (Not of the
    whole: a setting that is added to `TrainConfig` one day leaves the names as they are.)"""
    cell = {name: getattr(config, name) for name in ("source", "size", "budget", "seed")}
    default = flat(recipe_config(config.recipe, **cell))
    other = {key: value for key, value in flat(config).items() if value != default[key]}
    if config.source.startswith("folder:"):  # its last part alone stands in the cell's name
        other["source"] = config.source
    name = f"{cell_name(config)}-s{config.seed}"
    if not other:
        return name
    digest = hashlib.sha256(json.dumps(other, sort_keys=True).encode()).hexdigest()
    return f"{name}-{digest[:8]}"


def flat(config: TrainConfig) -> dict[str, Any]:
    """{"size": ..., "model.latent_dim": ...}: every setting on one level."""
    values = config.to_dict()
    model = values.pop("model")
    return values | {f"model.{key}": value for key, value in model.items()}


def moments_to_measure(total: int, count: int = _MOMENTS) -> list[int]:
    """About ``count`` numbers of updates from 1 to ``total``, evenly spaced in their logarithm from
    a hundredth of the run on. The last is ``total``."""
    first = max(1, total // 100)
    steps = {round(s) for s in np.geomspace(first, total, count)}
    return sorted(steps | {total})


def block_length(total: int) -> int:
    """Updates between two reports of a run of ``total``: short runs report more often, to be looked at in
    time."""
    return min(trainer.BLOCK, max(1, total // _MOMENTS))


def count_looks(total: int) -> int:
    """How often the monitor looks at a run of ``total`` updates: once a report at most."""
    block = block_length(total)
    return len({min(total, -(-step // block) * block) for step in moments_to_measure(total)})


def snapshots_to_keep(
    moments: Sequence[int], count: int, continued_from: Sequence[Mapping[str, Any]] = ()
) -> set[int]:
    """About ``count`` of ``moments`` (`moments_to_measure`), evenly spaced among them, never the last. Of
    a run that was continued, of those after that update; so it is the same choice whenever it is asked."""
    since = continued_from[-1]["step"] if continued_from else 0
    choice = [s for s in moments[:-1] if s > since]
    return {choice[(k + 1) * len(choice) // (count + 1)] for k in range(count) if choice}


def run(
    config: TrainConfig,
    folder: Path,
    device: torch.device,
    judges: Path = judge.PRETRAINED,
    checkpoint_seconds: float = 60.0,
    command: Sequence[str] | None = None,
    precision: str = "auto",
    block: Callable[[int], int] | None = None,
    start: Path | None = None,
    snapshots: int = 0,
) -> Generator[Progress]:
    """Trains ``config`` in ``folder``, or goes on with what lies there, and ends with a scored model.

    A finished folder of the same configuration yields nothing; of another one, it is a
    CheckpointError. When the consumer stops asking, a checkpoint is written first. ``precision``: see
    `gan.trainer.choose_precision`; a run that goes on keeps the one it was begun with. ``block`` says how
    often there is a report, as in `gan.trainer.train`; there is one more wherever the monitor looks.

    ``start``: a checkpoint to begin with instead of fresh networks, as `gan.trainer.continue_from` does,
    unless ``folder`` has one of its own. What was written down until then, seconds and best moment
    included, becomes part of the new run; its provenance gets ``continued_from``, a list of {"config",
    "step"}, the first change of settings first. CheckpointError for a file that no run has written.
    ``snapshots``: at about that many of the moments still to come, the last left out, a checkpoint is
    kept below `SNAPSHOTS` for good.
    """
    folder = Path(folder)
    if is_finished(folder, config):
        return
    one = _Run(
        config,
        folder,
        device,
        judges,
        checkpoint_seconds,
        precision,
        start=start,
        snapshots=snapshots,
    )
    reports = trainer.train(
        one.state,
        one.training.images,
        one.held_out.images,
        one.block if block is None else one.until_a_look(block),
    )
    with one.kept_at_the_end():
        for report in reports:
            progress = one.take(report)
            handed_over = time.monotonic()
            yield progress
            one.waited(time.monotonic() - handed_over)
    one.finish(command)


def run_together(
    configs: Sequence[TrainConfig],
    folders: Sequence[Path],
    device: torch.device,
    judges: Path = judge.PRETRAINED,
    checkpoint_seconds: float = 60.0,
    command: Sequence[str] | None = None,
    precision: str = "auto",
) -> Generator[list[Progress]]:
    """As `run` for each, those that can be trained in one stack (`gan.parallel.together`) at once; finished
    folders are left alone. One `Progress` a run of the stack under way at a time; its ``run`` is the
    run's place among those that were not finished. How far each is is noted as `noted` does. A run that
    diverges does not stop the others; a TrainingError names all that did, at the end."""
    load = functools.cache(_load)  # seeds of one amount of data share it
    todo = [
        _Run(config, Path(folder), device, judges, checkpoint_seconds, precision, load)
        for config, folder in zip(configs, folders, strict=True)
        if not is_finished(Path(folder), config)
    ]
    stacks: dict[Any, list[_Run]] = {}
    for one in todo:
        key = (parallel.together(one.config), one.state.step, one.state.precision)
        stacks.setdefault(key, []).append(one)
    failed: dict[str, str] = {}
    for members in stacks.values():
        loop = parallel.train(
            [one.state for one in members],
            [one.training.images for one in members],
            [one.held_out.images for one in members],
            members[0].block,
        )
        with contextlib.ExitStack() as notes:
            for one in members:
                one.together = len(members)
                notes.callback((one.folder / PROGRESS).unlink, missing_ok=True)
            with contextlib.ExitStack() as kept:
                for one in members:
                    kept.enter_context(one.kept_at_the_end())
                last = -math.inf
                for row in loop:
                    taken = []
                    note = time.monotonic() - last > _NOTE_SECONDS
                    last = time.monotonic() if note else last
                    for one, report in zip(members, row, strict=True):
                        if isinstance(report, TrainingError):
                            one.failed = True
                            failed.setdefault(str(one.folder), str(report))
                            continue
                        if note or report.step == report.total:
                            _note(one.folder, report)
                        taken.append(replace(one.take(report), run=todo.index(one)))
                    if not taken:
                        break
                    yield taken
            for one in members:
                if not one.failed:
                    one.finish(command)
    if failed:
        raise TrainingError("; ".join(f"{folder}: {told}" for folder, told in failed.items()))


def _load(source: str, size: int, data_seed: int, side: int) -> tuple[data.Labelled, data.Labelled]:
    """(training, held out)."""
    training = data.load(source, size, data_seed, side)
    return training, data.load_held_out(source, size, data_seed, side)


def _load_singles(config: TrainConfig) -> tuple[data.Labelled, data.Labelled]:
    side = config.model.img_size
    return data.load_singles(config.source, config.size, config.data_seed, side)


class _Run:
    """A run under way: its state, what is written down of it, and its folder."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        device: torch.device,
        judges: Path,
        checkpoint_seconds: float,
        precision: str,
        load: Callable[[str, int, int, int], tuple[data.Labelled, data.Labelled]] = _load,
        start: Path | None = None,
        snapshots: int = 0,
    ) -> None:
        self.config, self.folder = config, folder
        self.failed, self.together = False, 1
        self.training, self.held_out = load(
            config.source, config.size, config.data_seed, config.model.img_size
        )
        self._judges, self._checkpoint_seconds = judges, checkpoint_seconds
        self._watch = _Monitor(config, judges, self.training.images)
        self._path = folder / CHECKPOINT
        begins = start is not None and not self._path.exists()
        if start is not None and begins:
            self.state, extra = trainer.continue_from(start, config, device)
            self._book = _book_in(extra, start)
        elif self._path.exists():
            self.state, extra = trainer.load_checkpoint(self._path, config, device)
            self._book = _book_in(extra, self._path)
        else:
            chosen = trainer.choose_precision(device, precision)
            self.state, self._book = trainer.new_state(config, device, chosen), _Book()
        total = config.total_updates
        self.block = block_length(total)
        moments = moments_to_measure(total)
        self._due = [s for s in moments if s > self.state.step]
        self._snapshots = snapshots_to_keep(moments, snapshots, self.state.continued_from)
        self._begun_at = self.state.step
        self._saved_step = -1 if begins else self.state.step
        self._before = self._book.seconds
        self._last_saved = self._started = time.monotonic()
        if begins:  # killed from now on, the folder does not need ``start`` to go on
            self._save()

    def until_a_look(self, block: Callable[[int], int]) -> Callable[[int], int]:
        """``block``, but never past the next look of the monitor."""
        return lambda step: min(block(step), self._due[0] - step if self._due else block(step))

    def take(self, report: trainer.Report) -> Progress:
        """Writes a report down, looks at the average when that is due, and saves now and then."""
        moment, keep = None, False
        self._book.add(report)
        if self._due and report.step >= self._due[0]:
            moment = self._watch(self.state.average, report.step)
            frame = self._watch.film(self.state.average)
            self._book.see(moment, self.state.average, frame)
            keep = any(s in self._snapshots for s in self._due if s <= report.step)
            self._due = [s for s in self._due if s > report.step]
        now = time.monotonic()
        self._book.seconds = self._before + now - self._started
        if (keep or now - self._last_saved > self._checkpoint_seconds) and (
            report.step < report.total
        ):
            self._save()
            self._last_saved = now
            if keep and self._saved_step == report.step:
                name = f"{report.step:08d}.safetensors"
                checkpoint.keep(self._path, self.folder / SNAPSHOTS / name)
        speed = (report.step - self._begun_at) / max(now - self._started, 1e-9)
        return Progress(
            report, speed * self.config.effective_batch, moment, self.state.average, self._save
        )

    def waited(self, seconds: float) -> None:
        """A listener that takes its time is not training."""
        self._started += seconds

    @contextlib.contextmanager
    def kept_at_the_end(self) -> Iterator[None]:
        """Saves what was done when the block ends because its consumer has had enough, or because another
        run could not be saved, and when it has ended well: scoring may fail, on a full disk for one, but
        the training is kept."""
        self._last_saved = self._started = time.monotonic()
        try:
            yield
        except (GeneratorExit, CheckpointError):
            self._save()
            raise
        self._save()

    def _save(self) -> None:
        new = self.state.step > self._saved_step
        if new and not self.failed and trainer.is_finite(self.state):
            trainer.save_checkpoint(self._path, self.state, self._book.to_tensors())
            self._saved_step = self.state.step

    def finish(self, command: Sequence[str] | None) -> None:
        """Scores what came out and writes the folder's files."""
        config, training, held_out = self.config, self.training, self.held_out
        if config.model.img_channels > 1:  # copies are looked for among single digits
            training, held_out = _load_singles(config)
        _finish(
            config,
            self.folder,
            self.state,
            self._book,
            training,
            held_out,
            self._judges,
            command,
            self.together,
        )
        self._path.unlink(missing_ok=True)


def _book_in(extra: dict[str, Tensor], path: Path) -> _Book:
    try:
        return _Book.from_tensors(extra)
    except KeyError as error:
        raise CheckpointError(
            f"{path} does not say what its run has seen ({error} is missing); name a checkpoint or a "
            "snapshot that a run has written"
        ) from error


def noted(steps: Generator[Progress], folder: Path) -> Generator[Progress]:
    """``steps``; on the way it is noted in ``folder``, every two seconds, for whoever watches from
    outside, how far they are and which process makes them. Closed, it closes ``steps``."""
    last = -math.inf
    try:
        with contextlib.closing(steps):  # a run that is closed writes its checkpoint
            for progress in steps:
                if time.monotonic() - last > _NOTE_SECONDS:
                    last = time.monotonic()
                    _note(folder, progress.report)
                yield progress
    finally:
        (folder / PROGRESS).unlink(missing_ok=True)


def _note(folder: Path, report: trainer.Report) -> None:
    note = {"step": report.step, "total": report.total, "pid": os.getpid()}
    checkpoint.write_json(folder / PROGRESS, note)


def updates_done(folder: Path, config: TrainConfig) -> int:
    """Of the run of ``config``: all when it has finished, else what its process last noted."""
    if (folder / MANIFEST).exists():
        return config.total_updates
    try:
        return int(checkpoint.read_json(folder / PROGRESS, "")["step"])
    except (CheckpointError, KeyError, TypeError, ValueError):
        return 0


def read_checkpoint_step(path: Path) -> int:
    """How many updates a checkpoint or snapshot has behind it, without reading its tensors.
    CheckpointError where it is missing, damaged or of another kind."""
    info = checkpoint.read_info(path, trainer.CHECKPOINT_KIND)
    try:
        return int(info["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not say how many updates it has behind it ({error}); remove it"
        ) from error


def is_finished(folder: Path, config: TrainConfig) -> bool:
    """Whether ``folder`` holds the finished run of ``config``. CheckpointError: of another one."""
    path = folder / MANIFEST
    if not path.exists():
        return False
    content = checkpoint.read_json(path, "remove the folder to train anew")
    try:
        there = TrainConfig.from_dict(content["models"][0]["config"])
    except (KeyError, IndexError, TypeError) as error:
        raise CheckpointError(f"{path} is not a run's manifest ({error}); remove it") from error
    if there != config:
        raise CheckpointError(
            f"{folder} holds the finished run of another configuration; choose another folder"
        )
    return True


class _Monitor:
    """Asks the monitor about a generator, always with the same latents."""

    def __init__(self, config: TrainConfig, root: Path, training_images: Tensor) -> None:
        self._judge = judge.load("monitor", root)
        self._reference = judge.reference("monitor", reference_images(config), root)
        if not has_digits(config.source):
            self._reference = in_units_of(training_images, self._reference)
        self._latent_dim = config.model.latent_dim
        self._z = latents.sample_z(range(FILM_LATENTS), self._latent_dim)

    def __call__(self, generator: models.Generator, step: int) -> Moment:
        # other latents than those of the final score
        drawn = sample_images(generator, self._latent_dim, FIRST_SEED * 2, MONITOR_SAMPLES)
        reading = judge.read(self._judge, images.for_judge(drawn))
        mean, cov = metrics.moments(reading.features)
        reference = self._reference
        return Moment(
            step=step,
            counts=tuple(reading.counts()),
            fd=metrics.frechet_distance_of_moments(mean, cov, reference.mean, reference.cov),
            spread=relative_spread(drawn, reference),
            contrast=metrics.contrast(images.one_channel(drawn)) / reference.contrast,
        )

    @torch.no_grad()
    def film(self, generator: models.Generator) -> Tensor:
        """uint8 [16, H, W], of stacked digits [16, H, W, 3]."""
        device = next(generator.parameters()).device
        return torch.from_numpy(images.to_uint8(generator(self._z.to(device)))).squeeze(-1)


class _Book:
    """What is written down during a run; travels in the checkpoint as tensors."""

    _SERIES = ("g_loss", "d_loss", "prob_real", "prob_fake")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.series: dict[str, list[Tensor]] = {name: [] for name in self._SERIES}
        self.held_out: list[tuple[int, float]] = []
        self.moments: list[Moment] = []
        self.frames: list[Tensor] = []
        self.best: dict[str, Tensor] = {}
        self.best_step = 0

    def add(self, report: trainer.Report) -> None:
        for name in self._SERIES:
            self.series[name].append(getattr(report, name))
        self.held_out.append((report.step, report.prob_held_out))

    def see(self, moment: Moment, average: models.Generator, frame: Tensor) -> None:
        if not self.moments or moment.fd < min(m.fd for m in self.moments):
            self.best = {k: t.detach().cpu().clone() for k, t in average.state_dict().items()}
            self.best_step = moment.step
        self.moments.append(moment)
        self.frames.append(frame)

    def to_tensors(self) -> dict[str, Tensor]:
        tensors = {name: torch.cat(parts) for name, parts in self.series.items() if parts}
        tensors["held_out"] = torch.tensor(self.held_out, dtype=torch.float64).reshape(-1, 2)
        tensors["seconds"] = torch.tensor([self.seconds, self.best_step], dtype=torch.float64)
        tensors["moments"] = torch.tensor(
            [[m.step, m.fd, m.spread, *m.counts, m.contrast] for m in self.moments],
            dtype=torch.float64,
        ).reshape(-1, 14)
        if self.frames:
            tensors["frames"] = torch.stack(self.frames)
        return tensors | {f"best.{k}": t for k, t in self.best.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> _Book:
        book = cls()
        book.seconds, best_step = tensors["seconds"].tolist()
        book.best_step = int(best_step)
        for name in cls._SERIES:
            if name in tensors:
                book.series[name] = [tensors[name]]
        book.held_out = [(int(step), value) for step, value in tensors["held_out"].tolist()]
        for step, fd, spread, *rest in tensors["moments"].tolist():
            counts, contrast = rest[:10], rest[10:] or [math.nan]
            book.moments.append(
                Moment(int(step), tuple(int(c) for c in counts), fd, spread, contrast[0])
            )
        book.frames = list(tensors.get("frames", torch.empty(0)))
        book.best = checkpoint.below(tensors, "best")
        return book

    def evidence(self) -> dict[str, Any]:
        """The curves as means over up to 150 stretches of the run, and every moment."""
        columns = {name: torch.cat(parts) for name, parts in self.series.items()}
        edges = np.linspace(0, len(columns["g_loss"]), _CURVE_POINTS + 1).round().astype(int)
        edges = np.unique(edges)
        curves: dict[str, list[float | None]] = {"step": edges[1:].tolist()}
        for name, column in columns.items():
            curves[name] = [
                round(float(column[a:b].mean()), 4) for a, b in itertools.pairwise(edges)
            ]
        steps, values = np.array(self.held_out, dtype=np.float64).T
        place = np.searchsorted(steps, edges[1:]).clip(max=len(steps) - 1)  # next one measured
        # too few held-out images for a batch: not measured, and JSON has no word for NaN but null
        curves["prob_held_out"] = [
            None if math.isnan(v) else round(float(v), 4) for v in values[place]
        ]
        moments = checkpoint.without_nan([asdict(m) for m in self.moments])
        return {"curves": curves, "moments": moments}


def _finish(
    config: TrainConfig,
    folder: Path,
    state: trainer.TrainState,
    book: _Book,
    training: data.Labelled,
    held_out: data.Labelled,
    judges: Path,
    command: Sequence[str] | None,
    together: int,
) -> None:
    """Scores the end and, where it was clearly better, the best moment; writes the folder's files."""
    provenance: dict[str, Any] = {
        "command": " ".join(command) if command else "",
        "device": trainer.describe_device(state.device),
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
    snapshots = [("final", state.step, state.average.cpu())]
    # how far a picture is from a digit says nothing of the moments of another data set
    if has_digits(config.source) and book.moments and book.best_step != state.step:
        best = min(book.moments, key=lambda m: m.fd)
        # pictures in which nothing is read can have a lower distance than clear ones of one digit
        drew_digits = sum(best.counts) >= NOISE_LEGIBLE * MONITOR_SAMPLES
        if drew_digits and best.fd < _BEST_FACTOR * book.moments[-1].fd:
            generator = models.Generator(config.model)
            generator.load_state_dict(book.best)
            snapshots.append(("best", book.best_step, generator.eval()))
    checkpoint.write_json(folder / "evidence.json", book.evidence())
    frames = torch.stack(book.frames).flatten(0, 1)  # [T * 16, H, W] or [T * 16, H, W, 3]
    frames = frames.reshape(*frames.shape[:3], config.model.img_channels)
    sheet = images.grid(frames.numpy(), FILM_LATENTS, gap=0)
    checkpoint.write_atomically(folder / "film.png", images.to_png(sheet))
    entries = []
    for snapshot, step, generator in snapshots:
        path = folder / ("model.safetensors" if snapshot == "final" else "best.safetensors")
        save_model(path, generator, config, step)
        entries.append(
            {
                "name": folder.name + ("" if snapshot == "final" else "-best"),
                "snapshot": snapshot,
                "step": step,
                "file": path.name,
                "sha256": checkpoint.sha256(path),
                "bytes": path.stat().st_size,
                "evidence": "evidence.json",
                "film": "film.png",
                "config": config.to_dict(),
                "provenance": provenance,
                **_score(path, config, judges, training, held_out, book.seconds),
            }
        )
    checkpoint.write_json(folder / MANIFEST, {"version": 1, "models": entries})


def rescore(folder: Path, config: TrainConfig, judges: Path = judge.PRETRAINED) -> None:
    """Scores the models of a finished folder anew, after the judge or a measure has changed."""
    if not is_finished(folder, config):
        raise CheckpointError(f"{folder} holds no finished run; train it first")
    training, held_out = _load_singles(config)
    content = checkpoint.read_json(folder / MANIFEST, "train it anew")
    for entry in content["models"]:
        seconds = entry["provenance"]["seconds"]
        entry |= _score(folder / entry["file"], config, judges, training, held_out, seconds)
    checkpoint.write_json(folder / MANIFEST, content)


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
    judges: Path,
    training: data.Labelled,
    held_out: data.Labelled,
    seconds: float,
) -> dict[str, Any]:
    """The scored part of a manifest's entry. Scores the file, not the network in memory: what is
    reported is what is shipped. ``training`` and ``held_out`` as `gan.data.load_singles` has them."""
    generator, _ = load_model(path)
    probabilities = None
    if config.model.img_channels > 1:
        assert training.labels is not None
        probabilities = stacked.mode_probabilities(training.labels)
    scored = evaluate(
        generator,
        config.model.latent_dim,
        judge.load(root=judges),
        judge.reference(test_images=reference_images(config), root=judges),
        training_images=training.images,
        held_out_images=held_out.images,
        mode_probabilities=probabilities,
        digits=has_digits(config.source),
    )
    return {
        "evaluation": scored.to_dict(),
        "seeds": [seed_row(config.seed, scored, seconds)],
    }


def reference_images(config: TrainConfig) -> int:
    """How many test images the scores of ``config`` are taken against: 10,000, or the 5,000 that a
    training set of more than 60,000 leaves."""
    return 5_000 if config.source == "mnist" and config.size > data.FULL_SIZE else 10_000


def save_model(path: Path, generator: models.Generator, config: TrainConfig, step: int) -> None:
    """The generator in half precision (BatchNorm in single), with its principal directions."""
    tensors = {name: t.half() if t.ndim > 1 else t for name, t in generator.state_dict().items()}
    directions, strengths = latents.principal_directions(generator, config.model.latent_dim)
    checkpoint.save_tensors(
        path,
        MODEL_KIND,
        {f"generator.{name}": t for name, t in tensors.items()}
        | {"directions": directions, "strengths": strengths},
        {"config": config.to_dict(), "step": step},
    )


def load_model(path: Path) -> tuple[models.Generator, dict[str, Tensor]]:
    """(generator in eval mode without gradients, {"directions": [Z, Z], "strengths": [Z]}).
    CheckpointError where the file is missing, damaged or of another kind."""
    tensors, info = checkpoint.load_tensors(path, MODEL_KIND)
    config = TrainConfig.from_dict(info.get("config", {}))
    generator = models.Generator(config.model)
    checkpoint.load_strictly(generator, checkpoint.below(tensors, "generator"), path)
    size = config.model.latent_dim
    extra = {name: tensors.get(name, torch.empty(0)) for name in ("directions", "strengths")}
    if extra["directions"].shape != (size, size) or extra["strengths"].shape != (size,):
        raise CheckpointError(f"{path} has no directions for its {size} latents; rebuild it")
    return generator.eval().requires_grad_(False), extra


def model_config(path: Path) -> TrainConfig:
    """The configuration a model file was trained with."""
    _, info = checkpoint.load_tensors(path, MODEL_KIND)
    return TrainConfig.from_dict(info.get("config", {}))


def _commit() -> str:
    """The commit of the code, with "+" if files were changed since; "" outside a repository."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    git = ["git", "-C", str(root)]
    head = jobs.answer([*git, "rev-parse", "--short", "HEAD"])
    changed = jobs.answer([*git, "status", "--porcelain", "--", "gan"])
    return head + ("+" if head and changed else "")


def train_arguments(config: TrainConfig, folder: Path, device: str, threads: int) -> list[str]:
    """The command line that makes this very run: what follows ``python -m gan``."""
    arguments = ["train", "--out", str(folder), "--device", device, "--threads", str(threads)]
    default = recipe_config(config.recipe)
    for name in (
        *("source", "size", "budget", "epochs", "updates", "recipe", "loss", "seed", "data_seed"),
    ):
        value = getattr(config, name)
        if name in ("source", "size", "budget", "recipe", "seed") or value != getattr(
            default, name
        ):
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    if config.model.img_size != default.model.img_size:
        arguments += ["--img-size", str(config.model.img_size)]
    return arguments


def read_config(path: Path) -> TrainConfig:
    """The configuration in a JSON file, as `TrainConfig.to_dict` gives it: every setting, so that
    no default and no recipe can mean something else tomorrow. ConfigError where one is missing,
    unknown or cannot work."""
    try:
        values = checkpoint.read_json(path, "write one with TrainConfig.to_dict()")
    except CheckpointError as error:
        raise ConfigError(str(error)) from error
    for part, kind in (("", TrainConfig), ("model", ModelConfig)):
        there = values.get(part) if part else values
        if not isinstance(there, dict):
            raise ConfigError(f"{path}: {part or 'the file'} must be an object of settings")
        missing = sorted({f.name for f in fields(kind)} - set(there))
        if missing:
            raise ConfigError(
                f"{path} lacks {', '.join(f'{part}.{m}' if part else m for m in missing)}; "
                "it must hold the whole configuration, as TrainConfig.to_dict() gives it"
            )
    try:
        return TrainConfig.from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def this_command() -> list[str]:
    """The command of this process, as a person would type it."""
    return ["python", "-m", "gan", *sys.argv[1:]]
