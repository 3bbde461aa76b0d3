"""Distances and diversity of sets of feature vectors: pure functions of tensors.

Every result depends on the features, the number of samples and the reference set; callers such as
`gan.evaluation.evaluate` store these with it. Only distances of Inception features are called "FID".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_CHUNK = 1024  # rows of a distance matrix held at once


class PRDC(NamedTuple):
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1-2), density and
    coverage (Naeem et al. 2020, arXiv:2002.09797, eq. 3-4). Only density can be above 1."""

    precision: float
    recall: float
    density: float
    coverage: float


class Modes(NamedTuple):
    """How many modes were seen, and KL(p_model || p_data) over the modes in nats."""

    modes: int
    kl: float


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """features [N, F] -> mean [F], covariance [F, F] (divided by N - 1), float64. Needs N >= 2."""
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"need at least 2 rows of features, got shape {tuple(features.shape)}")
    x = features.double()
    return x.mean(dim=0), torch.cov(x.T).reshape(x.shape[1], x.shape[1])


def frechet_distance_of_moments(
    mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor
) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians:
    |mu_a - mu_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)  (Dowson & Landau 1982; Heusel et al. 2017,
    arXiv:1706.08500, eq. 6). float64. The symmetric form avoids a complex square root."""
    mean_a, cov_a, mean_b, cov_b = (t.double() for t in (mean_a, cov_a, mean_b, cov_b))
    root_a = _symmetric_root(cov_a)
    inner = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp_min(0.0)
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace()
    return max(0.0, float(distance - 2.0 * inner.sqrt().sum()))


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """a [N, F], b [M, F] -> squared Frechet distance of the Gaussians fitted to them, float64.

    Biased upwards, for equal covariances with eigenvalues l by about (1/N + 1/M) times
    [sum_i l_i + 1/2 sum_ij l_i l_j (1 + [i = j]) / (l_i + l_j)]: compare equal numbers of samples only,
    and use more samples than features.
    """
    return frechet_distance_of_moments(*moments(a), *moments(b))


def _symmetric_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """a [N, D], b [M, D] -> Euclidean distances [N, M], float32. The points are centred first: cdist
    subtracts squares, which loses all precision for points far from the origin."""
    centre = b.double().mean(dim=0)
    return torch.cdist((a.double() - centre).float(), (b.double() - centre).float())


def nearest_distances(queries: Tensor, points: Tensor, k: int = 1) -> Tensor:
    """queries [N, D], points [M, D] -> [N], Euclidean distance to the k-th nearest point."""
    if not 1 <= k <= len(points):
        raise ValueError(f"k={k} needs that many points, got {len(points)}")
    parts = [
        _distances(queries[i : i + _CHUNK], points).kthvalue(k, dim=1).values
        for i in range(0, len(queries), _CHUNK)
    ]
    return torch.cat(parts) if parts else torch.empty(0)


def precision_recall_density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> PRDC:
    """real [M, F], fake [N, F] -> `PRDC`, with balls of the radius to the k-th nearest other point.

    A point on the surface of a ball counts as inside. Needs more than k points in each set.
    """
    if len(real) <= k or len(fake) <= k:
        raise ValueError(f"k={k} needs more than {k} points, got {len(real)} and {len(fake)}")
    # the nearest point to a member of the set is the member itself, hence k + 1
    radius_real = nearest_distances(real, real, k + 1)  # [M]
    radius_fake = nearest_distances(fake, fake, k + 1)  # [N]
    inside_real_count = 0.0
    precise = 0
    recalled = torch.zeros(len(real), dtype=torch.bool)
    covered = torch.zeros(len(real), dtype=torch.bool)
    for i in range(0, len(fake), _CHUNK):
        distance = _distances(fake[i : i + _CHUNK], real).T  # [M, chunk]
        inside_real = distance <= radius_real[:, None]
        precise += int(inside_real.any(dim=0).sum())
        inside_real_count += float(inside_real.sum())
        covered |= inside_real.any(dim=1)
        recalled |= (distance <= radius_fake[None, i : i + _CHUNK]).any(dim=1)
    return PRDC(
        precision=precise / len(fake),
        recall=float(recalled.double().mean()),
        density=inside_real_count / (k * len(fake)),
        coverage=float(covered.double().mean()),
    )


def vendi_score(x: Tensor) -> float:
    """x [N, F] -> effective number of different rows, from 1 to min(N, F).

    exp of the entropy of the eigenvalues of K / N, K the cosine similarity kernel (Friedman &
    Dieng 2023, arXiv:2210.02410, definition 3.1, order q = 1). Computed on the smaller of
    [N, N] and [F, F], which share their non-zero eigenvalues. A row of zeros is an error.
    """
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"need rows of features, got shape {tuple(x.shape)}")
    norms = x.double().norm(dim=1, keepdim=True)
    if bool((norms == 0).any()):
        raise ValueError("a row of zeros has no direction to compare")
    unit = x.double() / norms
    gram = unit @ unit.T if len(x) <= x.shape[1] else unit.T @ unit
    values = torch.linalg.eigvalsh(gram / len(x))
    values = values[values > 1e-12]
    return float(torch.exp(-(values * values.log()).sum()))


def modes_and_kl(counts: Tensor, expected: Tensor) -> Modes:
    """counts [K] of samples by mode, expected [K] probabilities of the data -> `Modes`.

    The two figures of Stacked MNIST (Srivastava et al. 2017, arXiv:1705.07761; Lin et al. 2018,
    arXiv:1712.04086), p_model being counts / n. The divergence is biased upwards: n samples of the
    data itself get about (K - 1) / (2 n) where n is many times K. Infinite if a mode was seen that
    the data does not have.
    """
    if counts.shape != expected.shape or int(counts.sum()) == 0:
        raise ValueError(
            f"need counts of at least one sample in {tuple(expected.shape)} modes, got "
            f"{int(counts.sum())} in {tuple(counts.shape)}"
        )
    share = counts.double() / counts.sum()
    # rounding may leave a sum of terms that cancel below zero
    return Modes(int((counts > 0).sum()), max(0.0, _relative_entropy(share, expected.double())))


def _relative_entropy(p: Tensor, q: Tensor) -> float:
    used = p > 0
    return float((p[used] * (p[used] / q[used]).log()).sum())


def pairwise_spread(x: Tensor, rows: int = 2_000) -> float:
    """x [N, ...] -> median distance between two different rows, of the first ``rows``. Needs N >= 2.

    The median, not the mean, so that a generator that draws one image for nearly every latent, and
    something else for a few, gets nearly 0.
    """
    if len(x) < 2:
        raise ValueError("one row has no distance to another")
    return float(torch.pdist(x[:rows].flatten(1).float()).median())


def contrast(images: Tensor) -> float:
    """images [N, C, H, W] -> standard deviation of the pixels of an image, averaged over images."""
    return float(images.double().flatten(1).std(dim=1, correction=0).mean())


def wilson_interval(successes: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Confidence interval of a share of which ``successes`` in ``n`` were seen (Wilson 1927); z = 1.96: 95 %."""
    if n <= 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
