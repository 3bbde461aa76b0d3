import errno
import json
import os

import pytest
import safetensors.torch
import torch
from torch import nn

from gan.errors import CheckpointError
from gan.system import files, tensor_files


def _tensors() -> dict[str, torch.Tensor]:
    return {
        "half": torch.tensor([[1.5, -2.0]]).half(),
        "double": torch.tensor([1e-300], dtype=torch.float64),
        "whole": torch.tensor(7),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "empty": torch.empty(0, 3),
    }


def test_what_is_saved_comes_back_to_the_bit(tmp_path):
    path = tmp_path / "deep" / "below" / "file.safetensors"
    tensor_files.save_tensors(path, "thing", _tensors(), {"step": 3, "name": "é"})
    tensors, info = tensor_files.load_tensors(path, "thing")
    assert info == {"kind": "thing", "step": 3, "name": "é"}
    assert tensors.keys() == _tensors().keys()
    for name, tensor in _tensors().items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor), name


def test_the_same_content_gives_the_same_file(tmp_path):
    for name in "ab":
        tensor_files.save_tensors(tmp_path / name, "thing", _tensors(), {"z": 1, "a": 2})
    assert files.sha256(tmp_path / "a") == files.sha256(tmp_path / "b")


def test_sha256_is_the_known_digest(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(tmp_path / "abc") == known
    with pytest.raises(FileNotFoundError):
        files.sha256(tmp_path / "nothing")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    files.write_atomically(path, b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(CheckpointError, match=r"file could not be written .*No space left"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_complete_before_it_gets_its_name(tmp_path, monkeypatch):
    seen = {}
    rename = os.replace

    def watch(source, target):
        seen.update(content=source.read_bytes(), folder=source.parent, existed=target.exists())
        rename(source, target)

    monkeypatch.setattr(os, "replace", watch)
    files.write_atomically(tmp_path / "file", b"all of it")
    # a rename is atomic only within one folder's file system
    assert seen == {"content": b"all of it", "folder": tmp_path, "existed": False}


def test_an_interruption_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_atomically(path, b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_can_be_read_by_others(tmp_path):
    files.write_atomically(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_made_is_a_checkpoint_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="could not be written"):
        files.write_atomically(tmp_path / "file" / "model", b"")


def _damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-4])


def _damage_header(path):
    path.write_bytes(path.read_bytes()[:20])


def _damage_empty(path):
    path.write_bytes(b"")


def _damage_html(path):
    path.write_text("<!DOCTYPE html><html><body>404: not found</body></html>")


def _damage_pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n")


def _damage_pickle(path):
    torch.save({"a": torch.zeros(1)}, path)


def _damage_folder(path):
    path.unlink()
    path.mkdir()


def _damage_missing(path):
    path.unlink()


def _damage_foreign(path):
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}))


def _damage_kind(path):
    tensor_files.save_tensors(path, "something else", {}, {})


def _metadata(text):
    def damage(path):
        path.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}, metadata={"gan": text}))

    damage.__name__ = f"metadata {text}"
    return damage


@pytest.mark.parametrize(
    "damage",
    [
        _damage_truncate,
        _damage_header,
        _damage_empty,
        _damage_html,
        _damage_pointer,
        _damage_pickle,
        _damage_folder,
        _damage_missing,
        _damage_foreign,
        _damage_kind,
        _metadata("{"),
        _metadata("[]"),
        _metadata("null"),
    ],
    ids=lambda damage: damage.__name__.removeprefix("_damage_"),
)
def test_a_file_that_is_not_ours_is_named(tmp_path, damage):
    path = tmp_path / "model.safetensors"
    tensor_files.save_tensors(path, "thing", {"a": torch.arange(100.0)}, {})
    damage(path)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        tensor_files.load_tensors(path, "thing")


@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe", b""])
def test_json_that_cannot_be_read_is_named_with_the_remedy(tmp_path, content):
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"manifest\.json .*; ask a friend$"):
        files.read_json(path, "ask a friend")


def test_json_survives_the_disk(tmp_path):
    content = {"b": [1, 2.5, None], "a": "é"}
    files.write_json(tmp_path / "x.json", content)
    assert files.read_json(tmp_path / "x.json", "") == content
    assert json.loads((tmp_path / "x.json").read_text()) == content


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_exactly_matching_tensors_are_taken_and_cast(tmp_path):
    source, target = _network(), _network()
    halves = {name: t.half() if t.ndim > 1 else t for name, t in source.state_dict().items()}
    tensor_files.load_strictly(target, halves, tmp_path / "file")
    assert target[0].weight.dtype == torch.float32
    torch.testing.assert_close(target[0].weight, source[0].weight.half().float())
    assert torch.equal(target[0].bias, source[0].bias)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.pop("0.bias"), r"missing \['0\.bias'\]"),
        (lambda t: t.update(extra=torch.zeros(1)), r"unexpected \['extra'\]"),
        (lambda t: t.update({"0.weight": torch.zeros(3, 3)}), r"0\.weight is \(3, 3\), .*\(3, 2\)"),
        (lambda t: t.update({"0.bias": torch.zeros(1)}), r"0\.bias is \(1,\)"),
        (lambda t: t.update({"1.running_var": torch.full((3,), torch.nan)}), r"1\.running_var"),
        (lambda t: t.update({"0.bias": torch.full((3,), torch.inf)}), "not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_and_change_nothing(tmp_path, change, complaint):
    network = _network()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    tensors = {name: t.clone() + 1 for name, t in before.items()}
    change(tensors)
    with pytest.raises(CheckpointError, match=complaint) as caught:
        tensor_files.load_strictly(network, tensors, tmp_path / "model.safetensors")
    assert "model.safetensors" in str(caught.value)
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


def test_below_takes_one_part_without_its_prefix():
    tensors = {"a.x": torch.zeros(1), "a.b.x": torch.ones(1), "ab.x": torch.ones(2), "a": None}
    assert list(tensor_files.with_prefix(tensors, "a")) == ["x", "b.x"]


def test_the_info_can_be_read_without_the_tensors(tmp_path, monkeypatch):
    path = tmp_path / "file.safetensors"
    tensor_files.save_tensors(path, "thing", {"a": torch.zeros(3)}, {"step": 5})

    class Closed:
        """Opens the file, but gives no tensors."""

        def __init__(self, *arguments, **named):
            self._file = opened(*arguments, **named)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def metadata(self):
            return self._file.metadata()

    opened = tensor_files.safe_open
    monkeypatch.setattr(tensor_files, "safe_open", Closed)
    with pytest.raises(AttributeError, match="keys"):
        tensor_files.load_tensors(path, "thing")
    assert tensor_files.read_info(path, "thing")["step"] == 5
    with pytest.raises(CheckpointError, match="holds 'thing', not 'other'"):
        tensor_files.read_info(path, "other")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is damaged"):
        tensor_files.read_info(path, "thing")


@pytest.mark.parametrize("links", [True, False])
def test_what_is_kept_outlives_the_file_it_was(tmp_path, monkeypatch, links):
    def refuse(*_):
        raise PermissionError("no second names here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path, name = tmp_path / "file", tmp_path / "kept" / "1"
    for content in (b"first", b"second"):  # an older one of that name gives way
        files.write_atomically(path, content)
        files.link_or_copy(path, name)
    assert path.samefile(name) == links
    files.write_atomically(path, b"third")
    assert (name.read_bytes(), path.read_bytes()) == (b"second", b"third")
    path.unlink()
    assert name.read_bytes() == b"second"
    assert [p.name for p in name.parent.iterdir()] == ["1"]
