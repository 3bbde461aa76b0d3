"""How fast an update is: ours, that of a textbook loop, and the limit of the machine, in one session.

*Textbook* is the loop of most tutorials: a torchvision data set with transforms, a DataLoader, both
networks in eager mode and single precision, Adam without options, and ``.item()`` on each loss at every
step. It trains the same networks on batches of the same size. *Example* is that loop with the
networks of PyTorch's public DCGAN example (Radford et al. 2016, figure 1, at 64 x 64 pixels, 64 feature
maps, 100 latents), on digits resized to 64 x 64.

The rounds alternate, so that a machine that slows down slows all of them. Medians are compared.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks import pages
from gan.config import ModelConfig, TrainConfig
from gan.data import mnist, sources
from gan.data.torchvision_compat import import_datasets
from gan.errors import DataError
from gan.system import devices
from gan.training import cost, trainer
from gan.training.state import new_state

FULL_RECIPE_IMAGES = 1_000_000
_EXAMPLE_SIDE = 64
_EXAMPLE_LATENTS = 100


def train(
    device: torch.device,
    precision: str,
    rounds: int,
    updates: int,
    example_updates: int,
    source: str | None,
) -> dict[str, Any]:
    """Times ``rounds`` rounds of ``updates`` updates of each loop (``example_updates`` of the example; 0
    leaves it out). ``source``: mnist or drawn; None takes MNIST if it is there.

    Returns images per second of each ("ours", "textbook", "example": median, min, max, n), "ratio" =
    ours / textbook, the seconds of a full recipe, and the limit of the machine.
    """
    source, images, held_out = _load_images(source)
    config = TrainConfig(source=source, size=len(images), updates=10_000_000)
    precision = devices.choose_precision(device, precision)
    ours = trainer.train(new_state(config, device, precision), images, held_out)
    blocks = max(1, round(updates / trainer.BLOCK))  # our trainer yields after each block

    def loop(networks: tuple[nn.Module, nn.Module], latent_dim: int, side: int) -> Iterator[Any]:
        batches = _batches(textbook_data(source, images, side), config.batch_size)
        return _textbook_loop(*networks, latent_dim, batches, device)

    model = config.model
    textbook = loop(textbook_networks(model), model.latent_dim, model.img_size)
    loops = {
        "ours": (ours, blocks, blocks * trainer.BLOCK),
        "textbook": (textbook, updates, updates),
    }
    if example_updates:
        example = loop(example_networks(), _EXAMPLE_LATENTS, _EXAMPLE_SIDE)
        loops["example"] = (example, example_updates, example_updates)
    seconds = _time(loops, rounds, device)
    batch = config.effective_batch
    step = statistics.median(seconds["ours"])
    rate = matrix_rate(device, precision)
    operations = cost.operations_per_update(config)
    result: dict[str, Any] = {
        name: pages.summary([batch / s for s in values], digits=1)
        for name, values in seconds.items()
    }
    return result | {
        "ratio": round(statistics.median(seconds["textbook"]) / step, 3),
        "unit": "images per second",
        "batch": batch,
        "milliseconds_per_update": round(step * 1e3, 3),
        "full_recipe_seconds": round(step * FULL_RECIPE_IMAGES / batch, 1),
        "operations_per_update": operations,
        "matrix_rate": round(rate),
        "limit_milliseconds": round(operations / rate * 1e3, 3),
        "share_of_limit": round(operations / rate / step, 3),
        "precision": precision,
        "source": source,
        "device": devices.describe_device(device),
        "threads": torch.get_num_threads(),
        "machine": pages.machine()["machine"],
        "torch": torch.__version__,
    }


def _time(
    loops: dict[str, tuple[Iterator[Any], int, int]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds per update of each loop in each round. A loop is (iterator, steps a round, updates a round)."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds + 1):
        for name, (loop, steps, updates) in loops.items():
            _wait(device)
            started = time.perf_counter()
            for _ in range(steps):
                next(loop)
            _wait(device)
            if number:  # the first round includes preparations
                seconds[name].append((time.perf_counter() - started) / updates)
    return seconds


def _load_images(source: str | None) -> tuple[str, Tensor, Tensor]:
    """(source, training images, held-out images)."""
    if source is None:
        try:
            return _load_images("mnist")
        except DataError:
            source = "drawn"
    return source, sources.load(source).images, sources.load_held_out(source).images


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Images(Dataset[tuple[Tensor, int]]):
    """Images one at a time, as torchvision's MNIST gives its own: through Pillow and transforms, each with
    a label."""

    def __init__(self, images: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        self._images, self._transform = images, transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index, 0].numpy())), 0


def textbook_data(source: str, images: Tensor, side: int) -> Dataset[tuple[Tensor, int]]:
    """torchvision's MNIST, or ``images`` of another source in the same form, ``side`` pixels wide."""
    datasets = import_datasets()  # first: it repairs a mixed installation
    from torchvision import transforms

    steps = [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
    if side != images.shape[-1]:
        steps.insert(0, transforms.Resize(side))
    transform = transforms.Compose(steps)
    if source == "mnist":
        own: Dataset[tuple[Tensor, int]] = datasets.MNIST(
            mnist.data_folder(), train=True, transform=transform
        )
        return own
    return _Images(images, transform)


def _batches(dataset: Dataset[tuple[Tensor, int]], batch: int) -> Iterator[Tensor]:
    """Endless batches, loaded in this process: beside a busy CPU, loader processes made it slower."""
    loader = DataLoader(dataset, batch_size=batch, shuffle=True, drop_last=True)
    while True:
        for images, _ in loader:
            yield images


def _textbook_loop(
    generator: nn.Module,
    discriminator: nn.Module,
    latent_dim: int,
    batches: Iterable[Tensor],
    device: torch.device,
) -> Iterator[tuple[float, float]]:
    """Trains both networks with one update a batch; yields (loss of G, loss of D) after each."""
    adam_g, adam_d = (
        torch.optim.Adam(network.to(device).parameters(), 2e-4, (0.5, 0.999))
        for network in (generator, discriminator)
    )
    entropy = F.binary_cross_entropy_with_logits
    for batch in batches:
        real = batch.to(device)
        ones = torch.ones(len(real), device=device)
        zeros = torch.zeros(len(real), device=device)
        discriminator.zero_grad()
        loss_real = entropy(discriminator(real).view(-1), ones)
        loss_real.backward()
        fake = generator(torch.randn(len(real), latent_dim, device=device))
        loss_fake = entropy(discriminator(fake.detach()).view(-1), zeros)
        loss_fake.backward()
        adam_d.step()
        generator.zero_grad()
        g_loss = entropy(discriminator(fake).view(-1), ones)
        g_loss.backward()
        adam_g.step()
        yield g_loss.item(), (loss_real + loss_fake).item()


def textbook_networks(model: ModelConfig) -> tuple[nn.Module, nn.Module]:
    """(G, D) of `gan.networks.dcgan`, layer by layer, in the style of a tutorial."""
    base, hidden, side = model.base_channels, model.hidden_units, model.img_size // 4
    maps = 2 * base
    inner = maps * side**2
    generator = nn.Sequential(
        nn.Linear(model.latent_dim, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(True),
        nn.Linear(hidden, inner, bias=False),
        nn.BatchNorm1d(inner),
        nn.ReLU(True),
        nn.Unflatten(1, (maps, side, side)),
        nn.ConvTranspose2d(maps, base, 4, 2, 1, bias=False),
        nn.BatchNorm2d(base),
        nn.ReLU(True),
        nn.ConvTranspose2d(base, model.img_channels, 4, 2, 1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(model.img_channels, base, 4, 2, 1),
        nn.LeakyReLU(0.2, True),
        nn.Conv2d(base, maps, 4, 2, 1, bias=False),
        nn.BatchNorm2d(maps),
        nn.LeakyReLU(0.2, True),
        nn.Flatten(),
        nn.Linear(inner, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.LeakyReLU(0.2, True),
        nn.Linear(hidden, 1),
    )
    return generator, discriminator


def example_networks() -> tuple[nn.Module, nn.Module]:
    """(G, D) as in PyTorch's DCGAN example for one channel: 64 x 64, five convolutions each, logits."""
    widths = (512, 256, 128, 64)
    layers: list[nn.Module] = [nn.Unflatten(1, (_EXAMPLE_LATENTS, 1, 1))]
    places = [(_EXAMPLE_LATENTS, widths[0], 1, 0)]
    places += [(a, b, 2, 1) for a, b in itertools.pairwise(widths)]
    for inside, outside, stride, padding in places:
        layers += [
            nn.ConvTranspose2d(inside, outside, 4, stride, padding, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(True),
        ]
    layers += [nn.ConvTranspose2d(widths[-1], 1, 4, 2, 1, bias=False), nn.Tanh()]
    generator = nn.Sequential(*layers)
    layers = [nn.Conv2d(1, widths[-1], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for inside, outside in itertools.pairwise(reversed(widths)):
        layers += [
            nn.Conv2d(inside, outside, 4, 2, 1, bias=False),
            nn.BatchNorm2d(outside),
            nn.LeakyReLU(0.2, True),
        ]
    layers += [nn.Conv2d(widths[0], 1, 4, 1, 0, bias=False), nn.Flatten()]
    return generator, nn.Sequential(*layers)


def matrix_rate(device: torch.device, precision: str) -> float:
    """Operations per second of a large matrix product (median of ten), the limit of the machine."""
    side = 2048 if device.type == "cpu" else 8192
    dtype = getattr(torch, precision)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(12):
        _wait(device)
        started = time.perf_counter()
        a @ b
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / statistics.median(seconds[2:])


def describe(result: dict[str, Any]) -> str:
    """The figures of `train` for people."""
    names = {"ours": "ours", "textbook": "textbook loop, same networks", "example": "DCGAN example"}
    return "\n".join(
        [
            f"on {result['device']}, {result['threads']} threads, torch {result['torch']}, batch "
            f"{result['batch']}, {result['source']}, ours with matrix products in {result['precision']}",
            *(pages.line(names[key], result[key], "images/s") for key in names if key in result),
            f"ratio ours / textbook: {result['ratio']:.2f}",
            f"one update: {result['milliseconds_per_update']:.2f} ms; at the rate of "
            f"a large matrix product ({result['matrix_rate'] / 1e9:,.0f} GFLOP/s) its "
            f"{result['operations_per_update'] / 1e9:.2f} GFLOP take {result['limit_milliseconds']:.2f} ms: "
            f"{result['share_of_limit']:.0%} of the limit",
            f"a full recipe, 1 million images: {result['full_recipe_seconds']:,.1f} s",
        ]
    )
