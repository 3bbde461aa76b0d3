"""Weight files: written whole or not at all, read strictly, never unpickled.

They are safetensors, with a JSON text under the metadata key ``gan``: what the file is (``kind``), the
configuration its tensors belong to, and where they come from. There are two kinds. A *model* is for
looking at: the generator's weights in half precision. A *checkpoint* is all that a training needs to go
on (see `gan.training.state`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from gan.errors import CheckpointError
from gan.system import files

_KEY = "gan"


def save_tensors(path: Path, kind: str, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
    """Write the tensors and ``info`` into one safetensors file of this ``kind``, atomically."""
    content = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps({**info, "kind": kind}, sort_keys=True)
    files.write_atomically(path, serialise(content, metadata={_KEY: text}))


def read_info(path: Path, kind: str) -> dict[str, Any]:
    """The info of `load_tensors` alone, without reading the tensors."""
    return load_tensors(path, kind, with_tensors=False)[1]


def load_tensors(
    path: Path, kind: str, with_tensors: bool = True
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the info that `save_tensors` wrote. CheckpointError if the file is
    missing, damaged, or of another kind."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            info = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; restore it from the repository") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or not a safetensors file ({error}); restore or rebuild it"
        ) from error
    if not isinstance(info, dict):
        info = {}  # another program's metadata
    if info.get("kind") != kind:
        raise CheckpointError(f"{path} holds {info.get('kind')!r}, not {kind!r}; name another file")
    return tensors, info


def load_strictly(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill ``module`` with exactly these tensors, cast to its types. CheckpointError if names or shapes differ,
    or a value is not finite; the module is then unchanged."""
    target = module.state_dict()
    if set(target) != set(tensors):
        missing, extra = set(target) - set(tensors), set(tensors) - set(target)
        raise CheckpointError(
            f"{path} belongs to another network: missing {sorted(missing)}, unexpected {sorted(extra)}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != target[name].shape:
            raise CheckpointError(
                f"{path} belongs to another network: {name} is {tuple(tensor.shape)}, "
                f"expected {tuple(target[name].shape)}"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path} holds values in {name} that are not finite; rebuild it")
    module.load_state_dict({name: t.to(target[name].dtype) for name, t in tensors.items()})


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors named ``prefix.*``, without that prefix in their names."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
