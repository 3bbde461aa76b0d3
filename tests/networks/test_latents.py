import math

import pytest
import torch

from gan.networks import latents


def test_a_row_depends_on_its_own_seed_only():
    together = latents.sample_z([5, 3, 900, 3], 16)
    for row, seed in zip(together, [5, 3, 900, 3], strict=True):
        assert torch.equal(row, latents.sample_z([seed], 16)[0])
    assert not torch.equal(together[0], together[1])


def test_sampling_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    latents.sample_z(range(10), 4)
    assert torch.equal(torch.randn(3), expected)


def test_latents_of_consecutive_seeds_are_standard_normal():
    z = latents.sample_z(range(2_000), 8).double()
    n = z.numel()
    assert z.shape == (2_000, 8)
    # five standard errors of a mean and of a variance
    assert abs(float(z.mean())) < 5 / math.sqrt(n)
    assert abs(float(z.var()) - 1) < 5 * math.sqrt(2 / n)
    # neighbouring seeds are unrelated
    assert abs(float((z[1:] * z[:-1]).mean())) < 5 / math.sqrt(n)


def test_no_seeds_give_no_rows():
    assert latents.sample_z([], 5).shape == (0, 5)


def test_the_largest_seed_can_be_drawn():
    assert bool(torch.isfinite(latents.sample_z([latents.MAX_SEED], 4)).all())


def _pair(dimension: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = latents.sample_z([1, 2], dimension).double()
    return a, b


def test_slerp_begins_and_ends_at_its_ends():
    a, b = _pair()
    path = latents.slerp(a, b, torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(path, torch.stack([a, b]))


def test_slerp_stays_on_the_sphere_and_turns_evenly():
    a, b = (v / v.norm() for v in _pair())
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    path = latents.slerp(a, b, t)
    torch.testing.assert_close(path.norm(dim=1), torch.ones(9, dtype=torch.float64))
    angle = torch.arccos(torch.dot(a, b))
    torch.testing.assert_close(torch.arccos((path @ a).clamp(-1, 1))[1:], (t * angle)[1:])


def test_slerp_interpolates_lengths_linearly():
    a, b = _pair()
    a, b = 2 * a / a.norm(), 6 * b / b.norm()
    path = latents.slerp(a, b, torch.tensor([0.25, 0.5], dtype=torch.float64))
    assert path.norm(dim=1).tolist() == pytest.approx([3.0, 4.0])


def test_slerp_of_the_axes_is_the_circle():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    t = torch.linspace(0, 1, 5)
    expected = torch.stack([torch.cos(t * math.pi / 2), torch.sin(t * math.pi / 2)], dim=1)
    torch.testing.assert_close(latents.slerp(a, b, t), expected)


@pytest.mark.parametrize("kind", ["same", "nearly", "opposite", "zero", "both zero"])
def test_slerp_goes_straight_where_no_arc_is_defined(kind):
    a = latents.sample_z([1], 6)[0]
    b = {
        "same": a.clone(),
        "nearly": a * (1 + 1e-6) + 1e-7,
        "opposite": -a,
        "zero": torch.zeros(6),
        "both zero": torch.zeros(6),
    }[kind]
    a = torch.zeros(6) if kind == "both zero" else a
    t = torch.linspace(0, 1, 5)
    expected = (1 - t)[:, None] * a + t[:, None] * b
    torch.testing.assert_close(latents.slerp(a, b, t), expected, atol=1e-5, rtol=1e-5)


def test_the_principal_directions_of_a_linear_map_are_its_right_singular_vectors():
    rng = torch.Generator().manual_seed(3)
    latent_dim, side = 5, 4
    left, _ = torch.linalg.qr(torch.randn(side * side, latent_dim, generator=rng))
    right, _ = torch.linalg.qr(torch.randn(latent_dim, latent_dim, generator=rng))
    values = torch.tensor([9.0, 5.0, 3.0, 2.0, 1.0])
    matrix = left @ torch.diag(values) @ right.T
    directions, strengths = latents.principal_directions(
        lambda z: (z @ matrix.T).reshape(-1, 1, side, side), latent_dim, num_z=8
    )
    # root mean square over the pixels of the change per unit of z
    torch.testing.assert_close(strengths, values / side, atol=1e-3, rtol=1e-3)
    cosines = (directions * right.T).sum(dim=1)
    torch.testing.assert_close(cosines.abs(), torch.ones(latent_dim), atol=1e-3, rtol=0)
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    assert bool((largest > 0).all())


def test_principal_directions_are_orthonormal_sorted_and_the_same_every_time():
    def bent(z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(torch.stack([z[:, 0] * 3, z[:, 1] * z[:, 0], z.sum(1), z[:, 2]], 1))

    directions, strengths = latents.principal_directions(bent, 4, num_z=16, seed=1)
    torch.testing.assert_close(directions @ directions.T, torch.eye(4), atol=1e-5, rtol=0)
    assert strengths.tolist() == sorted(strengths.tolist(), reverse=True)
    again, _ = latents.principal_directions(bent, 4, num_z=16, seed=1)
    assert torch.equal(directions, again)


def test_a_latent_that_does_nothing_comes_last_with_no_strength():
    def ignores_the_third(z: torch.Tensor) -> torch.Tensor:
        return z[:, :2] * torch.tensor([1.0, 2.0])

    directions, strengths = latents.principal_directions(ignores_the_third, 3, num_z=4)
    assert float(strengths[2]) < 1e-4
    torch.testing.assert_close(directions[2], torch.tensor([0.0, 0.0, 1.0]), atol=1e-4, rtol=0)
