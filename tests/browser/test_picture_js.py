"""Pixels on a canvas, against the one way out of [-1, 1] that Python has."""

import pytest
import torch

from gan.browser import scripts
from gan.networks import images

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(chromium):
    opened = chromium.new_page()
    code = f"{scripts.bundle_script('picture')}\nObject.assign(globalThis, {{ grey, makePicture, sheet }});"
    opened.add_script_tag(content=code, type="module")
    opened.wait_for_function("globalThis.sheet !== undefined")
    yield opened


def _in_python(values):
    return images.to_uint8(values.view(1, 1, 1, -1)).flatten().tolist()


def test_a_value_is_the_same_grey_as_in_python(page):
    """Also where rounding is in doubt: on the values around each half, which single precision can hit."""
    dense = torch.linspace(-1.2, 1.2, 24_001)
    halves = (torch.arange(0, 255) + 0.5) / 127.5 - 1
    close = [halves]
    for towards in (-2.0, 2.0):
        near = halves
        for _ in range(4):
            near = torch.nextafter(near, torch.tensor(towards))
            close.append(near)
    around = torch.cat(close)
    scaled = (around.clamp(-1, 1) + 1) * 127.5
    exact = scaled[scaled % 1 == 0.5]
    assert (exact.floor() % 2 == 0).any() and (exact.floor() % 2 == 1).any()  # both ways are tried
    values = torch.cat([dense, around, torch.tensor([0.0, -0.0, 1.0, -1.0, torch.inf, -torch.inf])])
    found = page.evaluate("values => [...Float32Array.from(values, grey)]", values.tolist()[:-2])
    found += page.evaluate("[grey(Infinity), grey(-Infinity)]")
    assert found == _in_python(values)


PAINTED = """([values, channels]) => {
  const side = Math.sqrt(values.length / channels);
  const picture = makePicture(side, channels, "a label");
  picture.paint(Float32Array.from(values));
  const { canvas } = picture;
  const pixels = canvas.getContext("2d").getImageData(0, 0, side, side).data;
  return { pixels: [...pixels], kept: [...picture.values], label: canvas.getAttribute("aria-label"),
           role: canvas.getAttribute("role"), size: [canvas.width, canvas.height] };
}"""


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_has_the_pixels_of_python(page, channels):
    image = torch.rand(1, channels, 5, 5, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1
    sent = image.permute(0, 2, 3, 1).flatten().tolist()
    found = page.evaluate(PAINTED, [sent, channels])
    pixels = torch.tensor(found["pixels"]).view(5, 5, 4)
    expected = torch.from_numpy(images.to_uint8(image)[0]).expand(5, 5, 3)
    assert torch.equal(pixels[..., :3], expected.long())
    assert (pixels[..., 3] == 255).all()
    assert torch.equal(torch.tensor(found["kept"]), torch.tensor(sent))
    assert (found["label"], found["role"], found["size"]) == ("a label", "img", [5, 5])


def test_a_picture_begins_black_for_its_readers(page):
    assert page.evaluate("[...makePicture(3, 1, '').values]") == [-1] * 9


SHEET = """([scale, gap]) => {
  const pictures = [[-1, 0, 1], [1, -1, 0]].map((row) => row.map((value) => {
    const picture = makePicture(2, 1, "");
    picture.paint(Float32Array.of(value, 1, -1, value));
    return picture;
  }));
  const canvas = gap === null ? sheet(pictures, scale) : sheet(pictures, scale, gap);
  const { width, height } = canvas;
  return { width, height, pixels: [...canvas.getContext("2d").getImageData(0, 0, width, height).data] };
}"""


@pytest.mark.parametrize(("scale", "gap", "space"), [(1, None, 2), (4, 0, 0), (3, 5, 5)])
def test_pictures_side_by_side_keep_their_pixels(page, scale, gap, space):
    found = page.evaluate(SHEET, [scale, gap])
    pixels = torch.tensor(found["pixels"]).view(found["height"], found["width"], 4)
    shown = [[-1, 0, 1], [1, -1, 0]]
    tiles = torch.tensor([[v, 1, -1, v] for row in shown for v in row]).view(6, 1, 2, 2)
    scaled = images.to_uint8(tiles).repeat(scale, axis=1).repeat(scale, axis=2)
    expected = torch.from_numpy(images.grid(scaled, columns=3, gap=space, background=0x28))[..., 0]
    inside = torch.from_numpy(images.grid(scaled * 0 + 1, columns=3, gap=space))[..., 0] == 1
    assert pixels.shape[:2] == expected.shape
    assert (pixels[..., 3] == 255).all()
    for channel in range(3):
        assert torch.equal(pixels[..., channel][inside], expected[inside].long())
    assert (pixels[~inside][:, :3] == 0x28).all()
