import copy
import hashlib
import io
import json
import os
import shutil
import struct
import warnings
import zipfile
import zlib
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save as serialise

from gan.cli import zoo
from gan.config import ModelConfig
from gan.errors import CheckpointError
from gan.networks import dcgan
from gan.runs import model_file
from gan.system import files as file_system
from gan.system import tensor_files
from gan.zoo import bundle, bundle_check, cards

NAMES = sorted(bundle_check.MEMBERS)
V0_1 = Path(__file__).resolve().parents[1] / "fixtures" / "v0.1"
V0_1_RUN = V0_1 / "runs" / "drawn-40-updates-plain-s0-d2281889"
SHIPPED = ("mnist-200-updates-rescue", "mnist-600-updates-plain", "mnist-600-updates-plain-best")


@pytest.fixture(scope="module")
def card(finished):
    return cards.read_manifest(finished)[0]


@pytest.fixture(scope="module")
def packed(card):
    return bundle.pack(card)


@pytest.fixture
def files(packed):
    """The four files of a valid bundle, for tests to change."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(files, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return buffer.getvalue()


def _refused(content, match=None):
    """The error of an import, which must leave no file."""
    with pytest.raises(CheckpointError, match=match) as caught:
        bundle.install(content, cards.RUNS)
    assert not cards.RUNS.exists()
    message = str(caught.value)
    assert message.startswith("this file cannot be imported: ")
    assert message.endswith("python -m gan zoo export NAME FILE")
    assert len(message) < 1_000 and message.isprintable()
    return message


def _edited(files, change, name="manifest.json"):
    """The bundle after ``change`` of the model's entry, or of another file's JSON."""
    content = json.loads(files[name])
    change(content["models"][0] if name == "manifest.json" else content)
    return _zip({**files, name: json.dumps(content).encode()})


def _with_weights(files, weights, **changes):
    """The bundle with other weights, which its manifest describes well."""
    entry = {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights), **changes}
    changed = {**files, "model.safetensors": weights}
    return _edited(changed, lambda there: there.update(entry))


def test_a_run_comes_back_as_the_same_model(card, packed, tmp_path):
    there = bundle.install(packed, tmp_path / "runs")
    assert there.name == f"import-{card.sha256[:12]}-final" == there.path.parent.name
    names = ("config", "metrics", "seed_rows", "sha256", "snapshot", "step", "seed", "seeds")
    for name in names:
        assert getattr(there, name) == getattr(card, name), name
    assert cards.list_models(there.path.parent, tmp_path / "runs") == [there, there]
    evidence = cards.load_evidence(card)
    assert cards.load_evidence(there) == evidence
    films = [cards.load_film(c, len(evidence["moments"])) for c in (card, there)]
    assert np.array_equal(*films)
    z = torch.ones(2, 6)
    drawn = [cards.open_model(c).generator(z) for c in (card, there)]
    assert torch.equal(*drawn)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_can_be_imported_and_exported_again(name, tmp_path):
    """The second export has the same bytes as the first."""
    card = cards.find(name, cards.list_models(runs=None))
    content = bundle.pack(card)
    there = bundle.install(content, tmp_path)
    assert (there.config, there.metrics) == (card.config, card.metrics)
    assert (there.sha256, there.snapshot) == (card.sha256, card.snapshot)
    assert there.seed_rows == card.seed_rows
    assert there.provenance["imported_name"] == name
    assert bundle.pack(there) == content


def test_a_bundle_of_version_0_1_is_imported(tmp_path):
    """That version called the classifier "judge", key and value."""
    card = bundle.install(bundle.read_file(V0_1 / "bundle.zip"), tmp_path)
    there = cards.find("drawn-40-updates-plain-s0-d2281889", cards.read_manifest(V0_1_RUN))
    assert (card.config, card.metrics) == (there.config, there.metrics)
    assert (card.sha256, card.step) == (there.sha256, there.step)
    assert card.seed_rows == there.seed_rows
    assert cards.load_evidence(card) == cards.load_evidence(there)
    assert card.provenance["imported_name"] == there.name
    assert cards.open_model(card).generator(torch.ones(2, 6)).shape == (2, 1, 28, 28)
    # what was imported from it can be exported and imported again
    assert bundle.install(bundle.pack(card), tmp_path / "again").metrics == card.metrics


def test_an_imported_model_is_marked_with_its_date(card, packed, tmp_path):
    there = bundle.install(packed, tmp_path)
    assert cards.is_imported(there) and not cards.is_imported(card)
    assert date.fromisoformat(there.provenance["imported"]) <= date.today()
    assert there.provenance["imported_name"] == "finished"


def test_the_same_model_gives_the_same_bytes_and_exactly_four_files(card, packed):
    assert bundle.pack(card) == packed
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == NAMES
        assert {m.date_time for m in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["version"] == 1 and len(manifest["models"]) == 1


def test_the_same_bundle_twice_is_one_model(packed, tmp_path):
    first = bundle.install(packed, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert bundle.install(packed, tmp_path) == first
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    assert os.listdir(tmp_path) == [first.name]


def test_a_bundle_that_was_packed_again_with_another_program_is_taken(files, tmp_path):
    content = _zip(dict(reversed(files.items())), zipfile.ZIP_DEFLATED)
    assert cards.open_model(bundle.install(content, tmp_path)).generator.latent_dim == 6


def test_other_figures_of_the_same_weights_do_not_replace_the_first(files, packed, tmp_path):
    first = bundle.install(packed, tmp_path)
    other = _edited(files, lambda entry: entry["seeds"][0].update(fd=0.1))
    with pytest.raises(
        CheckpointError, match=r"import-\w+-final holds these .*; remove that folder"
    ):
        bundle.install(other, tmp_path)
    assert cards.read_manifest(tmp_path / first.name) == [first]


def test_an_import_that_was_damaged_since_is_named(packed, tmp_path):
    first = bundle.install(packed, tmp_path)
    first.film_path.write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"other figures or files; remove that folder"):
        bundle.install(packed, tmp_path)
    first.film_path.unlink()
    with pytest.raises(CheckpointError, match=r"is there but damaged .*; remove that folder"):
        bundle.install(packed, tmp_path)
    shutil.rmtree(tmp_path / first.name)
    bundle.install(packed, tmp_path)
    first.path.write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"is there but damaged .*; remove that folder"):
        bundle.install(packed, tmp_path)


def test_a_disk_that_is_full_leaves_nothing(packed, tmp_path, monkeypatch):
    def write(path, content):
        raise CheckpointError("no space")

    monkeypatch.setattr(file_system, "write_json", write)
    with pytest.raises(CheckpointError, match="no space"):
        bundle.install(packed, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_still_written_is_no_model(finished, tmp_path):
    shutil.copytree(finished, tmp_path / ".import-half")
    assert cards.list_models(finished, tmp_path) == cards.read_manifest(finished)


@pytest.fixture
def private(finished, tmp_path, tiny):
    """A run on own images, whose folder and command must stay private."""
    folder = tmp_path / "private"
    shutil.copytree(finished, folder)
    config = tiny(source="folder:/home/jane doe/pictures of cats")
    path = folder / "model.safetensors"
    generator, _ = model_file.load_model(path)
    model_file.save_model(path, generator, config, 12)
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    entry = content["models"][0]
    entry |= {"config": config.to_dict(), "sha256": file_system.sha256(path)}
    entry["provenance"] |= {"command": "train --out /home/jane"}
    content["models"] = [entry]
    manifest.write_text(json.dumps(content))
    return cards.read_manifest(folder)[0]


def test_an_export_contains_no_path_and_no_command(private, tmp_path):
    content = bundle.pack(private)
    assert b"pictures of cats" in content
    for secret in (b"jane", b"home", b"command", b"the command"):
        assert secret not in content
    there = bundle.install(content, tmp_path / "runs")
    assert there.source == "folder:pictures of cats"
    assert model_file.model_config(there.path) == there.config
    before, after = (cards.open_model(c).generator(torch.ones(2, 6)) for c in (private, there))
    assert torch.equal(before, after)
    assert {"device", "seconds", "torch"} <= set(there.provenance)


@pytest.mark.parametrize(
    ("source", "public"),
    [
        ("mnist", "mnist"),
        ("stacked:600", "stacked:600"),
        ("folder:/home/x/pics/", "folder:pics"),
        ("folder:C:\\Users\\x\\pics", "folder:pics"),
        ("folder:pics", "folder:pics"),
        ("folder:..", "folder:pictures"),
        ("folder:/", "folder:pictures"),
    ],
)
def test_only_the_last_part_of_a_folder_is_public(source, public):
    assert bundle_check.public_source(source) == public
    assert bundle_check.public_source(public) == public


def test_the_command_in_an_imported_file_is_dropped(files, tmp_path):
    """Nor can the file set the date of its own import."""
    provenance = {"command": "rm -r /", "imported": "never", "seconds": 3}
    content = _edited(files, lambda entry: entry.update(provenance=provenance))
    provenance = bundle.install(content, tmp_path).provenance
    assert set(provenance) == {"seconds", "imported", "imported_name"}
    assert provenance["imported"] != "never"


def test_a_model_that_is_damaged_is_not_exported(finished, tmp_path):
    for name, match in (
        ("model.safetensors", "is not the file its manifest describes"),
        ("evidence.json", r"evidence\.json"),
        ("film.png", r"finished cannot be exported: film\.png .*; train the model again"),
    ):
        folder = tmp_path / name
        shutil.copytree(finished, folder)
        card = cards.read_manifest(folder)[0]
        (folder / name).write_bytes(b"x")
        with pytest.raises(CheckpointError, match=match):
            bundle.pack(card)
    (folder / "film.png").unlink()
    with pytest.raises(CheckpointError, match=r"film\.png.*; restore"):
        bundle.pack(card)


def test_a_nan_score_is_not_exported(card):
    spoiled = copy.deepcopy(card)
    # no figure can be made with this value
    object.__setattr__(spoiled.metrics.figures["fd"], "value", float("nan"))
    with pytest.raises(CheckpointError, match=r"finished cannot be exported: .*NaN"):
        bundle.pack(spoiled)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is not a bundle"),
        (b"PK\x03\x04", "cut off"),
        (b"%PDF-1.7" + b"x" * 900, "is not a bundle"),
        (b"\n<!DOCTYPE html><html>Not found</html>", "is not a bundle but a web page"),
        (b"PK\x03\x04" + b"\0" * 500, "cut off"),
    ],
)
def test_what_is_no_zip_is_refused(content, match):
    _refused(content, match)


def test_a_bundle_that_was_cut_off_is_refused_wherever(packed):
    for end in (50, len(packed) // 2, len(packed) - 1):
        _refused(packed[:end], "cut off")
    _refused(packed + b"x", "mixed with other data")


def test_a_file_that_is_too_large_is_refused(packed, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_BYTES", len(packed) - 1)
    _refused(packed, "is larger than")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "readme.txt", "sub/film.png", "sub/"])
def test_a_fifth_file_is_refused(files, name):
    _refused(_zip({**files, name: b""}), "it holds .* not exactly evidence.json, film.png")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_missing_or_elsewhere_is_refused(files, name):
    content = files.pop(name)
    _refused(_zip(files), "not exactly")
    _refused(_zip({**files, f"../{name}": content}), "not exactly")


def test_two_files_of_one_name_are_refused(files):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, that the name is there twice
        content = _zip([*files.items(), ("film.png", files["film.png"])])
        replaced = _zip([*list(files.items())[1:], ("film.png", b"")])
    _refused(content, "not exactly")
    _refused(replaced, "not exactly")


def _flagged(content, flag):
    """Every member marked, both times it is described."""
    changed = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            changed[at + place] |= flag
    return bytes(changed)


def test_an_encrypted_bundle_is_refused(packed):
    _refused(_flagged(packed, 1), r"imported: evidence\.json is encrypted")


def test_a_bundle_packed_in_an_unusual_way_is_refused(files):
    _refused(_zip(files, zipfile.ZIP_BZIP2), "compressed by method 12")


def test_a_bomb_is_refused_before_it_is_inflated(files, monkeypatch):
    """A member of 50 megabytes in a few kilobytes is not read further than it may be."""
    read = []
    inflate = zipfile.ZipExtFile.read

    def counted(self, n=-1):
        part = inflate(self, n)
        read.append(len(part))
        return part

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    bomb = _zip({**files, "evidence.json": b"\0" * 50_000_000}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 200_000
    _refused(bomb, "evidence.json unpacks to more than the 2,000,000 bytes")
    assert sum(read) < 3_000_000


def test_a_header_that_lies_about_a_size_is_refused(files):
    """The bomb says that it is small."""
    size = 50_000_000
    bomb = _zip({**files, "evidence.json": b"\0" * size}, zipfile.ZIP_DEFLATED)
    lying = bomb.replace(struct.pack("<L", size), struct.pack("<L", 100))
    assert lying != bomb
    _refused(lying, "evidence.json is damaged in the archive")


def test_a_list_of_very_many_files_is_not_read(monkeypatch):
    content = _zip({f"{number}.txt": b"" for number in range(500)})
    monkeypatch.setattr(zipfile, "ZipFile", None)  # any use of it fails
    _refused(content, "the zip has 500 entries, where at most 20")


def test_a_second_list_in_the_newer_form_is_refused(packed):
    """zipfile would believe it rather than the one that was looked at."""
    end = packed[-22:]
    locator = b"PK\x06\x07" + b"\0" * 16
    at = len(packed) - 22
    longer = bytearray(end)
    size, offset = struct.unpack_from("<2L", end, 12)
    struct.pack_into("<L", longer, 12, size + len(locator))
    assert size + offset == at
    _refused(packed[:at] + locator + bytes(longer), "uses the zip64 format")


def _leaves(value, path=()):
    """Every place in a JSON value."""
    yield path
    parts = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, part in parts:
        yield from _leaves(part, (*path, key))


def _later(path):
    """Whether it is inside a list, but not its first: others of its kind were tried."""
    return any(isinstance(key, int) and key > 0 for key in path)


def _put(content, path, value):
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


HOSTILE = (
    "x",
    "",
    "1",
    "\x1b[2J",
    "y" * 100_000,
    True,
    None,
    float("nan"),
    float("inf"),
    -float("inf"),
    1e300,
    10**400,
    -1,
    [],
    {},
    [[[]]],
    {"x": {"x": 1}},
)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:12])
def test_every_accepted_value_can_be_shown(files, value, tmp_path, monkeypatch):
    """Each place of manifest and evidence in turn holds something else: it is refused with a
    CheckpointError, or it is a model like any other."""
    monkeypatch.setattr(bundle_check, "_check_weights", lambda *_: None)  # its own tests are below
    taken = 0
    for name in ("manifest.json", "evidence.json"):
        sound = json.loads(files[name])
        for number, path in enumerate(_leaves(sound)):
            if not path or _later(path):
                continue  # the first of a list stands for the others
            content = json.loads(files[name])
            _put(content, path, value)
            if content == sound:
                continue
            spoiled = _zip({**files, name: json.dumps(content).encode()})
            runs = tmp_path / f"{name}-{number}"
            try:
                card = bundle.install(spoiled, runs)
            except CheckpointError as error:
                assert len(str(error)) < 1_000 and str(error).isprintable(), path
                assert not runs.exists(), path
            else:
                taken += 1
                assert path[-1:] != ("sha256",), path
                zoo._card_line(card)
                assert [v.words() for v in card.metrics.verdicts()]
                json.dumps([card.provenance, cards.load_evidence(card)], allow_nan=False)
                shutil.rmtree(runs)
    assert taken <= 13  # free text, and losses


def test_every_key_of_an_entry_is_needed_and_no_other_is_known(files):
    for key in json.loads(files["manifest.json"])["models"][0]:
        _refused(_edited(files, lambda entry, key=key: entry.pop(key)), f"lacks models.0.{key}")
    _refused(_edited(files, lambda entry: entry.update(more=1)), "does not know models.0.more")


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"version": 1, "models": []}',
        b'{"version": 2, "models": [{}]}',
        b'{"version": 1, "models": [' + b"[" * 900 + b"]" * 900 + b"]}",
        b'{"version": 1, "models": [' + b"9" * 5_000 + b"]}",
    ],
)
def test_invalid_json_in_a_manifest_is_refused(files, content):
    _refused(_zip({**files, "manifest.json": content}))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda e: e.update(name="x" * 256), "models.0.name='xxx"),
        (lambda e: e.update(name="a\u202eb"), "it must consist of printable characters"),
        (lambda e: e.update(snapshot="worst"), "snapshot='worst' should be 'final' or 'best'"),
        (lambda e: e.update(step=13), "step=13 is past the last update 12"),
        (lambda e: e.update(file="../model.safetensors"), "models.0.file='../"),
        (
            lambda e: e["evaluation"].update(reference="test77"),
            "reference='test77' must be 'test10000'",
        ),
        (lambda e: e["evaluation"].update(counts=[1] * 9), "counts=.* at least 10 items"),
        (lambda e: e["evaluation"].update(counts=[1000] * 10), "more digits than the 400 samples"),
        (lambda e: e["evaluation"]["figures"].pop("fd"), "figures lacks fd"),
        (
            lambda e: e["evaluation"]["figures"]["fd"].update(value=float("nan")),
            "NaN is not a number",
        ),
        (
            lambda e: e["evaluation"]["figures"]["fd"].update(value="1.0"),
            "fd.value='1.0' should be a valid number",
        ),
        (
            lambda e: e["evaluation"]["figures"]["legible"].update(value=1.5),
            "legible=1.5 is a share",
        ),
        (
            lambda e: e["evaluation"]["copies"].update(copied_share=1.1),
            "copied_share=1.1 should be less than or equal to 1",
        ),
        (lambda e: e["evaluation"].update(modes={"modes": 1001}), "modes=1001 should be less than"),
        (lambda e: e["seeds"].clear(), "at least 1 item"),
        (lambda e: e["seeds"][0].update(seed=7), "no row of the model's own seed 0"),
        (lambda e: e["seeds"][0].update(verdicts=["splendid"]), "verdicts.0='splendid' should be"),
        (lambda e: e["provenance"].update(x=[1]), "does not know models.0.provenance.x"),
        (lambda e: e["provenance"].update(device=[]), "provenance.device=\\[\\] should be"),
        (lambda e: e["provenance"].update(seconds="5"), "provenance.seconds='5' should be"),
        (lambda e: e["evaluation"]["figures"]["fd"].update(value=-1.0), "fd.value=-1.0 should be"),
        (lambda e: e["seeds"][0].update(fd=-1.0), "seeds.0.fd=-1.0 should be"),
        (
            lambda e: e["provenance"].update({f"k{i}": 1 for i in range(60)}),
            "does not know models.0.provenance.k0",
        ),
        (lambda e: e["config"].update(source="folder:/etc"), "must not hold a path"),
        (lambda e: e["config"].update(source="https://x"), "source 'https://x' is unknown"),
        (lambda e: e["config"].update(lr_g=[]), "lr_g=\\[\\] should be"),
        (lambda e: e["config"]["model"].update(img_size=32), "img_size=32 does not fit"),
        (lambda e: e.update(sha256="0" * 64), "is not the file that manifest.json describes"),
        (lambda e: e.update(bytes=1), "is not the file that manifest.json describes"),
    ],
)
def test_an_invalid_entry_is_refused_with_its_place(files, change, match):
    _refused(_edited(files, change), match)


def _weights(tmp_path, config, step=12, change=None):
    """A model file of ``config``, its tensors changed."""
    generator, _ = dcgan.make_pair(config.model, 3)
    path = tmp_path / "made.safetensors"
    model_file.save_model(path, generator.eval(), config, step)
    if change is not None:
        tensors, info = tensor_files.load_tensors(path, model_file.MODEL_KIND)
        change(tensors, info)
        kind = info.pop("kind")
        tensor_files.save_tensors(path, kind, tensors, info)
    return path.read_bytes()


def test_swapped_weights_are_refused(files, tiny, tmp_path):
    """Of the same networks, so that only the digest tells them apart."""
    other = _weights(tmp_path, tiny())
    assert other != files["model.safetensors"]
    _refused(_zip({**files, "model.safetensors": other}), "is not the file that")
    there = bundle.install(_with_weights(files, other), tmp_path / "runs")
    assert there.sha256 == hashlib.sha256(other).hexdigest()


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"model": ModelConfig(base_channels=4, hidden_units=9, latent_dim=6)}]
)
def test_weights_of_another_training_are_refused(files, tiny, tmp_path, changes):
    _refused(_with_weights(files, _weights(tmp_path, tiny(**changes))), "from another training")


def test_weights_of_another_moment_are_refused(files, tiny, tmp_path):
    _refused(_with_weights(files, _weights(tmp_path, tiny(), step=3)), "from another training")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t, i: t["directions"].fill_(float("nan")), "impossible values in .*directions"),
        (
            lambda t, i: t["generator.up.weight"].fill_(float("inf")),
            "impossible values in .*up.weight",
        ),
        (
            lambda t, i: t["generator.up_norm.running_var"].fill_(-1.0),
            "impossible values in .*running_var",
        ),
        (lambda t, i: t.update({"more": torch.zeros(1)}), "another network"),
        (lambda t, i: t.pop("strengths"), "another network"),
        (lambda t, i: t.update({"strengths": torch.zeros(7)}), "no directions"),
        (lambda t, i: t.update({"generator.up.weight": torch.zeros(1)}), "another network"),
        (
            lambda t, i: t.update(
                {"strengths": torch.zeros(6, dtype=torch.int32).view(torch.int32)}
            ),
            "torch.int32",
        ),
        (
            lambda t, i: t.update({"generator.up_norm.num_batches_tracked": torch.tensor(0.5)}),
            "torch.float32",
        ),
        (lambda t, i: i.update(more=1), "does not know more"),
        (lambda t, i: i.update(config=5), "model.safetensors: .*=5 should be"),
        (lambda t, i: i.update(kind="classifier"), "holds 'classifier'"),
    ],
)
def test_weights_that_cannot_be_are_refused(files, tiny, tmp_path, change, match):
    message = _refused(_with_weights(files, _weights(tmp_path, tiny(), change=change)), match)
    assert str(tmp_path) not in message and "/tmp" not in message


def test_weights_whose_images_are_not_finite_are_refused(files, tiny, tmp_path):
    def blow_up(tensors, info):
        for name in ("hidden_norm", "expand_norm"):
            tensors[f"generator.{name}.weight"].fill_(3e38)
            tensors[f"generator.{name}.bias"].fill_(3e38)

    content = _with_weights(files, _weights(tmp_path, tiny(), change=blow_up))
    _refused(content, "gives images with NaN or infinity")


@pytest.mark.parametrize(
    "weights", [b"x", b"x" * 100, b"\xff" * 8 + b"{}", serialise({}, metadata={"gan": "[" * 9_000})]
)
def test_weights_that_are_no_weights_are_refused(files, weights):
    _refused(_with_weights(files, weights), "model.safetensors")


@pytest.fixture
def small_memory(monkeypatch):
    """Fails the test if a huge network is made with memory behind it."""

    class Generator(dcgan.Generator):
        def __init__(self, config):
            super().__init__(ModelConfig() if self._wide(config) else config)
            if self._wide(config):
                pytest.fail("a giant network was made")

        @staticmethod
        def _wide(config):
            on_meta = torch.empty(0).device.type == "meta"
            return max(config.hidden_units, config.base_channels) > 4_000 and not on_meta

    monkeypatch.setattr(dcgan, "Generator", Generator)


GIANT = {"base_channels": 4096, "hidden_units": 4096, "latent_dim": 4096}


def test_giant_widths_are_refused_before_they_are_allocated(files, small_memory):
    def widen(entry):
        entry["config"]["model"].update(GIANT)

    _refused(_edited(files, widen), "the network has 2,198,[0-9,]+ parameters")


def test_giant_widths_inside_the_weights_are_refused_as_well(files, tiny, tmp_path, small_memory):
    def widen(tensors, info):
        info["config"]["model"].update(GIANT)

    content = _with_weights(files, _weights(tmp_path, tiny(), change=widen))
    _refused(content, "from another training")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda e: e["curves"]["g_loss"].pop(), "every curve must have [0-9]+ values"),
        (lambda e: e["curves"].pop("d_loss"), "lacks curves.d_loss"),
        (lambda e: e["curves"]["g_loss"].__setitem__(0, None), "curves.g_loss.0=None should be"),
        (lambda e: e["curves"]["g_loss"].__setitem__(0, "1"), "curves.g_loss.0='1' should be"),
        (lambda e: e["curves"]["step"].reverse(), "must be larger than the one before"),
        (lambda e: e["moments"].clear(), "moments=.* at least 1 item"),
        (lambda e: e["moments"].reverse(), "must be larger than the one before"),
        (lambda e: e["moments"].pop(), "film.png is not the film of"),
        (lambda e: e["moments"][0]["counts"].pop(), "counts=.* at least 10 items"),
        (lambda e: e["moments"][0].update(fd=float("nan")), "NaN is not a number"),
        (lambda e: e["moments"][0].pop("fd"), "lacks moments.0.fd"),
        (lambda e: e["moments"][-1].update(step=13), "update 13 of 12"),
        (lambda e: e.update(more=1), "does not know more"),
    ],
)
def test_invalid_evidence_is_refused(files, change, match):
    _refused(_edited(files, change, "evidence.json"), match)


def test_held_out_probabilities_may_be_unmeasured(files, tmp_path):
    def forget(evidence):
        evidence["curves"]["prob_held_out"] = [None] * len(evidence["curves"]["step"])

    card = bundle.install(_edited(files, forget, "evidence.json"), tmp_path)
    assert set(cards.load_evidence(card)["curves"]["prob_held_out"]) == {None}


def _picture(width, height, form="PNG"):
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, form)
    return buffer.getvalue()


def _chunk(kind, content):
    return (
        struct.pack(">L", len(content))
        + kind
        + content
        + struct.pack(">L", zlib.crc32(kind + content))
    )


def _film_size(files):
    return 448, 28 * len(json.loads(files["evidence.json"])["moments"])


def test_a_film_of_another_size_or_form_is_refused(files):
    width, height = _film_size(files)
    for film, match in (
        (_picture(width, height + 28), "film.png is not the film of"),
        (_picture(28, 28), "film.png is not the film of"),
        (_picture(width, height, "JPEG"), "film.png is not the film of"),
        (_picture(width, height, "GIF"), "film.png is not the film of"),
        (b"<html>", "film.png is not the film of"),
        (files["film.png"][: len(files["film.png"]) // 2], "film.png is not the film of"),
        (files["film.png"][:24], "film.png is not the film of"),
    ):
        _refused(_zip({**files, "film.png": film}), match)


def test_a_film_that_decodes_to_gigabytes_is_refused_before_it_is_decoded(files, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    width, height = _film_size(files)
    start = b"\x89PNG\r\n\x1a\n"
    small, large = (
        _chunk(b"IHDR", struct.pack(">2L5B", *size, 8, 0, 0, 0, 0))
        for size in ((width, height), (9_000, 9_000))
    )
    data = _chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000)) + _chunk(b"IEND", b"")
    _refused(_zip({**files, "film.png": start + large + data}), "film.png is not the film of")
    # the second header is the one that counts
    _refused(
        _zip({**files, "film.png": start + small + large + data}), "film.png is not the film of"
    )
