"""One training run as a folder on disk: it can be killed at any moment and goes on from there.

    checkpoint.safetensors   everything needed to go on (gone when the run has finished)
    model.safetensors        the generator's average at the end
    best.safetensors         the same at the best moment, if that was clearly better than the end
    evidence.json            loss curves and what the monitor saw along the way
    film.png                 the same 16 latents at about 24 moments
    snapshots/               checkpoints of some of these moments, where they were asked for
    manifest.json            what the files are, where they come from, and how they score

A finished folder is a zoo of one model (see `gan.zoo.cards`). The *best moment* is chosen by the
``monitor``, never by the classifier whose figures are reported.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gan.config import TrainConfig
from gan.data import labelled, sources
from gan.errors import CheckpointError, ConfigError, TrainingError
from gan.evaluation import classifier
from gan.networks import dcgan
from gan.runs import manifest, monitor, names, record
from gan.runs.monitor import Moment
from gan.runs.record import RunRecord
from gan.system import devices, files, tensor_files
from gan.training import stacking, state, trainer

CHECKPOINT = "checkpoint.safetensors"
SNAPSHOTS = "snapshots"  # in it 00000300.safetensors, a checkpoint after 300 updates
PROGRESS = "progress.json"  # while a process works on the folder: how far it is
_NOTE_SECONDS = 2.0


@dataclass(frozen=True)
class Progress:
    """Sent after every report of the trainer; ``moment`` when one was measured just now. ``average`` is
    there to be looked at, not to be changed; ``keep`` writes the checkpoint now."""

    report: trainer.Report
    images_per_second: float
    moment: Moment | None
    generator_ema: dcgan.Generator
    keep: Callable[[], None]
    run: int = 0  # which of several that are trained together


def run(
    config: TrainConfig,
    folder: Path,
    device: torch.device,
    classifiers: Path = classifier.PRETRAINED,
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
    `gan.system.devices.choose_precision`; a run that goes on keeps the one it was begun with. ``block`` says how
    often there is a report, as in `gan.training.trainer.train`; there is one more wherever the monitor looks.

    ``start``: a checkpoint to begin with instead of fresh networks, as `gan.training.state.continue_from` does,
    unless ``folder`` has one of its own. What was written down until then, seconds and best moment
    included, becomes part of the new run; its provenance gets ``continued_from``, a list of {"config",
    "step"}, the first change of settings first. CheckpointError for a file that no run has written.
    ``snapshots``: at about that many of the moments still to come, the last left out, a checkpoint is
    kept below `SNAPSHOTS` for good.
    """
    folder = Path(folder)
    if manifest.is_finished(folder, config):
        return
    one = _Run(
        config,
        folder,
        device,
        classifiers,
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
    classifiers: Path = classifier.PRETRAINED,
    checkpoint_seconds: float = 60.0,
    command: Sequence[str] | None = None,
    precision: str = "auto",
) -> Generator[list[Progress]]:
    """As `run` for each, those that can be trained in one stack (`gan.training.stacking.stack_key`) at once; finished
    folders are left alone. One `Progress` a run of the stack under way at a time; its ``run`` is the
    run's place among those that were not finished. How far each is is noted as `noted` does. A run that
    diverges does not stop the others; a TrainingError names all that did, at the end."""
    load = functools.cache(_load)  # seeds of one amount of data share it
    todo = [
        _Run(config, Path(folder), device, classifiers, checkpoint_seconds, precision, load)
        for config, folder in zip(configs, folders, strict=True)
        if not manifest.is_finished(Path(folder), config)
    ]
    stacks: dict[Any, list[_Run]] = {}
    for one in todo:
        key = (stacking.stack_key(one.config), one.state.step, one.state.precision)
        stacks.setdefault(key, []).append(one)
    failed: dict[str, str] = {}
    for members in stacks.values():
        loop = stacking.train(
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


def run_folder(config: TrainConfig, root: Path) -> Path:
    """Where the run of ``config`` lies below ``root``: under `gan.runs.names.run_name`.

    Version 0.1 named some folders by cell and seed alone, whatever else differed; such a folder is
    used where it holds this very run, finished or not.
    """
    folder, old = root / names.run_name(config), root / names.cell_and_seed(config)
    if old == folder or folder.exists() or not old.exists():
        return folder
    try:
        if (old / manifest.MANIFEST).exists():
            held = manifest.finished_config(old)
        else:
            info = tensor_files.read_info(old / CHECKPOINT, state.CHECKPOINT_KIND)
            held = TrainConfig.from_dict(info.get("config"))
    except (CheckpointError, ConfigError):
        return folder
    return old if held == config else folder


def _load(
    source: str, size: int, data_seed: int, side: int
) -> tuple[labelled.Labelled, labelled.Labelled]:
    """(training, held out)."""
    training = sources.load(source, size, data_seed, side)
    return training, sources.load_held_out(source, size, data_seed, side)


class _Run:
    """A run under way: its state, what is written down of it, and its folder."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        device: torch.device,
        classifiers: Path,
        checkpoint_seconds: float,
        precision: str,
        load: Callable[[str, int, int, int], tuple[labelled.Labelled, labelled.Labelled]] = _load,
        start: Path | None = None,
        snapshots: int = 0,
    ) -> None:
        self.config, self.folder = config, folder
        self.failed, self.together = False, 1
        self.training, self.held_out = load(
            config.source, config.size, config.data_seed, config.model.img_size
        )
        self._classifiers, self._checkpoint_seconds = classifiers, checkpoint_seconds
        self._watch = monitor.Monitor(config, classifiers, self.training.images)
        self._path = folder / CHECKPOINT
        begins = start is not None and not self._path.exists()
        if start is not None and begins:
            self.state, extra = state.continue_from(start, config, device)
            self._book = record.record_from(extra, start)
        elif self._path.exists():
            self.state, extra = state.load_checkpoint(self._path, config, device)
            self._book = record.record_from(extra, self._path)
        else:
            chosen = devices.choose_precision(device, precision)
            self.state, self._book = state.new_state(config, device, chosen), RunRecord()
        total = config.total_updates
        self.block = monitor.block_length(total)
        moments = monitor.moments_to_measure(total)
        self._due = [s for s in moments if s > self.state.step]
        self._snapshots = monitor.snapshots_to_keep(moments, snapshots, self.state.continued_from)
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
            moment = self._watch(self.state.generator_ema, report.step)
            frame = self._watch.film(self.state.generator_ema)
            self._book.see(moment, self.state.generator_ema, frame)
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
                files.link_or_copy(self._path, self.folder / SNAPSHOTS / name)
        speed = (report.step - self._begun_at) / max(now - self._started, 1e-9)
        return Progress(
            report,
            speed * self.config.effective_batch,
            moment,
            self.state.generator_ema,
            self._save,
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
        if new and not self.failed and state.is_finite(self.state):
            state.save_checkpoint(self._path, self.state, self._book.to_tensors())
            self._saved_step = self.state.step

    def finish(self, command: Sequence[str] | None) -> None:
        """Scores what came out and writes the folder's files."""
        config, training, held_out = self.config, self.training, self.held_out
        if config.model.img_channels > 1:  # copies are looked for among single digits
            training, held_out = manifest.load_singles(config)
        manifest.finish(
            config,
            self.folder,
            self.state,
            self._book,
            training,
            held_out,
            self._classifiers,
            command,
            self.together,
        )
        self._path.unlink(missing_ok=True)


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
    files.write_json(folder / PROGRESS, note)


def updates_done(folder: Path, config: TrainConfig) -> int:
    """Of the run of ``config``: all when it has finished, else what its process last noted."""
    if (folder / manifest.MANIFEST).exists():
        return config.total_updates
    try:
        return int(files.read_json(folder / PROGRESS, "")["step"])
    except (CheckpointError, KeyError, TypeError, ValueError):
        return 0


def read_checkpoint_step(path: Path) -> int:
    """How many updates a checkpoint or snapshot has behind it, without reading its tensors.
    CheckpointError where it is missing, damaged or of another kind."""
    info = tensor_files.read_info(path, state.CHECKPOINT_KIND)
    try:
        return int(info["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not say how many updates it has behind it ({error}); remove it"
        ) from error
