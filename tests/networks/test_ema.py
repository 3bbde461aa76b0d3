import pytest
import torch
from torch import nn

from gan.networks import ema


def _network(value: float) -> nn.Sequential:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with torch.no_grad():
        for tensor in [*network.parameters(), network[1].running_mean, network[1].running_var]:
            tensor.fill_(value)
    return network


def test_parameters_are_averaged_and_buffers_copied():
    average, model = _network(1.0), _network(5.0)
    model[1].num_batches_tracked.fill_(7)
    ema.update_ema(average, model, 0.75)
    for parameter in average.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, 2.0))
    assert average[1].running_mean.tolist() == [5.0] * 4
    assert average[1].running_var.tolist() == [5.0] * 4
    assert int(average[1].num_batches_tracked) == 7
    assert all(bool((p == 5.0).all()) for p in model.parameters())


def test_repeated_updates_approach_the_model_geometrically():
    average, model = _network(1.0), _network(5.0)
    for _ in range(10):
        ema.update_ema(average, model, 0.9)
    expected = 5.0 - 4.0 * 0.9**10
    for parameter in average.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, expected))


def test_the_average_is_a_frozen_copy_in_eval_mode():
    model = _network(1.0).train()
    average = ema.make_ema(model)
    assert not average.training and model.training
    assert not any(p.requires_grad for p in average.parameters())
    assert all(p.requires_grad for p in model.parameters())
    with torch.no_grad():
        model[0].weight.fill_(9.0)
        model[1].running_mean.fill_(9.0)
    assert bool((average[0].weight == 1.0).all()) and bool((average[1].running_mean == 1.0).all())


def test_an_average_of_another_network_is_an_error():
    with pytest.raises(ValueError, match="different parameters"):
        ema.update_ema(nn.Linear(3, 4), nn.Linear(3, 4, bias=False), 0.9)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.1), (8, 0.5), (90, 0.91), (10**6, 0.999)])
def test_the_decay_warms_up_from_a_tenth_to_its_value(step, expected):
    assert ema.warmed_decay(0.999, step) == pytest.approx(expected)


def test_a_short_run_forgets_its_random_start():
    # what 60 updates leave of the start is the product of their decays; 0.999^60 would be 0.94
    left = 1.0
    for step in range(60):
        left *= ema.warmed_decay(0.999, step)
    assert left < 1e-6
    assert [ema.warmed_decay(0.0, s) for s in (0, 100)] == [0.0, 0.0]
