import io

import numpy as np
import pytest
import torch
from PIL import Image

from gan.networks import images


def test_the_ends_of_the_byte_range_are_minus_one_and_one():
    ends = images.from_uint8(torch.tensor([0, 255], dtype=torch.uint8))
    assert ends.dtype == torch.float32
    assert ends.tolist() == [-1.0, 1.0]


def test_every_byte_survives_the_way_in_and_out():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    before = pixels.clone()
    back = images.to_uint8(images.from_uint8(pixels))
    assert np.array_equal(back[0, :, :, 0], pixels[0, 0].numpy())
    assert torch.equal(pixels, before)


def test_values_outside_are_clamped_not_wrapped():
    wild = torch.tensor([-3.0, -1.0, 1.0, 3.0]).reshape(1, 1, 2, 2)
    assert images.to_uint8(wild).ravel().tolist() == [0, 0, 255, 255]


def test_one_channel_of_every_picture_in_turn():
    pictures = torch.arange(5 * 3 * 4).reshape(5, 3, 2, 2)
    found = images.one_channel(pictures)
    assert found.shape == (5, 1, 2, 2)
    for index, picture in enumerate(found):
        assert torch.equal(picture[0], pictures[index, index % 3])
    assert torch.equal(images.one_channel(pictures[:, :1]), pictures[:, :1])


def test_channels_move_to_the_end():
    pixels = torch.randint(
        0, 256, (2, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    out = images.to_uint8(images.from_uint8(pixels))
    assert out.shape == (2, 4, 5, 3)
    assert out[1, 2, 3, 0] == pixels[1, 0, 2, 3] and out[1, 2, 3, 2] == pixels[1, 2, 2, 3]


@pytest.mark.parametrize(("count", "columns", "gap"), [(5, 3, 2), (6, 3, 0), (1, 4, 1)])
def test_a_grid_holds_every_picture_where_reading_order_puts_it(count, columns, gap):
    height, width = 3, 4
    pixels = np.random.default_rng(0).integers(1, 256, (count, height, width, 1), dtype=np.uint8)
    sheet = images.grid(pixels, columns, gap=gap, background=0)
    rows = -(-count // columns)
    assert sheet.shape == (rows * (height + gap) + gap, columns * (width + gap) + gap, 1)
    for index in range(count):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        assert np.array_equal(sheet[top : top + height, left : left + width], pixels[index])
    # the pictures have no zeros, so everything that is lit is theirs: gaps and empty places are not
    assert np.count_nonzero(sheet) == pixels.size


def test_the_background_of_a_grid_is_as_asked():
    sheet = images.grid(np.zeros((1, 2, 2, 3), np.uint8), 2, gap=1, background=200)
    assert sheet[0, 0].tolist() == [200, 200, 200]
    assert (sheet == 200).sum() == sheet.size - 12


@pytest.mark.parametrize(("shape", "columns"), [((2, 3, 4), 2), ((2, 3, 4, 1), 0)])
def test_a_grid_of_something_else_is_an_error(shape, columns):
    with pytest.raises(ValueError, match="columns"):
        images.grid(np.zeros(shape, np.uint8), columns)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 3])
def test_a_png_decodes_to_the_enlarged_picture(channels, scale):
    picture = np.random.default_rng(1).integers(0, 256, (5, 4, channels), dtype=np.uint8)
    with Image.open(io.BytesIO(images.to_png(picture, scale))) as decoded:
        assert decoded.format == "PNG"
        found = np.asarray(decoded).reshape(5 * scale, 4 * scale, channels)
    assert np.array_equal(found, np.kron(picture, np.ones((scale, scale, 1), np.uint8)))


def test_the_same_picture_gives_the_same_bytes():
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    assert images.to_png(picture) == images.to_png(picture.copy())


def test_a_judge_gets_one_channel_of_its_own_size():
    digits = torch.randn(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images.for_classifier(digits), images.one_channel(digits))
    # 56 is twice 28: the mean of four
    doubled = digits.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    noise = torch.tensor([[0.5, -0.5], [-0.25, 0.25]]).repeat(28, 28)
    torch.testing.assert_close(images.for_classifier(doubled + noise), images.one_channel(digits))


@pytest.mark.parametrize("side", [16, 28, 32, 64])
def test_what_a_judge_gets_keeps_brightness_and_range(side):
    rng = torch.Generator().manual_seed(1)
    pictures = torch.rand(5, 1, side, side, generator=rng) * 2 - 1
    found = images.for_classifier(pictures)
    assert found.shape == (5, 1, 28, 28)
    assert float(found.abs().max()) <= 1.0
    flat = images.for_classifier(torch.full((1, 1, side, side), 0.3))
    torch.testing.assert_close(flat, torch.full((1, 1, 28, 28), 0.3))
    # the upper half stays the upper half
    half = torch.ones(1, 1, side, side)
    half[:, :, side // 2 :] = -1
    seen = images.for_classifier(half)[0, 0]
    assert bool((seen[:13] == 1).all()) and bool((seen[15:] == -1).all())
