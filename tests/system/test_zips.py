import io
import struct
import zipfile

import pytest

from gan.system import zips


def _zip(members: dict[str, bytes], comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = comment
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _read(content: bytes, most: int = 2, inflated: int = 1_000) -> dict[str, bytes]:
    limit = zips.InflateLimit(inflated)
    with zips.open_zip(content, most) as archive:
        return {m.filename: zips.read_member(archive, m, limit) for m in archive.infolist()}


@pytest.mark.parametrize("comment", [b"", b"made with a packer", b"x" * 0xFFFF])
def test_an_ordinary_archive_is_read_whatever_its_comment(comment):
    # a member's bytes may look like entries of the directory
    members = {"a": b"PK\x01\x02" * 50, "b": b""}
    assert _read(_zip(members, comment)) == members


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param(b"", "cut off", id="nothing"),
        pytest.param(b"PK\x05\x06", "cut off", id="only a mark"),
        pytest.param(_zip({"a": b""})[:-1], "cut off", id="cut off"),
        pytest.param(_zip({"a": b""}, b"comment")[:-1], "mixed with", id="comment cut off"),
        pytest.param(_zip({"a": b""}) + b"x", "mixed with", id="bytes behind"),
        pytest.param(b"x" + _zip({"a": b""}), "mixed with", id="bytes before"),
        pytest.param(_zip({"a": b""}) + _zip({"b": b""}), "mixed with", id="two archives"),
        pytest.param(_zip({"a": b""}, _zip({"b": b""})), "mixed with", id="one in the comment"),
        pytest.param(_zip({c: b"" for c in "abc"}), "has 3 entries, where at most 2", id="many"),
        pytest.param(_zip({"a": bytes(1_001)}), "more than the 1,000 bytes", id="large"),
        pytest.param(
            _zip({"a": bytes(600), "b": bytes(600)}), "more than the 1,000", id="large together"
        ),
        pytest.param(
            _zip({"a": b""})[:-22]
            + b"PK\x06\x07"
            + bytes(16)
            + _zip({"a": b""})[-22:-10]
            + struct.pack("<LLH", 67, 31, 0),
            "zip64",
            id="zip64",
        ),
    ],
)
def test_anything_else_is_refused(content, match):
    with pytest.raises(zips.ZipError, match=match):
        _read(content)


@pytest.mark.parametrize("start", [b"", b"\x89PNG\r\n\x1a\n", b"x" * 500])
def test_an_archive_is_found_behind_other_bytes(start):
    assert zips.contains_zip(start + _zip({"a": b"x"}))
    assert not zips.contains_zip(start + b"PK\x05\x06" + bytes(18))
