"""Latent vectors: from seeds, interpolated, and along directions.

A seed gives the same latent in every batch and on every device. So the same z can be shown for every
size of the training set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

MAX_SEED = 2**31 - 1


def sample_z(seeds: Sequence[int], latent_dim: int) -> Tensor:
    """z [N, latent_dim], float32 ~ N(0, 1). Row i depends on ``seeds[i]`` only."""
    if not seeds:
        return torch.empty(0, latent_dim)
    rows = [
        torch.randn(latent_dim, generator=torch.Generator().manual_seed(int(seed)))
        for seed in seeds
    ]
    return torch.stack(rows)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """a, b [Z]; t [T] in [0, 1] -> [T, Z] along the great circle from a to b (Shoemake 1985),
    lengths interpolated linearly. A straight line where a and b are nearly parallel, opposite or
    zero: no arc is defined for these."""
    norm_a, norm_b = a.norm(), b.norm()
    t = t.reshape(-1, 1)
    straight = (1 - t) * a + t * b  # [T, Z]
    if norm_a < 1e-8 or norm_b < 1e-8:
        return straight
    cosine = torch.dot(a / norm_a, b / norm_b).clamp(-1.0, 1.0)
    angle = torch.arccos(cosine)
    sine = torch.sin(angle)
    if sine < 1e-4:
        return straight
    arc = (torch.sin((1 - t) * angle) * (a / norm_a) + torch.sin(t * angle) * (b / norm_b)) / sine
    return arc * ((1 - t) * norm_a + t * norm_b)


def principal_directions(
    generate: Callable[[Tensor], Tensor], latent_dim: int, num_z: int = 64, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """The directions of z that change the image most, averaged over ``num_z`` latents.

    generate: z [N, Z] -> images [N, C, H, W]. Returns (directions [Z, Z], one unit row each, the
    strongest first; strengths [Z], root mean squared pixel change per unit of z).

    They are the eigenvectors of the mean of J^T J, J the Jacobian of the image with respect to z
    (by central differences): the Hessian of the squared image distance (Wang & Ponce 2021,
    "The geometry of deep generative image models", section 2). The largest component of
    each direction is positive, which fixes its sign.
    """
    step = 0.05
    z = sample_z([seed * num_z + i for i in range(num_z)], latent_dim)
    with torch.no_grad():
        columns = []
        for axis in range(latent_dim):
            offset = torch.zeros(latent_dim)
            offset[axis] = step
            change = generate(z + offset) - generate(z - offset)
            columns.append(change.flatten(1).double() / (2 * step))  # [num_z, pixels]
        jacobian = torch.stack(columns, dim=2)  # [num_z, pixels, Z]
        gram = torch.einsum("npa,npb->ab", jacobian, jacobian) / (num_z * jacobian.shape[1])
    strengths, vectors = torch.linalg.eigh(gram)  # ascending; vectors in columns
    directions = vectors.T.flip(0)
    largest = directions.abs().argmax(dim=1, keepdim=True)
    directions = directions * torch.sign(torch.gather(directions, 1, largest))
    return directions.float(), strengths.flip(0).clamp_min(0).sqrt().float()
