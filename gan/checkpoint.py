"""The door to weight files: written whole or not at all, read strictly, never unpickled.

Everything is safetensors with one JSON text under the metadata key ``gan``: what the file is
(``kind``), the configuration its tensors belong to, and where they come from. Two promises are
kept apart: a *model* is what others look at (the generator's weights in half precision); a
*checkpoint* is all a training run needs to go on (see `gan.trainer`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from gan.errors import CheckpointError

_KEY = "gan"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes beside ``path``, syncs, and renames: a reader or a crash never meets half a file."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(PermissionError):  # a USB stick's disk keeps no modes of its own
            os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be written ({error}); the file that was there before is unharmed. "
            "Free some space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def keep(path: Path, name: Path) -> None:
    """``name`` becomes a second name of the file ``path`` as it is now, or a copy where the disk has no
    such names. It stays as it is when `write_atomically` puts another file in the place of ``path``."""
    try:
        name.parent.mkdir(parents=True, exist_ok=True)
        name.unlink(missing_ok=True)
        os.link(path, name)
    except OSError:
        write_atomically(name, path.read_bytes())


def append_line(path: Path, text: str, sync: bool = True) -> None:
    """Adds a line and, unless told otherwise, syncs. Where that fails what was written of it is taken back;
    a power cut can still leave half a line at the end, which whoever reads the file has to expect."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            line = f"{text}\n".encode()
            try:
                # a disk that fills up takes a part without complaint
                if file.write(line) != len(line):
                    raise OSError("the disk took only a part")
                if sync:
                    os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(before)
                raise
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be added to ({error}); the lines that were there before are unharmed. "
            "Free some space and run the same command again"
        ) from error


def without_nan(value: Any) -> Any:
    """``value`` as JSON can say it: it has no NaN, None stands for "not measured"."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, content: Any) -> None:
    """``content`` as readable JSON with sorted keys, atomically."""
    write_atomically(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def read_json(path: Path, remedy: str) -> Any:
    """The parsed file, or a CheckpointError that names it and ends in ``remedy``."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; {remedy}") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); {remedy}") from error


def sha256(path: Path) -> str:
    """Hex digest of the file. FileNotFoundError and other OSErrors pass through."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_tensors(path: Path, kind: str, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
    """tensors and info under ``kind`` -> one safetensors file, atomically."""
    content = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps({**info, "kind": kind}, sort_keys=True)
    write_atomically(path, serialise(content, metadata={_KEY: text}))


def load_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_tensors` wrote, on the CPU. CheckpointError if it is missing, damaged, or not ``kind``."""
    return _read(path, kind, with_tensors=True)


def read_info(path: Path, kind: str) -> dict[str, Any]:
    """The info alone, whatever the size of the file. Errors as of `load_tensors`."""
    return _read(path, kind, with_tensors=False)[1]


def _read(path: Path, kind: str, with_tensors: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
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
        info = {}  # metadata of somebody else's: of no kind we know
    if info.get("kind") != kind:
        raise CheckpointError(f"{path} holds {info.get('kind')!r}, not {kind!r}; name another file")
    return tensors, info


def load_strictly(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Fills ``module`` with exactly these tensors (cast to its types), or raises CheckpointError."""
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


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors named ``prefix.*``, with the prefix taken off."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
