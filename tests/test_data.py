import io
import struct
import urllib.error

import numpy as np
import pytest
import torch
from PIL import Image

from gan import data
from gan.errors import DataError
from gan.torchvision_compat import import_datasets


def _rows(images: torch.Tensor) -> set[bytes]:
    return {picture.numpy().tobytes() for picture in images}


# --- amounts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("600", 600),
        ("6,000", 6_000),
        ("60_000", 60_000),
        (" 5 ", 5),
        ("1%", 600),
        ("0.5%", 300),
        ("100 %", 60_000),
        ("110%", 66_000),
    ],
)
def test_an_amount_is_a_count_or_a_share_of_sixty_thousand(text, count):
    assert data.parse_size(text) == count


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "0", "-5", "-1%", "0%", "0.0001%", "1.5", "1e3", "0x10", "six", "__", ",", "%"),
        *("nan%", "inf%", "-inf%", "1e400%", "nan", "inf", "1%%", "9" * 5_000, "1; rm -rf"),
    ],
)
def test_an_amount_that_is_none_is_quoted(text):
    with pytest.raises(DataError) as caught:
        data.parse_size(text)
    assert repr(text) in str(caught.value)


# --- sources -------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["", "cifar", "MNIST", "mnist ", "folder", "folder:", "drawn:5"])
def test_an_unknown_source_is_quoted_and_the_known_are_listed(source):
    for load in (data.load, data.load_held_out):
        with pytest.raises(DataError, match="choose mnist, drawn or folder:PATH") as caught:
            load(source)
        assert repr(source) in str(caught.value)


@pytest.mark.parametrize("size", [0, -1])
def test_no_images_are_no_data(size):
    with pytest.raises(DataError, match=str(size)):
        data.load("drawn", size)


# --- drawn ---------------------------------------------------------------------------------


def test_drawn_digits_are_labelled_pictures_on_black():
    images, labels = data.load("drawn", 1_000)
    assert images.shape == (1_000, 1, 28, 28) and images.dtype == torch.uint8
    assert labels.shape == (1_000,) and labels.dtype == torch.int64
    counts = torch.bincount(labels, minlength=10)
    # 100 each, within five standard deviations of the binomial
    assert len(counts) == 10
    assert int((counts - 100).abs().max()) < 5 * (1_000 * 0.1 * 0.9) ** 0.5
    assert len(_rows(images)) == 1_000
    lit = (images > 127).float().mean(dim=(1, 2, 3))
    assert float(lit.min()) > 0.02 and float(lit.max()) < 0.5


def test_a_drawn_digit_looks_like_its_label():
    images, labels = data.load("drawn", 2_000)
    pictures = images.flatten(1).float()
    means = torch.stack([pictures[:1_000][labels[:1_000] == digit].mean(0) for digit in range(10)])
    nearest = torch.cdist(pictures[1_000:], means).argmin(dim=1)
    assert float((nearest == labels[1_000:]).double().mean()) > 0.6  # chance: 0.1


def test_a_drawn_digit_depends_on_seed_and_place_only():
    many = data.load("drawn", 4_200, seed=3)  # more than are drawn at a time
    for size in (1, 7, 600):
        few = data.load("drawn", size, seed=3)
        assert torch.equal(few.images, many.images[:size])
        assert torch.equal(few.labels, many.labels[:size])
    other = data.load("drawn", 600, seed=4)
    assert not _rows(other.images) & _rows(many.images)


def test_drawing_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    data.load("drawn", 3)
    assert torch.equal(torch.rand(2), expected)


def test_held_out_drawn_digits_are_ten_thousand_others():
    held_out = data.load_held_out("drawn", 600)
    assert len(held_out.images) == len(held_out.labels) == 10_000
    assert not _rows(held_out.images) & _rows(data.load("drawn", 600).images)
    assert torch.equal(held_out.images, data.load_held_out("drawn", 6_000).images)


# --- folder --------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """40 grey pictures, number i of brightness 5 i, of several sizes, kinds and depths."""
    folder = tmp_path / "pictures"
    for index in range(40):
        below = folder / ("deep/er" if index % 3 == 0 else ".")
        below.mkdir(parents=True, exist_ok=True)
        mode = ("L", "RGB", "RGBA")[index % 3]
        grey = 5 * index
        colour = {"L": grey, "RGB": (grey,) * 3, "RGBA": (*(grey,) * 3, 255)}[mode]
        suffix = "png" if index % 2 else "BMP"
        Image.new(mode, (28 + index, 50 - index), colour).save(below / f"{index:02}.{suffix}")
    (folder / "notes.txt").write_text("no picture")
    return folder


def _numbers(images: torch.Tensor) -> list[int]:
    flat = images.flatten(1)
    assert torch.equal(flat.min(dim=1).values, flat.max(dim=1).values)
    return (flat[:, 0] // 5).tolist()


def test_every_picture_of_a_folder_is_either_trained_on_or_held_out(pictures):
    source = f"folder:{pictures}"
    training, held_out = data.load(source), data.load_held_out(source)
    assert training.labels is None and held_out.labels is None
    assert training.images.shape == (36, 1, 28, 28) and training.images.dtype == torch.uint8
    assert len(held_out.images) == 4
    assert sorted(_numbers(training.images) + _numbers(held_out.images)) == list(range(40))


def test_subsets_of_a_folder_are_nested_and_another_seed_is_another_order(pictures):
    source = f"folder:{pictures}"
    every = _numbers(data.load(source, seed=1).images)
    for size in (1, 10, 36):
        assert _numbers(data.load(source, size, seed=1).images) == every[:size]
        assert not set(every) & set(_numbers(data.load_held_out(source, size, seed=1).images))
    assert _numbers(data.load(source, seed=2).images) != every


def test_a_colour_picture_becomes_grey_by_its_luminance(tmp_path):
    for index in range(3):
        Image.new("RGB", (9, 9), (255, 0, 0)).save(tmp_path / f"{index}.png")
    images = data.load(f"folder:{tmp_path}").images
    assert set(images.flatten().tolist()) == {76}  # 0.299 of 255 (ITU-R 601)


def test_sixteen_bits_of_grey_are_scaled_not_clipped(tmp_path):
    for index in range(3):
        Image.fromarray(np.full((28, 28), 0x8080, np.uint16)).save(tmp_path / f"{index}.png")
    images = data.load(f"folder:{tmp_path}").images
    assert set(images.flatten().tolist()) == {0x80}


def test_transparent_pixels_are_background_whatever_colour_they_hide(tmp_path):
    hidden = np.full((28, 28, 4), 255, np.uint8)
    hidden[..., 3] = 0
    for index in range(3):
        Image.fromarray(hidden).save(tmp_path / f"{index}.png")
    assert set(data.load(f"folder:{tmp_path}").images.flatten().tolist()) == {0}


def test_a_negative_seed_is_refused_by_name():
    with pytest.raises(DataError, match="seed -1"):
        data.load("drawn", 2, seed=-1)


def test_asking_for_more_than_a_folder_has_says_how_many_there_are(pictures):
    with pytest.raises(DataError, match=r"37 images .* has 36 .*ask for 36 or fewer"):
        data.load(f"folder:{pictures}", 37)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere is not a folder"):
        data.load(f"folder:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("count", [0, 2])
def test_a_folder_with_hardly_a_picture_says_what_it_looked_for(tmp_path, count):
    for index in range(count):
        Image.new("L", (28, 28)).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match=rf"{tmp_path.name} holds {count} pictures; .*\.png"):
        data.load(f"folder:{tmp_path}")


def _png() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def _png_with_a_broken_second_chunk() -> bytes:
    # two IDAT chunks, the name of the second one damaged: Pillow meets it while decoding
    whole = _png()
    start = whole.index(b"IDAT") - 4
    (length,) = struct.unpack(">I", whole[start : start + 4])
    content, rest = whole[start + 8 : start + 8 + length], whole[start + 12 + length :]
    half = len(content) // 2

    def chunk(name: bytes, part: bytes) -> bytes:
        import zlib

        checksum = zlib.crc32(name + part)
        return struct.pack(">I", len(part)) + name + part + struct.pack(">I", checksum)

    return whole[:start] + chunk(b"IDAT", content[:half]) + b"\0\0\0\1,,z\xdd" + rest


def _bmp_with_an_absurd_palette() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "BMP")
    content = bytearray(buffer.getvalue())
    content[46:50] = struct.pack("<I", 0x7F000100)  # colours in the palette
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<!DOCTYPE html><html></html>", id="html"),
        pytest.param(_png()[:1_000], id="truncated"),
        pytest.param(_png()[:8] + b"\0" * 500, id="no header"),
        pytest.param(_png_with_a_broken_second_chunk(), id="broken chunk"),
        pytest.param(_bmp_with_an_absurd_palette(), id="broken palette"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named(pictures, content):
    for broken in (pictures / "01.png", pictures / "deep" / "er" / "00.BMP"):
        broken.write_bytes(content)
    with pytest.raises(DataError, match=r"(01\.png|00\.BMP) cannot be read"):
        data.load(f"folder:{pictures}")
        data.load_held_out(f"folder:{pictures}")


def test_a_picture_of_absurd_size_is_named(tmp_path):
    for index in range(3):
        Image.new("1", (8_000, 7_000)).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match=r"\.png has 8000 x 7000 pixels"):
        data.load(f"folder:{tmp_path}")


# --- mnist ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        urllib.error.URLError("no route to host"),
        RuntimeError("Error downloading train-images-idx3-ubyte.gz"),
        PermissionError(13, "Permission denied"),
    ],
)
@pytest.mark.parametrize("load", [data.load, data.load_held_out])
def test_without_mnist_and_network_the_message_says_what_to_do(
    load, failure, monkeypatch, tmp_path
):
    def download(self):
        raise failure

    monkeypatch.setenv("GAN_DATA", str(tmp_path / "empty"))
    monkeypatch.setattr(import_datasets().MNIST, "download", download)
    with pytest.raises(DataError) as caught:
        load("mnist", 600)
    message = str(caught.value)
    assert "GAN_DATA" in message and "drawn" in message
    assert str(tmp_path / "empty") in message and str(failure) in message


@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html><html></html>", struct.pack(">4i", 0x803, 2, 28, 28) + bytes(2 * 784)],
    ids=["empty", "html", "two images"],
)
def test_damaged_mnist_files_are_a_data_error_that_names_the_folder(content, monkeypatch, tmp_path):
    raw = tmp_path / "bad" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(content)
        labels = struct.pack(">2i", 0x801, 2) + bytes(2)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    monkeypatch.setenv("GAN_DATA", str(tmp_path / "bad"))
    with pytest.raises(DataError, match=r"MNIST in .*bad .*--source drawn"):
        data.load("mnist", 600)


def test_the_data_folder_is_asked_for_when_it_is_needed(monkeypatch):
    monkeypatch.setenv("GAN_DATA", "somewhere")
    assert str(data.data_folder()) == "somewhere"
    monkeypatch.setenv("GAN_DATA", "")
    assert str(data.data_folder()) == "data"
    monkeypatch.delenv("GAN_DATA")
    assert str(data.data_folder()) == "data"


@pytest.mark.mnist
def test_subsets_of_mnist_are_nested():
    every = data.load("mnist", seed=0)
    assert every.images.shape == (60_000, 1, 28, 28) and every.images.dtype == torch.uint8
    assert every.labels is not None and every.labels.dtype == torch.int64
    for size in (200, 600, 6_000):
        subset = data.load("mnist", size, seed=0)
        assert torch.equal(subset.images, every.images[:size])
        assert torch.equal(subset.labels, every.labels[:size])
    more = data.load("mnist", 65_000, seed=0)
    assert len(more.images) == len(more.labels) == 65_000
    assert torch.equal(more.images[:60_000], every.images)


@pytest.mark.mnist
def test_another_seed_is_another_subset_of_the_same_images():
    one, other = data.load("mnist", 600, seed=0), data.load("mnist", 600, seed=1)
    shared = len(_rows(one.images) & _rows(other.images))
    assert shared < 30  # expected: 600 * 600 / 60,000 = 6
    assert _rows(data.load("mnist", seed=1).images) == _rows(data.load("mnist", seed=0).images)


@pytest.mark.mnist
@pytest.mark.parametrize(("size", "held_out"), [(None, 10_000), (60_000, 10_000), (65_000, 5_000)])
def test_held_out_mnist_never_overlaps_training(size, held_out):
    training = data.load("mnist", size)
    unseen = data.load_held_out("mnist", size)
    assert len(unseen.images) == len(unseen.labels) == held_out
    assert not _rows(unseen.images) & _rows(training.images)


@pytest.mark.mnist
def test_mnist_ends_at_sixty_five_thousand():
    with pytest.raises(DataError, match=r"65,001 .* has 65,000"):
        data.load("mnist", 65_001)
