from dataclasses import replace

import pytest
import torch

from gan.config import ModelConfig
from gan.data import sources
from gan.errors import ConfigError
from gan.training import stacking, trainer
from gan.training.state import TrainState, load_checkpoint, new_state, save_checkpoint

CPU = torch.device("cpu")
HARD = {"augment": "adaptive", "augment_ramp": 64, "augment_hole": True, "lecam": 0.1}


@pytest.fixture(scope="module")
def unseen():
    return sources.load("drawn", 30, seed=9).images


def _runs(tiny, **changes):
    """Three runs of other seeds and amounts of data, and what they train on."""
    configs = [tiny(seed=0, **changes), tiny(seed=1, **changes), tiny(seed=2, size=60, **changes)]
    return configs, [sources.load("drawn", c.size).images for c in configs]


def _numbers(state: TrainState) -> dict[str, torch.Tensor]:
    found = {"gauges": state.d_stats}
    for name in ("generator", "discriminator", "generator_ema"):
        found |= {f"{name}.{k}": t for k, t in getattr(state, name).state_dict().items()}
    for name in ("optimizer_g", "optimizer_d"):
        for index, moments in getattr(state, name).state_dict()["state"].items():
            found |= {f"{name}.{index}.{k}": t for k, t in moments.items()}
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        HARD,
        {"r1_gamma": 0.1, "model": ModelConfig(6, 28, 1, 4, 8, d_norm="none")},
        {"loss": "hinge"},
        {"loss": "least-squares", "lecam": 0.1},
        {
            "source": "stacked",
            "model": ModelConfig(6, 28, 3, 4, 8, latent="uniform", pixels="unit"),
        },
    ],
    ids=["plain", "augmented", "r1", "hinge", "squares", "article"],
)
def test_a_stack_trains_each_run_as_it_would_be_trained_alone(tiny, unseen, changes):
    configs, pictures = _runs(tiny, updates=3, **changes)
    channels = configs[0].model.img_channels
    pictures = [p.expand(-1, channels, -1, -1) for p in pictures]
    held_out = [unseen.expand(-1, channels, -1, -1)] * 3
    states = [new_state(c, CPU) for c in configs]
    stacked = stacking.train(states, pictures, held_out, block=1)
    loops = []
    for k, config in enumerate(configs):
        alone = new_state(config, CPU)
        loops.append((alone, trainer.train(alone, pictures[k], held_out[k], block=1)))
    for step in range(1, 4):
        reports = next(stacked)
        for (alone, loop), state, report in zip(loops, states, reports, strict=True):
            expected = next(loop)
            assert report.step == state.step == step
            torch.testing.assert_close(report.g_loss, expected.g_loss, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(report.prob_real, expected.prob_real, rtol=1e-3, atol=1e-4)
            assert report.prob_held_out == pytest.approx(expected.prob_held_out, abs=1e-3)
            if step == 1:
                _assert_alike(_numbers(state), _numbers(alone), config.lr_g)


def _assert_alike(
    ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], rate: float
) -> None:
    """Gradients (Adam's moments after one update) and statistics agree up to rounding. Weights do where the
    gradient is more than rounding; elsewhere Adam's first step, a whole ``rate``, takes its sign."""
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        difference = (ours[name].double() - tensor.double()).abs()
        largest = float(tensor.double().abs().max())
        if "weight" in name or "bias" in name:
            assert float(difference.max()) <= 2.1 * rate, name
            assert float(difference.mean()) <= 0.05 * rate, name
        else:
            assert float(difference.max()) <= 1e-3 * largest + 1e-9, name


def test_a_run_of_a_stack_goes_on_alone(tmp_path, tiny, unseen):
    configs, pictures = _runs(tiny, **HARD)
    states = [new_state(c, CPU) for c in configs]
    next(stacking.train(states, pictures, [unseen] * 3, block=6))
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, states[1])
    state, _ = load_checkpoint(path, configs[1], CPU)
    (last,) = trainer.train(state, pictures[1], unseen)
    assert last.step == 12
    # and a stack goes on with what runs alone have left
    alone = [new_state(c, CPU) for c in configs]
    for run, images in zip(alone, pictures, strict=True):
        next(trainer.train(run, images, unseen, block=6))
    (reports,) = stacking.train(alone, pictures, [unseen] * 3)
    torch.testing.assert_close(reports[1].g_loss, last.g_loss, rtol=1e-2, atol=1e-3)


def test_runs_that_differ_in_more_than_data_and_seed_are_not_trained_together(tiny, unseen):
    base = tiny()
    other = replace(base, lr_g=2e-3)
    assert stacking.stack_key(base) == stacking.stack_key(replace(base, seed=5, size=50))
    squares = replace(base, loss="least-squares")
    for changed in (other, squares, replace(base, size=4), replace(base, updates=13)):
        assert stacking.stack_key(base) != stacking.stack_key(changed)
    images = sources.load("drawn", 40).images
    for changed in (other, squares):
        states = [new_state(c, CPU) for c in (base, changed)]
        with pytest.raises(ConfigError, match="one by one"):
            next(stacking.train(states, [images, images], [unseen] * 2))


def test_another_number_of_pictures_than_configured_is_refused(tiny, unseen):
    states = [new_state(tiny(seed=s), CPU) for s in range(2)]
    images = sources.load("drawn", 40).images
    with pytest.raises(ConfigError, match="40 images but got 39"):
        next(stacking.train(states, [images, images[:39]], [unseen] * 2))


def test_shared_pictures_lie_in_the_pool_once():
    a, b = torch.zeros(4, 1, 2, 2), torch.ones(3, 1, 2, 2)
    pool, begins = stacking._pool([a, b, a])
    assert len(pool) == 7 and begins == [0, 4, 0]
