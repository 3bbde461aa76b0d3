"""One training run as a folder on disk. It can be killed at any time and goes on from there.

    checkpoint.safetensors   everything needed to go on; deleted when the run has finished
    model.safetensors        the moving average of the generator's weights at the end
    best.safetensors         the same at the best moment, if that was clearly better than the end
    evidence.json            loss curves, and what the monitor measured at about 24 moments
    film.png                 the images of the same 16 latents at these moments
    snapshots/               checkpoints of some of these moments, if asked for
    manifest.json            what the files are, where they come from, and how they score

A finished folder is a zoo of one model (see `gan.zoo.cards`). The *monitor* is a second classifier
that measures the generator during training. It chooses the *best moment*; another classifier
computes the scores, so that the choice does not favour them.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan.config import TrainConfig
from gan.data import sources
from gan.errors import CheckpointError, ConfigError, TrainingError
from gan.evaluation import classifier
from gan.networks import dcgan
from gan.runs import manifest, monitor, names
from gan.runs.monitor import Moment
from gan.runs.record import RunRecord
from gan.system import devices, files, tensor_files
from gan.training import stacking, state, trainer

CHECKPOINT = "checkpoint.safetensors"
SNAPSHOTS = "snapshots"  # a folder: 00000300.safetensors is a checkpoint after 300 updates
PROGRESS = "progress.json"  # how far the run is, while a process works on the folder
_PROGRESS_SECONDS = 2.0


@dataclass(frozen=True)
class Progress:
    """Yielded after every report of the trainer. ``moment``: if one was measured just now.
    ``generator_ema`` is the run's own: read it, do not change it. ``save`` writes the checkpoint now."""

    report: trainer.Report
    images_per_second: float
    moment: Moment | None
    generator_ema: dcgan.Generator
    save: Callable[[], None]
    run: int = 0  # the index of the run among those trained together


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
    """Trains ``config`` in ``folder``, or goes on with the checkpoint there, and scores the model.

    Yields nothing if the run has finished. CheckpointError if the folder holds another configuration.
    A consumer that stops early must close the generator, which writes a checkpoint.

    ``classifiers``: the folder of the monitor and the classifier. ``checkpoint_seconds``: between two
    checkpoints. ``command``: for the provenance. ``precision``: see
    `gan.system.devices.choose_precision`; a run that goes on keeps its own. ``block``: how many updates
    to the next report, as in `gan.training.trainer.train`; every moment has a report of its own.

    ``start``: a checkpoint to begin with instead of new networks (`gan.training.state.continue_from`),
    unless the folder has one. Its record becomes part of the new run, and the provenance gets
    ``continued_from``, a list of {"config", "step"}, oldest first. CheckpointError if no run wrote it.
    ``snapshots``: how many of the coming moments keep a checkpoint below `SNAPSHOTS`.
    """
    folder = Path(folder)
    if manifest.is_finished(folder, config):
        return
    one = _Run(
        config, folder, device, classifiers, precision, _load, start, snapshots, checkpoint_seconds
    )
    reports = trainer.train(
        one.state,
        one.training.images,
        one.held_out.images,
        one.block if block is None else one.end_at_moments(block),
    )
    with one.saving():
        for report in reports:
            progress = one.add(report)
            yielded = time.monotonic()
            yield progress
            one.leave_out(time.monotonic() - yielded)
    one.finish(command)


def run_together(
    configs: Sequence[TrainConfig],
    folders: Sequence[Path],
    device: torch.device,
    classifiers: Path = classifier.PRETRAINED,
    command: Sequence[str] | None = None,
    precision: str = "auto",
) -> Generator[list[Progress]]:
    """As `run` for each, but trains as one stack what `gan.training.stacking.stack_key` allows.

    Stacks are trained one after the other. Yields one `Progress` per run of the current stack;
    ``run`` counts the runs that were not finished. Writes the progress files as `write_progress` does.
    A run that diverges does not stop the others: at the end, a TrainingError names all that did.
    """
    load = functools.cache(_load)  # the seeds of one data set share its images in memory
    stacks: dict[Any, list[_Run]] = {}
    number = 0
    for config, folder in zip(configs, map(Path, folders), strict=True):
        if not manifest.is_finished(folder, config):
            one = _Run(config, folder, device, classifiers, precision, load)
            one.number = number
            key = (stacking.stack_key(config), one.state.step, one.state.precision)
            stacks.setdefault(key, []).append(one)
            number += 1
    errors: list[str] = []
    for members in stacks.values():
        errors += yield from _train_stack(members, command)
    if errors:
        raise TrainingError("; ".join(errors))


def _train_stack(
    members: Sequence[_Run], command: Sequence[str] | None
) -> Generator[list[Progress], None, list[str]]:
    """Trains and finishes runs as one stack. Returns an error for each run that diverged."""
    errors: list[str] = []
    loop = stacking.train(
        [one.state for one in members],
        [one.training.images for one in members],
        [one.held_out.images for one in members],
        members[0].block,
    )
    with contextlib.ExitStack() as progress_files:
        writers = [progress_files.enter_context(_progress_file(one.folder)) for one in members]
        with contextlib.ExitStack() as saving:
            for one in members:
                one.together = len(members)
                saving.enter_context(one.saving())
            for reports in loop:
                row = []
                for one, write, report in zip(members, writers, reports, strict=True):
                    if not isinstance(report, TrainingError):
                        write(report)
                        row.append(one.add(report))
                    elif not one.failed:
                        one.failed = True
                        errors.append(f"{one.folder}: {report}")
                if not row:
                    break
                yield row
        for one in members:
            if not one.failed:
                one.finish(command)
    return errors


def run_folder(config: TrainConfig, root: Path) -> Path:
    """Where the run of ``config`` lies below ``root``: under `gan.runs.names.run_name`.

    Version 0.1 named some folders by cell and seed alone, whatever else differed; such a folder is
    used if it holds this very run, finished or not.
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


def _load(source: str, size: int, data_seed: int, side: int) -> manifest.Data:
    training = sources.load(source, size, data_seed, side)
    return training, sources.load_held_out(source, size, data_seed, side)


class _Run:
    """A run in progress: its data, training state, record and folder."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        device: torch.device,
        classifiers: Path,
        precision: str,
        load: Callable[[str, int, int, int], manifest.Data],
        start: Path | None = None,
        snapshots: int = 0,
        checkpoint_seconds: float = 60.0,
    ) -> None:
        self.config, self.folder = config, folder
        self.failed, self.together, self.number = False, 1, 0
        side = config.model.img_size
        self.training, self.held_out = load(config.source, config.size, config.data_seed, side)
        self._classifiers, self._checkpoint_seconds = classifiers, checkpoint_seconds
        self._monitor = monitor.Monitor(config, classifiers, self.training.images)
        self._path = folder / CHECKPOINT
        resumes = self._path.exists()
        if resumes:
            self.state, extra = state.load_checkpoint(self._path, config, device)
            self._record = RunRecord.from_tensors(extra, self._path)
        elif start is not None:
            self.state, extra = state.continue_from(start, config, device)
            self._record = RunRecord.from_tensors(extra, start)
        else:
            chosen = devices.choose_precision(device, precision)
            self.state, self._record = state.new_state(config, device, chosen), RunRecord()
        total = config.total_updates
        self.block = monitor.block_length(total)
        moments = monitor.moments_to_measure(total)
        self._due = [s for s in moments if s > self.state.step]
        self._snapshots = monitor.snapshots_to_keep(moments, snapshots, self.state.continued_from)
        self._first_step = self._saved_step = self.state.step
        self._seconds_before = self._record.seconds
        self._last_saved = self._started = time.monotonic()
        if start is not None and not resumes:  # the folder must not need ``start`` from now on
            self._saved_step = -1
            self.save()

    def end_at_moments(self, block: Callable[[int], int]) -> Callable[[int], int]:
        """``block``, cut so that none goes past the next moment."""
        return lambda step: min(block(step), self._due[0] - step if self._due else block(step))

    def add(self, report: trainer.Report) -> Progress:
        """Adds a report to the record, measures if a moment is due, and saves if it is time."""
        self._record.add(report)
        moment, keeps_snapshot = None, False
        if self._due and report.step >= self._due[0]:
            moment = self._monitor(self.state.generator_ema, report.step)
            frame = self._monitor.film(self.state.generator_ema)
            self._record.add_moment(moment, self.state.generator_ema, frame)
            keeps_snapshot = any(s in self._snapshots for s in self._due if s <= report.step)
            self._due = [s for s in self._due if s > report.step]
        now = time.monotonic()
        self._record.seconds = self._seconds_before + now - self._started
        is_time = keeps_snapshot or now - self._last_saved > self._checkpoint_seconds
        if is_time and report.step < report.total:
            self.save()
            self._last_saved = now
            if keeps_snapshot and self._saved_step == report.step:
                name = f"{report.step:08d}.safetensors"
                files.link_or_copy(self._path, self.folder / SNAPSHOTS / name)
        updates_per_second = (report.step - self._first_step) / max(now - self._started, 1e-9)
        rate = updates_per_second * self.config.effective_batch
        return Progress(report, rate, moment, self.state.generator_ema, self.save, self.number)

    def leave_out(self, seconds: float) -> None:
        """Does not count the ``seconds`` that the consumer of a `Progress` took as training."""
        self._started += seconds

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Saves when the block ends: when the consumer stops early, when another run could not be saved,
        and before scoring, which may fail (on a full disk, say)."""
        self._last_saved = self._started = time.monotonic()
        try:
            yield
        except (GeneratorExit, CheckpointError):
            self.save()
            raise
        self.save()

    def save(self) -> None:
        """Writes the checkpoint, if there is anything new and it is sound."""
        new = self.state.step > self._saved_step
        if new and not self.failed and state.is_finite(self.state):
            state.save_checkpoint(self._path, self.state, self._record.to_tensors())
            self._saved_step = self.state.step

    def finish(self, command: Sequence[str] | None) -> None:
        """Scores the models and writes the files of a finished folder."""
        data = self.training, self.held_out
        if self.config.model.img_channels > 1:  # copies are searched for among single digits
            data = manifest.load_singles(self.config)
        manifest.finish(
            self.folder, self.state, self._record, data, self._classifiers, command, self.together
        )
        self._path.unlink(missing_ok=True)


def write_progress(steps: Generator[Progress], folder: Path) -> Generator[list[Progress]]:
    """``steps``, each as `run_together` gives it, while `PROGRESS` in ``folder`` says how far they are, for other
    processes. To close it closes ``steps``."""
    with _progress_file(folder) as write, contextlib.closing(steps):
        for progress in steps:
            write(progress.report)
            yield [progress]


@contextlib.contextmanager
def _progress_file(folder: Path) -> Iterator[Callable[[trainer.Report], None]]:
    """A function that writes `PROGRESS` at most every two seconds; deletes the file at the end."""
    last = -math.inf

    def write(report: trainer.Report) -> None:
        nonlocal last
        if report.step == report.total or time.monotonic() - last > _PROGRESS_SECONDS:
            last = time.monotonic()
            content = {"step": report.step, "total": report.total, "pid": os.getpid()}
            files.write_json(folder / PROGRESS, content)

    try:
        yield write
    finally:
        (folder / PROGRESS).unlink(missing_ok=True)


def updates_done(runs: Iterable[tuple[TrainConfig, Path]]) -> int:
    """How many updates of all ``runs`` (configuration, folder) are done: all if a run has finished, else
    what its `PROGRESS` says; 0 if no process works on it."""
    done = 0
    for config, folder in runs:
        if (folder / manifest.MANIFEST).exists():
            done += config.total_updates
        else:
            with contextlib.suppress(CheckpointError, KeyError, TypeError, ValueError):
                done += int(files.read_json(folder / PROGRESS, "")["step"])
    return done


def read_checkpoint_step(path: Path) -> int:
    """The number of updates behind a checkpoint or snapshot, without reading its tensors.
    CheckpointError if it is missing, damaged or of another kind."""
    info = tensor_files.read_info(path, state.CHECKPOINT_KIND)
    try:
        return int(info["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not say how many updates it has behind it ({error}); remove it"
        ) from error
