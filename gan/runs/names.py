"""Names of runs and folders, and configurations in files and command lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan.config import TrainConfig, read_as, recipe_config, standard_config
from gan.data import labelled, mnist
from gan.errors import CheckpointError, ConfigError
from gan.system import files


def cell_name(config: TrainConfig) -> str:
    """The name of all runs that differ in nothing but the seed: "mnist-600-updates-plain". A folder
    source gives its last part, and an image size other than MNIST's is added:
    "folder_cats-600-updates-plain-64px"."""
    source = config.source
    if source.startswith("folder:"):
        source = "folder_" + Path(source.partition(":")[2]).name
    cleaned = "".join(c if c.isalnum() or c == "_" else "_" for c in source)
    side = config.model.img_size
    pixels = "" if side == labelled.RESOLUTION else f"-{side}px"
    return f"{cleaned}-{config.size}-{config.budget}-{config.recipe}{pixels}"


def cell_and_seed(config: TrainConfig) -> str:
    """The cell's name with the seed: "mnist-600-updates-plain-s0"."""
    return f"{cell_name(config)}-s{config.seed}"


def run_name(config: TrainConfig) -> str:
    """The name of a run's folder, a different one for every configuration: cell and seed, and eight
    digits of a hash of what else differs from the recipe, if anything does.

    The hash leaves out what does not differ, so that the names stay when `TrainConfig` gets a new
    setting.
    """
    default = flat(standard_config(config).to_dict())
    other = {key: value for key, value in flat(config.to_dict()).items() if value != default[key]}
    if config.source.startswith("folder:"):  # its last part alone stands in the cell's name
        other["source"] = config.source
    digest = hashlib.sha256(json.dumps(other, sort_keys=True).encode()).hexdigest()
    return f"{cell_and_seed(config)}-{digest[:8]}" if other else cell_and_seed(config)


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings on one level: {"size": ..., "model.latent_dim": ...}."""
    outer = {key: value for key, value in values.items() if key != "model"}
    return outer | {f"model.{key}": value for key, value in values.get("model", {}).items()}


def reference_images(config: TrainConfig) -> int:
    """How many test images the samples of ``config`` are compared with: 10,000, or the 5,000 that a
    training set of more than 60,000 leaves."""
    return 5_000 if config.source == "mnist" and config.size > mnist.FULL_SIZE else 10_000


def train_arguments(config: TrainConfig, folder: Path, device: str, threads: int) -> list[str]:
    """The command line that trains ``config`` in ``folder``: what follows ``python -m gan``."""
    arguments = ["train", "--out", str(folder), "--device", device, "--threads", str(threads)]
    default = recipe_config(config.recipe)
    always = ("source", "size", "budget", "recipe", "seed")
    for name in (*always, "epochs", "updates", "loss", "data_seed"):
        value = getattr(config, name)
        if name in always or value != getattr(default, name):
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    if config.model.img_size != default.model.img_size:
        arguments += ["--img-size", str(config.model.img_size)]
    return arguments


def read_config(path: Path) -> TrainConfig:
    """The configuration in a JSON file, as `TrainConfig.to_dict` gives it. Every setting must be there,
    because a default or a recipe may change in a later version. ConfigError if one is missing, unknown
    or cannot work."""
    try:
        values = files.read_json(path, "write one with TrainConfig.to_dict()")
    except CheckpointError as error:
        raise ConfigError(str(error)) from error
    config = read_as(TrainConfig, values, str(path))
    if missing := sorted(set(flat(config.to_dict())) - set(flat(values))):
        raise ConfigError(
            f"{path} lacks {', '.join(missing)}; it must hold the whole configuration, as "
            "TrainConfig.to_dict() gives it"
        )
    return config
