"""GIFs made in the browser, read by another program."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from gan.browser import scripts

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(chromium):
    opened = chromium.new_page()
    code = f"{scripts.bundle_script('gif')}\nglobalThis.encodeGif = encodeGif;"
    opened.add_script_tag(content=code, type="module")
    opened.wait_for_function("globalThis.encodeGif !== undefined")
    yield opened


ENCODE = """async ([frames, options]) => {
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const gif = encodeGif({ ...options, frames: frames.map(bytes) });
    const reader = new FileReader();
    const read = new Promise((resolve) => { reader.onload = resolve; });
    reader.readAsDataURL(new Blob([gif]));
    await read;
    return reader.result.split(",")[1];
}"""


def encode(page, frames, **options):
    """frames uint8 [N, H, W] or [N, H, W, 3] -> the file's bytes."""
    height, width = frames.shape[1:3]
    texts = [base64.b64encode(frame.tobytes()).decode() for frame in frames]
    options = {"width": width, "height": height, "delay": 5, **options}
    return base64.b64decode(page.evaluate(ENCODE, [texts, options]))


def decode(content, mode):
    """The pixels of every frame, uint8 [N, H, W] or [N, H, W, 3]."""
    with Image.open(io.BytesIO(content)) as image:
        return np.stack([np.array(f.convert(mode)) for f in ImageSequence.Iterator(image)])


def smooth(count, height, width):
    """Waves that move: long strings of pixels come back, as in drawings."""
    t, y, x = np.meshgrid(*map(np.arange, (count, height, width)), indexing="ij")
    return (np.clip(np.sin(x / 9 + t) * np.sin(y / 7) * 1.5, 0, 1) * 255).astype(np.uint8)


GREYS = {
    "one pixel": np.array([[[7]], [[255]]], np.uint8),
    "one colour": np.full((2, 50, 301), 255, np.uint8),
    "a ramp": np.arange(256, dtype=np.uint8).reshape(1, 16, 16),
    # the codes run out several times a frame
    "noise": np.random.default_rng(0).integers(0, 256, (3, 97, 131), np.uint8),
    "two levels": np.random.default_rng(1).integers(0, 2, (2, 90, 90), np.uint8) * 255,
    "smooth": smooth(12, 84, 110),
    "the same again": np.repeat(smooth(1, 28, 28), 4, axis=0),
}


@pytest.mark.parametrize("name", GREYS)
def test_every_grey_pixel_is_kept(page, name):
    frames = GREYS[name]
    found = decode(encode(page, frames), "L")
    assert np.array_equal(found, frames)


# How many codes there are between two clearings of the table: 258 to 4095 for new strings, and one more.
TABLE = 4_096 - 258 + 1


@pytest.mark.parametrize(
    "length",
    [
        # where the codes grow by a bit
        *(power - 257 + near for power in (512, 1_024, 2_048, 4_096) for near in (-1, 0, 1, 2)),
        TABLE + 255,
        5 * TABLE
        + 255,  # here the last byte has no bits to spare, if the code of the end is too short
    ],
)
def test_codes_grow_and_end_where_readers_expect_it(page, length):
    frames = never_twice(length).reshape(1, 1, length)
    content = encode(page, frames)
    found = codes(content)
    assert found[0] == 256 and found[-1] == 257
    assert [code for code in found if code < 256] == frames.flatten().tolist()
    assert np.array_equal(decode(content, "L"), frames)


def never_twice(length):
    """Pixels of which no two neighbours come back: every pixel has a code of its own."""
    steps = np.repeat(np.arange(1, 256, 2), 256)  # a pair is known by its difference and its first
    return np.cumsum(steps[:length]).astype(np.uint8)


def codes(content):
    """The codes of a GIF of one frame with a palette of 256, read as its specification says (appendix F)."""
    at = content.index(b"\x2c", 13 + 768 + 19 + 8) + 11
    data = b""
    while content[at]:
        data += content[at + 1 : at + 1 + content[at]]
        at += content[at] + 1
    assert content[at:] == b"\x00\x3b"
    bits, have, width, known, found = int.from_bytes(data, "little"), len(data) * 8, 9, 258, []
    while have >= width:
        code = bits & ((1 << width) - 1)
        bits, have = bits >> width, have - width
        found.append(code)
        if code == 256:
            width, known = 9, 257  # the first code after it makes no string
        elif code == 257:
            assert have < 8 and bits == 0
            return found
        elif known < 4096:
            known += 1
            width = min(12, max(width, known.bit_length()))
    raise AssertionError("no end")


def test_pixels_are_made_larger(page):
    frames = smooth(2, 20, 28)
    large = frames.repeat(3, axis=1).repeat(3, axis=2)
    assert np.array_equal(decode(encode(page, frames, scale=3), "L"), large)


def test_colours_go_to_the_nearest_of_the_cube(page):
    frames = np.random.default_rng(3).integers(0, 256, (2, 30, 41, 3), np.uint8)
    expected = np.round(frames / 51) * 51
    assert np.array_equal(decode(encode(page, frames), "RGB"), expected.astype(np.uint8))
    large = expected.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(decode(encode(page, frames, scale=2), "RGB"), large.astype(np.uint8))


def test_the_number_the_time_and_the_loop_of_frames(page):
    content = encode(page, smooth(7, 28, 28), delay=300)
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 7
        assert image.size == (28, 28)
        assert image.info["loop"] == 0
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert delays == [3000] * 7  # milliseconds


def test_the_browser_opens_it_too(page):
    content = base64.b64encode(encode(page, smooth(3, 28, 30), scale=2)).decode()
    size = page.evaluate(
        """async (content) => {
            const image = new Image();
            image.src = `data:image/gif;base64,${content}`;
            await image.decode();
            return [image.naturalWidth, image.naturalHeight];
        }""",
        content,
    )
    assert size == [60, 56]


def test_a_film_of_sixty_frames_takes_less_than_a_second(page):
    script = """() => {
        const frames = Array.from({ length: 60 }, () => Uint8Array.from({ length: 28 * 28 }, () => Math.random() * 256));
        const begun = performance.now();
        encodeGif({ width: 28, height: 28, frames, delay: 5, scale: 8 });
        return performance.now() - begun;
    }"""
    assert page.evaluate(script) < 1_000  # milliseconds; measured: 40
