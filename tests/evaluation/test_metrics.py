import math

import numpy as np
import pytest
import torch
from PIL import Image

from gan.data import sources
from gan.evaluation import metrics


def _normal(rows: int, columns: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def _with_moments(mean: torch.Tensor, cov: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """200 rows with exactly this mean and covariance."""
    x = _normal(200, len(mean), seed).double()
    x = x - x.mean(dim=0)
    x = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False).T
    return x @ torch.linalg.cholesky(cov).T + mean


def test_moments_are_numpys_in_float64():
    x = _normal(50, 3, 0)
    mean, cov = metrics.moments(x)
    assert cov.dtype == torch.float64
    np.testing.assert_allclose(mean, x.double().numpy().mean(axis=0))
    np.testing.assert_allclose(cov, np.cov(x.double().numpy(), rowvar=False))


def test_moments_of_a_single_feature_are_a_matrix_too():
    mean, cov = metrics.moments(torch.tensor([[1.0], [3.0]]))
    assert (mean.tolist(), cov.tolist()) == ([2.0], [[2.0]])


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (5,)])
def test_moments_need_two_rows(shape):
    with pytest.raises(ValueError, match="at least 2 rows"):
        metrics.moments(torch.zeros(shape))


def test_a_set_has_no_distance_to_itself():
    x = _normal(300, 8, 0)
    assert metrics.frechet_distance(x, x) == pytest.approx(0.0, abs=1e-9)


def test_fewer_rows_than_features_are_no_trouble():
    x = _normal(5, 12, 0)
    assert metrics.frechet_distance(x, x) == pytest.approx(0.0, abs=1e-6)
    # a shift alone costs its squared length
    assert metrics.frechet_distance(x, x + 2.0) == pytest.approx(12 * 4.0, rel=1e-6)


def test_the_distance_of_two_round_gaussians_is_the_closed_form():
    # N(0, I) and N(m, s^2 I): |m|^2 + d (1 - s)^2
    mean, scale, size = torch.tensor([1.0, -2.0, 0.5]).double(), 3.0, 3
    a = _with_moments(torch.zeros(size).double(), torch.eye(size).double(), 1)
    b = _with_moments(mean, scale**2 * torch.eye(size).double(), 2)
    expected = float(mean.square().sum()) + size * (1 - scale) ** 2
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_covariances_that_do_not_commute_agree_with_the_other_form_of_the_trace():
    # tr (A^1/2 B A^1/2)^1/2 is the sum of the roots of the eigenvalues of A B
    a = torch.tensor([[2.0, 0.9], [0.9, 1.0]]).double()
    b = torch.tensor([[1.0, -0.6], [-0.6, 3.0]]).double()
    assert not torch.allclose(a @ b, b @ a)
    zero = torch.zeros(2)
    expected = float(a.trace() + b.trace() - 2 * torch.linalg.eigvals(a @ b).real.sqrt().sum())
    found = metrics.frechet_distance_of_moments(zero, a, zero, b)
    assert found == pytest.approx(expected, rel=1e-12)
    assert metrics.frechet_distance_of_moments(zero, b, zero, a) == pytest.approx(found, rel=1e-12)


def test_the_distance_does_not_change_when_both_sets_are_turned_and_moved():
    a, b = _normal(100, 4, 1), 2 * _normal(100, 4, 2) + 1
    turn, _ = torch.linalg.qr(_normal(4, 4, 3).double())
    moved = [x.double() @ turn + 5 for x in (a, b)]
    assert metrics.frechet_distance(*moved) == pytest.approx(metrics.frechet_distance(a, b))


def test_two_samples_of_one_gaussian_lie_apart_by_the_known_bias():
    # (1/N + 1/M) [tr S + 1/2 sum_ij l_i l_j (1 + d_ij) / (l_i + l_j)], here with S = I_64
    size, n, m = 64, 1_000, 4_000
    expected = (1 / n + 1 / m) * (size + (size**2 + size) / 4)
    found = metrics.frechet_distance(_normal(n, size, 1), _normal(m, size, 2))
    assert found == pytest.approx(expected, rel=0.1)


def _distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.double()[:, None] - b.double()[None]).norm(dim=2)


@pytest.mark.parametrize("k", [1, 3])
def test_nearest_distances_agree_with_brute_force(k):
    queries, points = _normal(1_030, 3, 1), _normal(20, 3, 2)  # more queries than one chunk
    expected = _distances(queries, points).sort(dim=1).values[:, k - 1]
    found = metrics.nearest_distances(queries, points, k)
    torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("k", [0, 4])
def test_a_neighbour_that_does_not_exist_is_an_error(k):
    with pytest.raises(ValueError, match=f"k={k}"):
        metrics.nearest_distances(torch.zeros(2, 2), torch.zeros(3, 2), k)


def _brute_force(real: torch.Tensor, fake: torch.Tensor, k: int) -> metrics.PRDC:
    """The four definitions, word by word, with loops."""
    distance = _distances(real, fake)
    radius_real = [float(row.sort().values[k]) for row in _distances(real, real)]
    radius_fake = [float(row.sort().values[k]) for row in _distances(fake, fake)]
    inside_real = [[float(d) <= radius_real[i] for d in distance[i]] for i in range(len(real))]
    inside_fake = [
        [float(d) <= r for d, r in zip(row, radius_fake, strict=True)] for row in distance
    ]
    return metrics.PRDC(
        precision=sum(map(any, zip(*inside_real, strict=True))) / len(fake),
        recall=sum(map(any, inside_fake)) / len(real),
        density=sum(map(sum, inside_real)) / (k * len(fake)),
        coverage=sum(map(any, inside_real)) / len(real),
    )


def test_precision_recall_density_coverage_agree_with_their_definitions(monkeypatch):
    monkeypatch.setattr(metrics, "_CHUNK", 32)  # so that several chunks are put together
    real, fake = _normal(60, 3, 1), 1.3 * _normal(80, 3, 2) + 0.8
    expected = _brute_force(real, fake, k=3)
    assert metrics.precision_recall_density_coverage(real, fake, k=3) == pytest.approx(expected)
    assert all(0.2 < value < 0.95 for value in expected)  # nothing trivial was compared


def test_a_set_against_itself_is_precise_and_covered():
    x = _normal(200, 8, 0)
    found = metrics.precision_recall_density_coverage(x, x, k=5)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)
    # every ball holds its own centre and the k neighbours that define it
    assert found.density == pytest.approx(6 / 5)


def test_sets_far_apart_share_nothing():
    x = _normal(50, 4, 0)
    assert metrics.precision_recall_density_coverage(x, x + 1_000) == (0.0, 0.0, 0.0, 0.0)


def test_swapping_the_sets_swaps_precision_and_recall():
    a, b = _normal(150, 6, 1), 0.7 * _normal(150, 6, 2)
    there = metrics.precision_recall_density_coverage(a, b)
    back = metrics.precision_recall_density_coverage(b, a)
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert there.precision > there.recall  # narrower samples are safe and few


def test_two_samples_of_one_distribution_have_the_expected_density_and_coverage():
    n, k = 1_500, 5
    found = metrics.precision_recall_density_coverage(_normal(n, 8, 1), _normal(n, 8, 2), k)
    # a fake is equally likely to take any rank among the other reals: k / n of them are inside
    assert found.density == pytest.approx(1.0, abs=0.06)
    # uncovered: the k nearest of the n - 1 other reals and n fakes are all real, about 0.5^k
    expected = 1 - math.prod((n - 1 - i) / (2 * n - 1 - i) for i in range(k))
    assert expected == pytest.approx(1 - 0.5**k, abs=1e-3)
    assert found.coverage == pytest.approx(expected, abs=0.02)


def test_a_missing_half_halves_coverage_and_recall_but_not_precision():
    left, right = _normal(400, 4, 1), _normal(400, 4, 2) + 100
    both = torch.cat([left, right])
    found = metrics.precision_recall_density_coverage(both, _normal(800, 4, 3))
    assert found.precision > 0.9
    assert found.coverage == pytest.approx(0.5, abs=0.03)
    assert 0.4 < found.recall <= 0.5


def test_more_neighbours_than_points_are_an_error():
    with pytest.raises(ValueError, match="more than 5"):
        metrics.precision_recall_density_coverage(torch.zeros(5, 2), torch.zeros(9, 2))


@pytest.mark.parametrize("columns", [6, 40])
def test_orthogonal_rows_count_as_many_and_identical_rows_as_one(columns):
    rows = torch.eye(columns)[:6]
    assert metrics.vendi_score(rows) == pytest.approx(6.0)
    assert metrics.vendi_score(rows[:1].expand(9, -1)) == pytest.approx(1.0)


def test_repeating_or_stretching_rows_adds_no_kinds():
    rows = torch.eye(4)[:3]
    stretched = torch.cat([rows, 7 * rows, 0.1 * rows])
    assert metrics.vendi_score(stretched) == pytest.approx(3.0)


def test_unequal_kinds_count_by_their_entropy():
    rows = torch.eye(2)[[0, 0, 0, 1]]
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert metrics.vendi_score(rows) == pytest.approx(expected)


def test_wide_and_tall_sets_are_scored_alike():
    x = _normal(20, 20, 0)
    padded = torch.cat([x, torch.zeros(20, 5)], dim=1)  # n < F: the other matrix is used
    assert metrics.vendi_score(padded) == pytest.approx(metrics.vendi_score(x))


@pytest.mark.parametrize("rows", [torch.zeros(3, 2), torch.zeros(0, 2), torch.zeros(3)])
def test_rows_without_a_direction_have_no_vendi_score(rows):
    with pytest.raises(ValueError, match="row"):
        metrics.vendi_score(rows)


@pytest.mark.mnist
@pytest.mark.parametrize(("digit", "published"), [(0, 7.68), (1, 5.31), (5, 13.51)])
def test_vendi_scores_of_real_digits_are_the_published_ones(digit, published):
    # the table in the README of vendi-score: MNIST test pixels, enlarged to 32 x 32 by Pillow
    images, labels = sources.load_held_out("mnist")
    enlarged = [
        np.asarray(Image.fromarray(picture[0].numpy()).resize((32, 32)))
        for picture in images[labels == digit]
    ]
    features = torch.from_numpy(np.stack(enlarged)).flatten(1).float()
    assert metrics.vendi_score(features) == pytest.approx(published, abs=0.005)


def test_the_spread_is_the_median_over_all_pairs():
    x = _normal(11, 5, 0)  # 55 pairs
    pairs = sorted(float(_distances(x, x)[i, j]) for i in range(11) for j in range(i))
    assert metrics.pairwise_spread(x) == pytest.approx(pairs[27])


def test_a_few_odd_pictures_do_not_hide_that_most_are_one():
    x = torch.zeros(100, 5)
    x[:20] = 100 * _normal(20, 5, 0)
    assert metrics.pairwise_spread(x) == 0.0


def test_modes_and_divergence_of_a_case_worked_by_hand():
    # 3/4 ln(3/4 / 1/2) + 1/4 ln(1/4 / 1/3)
    counts, expected = torch.tensor([3, 1, 0]), torch.tensor([1 / 2, 1 / 3, 1 / 6])
    found = metrics.modes_and_kl(counts, expected)
    assert found.modes == 2
    assert found.kl == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.75), abs=1e-7)


def test_a_single_mode_of_a_thousand_is_ln_1000_away():
    counts = torch.zeros(1_000, dtype=torch.int64)
    counts[417] = 26_000
    found = metrics.modes_and_kl(counts, torch.full((1_000,), 1e-3))
    assert found.modes == 1 and found.kl == pytest.approx(math.log(1_000), rel=1e-6)


def test_counts_in_proportion_are_no_distance_away():
    expected = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)
    assert metrics.modes_and_kl(torch.tensor([1, 2, 7]), expected) == (3, pytest.approx(0.0))
    assert metrics.modes_and_kl(torch.tensor([10, 20, 70]), expected).kl >= 0.0


@pytest.mark.parametrize("uneven", [0.0, 1.0])
def test_a_perfect_sampler_is_as_far_away_as_theory_says(uneven):
    expected = torch.exp(uneven * 0.2 * _normal(1_000, 1, 5).squeeze(1)).double()
    expected /= expected.sum()
    rng, found = torch.Generator().manual_seed(6), []
    for _ in range(20):
        drawn = torch.multinomial(expected, 26_000, replacement=True, generator=rng)
        found.append(metrics.modes_and_kl(torch.bincount(drawn, minlength=1_000), expected))
    assert min(f.modes for f in found) >= 998
    # (K - 1) / (2 n), and its standard deviation sqrt(2 (K - 1)) / (2 n) over 20 draws
    mean = sum(f.kl for f in found) / len(found)
    assert mean == pytest.approx(999 / 52_000, abs=5 * math.sqrt(1_998) / 52_000 / math.sqrt(20))


def test_a_mode_that_the_data_does_not_have_is_infinitely_far_away():
    found = metrics.modes_and_kl(torch.tensor([1, 1]), torch.tensor([1.0, 0.0]))
    assert found == (2, math.inf)


@pytest.mark.parametrize("counts", [[0, 0], [1, 2, 3]])
def test_modes_of_nothing_or_of_another_kind_are_refused(counts):
    with pytest.raises(ValueError, match="at least one sample"):
        metrics.modes_and_kl(torch.tensor(counts), torch.tensor([0.5, 0.5]))


def test_pictures_spread_as_their_pixels_do_and_one_picture_not_at_all():
    x = _normal(6, 8, 0)
    expected = metrics.pairwise_spread(x)
    assert metrics.pairwise_spread(x.reshape(6, 1, 2, 4)) == pytest.approx(expected)
    assert metrics.pairwise_spread(x[:1].expand(5, -1)) == 0.0
    with pytest.raises(ValueError, match="one row"):
        metrics.pairwise_spread(x[:1])


def test_contrast_is_the_deviation_within_a_picture():
    grey = torch.full((3, 1, 4, 4), 0.3)
    halves = torch.tensor([-1.0, 1.0]).repeat(1, 1, 4, 2)  # half black, half white
    assert metrics.contrast(grey) == pytest.approx(0.0, abs=1e-7)
    assert metrics.contrast(halves) == pytest.approx(1.0)
    assert metrics.contrast(torch.cat([grey, halves])) == pytest.approx(0.25)
    assert metrics.contrast(0.5 * halves + 0.2) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (3, 4, 0.3006, 0.9544),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
    ],
)
def test_the_wilson_interval_has_its_textbook_values(successes, n, low, high):
    assert metrics.wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_no_trials_leave_everything_possible():
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)


def test_neighbours_far_from_the_origin_are_those_near_it():
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(300, 8, generator=rng), torch.randn(300, 8, generator=rng)
    near = metrics.precision_recall_density_coverage(real, fake)
    far = metrics.precision_recall_density_coverage(real + 1_000, fake + 1_000)
    assert far == pytest.approx(near, abs=0.02)
