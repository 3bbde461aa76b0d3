"""How long a training will take on this device, said before it begins, from what was measured on it.

The *book* is one small JSON file: for each device (`device_key`) the speeds of updates and of what a
run does besides, each a row as it was measured. It is a convenience: a damaged or foreign book counts as
empty, and where two processes write in the same moment the file stays whole but one of the rows can be
lost; the next run brings another.

All times are seconds of wall time on a machine as busy as it was when the rows were measured.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch

from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError
from gan.evaluation import evaluate, modes
from gan.runs import monitor
from gan.system import files
from gan.system.devices import choose_precision, describe_device
from gan.training import cost, trainer
from gan.training.state import new_state

Basis = Literal["same", "scaled"]
LEAST_UPDATES = 20
_VERSION = 1
_BOOK_BYTES = 4_000_000  # a larger file is none of ours
_ROWS_OF_A_SHAPE = 3
_ROWS_OF_A_DEVICE = 60
_DEVICES = 20
_MOST_UPDATES = 10_000_000  # of `TrainConfig`
# A smaller update gains less than its operations say, for what a kernel costs however little it computes:
# between the square root and the ratio itself (docs/LOG.md). The root errs on the long side.
_GAIN = 0.5


@dataclass(frozen=True)
class Estimate:
    """Seconds of a run: until the first update (``starting``: the process, the pictures), of its updates,
    of the monitor's looks along the way, and of scoring and writing what came out.

    ``basis``: "same" where updates of this very shape and the rest of a run were measured on the device,
    "scaled" where something is scaled from other shapes or taken from another machine."""

    starting: float
    training: float
    looking: float
    scoring: float
    basis: Basis

    @property
    def total(self) -> float:
        return self.starting + self.training + self.looking + self.scoring


def device_key(device: torch.device, precision: str = "auto", threads: int | None = None) -> str:
    """Under what a device's rows stand: "cpu (AMD EPYC, 2 threads), float32". ``threads``: of the process
    that trains, if it is not this one. ConfigError for an unknown ``precision``."""
    chosen = choose_precision(device, precision)
    return f"{describe_device(device, threads)}, {chosen}"


@dataclass(frozen=True)
class _Row:
    """When something was measured: seconds since 1970."""

    when: float

    @classmethod
    def all_in(cls, listed: Iterable[Any]) -> tuple[Self, ...]:
        """The rows that ``listed`` holds, without what is none. TypeError where it is no list."""
        return tuple(cls(**values) for values in listed if cls._is_one(values))

    @classmethod
    def _is_one(cls, values: Any) -> bool:
        if not isinstance(values, dict) or set(values) != {f.name for f in fields(cls)}:
            return False
        for field in fields(cls):
            value = values[field.name]
            kinds = {"str": str, "bool": bool, "int": int}
            kind: Any = kinds.get(str(field.type), int | float)
            if not isinstance(value, kind):
                return False
            # NaN is outside as well
            if not isinstance(value, str) and not cls._least(field.name) <= value < 1e18:
                return False
        return True

    @staticmethod
    def _least(name: str) -> float:
        """What a number must be at least to make sense."""
        return 1e-9 if name == "seconds" else 1.0 if name in ("operations", "batch") else 0.0


@dataclass(frozen=True)
class _Speed(_Row):
    """Of updates. ``shape``: digest of all that an update's work depends on."""

    shape: str
    operations: int
    batch: int
    augmented: bool
    seconds: float


@dataclass(frozen=True)
class _Phases(_Row):
    """Of what a run does besides, as multiples of `_typical`; 0 for what was not measured."""

    start: float
    look: float
    scoring: float


@dataclass(frozen=True)
class _Device:
    speeds: tuple[_Speed, ...] = ()
    phases: tuple[_Phases, ...] = ()


def _read(book: Path) -> dict[str, _Device]:
    """Empty where there is no book or it is damaged or foreign; rows that make no sense are left out."""
    try:
        if book.stat().st_size > _BOOK_BYTES:
            return {}
        content = files.read_json(book, "")
        if content["version"] != _VERSION:
            return {}
        return {
            key: _Device(_Speed.all_in(rows["speeds"]), _Phases.all_in(rows["phases"]))
            for key, rows in content["devices"].items()
        }
    except (CheckpointError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    except RecursionError:  # brackets in brackets in brackets
        return {}


def _write(book: Path, devices: dict[str, _Device]) -> None:
    def last_change(device: _Device) -> float:
        return max((row.when for row in (*device.speeds, *device.phases)), default=0.0)

    kept = sorted(devices, key=lambda key: last_change(devices[key]))[-_DEVICES:]
    content = {"version": _VERSION, "devices": {key: asdict(devices[key]) for key in kept}}
    files.write_json(book, content)


def _shape(config: TrainConfig) -> str:
    text = json.dumps(cost.update_shape(config).to_dict(), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def record(book: Path, device: str, config: TrainConfig, seconds_per_update: float) -> None:
    """Adds a measured speed to the book. ``device``: a `device_key`. ``seconds_per_update``: of updates
    alone, without the monitor's looks (`gan.runs.run.Progress` gives its speed with them).

    ConfigError where that is not a positive number, CheckpointError where the book cannot be written."""
    _check("seconds_per_update", seconds_per_update)
    row = _Speed(
        when=time.time(),
        shape=_shape(config),
        operations=cost.operations_per_update(config),
        batch=config.effective_batch,
        augmented=config.augment != "none",
        seconds=float(seconds_per_update),
    )
    devices = _read(book)
    there = devices.get(device, _Device())
    same = [r for r in there.speeds if r.shape == row.shape][-(_ROWS_OF_A_SHAPE - 1) :]
    rows = [r for r in there.speeds if r.shape != row.shape or r in same]
    devices[device] = replace(there, speeds=tuple([*rows, row][-_ROWS_OF_A_DEVICE:]))
    _write(book, devices)


def record_phases(
    book: Path,
    device: str,
    config: TrainConfig,
    *,
    start: float | None = None,
    look_each: float | None = None,
    scoring: float | None = None,
) -> None:
    """Adds to the book what a run of ``config`` took besides its updates; None where that is not known,
    as the scoring of a stopped run. ``start``: from starting the process to the first update.
    ``look_each``: one look of the monitor. ``scoring``: from the last update to the finished folder,
    divided by the number of models in it (the end, and the best moment where that was better).

    ConfigError where one is not a positive number or none is given, CheckpointError where the book
    cannot be written."""
    measured = {"start": start, "look": look_each, "scoring": scoring}
    given = {name: value for name, value in measured.items() if value is not None}
    if not given:
        raise ConfigError("no phase was measured; give start, look_each or scoring")
    for name, value in given.items():
        _check(name, value)
    typical = _typical(config)
    shares = {name: given.get(name, 0.0) / typical[name] for name in measured}
    devices = _read(book)
    there = devices.get(device, _Device())
    row = _Phases(when=time.time(), **shares)
    devices[device] = replace(there, phases=(*there.phases, row)[-_ROWS_OF_A_DEVICE:])
    _write(book, devices)


def _check(name: str, seconds: float) -> None:
    if not (math.isfinite(seconds) and 0 < seconds < 1e9):
        raise ConfigError(f"{name}={seconds!r} must be a positive number of seconds; measure it")


def measure(
    config: TrainConfig, device: torch.device, precision: str = "auto", seconds: float = 2.0
) -> float:
    """Seconds per update, from training a throw-away state on noise of the right shape for about
    ``seconds`` after warming up; one update at least, however long it takes. Writes nothing."""
    batch, model = config.effective_batch, config.model
    config = replace(
        config,
        size=min(config.size, 10 * batch),
        budget="updates",
        updates=_MOST_UPDATES,
        lr_g=1e-4,  # noise cannot be learnt, and must not make a loss infinite meanwhile
        lr_d=1e-4,
    )
    state = new_state(config, device, choose_precision(device, precision))
    shape = (config.size, model.img_channels, model.img_size, model.img_size)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(256, shape, dtype=torch.uint8, generator=rng)
    probe = trainer.train(state, noise, noise[:1], 1)
    next(probe)  # sets things up
    one = _timed(probe)
    block = trainer.BLOCK
    held_out = noise
    if (
        one * block > seconds
    ):  # shorter reports, without the look at held-out pictures that each ends in
        block, held_out = max(1, int(seconds / one)), noise[:1]
    reports = trainer.train(state, noise, held_out, block)
    if one < seconds:
        next(reports)  # reports end at multiples of a block, so the first is short; and warms up
    before, spent = state.step, 0.0
    while spent < seconds or state.step == before:
        spent += _timed(reports)
    return spent / (state.step - before)


def _timed(reports: Iterator[trainer.Report]) -> float:
    """Seconds until the next report, which waits for the device."""
    started = time.perf_counter()
    next(reports)
    return time.perf_counter() - started


def predict(book: Path, device: str, config: TrainConfig) -> Estimate | None:
    """How long the run of ``config`` will take on ``device`` (a `device_key`), from its first update on.
    None where no update was ever measured there. A run whose best moment was clearly better than its end
    scores two models, which nobody can know before."""
    there = _read(book).get(device, _Device())
    return _estimate(there, config, config.total_updates)


def updates_for(book: Path, device: str, config: TrainConfig, seconds: float) -> int | None:
    """How many updates of ``config`` fit into ``seconds`` in total by `predict`, rounded down to two
    digits; `LEAST_UPDATES` where fewer would. None where no update was ever measured on ``device``."""
    there = _read(book).get(device, _Device())
    if not there.speeds:
        return None
    low, high = LEAST_UPDATES, _MOST_UPDATES
    while low < high:
        middle = (low + high + 1) // 2
        estimate = _estimate(there, config, middle)
        assert estimate is not None
        if estimate.total <= seconds:
            low = middle
        else:
            high = middle - 1
    step = 10 ** max(0, len(str(low)) - 2)
    return max(LEAST_UPDATES, low // step * step)


def _estimate(there: _Device, config: TrainConfig, updates: int) -> Estimate | None:
    if not there.speeds:
        return None
    same = [row.seconds for row in there.speeds if row.shape == _shape(config)]
    operations = cost.operations_per_update(config)
    each = statistics.median(same) if same else _scaled(there.speeds, operations)
    typical = _typical(config)
    phases, known = {}, bool(same)
    for name, share in _CAUTION.items():
        measured = [s for row in there.phases[-_ROWS_OF_A_SHAPE:] if (s := getattr(row, name))]
        known &= bool(measured)
        phases[name] = typical[name] * (statistics.median(measured) if measured else share)
    return Estimate(
        starting=phases["start"],
        training=updates * each,
        looking=monitor.count_looks(updates) * phases["look"],
        scoring=phases["scoring"],
        basis="same" if known else "scaled",
    )


def _scaled(rows: Iterable[_Speed], operations: int) -> float:
    """Seconds of an update of so many ``operations``: on the line between the two neighbours in the
    logarithms of both, and beyond all that was measured in proportion, downwards by less (`_GAIN`)."""
    shapes: dict[int, list[float]] = {}
    for row in rows:
        shapes.setdefault(row.operations, []).append(row.seconds)
    points: list[tuple[int, float]] = []
    for known, seconds in sorted(shapes.items()):
        # more work never takes less time: where it was so measured, the machine was busy with other things
        lowest = points[-1][1] if points else 0.0
        points.append((known, max(lowest, statistics.median(seconds))))
    below = [point for point in points if point[0] <= operations]
    above = [point for point in points if point[0] > operations]
    if not below:
        return above[0][1] * float(operations / above[0][0]) ** _GAIN
    if not above:
        return below[-1][1] * operations / below[-1][0]
    (low, first), (high, second) = below[-1], above[0]
    place = math.log(operations / low) / math.log(high / low)
    return float(first ** (1 - place) * second**place)


#: What stands for a device's own times until a run has brought them, in multiples of `_typical`. Scoring
#: and the monitor work on the CPU whatever device trains, so its speed says nothing of theirs.
_CAUTION = {"start": 1.5, "look": 1.5, "scoring": 1.5}


def _typical(config: TrainConfig) -> dict[str, float]:
    """Seconds of the phases as fitted on one machine (docs/LOG.md): only how they grow with the
    networks, the pictures and the training set is meant, the machine is taken out by what it records."""
    model = config.model
    an_image = cost.operations_per_update(config) / config.effective_batch
    pixels = model.img_size**2 / 784
    drawn = monitor.MONITOR_SAMPLES / 1_000 * 1.5e-9 * an_image  # a thousand pictures from G
    scored = evaluate.SAMPLES * evaluate.DRAWS / 1_000
    seconds = {
        "start": 4.0 + 8e-5 * config.size * ("drawn" in config.source),
        "look": 0.25 * pixels + drawn,
        "scoring": 6.0 * pixels + 1.5e-8 * an_image * scored / 10 + 2.1e-4 * pixels * config.size,
    }
    if model.img_channels > 1:  # the modes are counted as well: three readings a sample
        seconds["scoring"] += modes.SAMPLES / 1_000 * (3 * 0.35 + 1.5e-9 * an_image)
    return seconds
