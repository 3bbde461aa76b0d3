import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import __main__, training
from gan.config import ModelConfig, TrainConfig
from gan.errors import DataError
from gan.networks import dcgan
from gan.training import cost, state, step, trainer

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def measured():
    return training.train(
        CPU, "float32", rounds=2, updates=trainer.BLOCK, example_updates=1, source="drawn"
    )


def test_the_ratio_is_that_of_the_medians(measured):
    ours, textbook = measured["ours"], measured["textbook"]
    assert ours["n"] == textbook["n"] == measured["example"]["n"] == 2
    assert measured["ratio"] == pytest.approx(ours["median"] / textbook["median"], rel=0.2)
    assert measured["milliseconds_per_update"] == pytest.approx(64e3 / ours["median"], rel=0.2)
    assert measured["full_recipe_seconds"] == pytest.approx(1e6 / ours["median"], rel=0.2)
    for row in (ours, textbook, measured["example"]):
        assert 0 < row["min"] <= row["median"] <= row["max"]


def test_the_limit_is_the_operations_over_the_measured_rate(measured):
    limit = measured["operations_per_update"] / measured["matrix_rate"] * 1e3
    assert measured["limit_milliseconds"] == pytest.approx(limit, rel=1e-2)
    assert 0 < measured["share_of_limit"] < 1
    for name in ("precision", "device", "threads", "torch", "source", "batch"):
        assert measured[name]


def test_operations_are_those_of_the_layers():
    # one layer counted by hand: D's first dense one, 2 * batch * in * out, passes through it: forward for
    # real, fake, and fake again; both gradients for real and fake, that of the input alone for G
    small = TrainConfig(model=ModelConfig(hidden_units=8, base_channels=4))
    wide = TrainConfig(model=ModelConfig(hidden_units=16, base_channels=4))
    batch, inner, more = 64, 8 * 49, 8
    hidden = 2 * batch * inner * more * (3 + 2 * 2 + 1)
    logit = 2 * batch * more * (3 + 2 * 2 + 1)
    generator = 2 * batch * more * (inner * 3 + 64 * 2)  # no gradient for z
    difference = cost.operations_per_update(wide) - cost.operations_per_update(small)
    assert difference == hidden + logit + generator


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 7},
        {"r1_gamma": 1.0, "lecam": 0.1},
        {"source": "stacked:drawn", "model": ModelConfig(img_channels=3, base_channels=4)},
        {"model": ModelConfig(d_norm="none", base_channels=4, pixels="unit")},
    ],
)
def test_operations_are_those_that_pytorch_counts_of_a_real_update(tiny, changes):
    config = tiny(**changes)
    shape = (config.effective_batch, config.model.img_channels, 28, 28)
    drawn = step.Draws(torch.randn(config.effective_batch, config.model.latent_dim), None)
    with FlopCounterMode(display=False) as counter:
        step.train_step(
            state.new_state(config, CPU), torch.zeros(shape), drawn, step.rates(config, 0)
        )
    assert cost.operations_per_update(config) == counter.get_total_flops() > 0


def test_operations_are_counted_once_for_all_runs_of_a_shape(tiny, monkeypatch):
    model = ModelConfig(base_channels=5, hidden_units=9)  # of no other test: what is kept is shared
    counted = cost.operations_per_update(tiny(model=model))
    monkeypatch.setattr(step, "train_step", lambda *a: pytest.fail("counted again"))
    other = tiny(model=model, seed=5, size=600, budget="epochs", epochs=7, lr_g=0.5, augment="none")
    assert cost.operations_per_update(other) == counted


def test_counting_loads_no_compiler():
    code = (
        "import sys; from gan.training import cost; from gan.config import TrainConfig\n"
        "cost.operations_per_update(TrainConfig(batch_size=2))\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_textbook_trains_the_networks_it_is_given():
    networks = training.textbook_networks(ModelConfig(hidden_units=8, base_channels=4))
    generator, discriminator = networks
    before = [p.clone() for m in (generator, discriminator) for p in m.parameters()]
    images = torch.randint(0, 256, (20, 1, 28, 28), dtype=torch.uint8)
    batches = training._batches(training.textbook_data("drawn", images, 28), 8)
    loop = training._textbook_loop(generator, discriminator, 64, batches, CPU)
    losses = [loss for _, loss in zip(range(5), loop, strict=False)]
    assert all(0 < g < 5 and 0 < d < 5 for g, d in losses)
    after = [p for m in (generator, discriminator) for p in m.parameters()]
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_textbooks_networks_are_ours_layer_for_layer():
    config = ModelConfig(hidden_units=8, base_channels=4)
    ours, theirs = dcgan.make_pair(config, 0), training.textbook_networks(config)
    z, images = torch.randn(5, 64), torch.rand(5, 1, 28, 28) * 2 - 1
    for network, twin, given in zip(ours, theirs, (z, images), strict=True):
        parameters = list(network.parameters())
        # in the order of the layers, which is that of their use
        assert [p.shape for p in parameters] == [p.shape for p in twin.parameters()]
        with torch.no_grad():
            for p, q in zip(twin.parameters(), parameters, strict=True):
                p.copy_(q)
            torch.testing.assert_close(twin(given).flatten(), network(given).flatten())


def test_the_textbook_gets_the_pictures_of_the_data_set():
    images = torch.arange(4 * 784).reshape(4, 1, 28, 28).remainder(256).to(torch.uint8)
    taught = training.textbook_data("drawn", images, 28)
    torch.testing.assert_close(taught[2][0], images[2].float() / 127.5 - 1)
    assert training.textbook_data("drawn", images, 64)[0][0].shape == (1, 64, 64)
    batches = training._batches(taught, 3)
    assert [next(batches).shape for _ in range(3)] == [(3, 1, 28, 28)] * 3  # endless


@pytest.mark.mnist
def test_of_mnist_the_textbook_takes_torchvisions():
    images = training._load_images("mnist")[1]
    taught = training.textbook_data("mnist", images, 28)
    assert type(taught).__module__ == "torchvision.datasets.mnist" and len(taught) == 60_000
    assert taught[0][0].shape == (1, 28, 28)


def test_the_example_has_the_published_size():
    generator, discriminator = training.example_networks()
    with torch.no_grad():
        drawn = generator(torch.randn(2, 100))
    assert drawn.shape == (2, 1, 64, 64) and float(drawn.abs().max()) <= 1
    assert discriminator(drawn).shape == (2, 1)
    shared = 16 * (512 * 256 + 256 * 128 + 128 * 64 + 64)  # without the innermost layer
    norms = 2 * (512 + 256 + 128 + 64), 2 * (512 + 256 + 128)
    assert dcgan.count_parameters(generator) == shared + 16 * 100 * 512 + norms[0]
    assert dcgan.count_parameters(discriminator) == shared + 16 * 512 + norms[1]


def test_without_mnist_it_measures_on_drawn_digits_unless_mnist_was_asked_for():
    assert training._load_images(None)[0] == "drawn"  # there is no MNIST in a test's folder
    with pytest.raises(DataError, match="MNIST"):
        training._load_images("mnist")


def test_the_command_prints_the_ratio(capsys, monkeypatch, measured):
    asked = []
    monkeypatch.setattr(training, "train", lambda *a: asked.append(a) or measured)
    assert __main__.main(["training", "--json", "--updates", "50", "--no-example"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ratio"] == measured["ratio"]
    assert asked == [(CPU, "auto", 5, 50, 0, None)]
    assert __main__.main(["training"]) == 0
    text = capsys.readouterr().out
    assert f"{measured['ratio']:.2f}" in text and "of the limit" in text
