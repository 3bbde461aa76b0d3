"""``gan bench``: how fast the app, the browser parts and the training are."""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import pad, pages, training, watch
from gan.config import TrainConfig
from gan.runs import estimate, names
from gan.system import devices
from gan.training import cost


def bench(options: argparse.Namespace) -> tuple[Any, str]:
    if options.what == "train":
        device = devices.choose_device(options.device)
        speeds = training.train(
            device,
            options.precision,
            options.rounds,
            options.updates,
            0 if options.no_example else 3,
            options.source,
        )
        return speeds, training.describe(speeds)
    if options.what == "update":
        return _bench_update(options)
    if options.what == "watch":
        seconds = 30.0 if options.seconds is None else options.seconds
        watched = watch.watch(seconds, options.source or "drawn", options.rounds)
        return watched, watch.describe(watched)
    if options.what == "pad":
        dragged = pad.pad(options.rounds, 3.0 if options.seconds is None else options.seconds)
        return dragged, pad.describe(dragged)
    result = pages.app(options.rounds)
    return result, pages.describe(result)


def _bench_update(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """What one update takes on a device, written down where a book is named."""
    config = TrainConfig() if options.config is None else names.read_config(options.config)
    device = devices.choose_device(options.device)
    key = estimate.device_key(device, options.precision)
    seconds = estimate.measure(config, device, options.precision)
    if options.book is not None:
        estimate.record(options.book, key, config, seconds)
    result = {
        "seconds_per_update": seconds,
        "device": key,
        "batch": config.effective_batch,
        "operations_per_update": cost.operations_per_update(config),
        "book": None if options.book is None else str(options.book),
    }
    return result, f"{key}: {seconds * 1e3:.2f} ms an update of {config.effective_batch} images"
