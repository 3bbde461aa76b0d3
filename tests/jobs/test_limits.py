import pytest

from gan.config import ModelConfig
from gan.errors import ConfigError
from gan.jobs import limits
from gan.networks.dcgan import count_parameters, make_pair


def test_what_is_not_said_stays_as_it_is():
    assert limits.limits_from({}) == limits.Limits()
    assert limits.limits_from({"GAN_MAX_QUEUE": " 0 ", "GAN_RUNS_GB": ""}).queue == 0
    found = limits.limits_from({"GAN_RUNS_GB": "3", "GAN_MAX_MINUTES": "7", "GAN_TRAINING": "OFF"})
    assert (found.runs_bytes, found.minutes, found.enabled) == (3_000_000_000, 7, False)


@pytest.mark.parametrize("value", ["-1", "1.5", "", " ", "9" * 9, "１", "one"])
def test_nonsense_is_named(value):
    if not value.strip():
        assert limits.limits_from({"GAN_SLOTS": value}).slots == 1
        return
    with pytest.raises(ConfigError, match="GAN_SLOTS="):
        limits.limits_from({"GAN_SLOTS": value})


def test_parameters_are_counted_without_making_them():
    model = ModelConfig(latent_dim=7, base_channels=5, hidden_units=9)
    assert limits.parameters(model) == sum(count_parameters(n) for n in make_pair(model, 0))
    # one that would take all memory of this machine
    giant = ModelConfig(latent_dim=4096, base_channels=4096, hidden_units=4096)
    assert limits.parameters(giant) > 3_000_000_000
