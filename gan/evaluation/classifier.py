"""The digit classifier: it reads generated digits, and distances are measured in its features.

It was trained on MNIST's training set, and also to be unsure about junk (noise, blobs, two digits in one,
digits cut up and reassembled wrongly), which an ordinary classifier reads with high confidence;
see `gan.evaluation.classifier_training`.

Two are shipped, trained with different seeds: ``classifier`` gives the reported figures; ``monitor``
measures during training (curves, best snapshot), so that ``classifier`` has no part in any decision
about the models it scores.
"""

from __future__ import annotations

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
CONFIDENCE = 0.9  # softmax probability from which an image counts as read (legible)
_KIND = "judge"  # what version 0.1 called the classifier, in files
_STATISTICS_KIND = "judge statistics"
_FEATURE_SAMPLE = 2_000  # rows kept for coverage


class Classifier(nn.Module):
    """``classifier(images [N, 1, 28, 28] in [-1, 1]) -> logits [N, 10]``; ``features -> [N, 4 * width]``.

    The last map is flattened, not averaged: averaging would lose where the strokes are, and digits cut up
    and reassembled wrongly would look like digits.
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
        """[N, 1, 28, 28] in [-1, 1] -> [N, F], non-negative: the input of the last layer."""
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
    """What a classifier reads in N images: features [N, F], digit [N] (0-9), confidence [N] in 0..1."""

    features: Tensor
    digit: Tensor
    confidence: Tensor

    def counts(self) -> list[int]:
        """How many were read as 0, 1, ... 9 with `CONFIDENCE`; the rest of the N count as illegible."""
        read = self.digit[self.confidence >= CONFIDENCE]
        return torch.bincount(read, minlength=10).tolist()


@torch.no_grad()
def read(classifier: Classifier, images: Tensor, batch_size: int = 500) -> Reading:
    """images [N, 1, H, W], uint8 or float in [-1, 1] -> `Reading` on the CPU, in batches."""
    if images.shape[1] != 1:
        raise ValueError(
            f"a digit has one channel, got {tuple(images.shape)}: read each channel separately"
        )
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
    """A shipped classifier in eval mode. CheckpointError if its file is missing or altered."""
    path = weights_file(name, root)
    tensors, info = tensor_files.load_tensors(path, _KIND)
    width = info.get("width")
    if not isinstance(width, int) or not 1 <= width <= 256:
        raise CheckpointError(f"{path} has no valid width ({width!r}); {_remedy(name)}")
    classifier = Classifier(width)
    tensor_files.load_strictly(classifier, tensors, path)
    return classifier.eval().requires_grad_(False)


@dataclass(frozen=True)
class RealScore:
    """The score of real test digits under the protocol of generated samples, for comparison: the Frechet
    distance of ``draws`` disjoint sets to all other test images (mean and standard deviation), and the
    mean coverage."""

    fd: float
    fd_spread: float
    coverage: float
    draws: int


@dataclass(frozen=True)
class Reference:
    """Statistics of a classifier's features of ``n`` real test images, with which samples are compared; no
    data set is needed.

    mean [F], cov [F, F] (float64) and ``sample`` [2000, F] of the features; ``counts`` of the digits read
    with `CONFIDENCE`; ``pixel_spread``: median distance between two of the images in [-1, 1];
    ``contrast``: their mean pixel deviation; ``real``: scores of sets of 1,000 and 2,000 of the images.
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
        """The score of sets of ``n`` real digits, or of the nearest size there is."""
        return self.real[min(self.real, key=lambda size: abs(size - n))]


def load_reference(
    name: str = "classifier", test_images: int = 10_000, root: Path = PRETRAINED
) -> Reference:
    """The statistics shipped with a classifier: of all 10,000 test images, or of the 5,000 that are never
    trained on (for models of more than 60,000 images). CheckpointError if the file is missing or altered."""
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
    """The statistics of uint8 test images [N, 1, 28, 28] that the classifier was not trained on."""
    seen = read(classifier, test_images)
    mean, cov = metrics.moments(seen.features)
    order = torch.randperm(len(test_images), generator=torch.Generator().manual_seed(seed))
    shuffled = seen.features[order]
    sizes = [n for n in (1_000, 2_000) if len(order) >= 2 * n] or [len(order) // 3]
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
        real={n: _score_real(shuffled, n) for n in sizes},
    )


def _score_real(features: Tensor, n: int, draws: int = 5) -> RealScore:
    """features [N, F] of real images in random order: up to ``draws`` sets of n, each against the rest."""
    distances, coverages = [], []
    for start in range(0, min(draws, len(features) // n) * n, n):
        part = features[start : start + n]
        rest = torch.cat([features[:start], features[start + n :]])
        distances.append(metrics.frechet_distance(part, rest))
        prdc = metrics.precision_recall_density_coverage(rest[:_FEATURE_SAMPLE], part)
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
    """Writes the weights in half precision, and the statistics of each reference to a second file. Use
    `rounded` first, so that `load_classifier` gives the same classifier again."""
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
    """Weights in half precision; biases and BatchNorm, 1 % of the bytes, unchanged."""
    return tensor.half() if tensor.ndim > 1 else tensor


@torch.no_grad()
def rounded(classifier: Classifier) -> Classifier:
    """The classifier in eval mode, its weights rounded in place to what the file will hold. Measure this
    one, so that figures and file agree."""
    for parameter in classifier.parameters():
        parameter.copy_(_half(parameter).float())
    return classifier.eval().requires_grad_(False)


def provenance(name: str = "classifier", root: Path = PRETRAINED) -> dict[str, Any]:
    """What the file says about the weights: accuracy, seed, command, device, seconds."""
    _, info = tensor_files.load_tensors(weights_file(name, root), _KIND)
    return info


def weights_file(name: str, root: Path = PRETRAINED) -> Path:
    """The path of a classifier's file. ConfigError if there is no classifier of that name."""
    if name not in CLASSIFIERS:
        raise ConfigError(f"classifier {name!r} is unknown; choose one of {', '.join(CLASSIFIERS)}")
    return root / f"{name}.safetensors"


def _statistics_file(root: Path, name: str) -> Path:
    return weights_file(name, root).with_suffix(".statistics.safetensors")


def _remedy(name: str) -> str:
    return f"restore it from the repository or run: python -m gan classifier --name {name}"
