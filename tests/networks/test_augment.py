import math

import pytest
import torch

from gan.networks.augment import UNIFORMS, augment

RNG = 7


def _uniforms(count: int, **columns: float) -> torch.Tensor:
    """Random numbers in [0, 1); ``c3=0.5`` sets column 3."""
    drawn = torch.rand(count, UNIFORMS, generator=torch.Generator().manual_seed(RNG))
    for name, value in columns.items():
        drawn[:, int(name.removeprefix("c"))] = value
    return drawn


#: Numbers that move nothing: every column in the middle of its range.
STILL = {f"c{i}": 0.5 for i in range(1, 7)}


@pytest.fixture
def cross():
    """A picture of a plus sign, white on black."""
    images = torch.full((1, 1, 28, 28), -1.0)
    images[:, :, 13:15, 6:22] = 1
    images[:, :, 6:22, 13:15] = 1
    return images


def _always(count: int = 1) -> torch.Tensor:
    return torch.ones(count)


def test_with_probability_0_nothing_changes(cross):
    images = cross.expand(50, -1, -1, -1)
    assert torch.equal(augment(images, _uniforms(50), torch.zeros(50)), images)


def test_the_probability_is_the_share_of_pictures_that_are_moved(cross):
    count = 4_000
    images = cross.expand(count, -1, -1, -1)
    changed = augment(images, _uniforms(count), torch.full((count,), 0.3), hole=False)
    share = float((changed != images).flatten(1).any(1).double().mean())
    assert share == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / count))


def test_numbers_in_the_middle_move_nothing(cross):
    moved = augment(cross, _uniforms(1, c0=0.0, **STILL), _always(), hole=False)
    torch.testing.assert_close(moved, cross, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("column", "axis"), [(5, 3), (6, 2)])
def test_a_shift_moves_a_tenth_of_the_width_at_most(cross, column, axis):
    def centre(images):
        weights = (images + 1).sum(dim=(0, 1, 5 - axis))
        return float((weights * torch.arange(28)).sum() / weights.sum())

    for end, expected in ((0.0, 2.8), (1.0, -2.8)):
        uniforms = _uniforms(1, c0=0.0, **{**STILL, f"c{column}": end})
        moved = augment(cross, uniforms, _always(), hole=False)
        assert centre(moved) - centre(cross) == pytest.approx(expected, abs=0.02)


def test_a_turn_is_20_degrees_at_most_and_keeps_the_stroke(cross):
    bar = torch.full((1, 1, 28, 28), -1.0)
    bar[:, :, 13:15, 4:24] = 1
    uniforms = _uniforms(1, c0=0.0, **{**STILL, "c1": 1.0})
    turned = augment(bar, uniforms, _always(), hole=False) + 1
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    weights = (turned / turned.sum())[0, 0]
    y, x = rows - 13.5, columns - 13.5
    slope = 0.5 * torch.atan2(2 * (weights * x * y).sum(), (weights * (x * x - y * y)).sum())
    assert abs(math.degrees(float(slope))) == pytest.approx(20.0, abs=0.5)
    assert float(turned.sum()) == pytest.approx(float((bar + 1).sum()), rel=0.02)


def test_what_comes_in_from_outside_is_background():
    white = torch.ones(200, 1, 28, 28)
    moved = augment(white, _uniforms(200, c0=0.0), _always(200), hole=False)
    assert float(moved.min()) == pytest.approx(-1.0) and float(moved.max()) <= 1 + 1e-6
    shifted = augment(white[:1], _uniforms(1, c0=0.0, **{**STILL, "c5": 0.0}), _always(), False)
    torch.testing.assert_close(shifted[..., :2], torch.full((1, 1, 28, 2), -1.0))
    torch.testing.assert_close(shifted[..., 4:], torch.ones(1, 1, 28, 24))


def test_it_never_flips_or_turns_by_a_right_angle():
    corner = torch.full((500, 1, 28, 28), -1.0)
    corner[:, :, 4:8, 4:8] = 1  # a spot in the upper left
    moved = augment(corner, _uniforms(500, c0=0.0), _always(500), hole=False)[:, 0] + 1
    places = torch.arange(28.0)
    mass = moved.sum((1, 2))
    assert float(mass.min()) > 0
    assert float(((moved.sum(2) @ places) / mass).max()) < 13.5
    assert float(((moved.sum(1) @ places) / mass).max()) < 13.5


def test_the_hole_is_a_square_of_background():
    white = torch.ones(300, 1, 28, 28)
    pierced = augment(white, _uniforms(300, c0=0.99, c7=0.0), torch.full((300,), 0.5))
    black = pierced == -1
    assert bool((black | (pierced == 1)).all())
    counts = black.flatten(1).sum(1)
    assert int(counts.min()) > 0 and int(counts.max()) <= 9 * 9  # 0.3 * 28 = 8.4 pixels
    for image in black[:20, 0]:
        rows, columns = image.any(1), image.any(0)
        assert int(image.sum()) == int(rows.sum()) * int(columns.sum())
    assert torch.equal(
        augment(white, _uniforms(300, c0=0.99, c7=0.0), _always(300) / 2, False), white
    )


def test_a_row_depends_on_its_own_numbers_only(cross):
    images = cross.expand(8, -1, -1, -1)
    uniforms, probability = _uniforms(8), torch.full((8,), 0.7)
    whole = augment(images, uniforms, probability)
    parts = [
        augment(images[i : i + 1], uniforms[i : i + 1], probability[i : i + 1]) for i in range(8)
    ]
    torch.testing.assert_close(whole, torch.cat(parts))


def test_gradients_pass_to_the_pictures():
    images = torch.zeros(6, 1, 28, 28, requires_grad=True)
    augment(images, _uniforms(6, c0=0.0), _always(6)).sum().backward()
    assert images.grad is not None
    assert bool((images.grad.flatten(1).abs().sum(1) > 0).all())


def test_pictures_of_any_size_and_number_of_channels():
    images = torch.rand(4, 3, 64, 64) * 2 - 1
    changed = augment(images, _uniforms(4, c0=0.0, c7=0.0), _always(4))
    assert changed.shape == images.shape
    hole = (changed == -1).all(1)  # the same place in all channels
    assert bool(hole.flatten(1).any(1).all())
