"""Model files: the weights of a generator in half precision."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gan.config import TrainConfig
from gan.errors import CheckpointError
from gan.networks import dcgan, latents
from gan.system import tensor_files

MODEL_KIND = "generator"


def save_model(path: Path, generator: dcgan.Generator, config: TrainConfig, step: int) -> None:
    """Writes the generator in half precision (batch normalisation in single precision) and its principal
    directions (`gan.networks.latents.principal_directions`)."""
    tensors = {name: t.half() if t.ndim > 1 else t for name, t in generator.state_dict().items()}
    directions, strengths = latents.principal_directions(generator, config.model.latent_dim)
    tensor_files.save_tensors(
        path,
        MODEL_KIND,
        {f"generator.{name}": t for name, t in tensors.items()}
        | {"directions": directions, "strengths": strengths},
        {"config": config.to_dict(), "step": step},
    )


def load_model(path: Path) -> tuple[dcgan.Generator, dict[str, Tensor]]:
    """(generator in eval mode without gradients, {"directions": [Z, Z], "strengths": [Z]}).
    CheckpointError if the file is missing, damaged or of another kind."""
    tensors, info = tensor_files.load_tensors(path, MODEL_KIND)
    config = TrainConfig.from_dict(info.get("config", {}))
    generator = dcgan.Generator(config.model)
    tensor_files.load_strictly(generator, tensor_files.with_prefix(tensors, "generator"), path)
    size = config.model.latent_dim
    extra = {name: tensors.get(name, torch.empty(0)) for name in ("directions", "strengths")}
    if extra["directions"].shape != (size, size) or extra["strengths"].shape != (size,):
        raise CheckpointError(f"{path} has no directions for its {size} latents; rebuild it")
    return generator.eval().requires_grad_(False), extra


def model_config(path: Path) -> TrainConfig:
    """The configuration a model file was trained with."""
    info = tensor_files.read_info(path, MODEL_KIND)
    return TrainConfig.from_dict(info.get("config", {}))
