"""The classifier: a small digit classifier that reads what a generator drew and gives the features
in which distances are measured.

It learns two things: the ten digits of MNIST's training set, and to be unsure about junk (noise,
blobs, two digits in one, digits cut up and put together wrongly), which a plain classifier reads with great
confidence. The second is outlier exposure (Hendrycks et al. 2019, arXiv:1812.04606, eq. 1 with the
cross-entropy to the uniform distribution). No generated picture is used in its training.

Two of them are shipped, trained from different seeds: ``classifier`` gives the figures that are
reported; ``monitor`` is asked during training (curves, best snapshot), so that the classifier takes no
part in any decision about the models it scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.errors import CheckpointError, ConfigError
from gan.evaluation import metrics
from gan.networks.images import from_uint8
from gan.system import tensor_files

PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"
ClassifierName = Literal["classifier", "monitor"]
#: name -> (channels of the first layer, seed)
CLASSIFIERS: dict[str, tuple[int, int]] = {"classifier": (32, 0), "monitor": (24, 1)}
CONFIDENCE = 0.9  # from this softmax probability on a picture counts as read
EPOCHS = 6
JUNK_WEIGHT = 0.1  # of the loss on junk, against 1 for digits
_KIND = "judge"
_STATISTICS_KIND = "judge statistics"
_FEATURE_SAMPLE = 2_000  # rows kept for coverage


class Classifier(nn.Module):
    """``classifier(images [N, 1, 28, 28] in [-1, 1]) -> logits [N, 10]``; ``features -> [N, 4 * width]``.

    The places of the last map are kept apart (no global average): a network that only counts
    strokes cannot tell a digit from its pieces in another order.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.num_features = 4 * width
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * width)
        self.conv3 = nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(2 * width)
        self.dense = nn.Linear(2 * width * 16, 4 * width, bias=False)
        self.norm4 = nn.BatchNorm1d(4 * width)
        self.to_logits = nn.Linear(4 * width, 10)

    def features(self, images: Tensor) -> Tensor:
        """[N, 1, 28, 28] in [-1, 1] -> [N, F], non-negative: what the last layer decides on."""
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(images))), 2)  # [N, w, 14, 14]
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)  # [N, 2w, 7, 7]
        x = F.relu(self.norm3(self.conv3(x)))  # [N, 2w, 4, 4]
        return F.relu(self.norm4(self.dense(x.flatten(1))))  # [N, 4w]

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.to_logits(self.features(images))
        return logits


def make_classifier(width: int, seed: int) -> Classifier:
    """An untrained classifier; weights N(0, 2 / fan-in) (He et al. 2015, eq. 10), biases 0."""
    rng = torch.Generator().manual_seed(seed)
    classifier = Classifier(width)
    for module in classifier.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return classifier


@dataclass(frozen=True)
class Reading:
    """What a classifier says of N pictures: features [N, F], digit [N] (0-9), confidence [N] in 0..1."""

    features: Tensor
    digit: Tensor
    confidence: Tensor

    def counts(self) -> list[int]:
        """How many were read as 0, 1, ... 9 with `CONFIDENCE`; the rest of N is "not a digit"."""
        read = self.digit[self.confidence >= CONFIDENCE]
        return torch.bincount(read, minlength=10).tolist()


@torch.no_grad()
def read(classifier: Classifier, images: Tensor, batch_size: int = 500) -> Reading:
    """images [N, 1, H, W], uint8 or float in [-1, 1] -> `Reading` on the CPU, in batches."""
    if images.shape[1] != 1:
        raise ValueError(f"a digit has one channel, got {tuple(images.shape)}: read them apart")
    device = next(classifier.parameters()).device
    features, digits, confidences = [], [], []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size].to(device)
        batch_features = classifier.features(
            from_uint8(batch) if batch.dtype == torch.uint8 else batch
        )
        confidence, digit = classifier.to_logits(batch_features).softmax(dim=1).max(dim=1)
        features.append(batch_features.cpu())
        digits.append(digit.cpu())
        confidences.append(confidence.cpu())
    return Reading(torch.cat(features), torch.cat(digits), torch.cat(confidences))


def load_classifier(name: str = "classifier", root: Path = PRETRAINED) -> Classifier:
    """The shipped classifier in eval mode. CheckpointError says which file is missing or altered."""
    path = weights_file(name, root)
    tensors, info = tensor_files.load_tensors(path, _KIND)
    width = info.get("width")
    if not isinstance(width, int) or not 1 <= width <= 256:
        raise CheckpointError(f"{path} names no usable width ({width!r}); {_remedy(name)}")
    classifier = Classifier(width)
    tensor_files.load_strictly(classifier, tensors, path)
    return classifier.eval().requires_grad_(False)


@dataclass(frozen=True)
class RealScore:
    """What real digits that the classifier never saw get under the protocol of the samples: the Frechet
    distance (mean and standard deviation over ``draws`` disjoint lots) to the test images outside the
    lot, and the mean coverage. The yardstick beside every figure of a generator."""

    fd: float
    fd_spread: float
    coverage: float
    draws: int


@dataclass(frozen=True)
class Reference:
    """What a classifier saw in real test images; scores are taken against this, without any data set.

    mean [F], cov [F, F] (float64) and ``sample`` [2000, F] of its features; ``counts`` of the
    digits read with `CONFIDENCE` among ``n``; ``pixel_spread``, the median distance of two of the
    pictures in [-1, 1]; ``contrast``, their mean pixel deviation; ``real``: the size of a lot
    (1,000 or 2,000 images) -> its score.
    """

    name: str
    n: int
    mean: Tensor
    cov: Tensor
    sample: Tensor
    counts: list[int]
    pixel_spread: float
    contrast: float
    real: dict[int, RealScore]

    def real_score(self, n: int) -> RealScore:
        """What real digits get in lots of ``n``, or of the size nearest to it."""
        return self.real[min(self.real, key=lambda size: abs(size - n))]


def load_reference(
    name: str = "classifier", test_images: int = 10_000, root: Path = PRETRAINED
) -> Reference:
    """The statistics shipped beside the classifier ``name``: of all 10,000 test images, or of the 5,000
    that sizes past 60,000 leave for judging. CheckpointError where the file is missing or altered."""
    path = _statistics_file(root, name)
    tensors, info = tensor_files.load_tensors(path, _STATISTICS_KIND)
    part = tensor_files.with_prefix(tensors, f"test{test_images}")
    try:
        facts = info["references"][f"test{test_images}"]
        return Reference(
            name=f"test{test_images}",
            n=facts["n"],
            mean=part["mean"],
            cov=part["cov"],
            sample=part["sample"].float(),
            counts=facts["counts"],
            pixel_spread=facts["pixel_spread"],
            contrast=facts["contrast"],
            real={int(n): RealScore(**score) for n, score in facts["real"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path} has no statistics of {test_images:,} test images; {_remedy(name)}"
        ) from error


def make_reference(classifier: Classifier, test_images: Tensor, seed: int = 0) -> Reference:
    """Reads uint8 test images [N, 1, 28, 28]; they must be images the classifier was not trained on."""
    seen = read(classifier, test_images)
    mean, cov = metrics.moments(seen.features)
    order = torch.randperm(len(test_images), generator=torch.Generator().manual_seed(seed))
    shuffled = seen.features[order]
    lots = [n for n in (1_000, 2_000) if len(order) >= 2 * n] or [len(order) // 3]
    pixels = from_uint8(test_images[order])
    return Reference(
        name=f"test{len(test_images)}",
        n=len(test_images),
        mean=mean,
        cov=cov,
        sample=shuffled[:_FEATURE_SAMPLE],
        counts=seen.counts(),
        pixel_spread=metrics.pairwise_spread(pixels),
        contrast=metrics.contrast(pixels),
        real={n: _score_real(shuffled, n) for n in lots},
    )


def _score_real(features: Tensor, n: int, draws: int = 5) -> RealScore:
    """features [N, F] of real images in random order: up to ``draws`` lots of n, each against the rest."""
    distances, coverages = [], []
    for start in range(0, min(draws, len(features) // n) * n, n):
        lot = features[start : start + n]
        rest = torch.cat([features[:start], features[start + n :]])
        distances.append(metrics.frechet_distance(lot, rest))
        prdc = metrics.precision_recall_density_coverage(rest[:_FEATURE_SAMPLE], lot)
        coverages.append(prdc.coverage)
    spread = torch.tensor(distances, dtype=torch.float64)
    return RealScore(
        fd=float(spread.mean()),
        fd_spread=float(spread.std(unbiased=True)),
        coverage=sum(coverages) / len(coverages),
        draws=len(distances),
    )


def save(
    classifier: Classifier, references: list[Reference], info: dict[str, Any], name: str, root: Path
) -> None:
    """Writes the weights in half precision and, beside them, the statistics of each reference.

    A classifier that went through `rounded` first comes back from `load` as the very same.
    """
    half = {name: _half(tensor) for name, tensor in classifier.state_dict().items()}
    tensor_files.save_tensors(
        weights_file(name, root), _KIND, half, {"width": classifier.width, **info}
    )
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {}
    for item in references:
        tensors[f"{item.name}.mean"] = item.mean
        tensors[f"{item.name}.cov"] = item.cov
        tensors[f"{item.name}.sample"] = item.sample.half()
        facts[item.name] = {
            "n": item.n,
            "counts": item.counts,
            "pixel_spread": item.pixel_spread,
            "contrast": item.contrast,
            "real": {str(n): asdict(score) for n, score in item.real.items()},
        }
    tensor_files.save_tensors(
        _statistics_file(root, name), _STATISTICS_KIND, tensors, {"references": facts, **info}
    )


def _half(tensor: Tensor) -> Tensor:
    """Weights in half precision; biases and BatchNorm, a hundredth of the bytes, as they are."""
    return tensor.half() if tensor.ndim > 1 else tensor


@torch.no_grad()
def rounded(classifier: Classifier) -> Classifier:
    """The classifier with its weights rounded in place to what the file will hold, in eval mode: measure
    this one, so that figures and file agree."""
    for parameter in classifier.parameters():
        parameter.copy_(_half(parameter).float())
    return classifier.eval().requires_grad_(False)


def provenance(name: str = "classifier", root: Path = PRETRAINED) -> dict[str, Any]:
    """What is written beside the weights: accuracy, seed, command, device, seconds."""
    _, info = tensor_files.load_tensors(weights_file(name, root), _KIND)
    return info


def weights_file(name: str, root: Path = PRETRAINED) -> Path:
    """Where the classifier of that name lies. ConfigError where there is none of that name."""
    if name not in CLASSIFIERS:
        raise ConfigError(f"classifier {name!r} is unknown; choose one of {', '.join(CLASSIFIERS)}")
    return root / f"{name}.safetensors"


def _statistics_file(root: Path, name: str) -> Path:
    return weights_file(name, root).with_suffix(".statistics.safetensors")


def _remedy(name: str) -> str:
    return f"restore it from the repository or run: python -m gan classifier --name {name}"


@dataclass(frozen=True)
class Progress:
    """After each epoch: its number (from 1), how many there are, the loss, and test accuracy."""

    epoch: int
    epochs: int
    loss: float
    accuracy: float


def train(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    epochs: int = EPOCHS,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> Iterator[Progress]:
    """Trains in place on uint8 images [N, 1, 28, 28]; yields after every epoch.

    Test images only measure: no choice depends on them. AdamW, one-cycle rate. Junk comes in for the
    last quarter, with BatchNorm frozen: digits and junk have other statistics, and a network that
    learned from batches of both did not do the same on digits alone (test accuracy between 0.3
    and 0.9 from one epoch to the next).
    """
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=0.02)
    steps = epochs * (len(images) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    for epoch in range(1, epochs + 1):
        with_junk = epoch > 0.75 * epochs
        classifier.train(not with_junk)
        order = torch.randperm(len(images), generator=rng)
        total = 0.0
        for start in range(0, len(images) - batch_size + 1, batch_size):
            index = order[start : start + batch_size]
            digits, target = from_uint8(images[index]), labels[index]
            half = batch_size // 2  # the other half stays sharp, as test images are
            seen = torch.cat([_jitter(digits[:half], rng), digits[half:]])
            loss = F.cross_entropy(classifier(seen), target)
            if with_junk:
                junk = make_junk(digits[: batch_size // 2], target[: batch_size // 2], rng)
                # cross-entropy to the uniform distribution: the mean over the classes
                loss = loss - JUNK_WEIGHT * F.log_softmax(classifier(junk), dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * batch_size
        classifier.eval()
        accuracy = float((read(classifier, test_images).digit == test_labels).double().mean())
        yield Progress(epoch, epochs, total / len(images), accuracy)


def _jitter(images: Tensor, rng: torch.Generator) -> Tensor:
    """Rotation up to 11 degrees, scale 0.9 to 1.1, shift up to 1.4 pixels; filled with background."""
    count = len(images)
    u = torch.rand(count, 4, generator=rng) * 2 - 1
    angle, scale = 0.2 * u[:, 0], 1 + 0.1 * u[:, 1]
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    affine = torch.stack(
        [
            torch.stack([cos, -sin, 0.1 * u[:, 2]], dim=1),
            torch.stack([sin, cos, 0.1 * u[:, 3]], dim=1),
        ],
        dim=1,
    )
    field = F.affine_grid(affine, list(images.shape), align_corners=False)
    # the background is -1 while sampling pads with 0, so sample around it
    return F.grid_sample(images + 1, field, align_corners=False) - 1


def legible_junk(classifier: Classifier, images: Tensor, labels: Tensor, seed: int = 0) -> float:
    """Share of junk made of uint8 images [N, 1, 28, 28] that is read as a digit all the same."""
    rng = torch.Generator().manual_seed(seed)
    junk = make_junk(from_uint8(images), labels, rng)
    return sum(read(classifier, junk).counts()) / len(junk)


def make_junk(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures that are no digits, made of digits [N, 1, 28, 28] in [-1, 1] and of noise -> [N, 1, 28, 28].

    A fifth each: pixel noise, smooth blobs, two different digits on top of each other, a digit's
    sixteen squares in another order, and one grey.
    """
    count, _, height, width = images.shape
    other = torch.randperm(count, generator=rng)
    makers: list[Callable[[Tensor], Tensor]] = [
        lambda part: _noise(len(part), height, width, rng),
        lambda part: _blobs(len(part), height, width, rng),
        lambda part: torch.maximum(images[part], images[other[part]]),
        lambda part: _shuffled_squares(images[part], rng),
        lambda part: (torch.rand(len(part), 1, 1, 1, generator=rng) * 2 - 1).expand(
            -1, 1, height, width
        ),
    ]
    kind = torch.arange(count) % len(makers)
    # a digit mixed with another of its own class may still be that digit: give it noise instead
    kind = torch.where((kind == 2) & (labels == labels[other]), 0, kind)
    junk = torch.empty_like(images)
    for index, maker in enumerate(makers):
        part = torch.nonzero(kind == index).squeeze(1)
        if len(part):
            junk[part] = maker(part)
    return junk


def _noise(count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """Independent pixels, from sparse dots to dense noise."""
    threshold = torch.rand(count, 1, 1, 1, generator=rng)
    lit = torch.rand(count, 1, height, width, generator=rng) < threshold
    return torch.where(lit, torch.rand(count, 1, height, width, generator=rng) * 2 - 1, -1.0)


def _blobs(count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """Noise on a 4 x 4 or 7 x 7 raster, smoothly enlarged, with random contrast."""
    raster = 4 if float(torch.rand((), generator=rng)) < 0.5 else 7
    coarse = torch.randn(count, 1, raster, raster, generator=rng)
    smooth = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    contrast = 0.5 + 3 * torch.rand(count, 1, 1, 1, generator=rng)
    offset = torch.rand(count, 1, 1, 1, generator=rng) * 2 - 1.5
    return torch.tanh(contrast * (smooth + offset))


def _shuffled_squares(images: Tensor, rng: torch.Generator) -> Tensor:
    """Each picture cut into 4 x 4 squares that are put back in one random order per batch."""
    count, _, height, width = images.shape
    squares = images.reshape(count, 4, height // 4, 4, width // 4).permute(0, 1, 3, 2, 4)
    squares = squares.reshape(count, 16, height // 4, width // 4)
    squares = squares[:, torch.randperm(16, generator=rng)]
    squares = squares.reshape(count, 4, 4, height // 4, width // 4).permute(0, 1, 3, 2, 4)
    return squares.reshape(count, 1, height, width)
