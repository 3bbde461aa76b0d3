"""How long a training will take on this device, estimated before it begins from earlier measurements.

The *timings* are one small JSON file. For each device (`device_key`) it holds the measured speeds of
updates and of the other phases of a run. Losing it costs nothing but the estimates: a damaged or
foreign file counts as empty, rows that make no sense are dropped, and if two processes write at the
same moment, the file stays whole but one of the rows can be lost.

All times are seconds of wall time on a machine as busy as it was when the rows were measured.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import math
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, OnErrorOmit, ValidationError

from gan.config import StrictModel, TrainConfig
from gan.errors import ConfigError
from gan.evaluation import evaluate, modes
from gan.runs import monitor
from gan.system import files
from gan.system.devices import choose_precision, describe_device
from gan.training import cost, trainer
from gan.training.state import new_state

LEAST_UPDATES = 20
_MAX_BYTES = 4_000_000  # this program never writes a larger file
_ROWS_OF_A_SHAPE = 3
_ROWS_OF_A_DEVICE = 60
_DEVICES = 20
_MOST_UPDATES = 10_000_000  # of `TrainConfig`
# An update with fewer operations gains less than in proportion, because starting a kernel costs the
# same however little it computes. The measured gain lies between the square root of the ratio and the
# ratio itself (docs/LOG.md); the root overestimates the time rather than underestimates it.
_GAIN = 0.5


@dataclass(frozen=True)
class Estimate:
    """Seconds of a run: ``starting`` (the process and the data, until the first update), ``training``
    (the updates), ``monitoring`` (the moments), and ``scoring`` (and writing the models)."""

    starting: float
    training: float
    monitoring: float
    scoring: float

    @property
    def total(self) -> float:
        return self.starting + self.training + self.monitoring + self.scoring


def device_key(device: torch.device, precision: str = "auto", threads: int | None = None) -> str:
    """The name of a device in the timings: "cpu (AMD EPYC, 2 threads), float32". ``threads``: of the
    process that trains, if it is not this one. ConfigError for an unknown ``precision``."""
    chosen = choose_precision(device, precision)
    return f"{describe_device(device, threads)}, {chosen}"


_NotNegative = Annotated[float, Field(ge=0, lt=1e18)]
_Positive = Annotated[int, Field(ge=1, lt=10**18)]


class _Row(StrictModel):
    when: _NotNegative  # seconds since 1970


class _Speed(_Row):
    """A measured speed of updates. ``shape``: a digest of everything that the work of an update depends
    on. ``seconds``: of one update."""

    shape: str
    operations: _Positive
    batch: _Positive
    augmented: bool
    seconds: Annotated[float, Field(ge=1e-9, lt=1e18)]


class _Phases(_Row):
    """The measured other phases of a run, as multiples of `_typical`; 0 for what was not measured."""

    start: _NotNegative
    look: _NotNegative  # one moment of the monitor
    scoring: _NotNegative


class _Device(StrictModel):
    speeds: list[OnErrorOmit[_Speed]]
    phases: list[OnErrorOmit[_Phases]]

    @property
    def last_change(self) -> float:
        return max((row.when for row in (*self.speeds, *self.phases)), default=0.0)


class _Timings(StrictModel):
    """The content of the file."""

    version: Literal[1]
    devices: dict[str, _Device]


def _read(timings: Path) -> dict[str, _Device]:
    try:
        if timings.stat().st_size > _MAX_BYTES:
            return {}
        return _Timings.model_validate_json(timings.read_bytes()).devices
    except (OSError, ValidationError):  # missing, damaged or foreign
        return {}


def _add(timings: Path, device: str, row: _Speed | _Phases) -> None:
    """Adds a row; the oldest of too many of a shape, of a device and of all devices go."""
    devices = _read(timings)
    found = devices.setdefault(device, _Device(speeds=[], phases=[]))
    if isinstance(row, _Phases):
        found.phases.append(row)
    else:
        found.speeds.append(row)
        same = [r for r in found.speeds if r.shape == row.shape]
        if len(same) > _ROWS_OF_A_SHAPE:
            found.speeds.remove(same[0])
    del found.speeds[:-_ROWS_OF_A_DEVICE]
    del found.phases[:-_ROWS_OF_A_DEVICE]
    kept = sorted(devices, key=lambda key: devices[key].last_change)[-_DEVICES:]
    content = _Timings(version=1, devices={key: devices[key] for key in kept})
    files.write_json(timings, content.model_dump())


def _shape(config: TrainConfig) -> str:
    text = json.dumps(cost.update_shape(config).to_dict(), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def record(timings: Path, device: str, config: TrainConfig, seconds_per_update: float) -> None:
    """Adds a measured speed. ``device``: a `device_key`. ``seconds_per_update``: of updates alone,
    without the monitor (the speed in `gan.runs.run.Progress` includes it).

    ConfigError if that is not a positive number, CheckpointError if the file cannot be written."""
    _check("seconds_per_update", seconds_per_update)
    row = _Speed(
        when=time.time(),
        shape=_shape(config),
        operations=cost.operations_per_update(config),
        batch=config.effective_batch,
        augmented=config.augment != "none",
        seconds=float(seconds_per_update),
    )
    _add(timings, device, row)


def record_phases(
    timings: Path,
    device: str,
    config: TrainConfig,
    *,
    start: float | None = None,
    moment: float | None = None,
    scoring: float | None = None,
) -> None:
    """Adds the seconds of what a run of ``config`` did besides its updates; None if not known, as the
    scoring of a stopped run. ``start``: from the start of the process to the first update. ``moment``:
    one moment of the monitor. ``scoring``: from the last update to the finished folder, divided by the
    number of models in it (the end, and the best moment if that was better).

    ConfigError if one is not a positive number or none is given, CheckpointError if the file cannot be
    written."""
    measured = {"start": start, "look": moment, "scoring": scoring}
    given = {name: value for name, value in measured.items() if value is not None}
    if not given:
        raise ConfigError("no phase was measured; give start, moment or scoring")
    for name, value in given.items():
        _check(name, value)
    multiples = {name: given.get(name, 0.0) / usual for name, usual in _typical(config).items()}
    _add(timings, device, _Phases(when=time.time(), **multiples))


def _check(name: str, seconds: float) -> None:
    if not (math.isfinite(seconds) and 0 < seconds < 1e9):
        raise ConfigError(f"{name}={seconds!r} must be a positive number of seconds; measure it")


def measure(
    config: TrainConfig, device: torch.device, precision: str = "auto", seconds: float = 2.0
) -> float:
    """Seconds per update, measured by training temporary networks on noise of the right shape. It
    takes about ``seconds`` after a warm-up, and at least one update. Writes nothing."""
    batch, model = config.effective_batch, config.model
    config = replace(
        config,
        size=min(config.size, 10 * batch),
        budget="updates",
        updates=_MOST_UPDATES,
        lr_g=1e-4,  # low, so that no loss becomes infinite
        lr_d=1e-4,
    )
    state = new_state(config, device, choose_precision(device, precision))
    shape = (config.size, model.img_channels, model.img_size, model.img_size)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(256, shape, dtype=torch.uint8, generator=rng)
    probe = trainer.train(state, noise, noise[:1], 1)
    next(probe)  # warms up
    one = _timed(probe)
    block, held_out = trainer.BLOCK, noise
    if one * block > seconds:  # shorter blocks; a single held-out image is not evaluated after each
        block, held_out = max(1, int(seconds / one)), noise[:1]
    reports = trainer.train(state, noise, held_out, block)
    if one < seconds:
        next(reports)  # the first block is shorter: blocks end at multiples of their length
    before, spent = state.step, 0.0
    while spent < seconds or state.step == before:
        spent += _timed(reports)
    return spent / (state.step - before)


def _timed(reports: Iterator[trainer.Report]) -> float:
    """Seconds until the next report, which waits for the device."""
    started = time.perf_counter()
    next(reports)
    return time.perf_counter() - started


def predict(timings: Path, device: str, config: TrainConfig) -> Estimate | None:
    """How long a run of ``config`` will take on ``device`` (a `device_key`). None if no update was ever
    measured there. Counts the scoring of one model; a run whose best moment is clearly better than its
    end scores two."""
    measured = _read(timings).get(device)
    if measured is None or not measured.speeds:
        return None
    return _estimate(measured, config, config.total_updates)


def updates_for(timings: Path, device: str, config: TrainConfig, seconds: float) -> int | None:
    """How many updates of ``config`` make a run of ``seconds`` in total, according to `predict`: rounded
    down to two digits, and at least `LEAST_UPDATES`. None if no update was ever measured on ``device``."""
    measured = _read(timings).get(device)
    if measured is None or not measured.speeds:
        return None
    fitting = bisect.bisect_right(
        range(LEAST_UPDATES, _MOST_UPDATES + 1),
        seconds,
        key=lambda updates: _estimate(measured, config, updates).total,
    )
    most = LEAST_UPDATES + fitting - 1
    step = 10 ** max(0, len(str(most)) - 2)
    return max(LEAST_UPDATES, most // step * step)


def _estimate(measured: _Device, config: TrainConfig, updates: int) -> Estimate:
    same = [row.seconds for row in measured.speeds if row.shape == _shape(config)]
    operations = cost.operations_per_update(config)
    each = statistics.median(same) if same else _scaled(measured.speeds, operations)
    typical = _typical(config)
    phases = {}
    for name in typical:
        recent = [s for row in measured.phases[-_ROWS_OF_A_SHAPE:] if (s := getattr(row, name))]
        phases[name] = typical[name] * (statistics.median(recent) if recent else _CAUTION)
    return Estimate(
        starting=phases["start"],
        training=updates * each,
        monitoring=monitor.count_moments(updates) * phases["look"],
        scoring=phases["scoring"],
    )


def _scaled(rows: Iterable[_Speed], operations: int) -> float:
    """Seconds of an update of so many ``operations``, from measured speeds. Between two measurements:
    linear interpolation of the logarithms. Above the largest: in proportion. Below the smallest: by the
    power `_GAIN`."""
    measured: dict[int, list[float]] = {}
    for row in rows:
        measured.setdefault(row.operations, []).append(row.seconds)
    known = sorted(measured)
    medians = [statistics.median(measured[n]) for n in known]
    # more work never takes less time: a measurement that says so was disturbed
    seconds = list(itertools.accumulate(medians, max))
    if operations < known[0]:
        return seconds[0] * float(operations / known[0]) ** _GAIN
    if operations > known[-1]:
        return seconds[-1] * operations / known[-1]
    return float(np.exp(np.interp(np.log(operations), np.log(known), np.log(seconds))))


#: Assumed for phases that were not measured yet, in multiples of `_typical`. The speed of updates says
#: nothing about them: scoring and the monitor run on the CPU, whatever device trains.
_CAUTION = 1.5


def _typical(config: TrainConfig) -> dict[str, float]:
    """Seconds of the phases as fitted on one machine (docs/LOG.md). They say how the phases grow with
    the networks, the image size and the training set; the measured rows are multiples of them."""
    model = config.model
    an_image = cost.operations_per_update(config) / config.effective_batch
    pixels = model.img_size**2 / 784
    sampled = monitor.MONITOR_SAMPLES / 1_000 * 1.5e-9 * an_image  # drawing them from G
    scored = evaluate.SAMPLES * evaluate.DRAWS / 1_000
    seconds = {
        "start": 4.0 + 8e-5 * config.size * ("drawn" in config.source),
        "look": 0.25 * pixels + sampled,
        "scoring": 6.0 * pixels + 1.5e-8 * an_image * scored / 10 + 2.1e-4 * pixels * config.size,
    }
    if model.img_channels > 1:  # counting the modes reads each sample three times
        seconds["scoring"] += modes.SAMPLES / 1_000 * (3 * 0.35 + 1.5e-9 * an_image)
    return seconds
