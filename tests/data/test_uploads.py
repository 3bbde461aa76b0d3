import io
import struct
import threading
import time
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan.data import sources, uploads
from gan.data.uploads import Limits, keep
from gan.errors import CheckpointError, DataError


def _encoded(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _noise(seed: int, shape: tuple[int, ...] = (20, 20)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _pictures(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    return [(f"{i}.png", _encoded(_noise(i))) for i in range(first, first + count)]


def _zip(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def _one(content: bytes, name: str = "it.png", **limits) -> uploads.Kept:
    """What becomes of one file, uploaded together with eight good pictures."""
    return keep([*_pictures(8, first=100), (name, content)], Path("root"), Limits(**limits))


def _skipped(content: bytes, name: str = "it.png", **limits) -> str:
    """Why one file is left out; the good ones beside it are kept."""
    kept = _one(content, name, **limits)
    assert kept.count == 8
    ((shown, reason),) = kept.skipped
    assert shown.endswith(name)
    return reason


def _kept_pixels(content: bytes) -> np.ndarray:
    """What is kept of one picture, found as what the eight good ones do not have."""
    before = {p.read_bytes() for p in keep(_pictures(8, first=100), Path("root")).folder.iterdir()}
    kept = _one(content)
    assert kept.count == 9 and kept.skipped == ()
    (new,) = {p.read_bytes() for p in kept.folder.iterdir()} - before
    with Image.open(io.BytesIO(new)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture)


def _nothing_left() -> bool:
    return not Path("root").exists() or list(Path("root").iterdir()) == []


def test_pictures_become_a_folder_that_can_be_trained_on():
    kept = keep(
        [*_pictures(12), ("photo.JPG", _encoded(_noise(50, (300, 200, 3)), "JPEG"))], Path("root")
    )
    assert (kept.count, kept.skipped) == (13, ())
    assert sorted(p.name for p in kept.folder.iterdir()) == [f"{i:06}.png" for i in range(13)]
    assert kept.folder.parent == Path("root") and len(kept.folder.name) == 16
    source = f"folder:{kept.folder}"
    training, held_out = (
        sources.load(source, resolution=64),
        sources.load_held_out(source, resolution=64),
    )
    assert training.images.shape == (12, 1, 64, 64) and held_out.images.shape == (1, 1, 64, 64)


def test_small_grey_pictures_keep_every_pixel():
    pixels = _noise(1, (28, 28))
    assert np.array_equal(_kept_pixels(_encoded(pixels)), pixels)


def test_an_archive_and_its_pictures_one_by_one_give_the_same_folder():
    files = _pictures(9)
    single = keep(files, Path("root"))
    packed = keep([("all.zip", _zip([(f"deep/{n}", c) for n, c in reversed(files)]))], Path("root"))
    assert packed.folder == single.folder and packed.count == 9
    assert keep(_pictures(9, first=1), Path("root")).folder != single.folder
    assert len(list(Path("root").iterdir())) == 2


def test_large_pictures_are_made_small_in_their_proportions():
    assert _kept_pixels(_encoded(_noise(2, (300, 400)))).shape == (96, 128)
    assert _kept_pixels(_encoded(_noise(3, (2_000, 1_000, 3)), "JPEG")).shape == (128, 64)


def test_a_photograph_is_turned_upright():
    pixels = np.zeros((40, 60), np.uint8)
    pixels[:, :30] = 255  # the left half is light
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: left becomes up
    found = _kept_pixels(_encoded(pixels, "JPEG", exif=exif, quality=95))
    assert found.shape == (60, 40)
    assert found[:28].min() > 240 and found[32:].max() < 15


def test_sixteen_bits_of_grey_are_scaled():
    found = _kept_pixels(_encoded(np.full((20, 20), 0x8080, np.uint16)))
    assert set(found.ravel().tolist()) == {0x80}


def test_the_transparent_part_of_a_palette_is_background():
    picture = Image.new("P", (20, 20), 1)
    picture.putpalette([255, 255, 255, 200, 200, 200])
    picture.paste(0, (0, 0, 10, 20))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=0)
    found = _kept_pixels(buffer.getvalue())
    assert set(found[:, :10].ravel().tolist()) == {0} and set(found[:, 10:].ravel().tolist()) == {
        200
    }


def test_nothing_but_pixels_survives():
    secret = b"<script>alert(1)</script>"
    content = _encoded(_noise(4, (60, 60, 3)), "JPEG", comment=secret, exif=b"Exif\0\0" + secret)
    assert secret in content
    kept = _one(content + secret, name=f"{secret.decode()}.jpg")
    assert kept.count == 9
    for path in kept.folder.iterdir():
        written = path.read_bytes()
        assert secret not in written
        assert {b"IHDR", b"IDAT", b"IEND"} == set(_chunks(written))


def _chunks(png: bytes) -> list[bytes]:
    place, names = 8, []
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        names.append(png[place + 4 : place + 8])
        place += 12 + length
    return names


def test_a_picture_that_comes_twice_is_kept_once():
    assert _skipped(_pictures(1, first=103)[0][1]) == "the same image as 103.png"


def test_what_systems_hide_is_passed_over():
    good = _pictures(8)
    hidden = [*("__MACOSX/._0.png", ".DS_Store", "a/.git/1.png", "empty/")]
    kept = keep([("all.zip", _zip(good + [(name, b"") for name in hidden]))], Path("root"))
    assert (kept.count, kept.skipped) == (8, ())


def test_names_that_lead_elsewhere_lead_nowhere(tmp_path):
    good = _encoded(_noise(200)), _encoded(_noise(201)), _encoded(_noise(202))
    names = ("../../x.png", f"{tmp_path}/y.png", "C:\\windows\\z.png")
    before = {p for p in tmp_path.parent.rglob("*")}
    kept = keep(
        [("all.zip", _zip(list(zip(names, good, strict=True)) + _pictures(8)))], Path("root")
    )
    assert kept.count == 11
    inside = {tmp_path / "root", *(tmp_path / "root").rglob("*")}
    assert set(tmp_path.parent.rglob("*")) - before == inside
    assert {p.name for p in kept.folder.iterdir()} == {f"{i:06}.png" for i in range(11)}


def test_a_name_is_repeated_short_and_without_control_characters():
    kept = _one(b"no picture", name="a\x1b[31m\n" + "b" * 500)
    ((shown, _),) = kept.skipped
    assert shown.startswith("a[31mbb") and len(shown) == 80


def _png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises what its few bytes do not hold."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content
            + struct.pack(">I", zlib.crc32(name + content))
        )  # fmt: skip

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"<html></html>", "neither PNG nor JPEG", id="html"),
        pytest.param(b"GIF89a" + bytes(50), "neither PNG nor JPEG", id="gif"),
        pytest.param(_encoded(_noise(5, (99, 99)))[:900], "cannot be read", id="truncated PNG"),
        pytest.param(
            _encoded(_noise(5, (99, 99)), "JPEG")[:900], "cannot be read", id="truncated JPEG"
        ),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(99), "cannot be read", id="no header"),
        pytest.param(
            b"\x89PNG\r\n\x1a\n" + _zip(_pictures(2)),
            "a zip archive in one",
            id="zip after a start",
        ),
        pytest.param(
            _encoded(_noise(5)) + _zip(_pictures(2)), "a zip archive in one", id="zip after a PNG"
        ),
        pytest.param(
            _encoded(_noise(5), "JPEG") + _zip(_pictures(2)),
            "a zip archive in one",
            id="zip after a JPEG",
        ),
        pytest.param(_png_of(50_000, 50_000), "far too many pixels", id="promises a lot"),
        pytest.param(
            _png_of(5_000, 4_001), "5000 x 4001 pixels, where at most 20,000,000", id="large"
        ),
        pytest.param(
            _encoded(_noise(5, (7, 20))), "20 x 7 pixels, but each side needs", id="small"
        ),
        pytest.param(
            _encoded(_noise(5, (20, 81))), "81 x 20 pixels, but one side may", id="a strip"
        ),
        pytest.param(
            b"\xff\xd8\xff" + b"\xff\xda\0\0" * 101, "more than 100 scans", id="many passes"
        ),
    ],
)
def test_what_cannot_be_used_is_named_with_the_reason(content, reason):
    assert reason in _skipped(content)
    assert reason in _skipped(_zip([("it.png", content)]))


def test_the_bounds_of_one_picture_are_inside():
    for shape in ((8, 8), (20, 80), (80, 20)):
        assert _one(_encoded(_noise(6, shape))).count == 9
    assert _one(_encoded(_noise(6, (30, 40))), pixels=1_200).count == 9
    assert "at most 1,199" in _skipped(_encoded(_noise(6, (30, 40))), pixels=1_199)


def test_no_pixel_is_decoded_of_a_picture_that_is_too_large(monkeypatch):
    def decode(self):
        raise AssertionError("decoded")

    files = _pictures(8)
    monkeypatch.setattr(Image.Image, "load", decode)
    with pytest.raises(DataError, match="at most 399 are read"):
        keep(files, Path("root"), Limits(pixels=399))
    with pytest.raises(DataError, match="cannot be read"):  # were it decoded, it would be seen
        keep(files, Path("root"), Limits(pixels=400))


def test_a_warning_of_the_decoder_does_not_let_a_bomb_through():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a server, where warnings raise nothing
        assert "at most 20,000,000" in _skipped(_png_of(10_000, 10_000))


def test_an_archive_in_an_archive_is_not_opened():
    inner = _zip(_pictures(3))
    packed = _zip([("inner.zip", inner), *_pictures(8)])
    kept = keep([("all.zip", packed)], Path("root"))
    assert kept.skipped == (
        ("all.zip/inner.zip", "is an archive inside an archive; unpack it first"),
    )


def test_an_encrypted_member_says_so():
    packed = bytearray(_zip([("secret.png", _encoded(_noise(7)))]))
    packed[packed.index(b"PK\x03\x04") + 6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    assert _skipped(bytes(packed), name="secret.png") == "is encrypted; pack it without a password"


def test_unusual_packing_is_named_and_not_tried():
    packed = _zip([("it.png", _encoded(_noise(7)))], zipfile.ZIP_LZMA)
    assert "method 14" in _skipped(packed)


def test_a_member_whose_bytes_were_changed_is_left_out():
    packed = bytearray(_zip([("it.png", _encoded(_noise(7)))], zipfile.ZIP_STORED))
    packed[packed.index(b"IDAT") + 20] ^= 0xFF
    assert "damaged in the archive" in _skipped(bytes(packed))


def test_another_decoder_is_never_asked(monkeypatch):
    asked = []
    opened = Image.open
    monkeypatch.setattr(
        Image, "open", lambda file, **options: asked.append(options) or opened(file, **options)
    )
    keep(_pictures(8), Path("root"))
    assert asked == [{"formats": ("PNG", "JPEG")}] * 8


def _refused(files: list[tuple[str, bytes]], match: str, **limits) -> None:
    with pytest.raises(DataError, match=match):
        keep(files, Path("root"), Limits(**limits))
    assert _nothing_left()


def test_a_bomb_is_stopped_where_the_bound_is():
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("zeros.png", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(1_000_000))
    started = time.monotonic()
    _refused(
        [("bomb.zip", packed.getvalue())], "bomb.zip unpacks to more than the 100,000,000 bytes"
    )
    assert time.monotonic() - started < 5.0


def test_a_bomb_in_many_members_and_archives_is_counted_together():
    half = _zip([(f"{i}.bin", bytes(300)) for i in range(2)])
    kept = keep([("a.zip", half), *_pictures(8)], Path("other"), Limits(unpacked_bytes=600))
    assert kept.count == 8
    _refused([("a.zip", half), *_pictures(8)], "a.zip unpacks to more", unpacked_bytes=599)
    _refused([("a.zip", half), ("b.zip", half)], "b.zip unpacks to more", unpacked_bytes=1_199)


def _lying(size: int) -> bytes:
    """An archive of 1,000 bytes that says they were ``size``."""
    packed = bytearray(_zip([("zeros.png", bytes(1_000))]))
    for start, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = packed.index(start) + offset
        packed[place : place + 4] = struct.pack("<I", size)
    return bytes(packed)


def test_what_an_archive_says_of_its_sizes_is_not_believed():
    assert "damaged in the archive" in _skipped(_lying(10), name="zeros.png")
    # said to be 4 GB, and in truth little: measured, not refused for what it says
    assert _one(_lying(2**32 - 2), name="zeros.png").count == 8


def test_damaged_members_count_against_the_bound_too():
    packed = bytearray(_zip([(f"{i}.bin", bytes(400)) for i in range(3)]))
    place = -1
    for _ in range(3):
        place = packed.index(b"PK\x01\x02", place + 1)
        packed[place + 16] ^= 0xFF  # the checksum
    kept = keep([("a.zip", bytes(packed)), *_pictures(8)], Path("other"))
    assert [reason[:10] for _, reason in kept.skipped] == ["is damaged"] * 3
    _refused([("a.zip", bytes(packed))], "unpacks to more", unpacked_bytes=3 * 2**16 - 1)


def test_a_long_table_of_contents_is_not_read(monkeypatch):
    packed = _zip([(f"{i}.png", b"") for i in range(20)])
    monkeypatch.setattr(zipfile, "ZipFile", None)
    _refused([("all.zip", packed)], "all.zip has 20 entries, where at most 19", members=19)


@pytest.mark.parametrize("cut", [30, 400, -10])
def test_a_damaged_archive_is_named(cut):
    _refused([("all.zip", _zip(_pictures(9))[:cut]), *_pictures(9)], "all.zip is (cut off|damaged)")


@pytest.mark.parametrize(
    ("files", "match"),
    [
        pytest.param([], "holds 0 usable images, where at least 8", id="nothing"),
        pytest.param(_pictures(7), "holds 7 usable images, where at least 8", id="seven"),
        pytest.param([("a.zip", _zip([]))], "holds 0 usable images", id="empty archive"),
        pytest.param(
            [("a.txt", b"x"), *_pictures(3)],
            r"3 usable .*left out: a\.txt: is neither PNG nor JPEG",
            id="reasons",
        ),
        pytest.param(
            [("p.png", _encoded(_noise(5)) + _zip(_pictures(9)))],
            r"0 usable .*p\.png: is an image and a zip archive in one",
            id="polyglot",
        ),
    ],
)
def test_too_few_pictures_are_refused_with_what_was_wrong(files, match):
    _refused(files, match)


def test_too_much_is_refused_with_the_bound():
    size = sum(len(content) for _, content in _pictures(9))
    _refused(
        _pictures(9), f"has {size:,} bytes, where at most {size - 1:,}", uploaded_bytes=size - 1
    )
    _refused(_pictures(9), "more than 8 images", images=8)
    _refused(_pictures(9), "more than 3,599 pixels together", total_pixels=3_599)
    bounds = Limits(uploaded_bytes=size, images=9, total_pixels=3_600, least_images=9)
    assert keep(_pictures(9), Path("root"), bounds).count == 9


def test_a_full_root_refuses_and_leaves_what_others_keep():
    first = keep(_pictures(8), Path("root"), Limits(root_bytes=8 * 4_096))
    with pytest.raises(DataError, match=r"32,768 bytes, of which 0 are free.*needs 36,864"):
        keep(_pictures(9, first=20), Path("root"), Limits(root_bytes=8 * 4_096))
    assert list(Path("root").iterdir()) == [first.folder]
    # the same again takes no room
    assert keep(_pictures(8), Path("root"), Limits(root_bytes=8 * 4_096)) == first
    assert keep(_pictures(9, first=20), Path("root"), Limits(root_bytes=17 * 4_096)).count == 9


def test_a_full_disk_leaves_nothing_behind(monkeypatch):
    written = []
    write = Path.write_bytes

    def fill_up(self, content):
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        written.append(self)
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(CheckpointError, match=r"root .*No space left on device.*free some space"):
        keep(_pictures(8), Path("root"))
    assert len(written) == 5 and _nothing_left()


def test_a_root_that_is_no_folder_is_named():
    Path("root").write_text("")
    with pytest.raises(CheckpointError, match="could not be written to root"):
        keep(_pictures(8), Path("root"))


def test_a_folder_that_lost_a_picture_is_made_whole():
    kept = keep(_pictures(8), Path("root"))
    before = {p.name: p.read_bytes() for p in kept.folder.iterdir()}
    for damage in (lambda p: p.unlink(), lambda p: p.write_bytes(b"")):
        damage(kept.folder / "000003.png")
        assert keep(_pictures(8), Path("root")) == kept
        assert {p.name: p.read_bytes() for p in kept.folder.iterdir()} == before
    assert list(Path("root").iterdir()) == [kept.folder]


def test_a_whole_folder_is_left_as_it_is():
    kept = keep(_pictures(8), Path("root"))
    before = {p: p.stat().st_mtime_ns for p in (kept.folder, *kept.folder.iterdir())}
    keep(_pictures(8), Path("root"))
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_the_same_upload_at_the_same_time_gives_one_folder(monkeypatch):
    together = threading.Barrier(3, timeout=30)
    make = uploads.tempfile.mkdtemp

    def meet(**options):
        together.wait()  # all have seen that it is not there
        return make(**options)

    monkeypatch.setattr(uploads.tempfile, "mkdtemp", meet)
    kept, errors = [], []

    def upload():
        try:
            kept.append(keep(_pictures(8), Path("root")))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=upload) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(kept) == 3 and len(set(kept)) == 1
    assert list(Path("root").iterdir()) == [kept[0].folder]
    assert len(list(kept[0].folder.iterdir())) == 8


def test_what_a_killed_upload_left_goes_after_an_hour():
    for name, age in (("old", 4_000), ("new", 10)):
        folder = Path("root") / f".upload-{name}"
        folder.mkdir(parents=True)
        (folder / "000000.png").write_bytes(b"half")
        uploads.os.utime(folder, (time.time() - age,) * 2)
    kept = keep(_pictures(8), Path("root"))
    assert set(Path("root").iterdir()) == {kept.folder, Path("root/.upload-new")}
