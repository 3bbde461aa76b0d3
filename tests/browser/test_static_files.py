import hashlib
import os
import threading
import time

import pytest

from gan.browser import static_files
from gan.browser.static_files import publish, publish_bytes, tidy
from gan.errors import CheckpointError
from gan.system import files

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = f"{DIGEST}.safetensors"


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "models" / "model.safetensors"
    files.write_atomically(path, CONTENT)
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "static"


def _names(folder):
    """Everything that lies there, hidden files too."""
    return sorted(os.listdir(folder))


def test_a_file_is_published_under_its_digest_without_taking_room(weights, folder):
    assert publish(folder, weights, DIGEST, ".safetensors") == NAME
    assert (folder / NAME).samefile(weights) and not (folder / NAME).is_symlink()
    assert _names(folder) == [NAME]


def test_publishing_again_leaves_all_as_it_was(weights, folder):
    publish(folder, weights, DIGEST, ".safetensors")
    before = (folder / NAME).stat()
    assert publish(folder, weights, DIGEST, ".safetensors") == NAME
    assert (folder / NAME).stat() == before
    assert _names(folder) == [NAME]


def test_a_file_that_is_replaced_later_stays_published_as_it_was(weights, folder):
    publish(folder, weights, DIGEST, ".safetensors")
    files.write_atomically(weights, b"another model")
    assert (folder / NAME).read_bytes() == CONTENT
    weights.unlink()
    assert publish(folder, weights, DIGEST, ".safetensors") == NAME


def test_a_link_is_published_as_the_file_it_leads_to(weights, folder):
    link = weights.with_name("link")
    link.symlink_to(weights)
    publish(folder, link, DIGEST, ".safetensors")
    assert (folder / NAME).read_bytes() == CONTENT and not (folder / NAME).is_symlink()


def test_where_a_disk_has_no_second_names_it_is_a_copy(weights, folder, monkeypatch):
    def link(*_args, **_more):
        raise OSError("not on this disk")

    monkeypatch.setattr(os, "link", link)
    assert publish(folder, weights, DIGEST, ".safetensors") == NAME
    assert (folder / NAME).read_bytes() == CONTENT and not (folder / NAME).samefile(weights)
    assert _names(folder) == [NAME]


def test_bytes_are_published_under_their_digest(folder):
    assert publish_bytes(folder, CONTENT, ".bin") == f"{DIGEST}.bin"
    before = (folder / f"{DIGEST}.bin").stat()
    assert publish_bytes(folder, CONTENT, ".bin") == f"{DIGEST}.bin"
    assert (folder / f"{DIGEST}.bin").stat() == before
    assert (folder / f"{DIGEST}.bin").read_bytes() == CONTENT
    assert _names(folder) == [f"{DIGEST}.bin"]


def test_a_published_file_that_was_altered_is_put_right(weights, folder):
    for _ in range(2):  # found whole once
        publish(folder, weights, DIGEST, ".safetensors")
        publish_bytes(folder, CONTENT, ".bin")
    for altered in (b"", b"halfway", b"weights and more"):
        (folder / NAME).unlink(missing_ok=True)
        (folder / NAME).write_bytes(altered)
        publish(folder, weights, DIGEST, ".safetensors")
        assert (folder / NAME).read_bytes() == CONTENT
        (folder / f"{DIGEST}.bin").write_bytes(altered)
        publish_bytes(folder, CONTENT, ".bin")
        assert (folder / f"{DIGEST}.bin").read_bytes() == CONTENT


def test_a_file_is_read_once_not_at_every_run(weights, folder, monkeypatch):
    publish(folder, weights, DIGEST, ".safetensors")
    publish(folder, weights, DIGEST, ".safetensors")
    monkeypatch.setattr(files, "sha256", lambda path: pytest.fail("read again"))
    publish(folder, weights, DIGEST, ".safetensors")


def test_many_at_once_publish_one_file(weights, folder):
    results, start = [], threading.Barrier(8)

    def work(index):
        start.wait()
        for _ in range(20):
            name = publish(folder, weights, DIGEST, ".safetensors")
            # whatever the others do, what was published is there whole
            results.append((name, (folder / name).read_bytes()))
            results.append((NAME, (folder / NAME).read_bytes()))
            if index == 0:
                (folder / NAME).touch()  # so that all read it anew

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(NAME, CONTENT)] * (8 * 20 * 2)
    assert _names(folder) == [NAME]


def test_an_altered_source_is_not_published(weights, folder):
    weights.write_bytes(b"altered")
    with pytest.raises(CheckpointError, match=r"model\.safetensors has the digest .* altered"):
        publish(folder, weights, DIGEST, ".safetensors")
    assert _names(folder) == []


def test_a_missing_source_is_named(tmp_path, folder):
    with pytest.raises(CheckpointError, match=r"gone is missing; restore"):
        publish(folder, tmp_path / "gone", DIGEST, ".bin")


@pytest.mark.parametrize("digest", ["", "../../etc", DIGEST.upper(), DIGEST[:-1], f"{DIGEST}0"])
def test_what_is_no_digest_names_no_file(weights, folder, digest):
    with pytest.raises(CheckpointError, match="not a SHA-256 digest"):
        publish(folder, weights, digest, ".safetensors")
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(weights, folder):
    folder.write_text("a file in the place of the folder")
    for attempt in (
        lambda: publish(folder, weights, DIGEST, ".safetensors"),
        lambda: publish_bytes(folder, CONTENT, ".bin"),
    ):
        with pytest.raises(
            CheckpointError, match=r"static cannot be written .*give the app write access"
        ):
            attempt()


@pytest.fixture
def later(monkeypatch):
    """An hour passes."""
    now = time.time()
    monkeypatch.setattr(static_files.time, "time", lambda: now + 3_600)


def test_what_no_model_needs_is_removed_after_a_while(folder, later):
    kept, removed = (publish_bytes(folder, content, ".json") for content in (b"1", b"2"))
    assert tidy(folder, {kept}, older_than_seconds=7_200) == []
    assert tidy(folder, {kept}, older_than_seconds=1_800) == [removed]
    assert _names(folder) == [kept]
    assert tidy(folder, {kept}, older_than_seconds=1_800) == []


def test_an_old_file_that_was_published_just_now_is_not_old(weights, folder):
    os.utime(weights, (1, 1))
    publish(folder, weights, DIGEST, ".safetensors")
    assert tidy(folder, set(), older_than_seconds=60) == []
    assert _names(folder) == [NAME]


def test_only_what_was_published_is_ever_removed(weights, folder, later):
    publish(folder, weights, DIGEST, ".safetensors")
    others = [
        ".gitkeep",
        "logo.png",
        f"{DIGEST}",
        f"{DIGEST}.py",
        f"{DIGEST}.bin.bak",
        f"{DIGEST[:-1]}.bin",
        f"{DIGEST.upper()}.bin",
        f".{DIGEST}.bin",
        f"{'g' * 64}.bin",
    ]
    for name in others:
        (folder / name).write_text("of somebody else")
    (folder / "deeper").mkdir()
    (folder / "deeper" / NAME).write_text("of somebody else")
    assert tidy(folder, set(), older_than_seconds=0) == [NAME]
    assert _names(folder) == sorted([*others, "deeper"])
    assert _names(folder / "deeper") == [NAME]
    assert weights.read_bytes() == CONTENT


def test_what_was_tidied_away_is_published_again(weights, folder, later):
    publish(folder, weights, DIGEST, ".safetensors")
    assert tidy(folder, set(), older_than_seconds=0) == [NAME]
    assert publish(folder, weights, DIGEST, ".safetensors") == NAME
    assert (folder / NAME).read_bytes() == CONTENT


def test_a_folder_that_is_not_there_is_tidy(folder):
    assert tidy(folder, set(), older_than_seconds=0) == []
