import io
import struct
import urllib.error

import numpy as np
import pytest
import torch
from PIL import Image

from gan.data import mnist, sources, stacked
from gan.data.folder import folder_size
from gan.data.torchvision_compat import import_datasets
from gan.errors import DataError


def _rows(images: torch.Tensor) -> set[bytes]:
    return {picture.numpy().tobytes() for picture in images}


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
    assert sources.parse_size(text) == count


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "0", "-5", "-1%", "0%", "0.0001%", "1.5", "1e3", "0x10", "six", "__", ",", "%"),
        *("nan%", "inf%", "-inf%", "1e400%", "nan", "inf", "1%%", "9" * 5_000, "1; rm -rf"),
    ],
)
def test_an_amount_that_is_none_is_quoted(text):
    with pytest.raises(DataError) as caught:
        sources.parse_size(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("source", ["", "cifar", "MNIST", "mnist ", "folder", "folder:", "drawn:5"])
def test_an_unknown_source_is_quoted_and_the_known_are_listed(source):
    for load in (sources.load, sources.load_held_out):
        with pytest.raises(
            DataError, match="choose mnist, stacked, stacked:BASE, drawn or"
        ) as caught:
            load(source)
        assert repr(source) in str(caught.value)


@pytest.mark.parametrize("size", [0, -1])
def test_no_images_are_no_data(size):
    with pytest.raises(DataError, match=str(size)):
        sources.load("drawn", size)


def test_drawn_digits_are_labelled_pictures_on_black():
    images, labels = sources.load("drawn", 1_000)
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
    images, labels = sources.load("drawn", 2_000)
    pictures = images.flatten(1).float()
    means = torch.stack([pictures[:1_000][labels[:1_000] == digit].mean(0) for digit in range(10)])
    nearest = torch.cdist(pictures[1_000:], means).argmin(dim=1)
    assert float((nearest == labels[1_000:]).double().mean()) > 0.6  # chance: 0.1


def test_a_drawn_digit_depends_on_seed_and_place_only():
    many = sources.load("drawn", 4_200, seed=3)  # more than are drawn at a time
    for size in (1, 7, 600):
        few = sources.load("drawn", size, seed=3)
        assert torch.equal(few.images, many.images[:size])
        assert torch.equal(few.labels, many.labels[:size])
    other = sources.load("drawn", 600, seed=4)
    assert not _rows(other.images) & _rows(many.images)


def test_drawing_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    sources.load("drawn", 3)
    assert torch.equal(torch.rand(2), expected)


def test_held_out_drawn_digits_are_ten_thousand_others():
    held_out = sources.load_held_out("drawn", 600)
    assert len(held_out.images) == len(held_out.labels) == 10_000
    assert not _rows(held_out.images) & _rows(sources.load("drawn", 600).images)
    assert torch.equal(held_out.images, sources.load_held_out("drawn", 6_000).images)


def test_a_stacked_picture_is_three_digits_and_its_label_their_number(fake_mnist):
    source = "stacked:400"
    base = stacked.base_digits("400", seed=2)
    assert torch.equal(base.images, sources.load("mnist", 400, seed=2).images)
    digit_of = {p.numpy().tobytes(): int(d) for p, d in zip(*base, strict=True)}
    images, labels = sources.load(source, 500, seed=2)
    assert images.shape == (500, 3, 28, 28) and images.dtype == torch.uint8
    assert labels.shape == (500,) and labels.dtype == torch.int64
    for picture, label in zip(images, labels.tolist(), strict=True):
        digits = [digit_of[channel.numpy().tobytes()] for channel in picture]
        assert label == 100 * digits[0] + 10 * digits[1] + digits[2]
    assert len(set(labels.tolist())) > 300  # of 1,000, of which 500 draws hit 394 on average


def test_stacked_digits_are_drawn_alike_and_independently(fake_mnist):
    labels = sources.load("stacked", 20_000).labels
    share = torch.bincount(fake_mnist[True].labels, minlength=10).double() / 60_000
    for place in (100, 10, 1):
        counts = torch.bincount(labels // place % 10, minlength=10).double()
        error = (share * (1 - share) / 20_000).sqrt()
        assert bool(((counts / 20_000 - share).abs() < 5 * error).all()), place
    # pairs of channels: a chi-square of 81 degrees of freedom, five standard deviations
    for pair in (labels // 10, labels % 100, labels // 100 * 10 + labels % 10):
        seen = torch.bincount(pair, minlength=100).double()
        expected = 20_000 * torch.outer(share, share).flatten()
        assert float(((seen - expected) ** 2 / expected).sum()) < 99 + 5 * (2 * 99) ** 0.5


def test_a_stacked_picture_depends_on_seed_place_and_base_only(fake_mnist):
    many = sources.load("stacked", 3_000, seed=3)
    for size in (1, 7, 600):
        few = sources.load("stacked", size, seed=3)
        assert torch.equal(few.images, many.images[:size])
        assert torch.equal(few.labels, many.labels[:size])
    assert torch.equal(sources.load("stacked:60000", 600, seed=3).images, many.images[:600])
    for other in (sources.load("stacked", 600, seed=4), sources.load("stacked:300", 600, seed=3)):
        assert not torch.equal(other.labels, many.labels[:600])
    # a stretch can be entered anywhere
    base = stacked.base_digits("", seed=3)
    assert torch.equal(stacked.stack(base, 10, 3, start=500).images, many.images[500:510])


def test_stacked_digits_come_from_their_base_only_and_bases_are_nested(fake_mnist):
    small, large = (stacked.base_digits(str(n), seed=1) for n in (100, 350))
    assert torch.equal(large.images[:100], small.images)
    drawn = sources.load("stacked:100", 2_000, seed=1).images.flatten(0, 1)
    assert _rows(drawn) == _rows(small.images)  # 6,000 draws leave none of 100 out


def test_held_out_stacked_digits_are_of_test_images_alone(fake_mnist):
    held_out = sources.load_held_out("stacked:300", 600, seed=1)
    assert held_out.images.shape == (10_000, 3, 28, 28) and len(held_out.labels) == 10_000
    assert _rows(held_out.images.flatten(0, 1)) <= _rows(fake_mnist[False].images)
    training = sources.load("stacked", 5_000, seed=1).images.flatten(0, 1)
    assert not _rows(training) & _rows(fake_mnist[False].images)


def test_the_sizes_of_stacked_sets(fake_mnist, monkeypatch):
    monkeypatch.setattr(stacked, "stack", lambda digits, count, seed: count)
    assert sources.load("stacked") == 128_000
    assert sources.load("stacked", 10_000_000) == 10_000_000
    with pytest.raises(DataError, match=r"10,000,001 .* stacked has 10,000,000"):
        sources.load("stacked", 10_000_001)


@pytest.mark.parametrize(
    "rest",
    ["", "0", "-5", "60001", "6,000", "600 ", " 600", "0600", "six", "1.5", "６００", "9" * 99],
)
def test_a_base_that_is_no_number_of_digits_is_quoted(rest):
    for load in (sources.load, sources.load_held_out, sources.load_singles):
        with pytest.raises(DataError, match="stacked:600") as caught:
            load(f"stacked:{rest}")
        assert repr(f"stacked:{rest}") in str(caught.value)


def test_a_base_without_all_ten_digits_is_refused_by_name(fake_mnist):
    missing = set(range(10)) - set(sources.load("mnist", 5).labels.tolist())
    with pytest.raises(DataError, match="take more of them") as caught:
        sources.load("stacked:5")
    assert ", ".join(str(digit) for digit in sorted(missing)) in str(caught.value)


def test_single_digits_are_what_copies_are_looked_for_among(fake_mnist):
    training, held_out = sources.load_singles("stacked:300", 128_000, seed=1)
    assert torch.equal(training.images, stacked.base_digits("300", 1).images)
    assert torch.equal(held_out.images, fake_mnist[False].images)
    training, held_out = sources.load_singles("drawn", 40, seed=1)
    assert torch.equal(training.images, sources.load("drawn", 40, seed=1).images)
    assert torch.equal(held_out.images, sources.load_held_out("drawn", 40, seed=1).images)


@pytest.mark.mnist
def test_no_test_image_of_mnist_is_in_a_training_triple():
    unseen = _rows(sources.load_held_out("mnist").images)
    assert not _rows(sources.load("stacked", 3_000).images.flatten(0, 1)) & unseen
    assert _rows(sources.load_held_out("stacked").images.flatten(0, 1)) <= unseen


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
    training, held_out = sources.load(source), sources.load_held_out(source)
    assert training.labels is None and held_out.labels is None
    assert training.images.shape == (36, 1, 28, 28) and training.images.dtype == torch.uint8
    assert len(held_out.images) == 4
    assert sorted(_numbers(training.images) + _numbers(held_out.images)) == list(range(40))


def test_a_folder_says_how_many_pictures_there_are_to_train_on(pictures):
    count = folder_size(pictures)
    assert count == len(sources.load(f"folder:{pictures}").images)
    with pytest.raises(DataError, match=f"{count:,}"):
        sources.load(f"folder:{pictures}", count + 1)


def test_subsets_of_a_folder_are_nested_and_another_seed_is_another_order(pictures):
    source = f"folder:{pictures}"
    every = _numbers(sources.load(source, seed=1).images)
    for size in (1, 10, 36):
        assert _numbers(sources.load(source, size, seed=1).images) == every[:size]
        assert not set(every) & set(_numbers(sources.load_held_out(source, size, seed=1).images))
    assert _numbers(sources.load(source, seed=2).images) != every


def test_a_colour_picture_becomes_grey_by_its_luminance(tmp_path):
    for index in range(3):
        Image.new("RGB", (9, 9), (255, 0, 0)).save(tmp_path / f"{index}.png")
    images = sources.load(f"folder:{tmp_path}").images
    assert set(images.flatten().tolist()) == {76}  # 0.299 of 255 (ITU-R 601)


def test_sixteen_bits_of_grey_are_scaled_not_clipped(tmp_path):
    for index in range(3):
        Image.fromarray(np.full((28, 28), 0x8080, np.uint16)).save(tmp_path / f"{index}.png")
    images = sources.load(f"folder:{tmp_path}").images
    assert set(images.flatten().tolist()) == {0x80}


def test_transparent_pixels_are_background_whatever_colour_they_hide(tmp_path):
    hidden = np.full((28, 28, 4), 255, np.uint8)
    hidden[..., 3] = 0
    for index in range(3):
        Image.fromarray(hidden).save(tmp_path / f"{index}.png")
    assert set(sources.load(f"folder:{tmp_path}").images.flatten().tolist()) == {0}


def test_a_negative_seed_is_refused_by_name():
    with pytest.raises(DataError, match="seed -1"):
        sources.load("drawn", 2, seed=-1)


def test_asking_for_more_than_a_folder_has_says_how_many_there_are(pictures):
    with pytest.raises(DataError, match=r"37 images .* has 36 .*ask for 36 or fewer"):
        sources.load(f"folder:{pictures}", 37)


@pytest.mark.parametrize("side", [28, 32, 64])
def test_the_pictures_of_a_folder_come_in_the_resolution_asked_for(tmp_path, side):
    rng = np.random.default_rng(0)
    for index in range(12):
        pixels = rng.integers(0, 256, (side, side), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    written = {np.asarray(Image.open(p)).tobytes() for p in tmp_path.iterdir()}
    source = f"folder:{tmp_path}"
    training = sources.load(source, resolution=side)
    held_out = sources.load_held_out(source, resolution=side)
    assert training.images.shape[1:] == held_out.images.shape[1:] == (1, side, side)
    assert _rows(training.images) | _rows(held_out.images) == written  # nothing is resampled
    for part, found in zip(
        (training, held_out), sources.load_singles(source, None, 0, side), strict=True
    ):
        assert torch.equal(part.images, found.images)


def test_a_picture_that_is_no_square_is_squeezed_and_not_cut(tmp_path):
    for index in range(3):
        pixels = np.zeros((64, 128), np.uint8)
        pixels[:, :32] = pixels[:, 96:] = 255  # a quarter at each end
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    picture = sources.load(f"folder:{tmp_path}", resolution=64).images[0, 0]
    assert picture.shape == (64, 64)
    assert bool((picture[:, :13] == 255).all()) and bool((picture[:, 51:] == 255).all())
    assert bool((picture[:, 20:44] == 0).all())


@pytest.mark.parametrize("source", ["mnist", "stacked:600", "drawn"])
def test_only_a_folder_has_other_resolutions(source):
    for load in (sources.load, sources.load_held_out, sources.load_singles):
        with pytest.raises(DataError, match=rf"{source} has images of 28 x 28 pixels, not 64"):
            load(source, 20, resolution=64)


@pytest.mark.parametrize("side", [-1, 0, 3, 257])
def test_a_resolution_that_is_none_is_named(pictures, side):
    with pytest.raises(DataError, match=f"resolution {side} is not possible"):
        sources.load(f"folder:{pictures}", resolution=side)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere is not a folder"):
        sources.load(f"folder:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("count", [0, 2])
def test_a_folder_with_hardly_a_picture_says_what_it_looked_for(tmp_path, count):
    for index in range(count):
        Image.new("L", (28, 28)).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match=rf"{tmp_path.name} holds {count} images; .*\.png"):
        sources.load(f"folder:{tmp_path}")


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
        sources.load(f"folder:{pictures}")
        sources.load_held_out(f"folder:{pictures}")


def test_a_picture_of_absurd_size_is_named(tmp_path):
    for index in range(3):
        Image.new("1", (8_000, 7_000)).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match=r"\.png has 8000 x 7000 pixels"):
        sources.load(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    "failure",
    [
        urllib.error.URLError("no route to host"),
        RuntimeError("Error downloading train-images-idx3-ubyte.gz"),
        PermissionError(13, "Permission denied"),
    ],
)
@pytest.mark.parametrize("load", [sources.load, sources.load_held_out])
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


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_is_available_when_all_four_files_are(suffix, monkeypatch, tmp_path):
    raw = tmp_path / "here" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    monkeypatch.setenv("GAN_DATA", str(tmp_path / "here"))
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        for source in ("mnist", "stacked", "stacked:600"):
            with pytest.raises(DataError, match=r"MNIST is not in .*here.*GAN_DATA"):
                sources.require_available(source)
        (raw / f"{part}-ubyte{suffix}").touch()
    sources.require_available("mnist")
    sources.require_available("stacked:600")


def test_sources_that_need_no_download_are_available(tmp_path):
    sources.require_available("drawn")
    sources.require_available(f"folder:{tmp_path}")


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
        sources.load("mnist", 600)


def test_the_data_folder_is_read_from_the_environment_at_every_call(monkeypatch):
    monkeypatch.setenv("GAN_DATA", "somewhere")
    assert str(mnist.data_folder()) == "somewhere"
    monkeypatch.setenv("GAN_DATA", "")
    assert str(mnist.data_folder()) == "data"
    monkeypatch.delenv("GAN_DATA")
    assert str(mnist.data_folder()) == "data"


@pytest.mark.mnist
def test_subsets_of_mnist_are_nested():
    every = sources.load("mnist", seed=0)
    assert every.images.shape == (60_000, 1, 28, 28) and every.images.dtype == torch.uint8
    assert every.labels is not None and every.labels.dtype == torch.int64
    for size in (200, 600, 6_000):
        subset = sources.load("mnist", size, seed=0)
        assert torch.equal(subset.images, every.images[:size])
        assert torch.equal(subset.labels, every.labels[:size])
    more = sources.load("mnist", 65_000, seed=0)
    assert len(more.images) == len(more.labels) == 65_000
    assert torch.equal(more.images[:60_000], every.images)


@pytest.mark.mnist
def test_another_seed_is_another_subset_of_the_same_images():
    one, other = sources.load("mnist", 600, seed=0), sources.load("mnist", 600, seed=1)
    shared = len(_rows(one.images) & _rows(other.images))
    assert shared < 30  # expected: 600 * 600 / 60,000 = 6
    assert _rows(sources.load("mnist", seed=1).images) == _rows(
        sources.load("mnist", seed=0).images
    )


@pytest.mark.mnist
@pytest.mark.parametrize(("size", "held_out"), [(None, 10_000), (60_000, 10_000), (65_000, 5_000)])
def test_held_out_mnist_never_overlaps_training(size, held_out):
    training = sources.load("mnist", size)
    unseen = sources.load_held_out("mnist", size)
    assert len(unseen.images) == len(unseen.labels) == held_out
    assert not _rows(unseen.images) & _rows(training.images)


@pytest.mark.mnist
def test_mnist_ends_at_sixty_five_thousand():
    with pytest.raises(DataError, match=r"65,001 .* has 65,000"):
        sources.load("mnist", 65_001)
