"""The device that trains, and its numerical precision."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from gan.errors import ConfigError

PRECISIONS = ("float32", "bfloat16")


def available() -> list[str]:
    """Those of "cuda", "mps" and "cpu" that this machine has."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [*(name for name in there if there[name]), "cpu"]


def choose_device(wanted: str = "auto") -> torch.device:
    """The device of that name; "auto" is the first that is `available`. ConfigError for a device that this
    machine does not have."""
    names = available()
    if wanted == "auto":
        return torch.device(names[0])
    if wanted.partition(":")[0] not in names:
        raise ConfigError(f"device {wanted!r} is not available; choose one of {', '.join(names)}")
    return torch.device(wanted)


def choose_precision(device: torch.device, wanted: str = "auto") -> str:
    """The precision of matrix products: "auto" is "bfloat16" where the device computes in it natively, else
    "float32". Weights, Adam, losses and images are float32 either way. ConfigError for another name."""
    if wanted in PRECISIONS:
        return wanted
    if wanted != "auto":
        raise ConfigError(
            f"precision {wanted!r} is unknown; choose one of auto, {', '.join(PRECISIONS)}"
        )
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        features = torch.cpu.get_capabilities()
        fast = bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    else:
        fast = False
    return "bfloat16" if fast else "float32"


def describe_device(device: torch.device, threads: int | None = None) -> str:
    """For provenance: "NVIDIA H200", "mps", "cpu (AMD EPYC, 1 thread)". ``threads``: those of another process,
    instead of this one's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads() if threads is None else threads
        return f"cpu ({_cpu_name()}, {threads} thread{'s' if threads != 1 else ''})"
    return str(device)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
