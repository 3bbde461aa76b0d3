import pytest
import torch

from gan.errors import ConfigError
from gan.system import devices

CPU = torch.device("cpu")


def test_the_cpu_is_always_there_and_a_device_that_is_not_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.choose_device("cpu") == devices.choose_device("auto") == CPU
    with pytest.raises(ConfigError, match="'cuda:1' is not available; choose one of cpu"):
        devices.choose_device("cuda:1")


def test_a_gpu_is_preferred(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.choose_device("auto").type == "cuda"
    assert devices.choose_device("cpu") == CPU


def test_the_description_of_the_cpu_says_how_many_threads():
    assert devices.describe_device(CPU).startswith("cpu (")
    assert devices.describe_device(CPU).endswith(", 1 thread)")
    assert devices.describe_device(CPU, threads=3).endswith(", 3 threads)")


def test_a_precision_is_chosen_by_the_device_or_by_name(monkeypatch):
    for able, expected in (({"avx512_bf16": True}, "bfloat16"), ({}, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert devices.choose_precision(CPU) == expected
    assert devices.choose_precision(CPU, "bfloat16") == "bfloat16"
    assert devices.choose_precision(torch.device("mps")) == "float32"
    with pytest.raises(ConfigError, match="'half' is unknown; choose one of auto, float32"):
        devices.choose_precision(CPU, "half")
