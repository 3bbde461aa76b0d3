"""What the browser makes of weight files that are not what they should be: a LoadError, which the page has words for."""

import base64
import json
import random
import struct

import pytest
import torch

from gan.browser import scripts
from gan.config import ModelConfig, TrainConfig
from gan.evaluation.classifier import make_classifier, save, weights_file
from gan.networks import dcgan, latents
from gan.runs import model_file

pytestmark = pytest.mark.browser
IN_PAGE = """
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function outcome(bytes, reader) {
  try {
    if (reader === "classifier") readClassifier(bytes.buffer);
    else {
      const generator = readGenerator(bytes.buffer, { simd: false });
      generator.generate(new Float32Array(generator.latentDim), 1);
    }
    return "read";
  } catch (error) {
    return error instanceof LoadError ? error.kind : `${error.name}: ${error.message}`;
  }
}

globalThis.opened = ([text, reader]) => outcome(bytesOf(text), reader);

/** Each change: [length, [[place, byte], ...]] of the file. */
globalThis.openedChanged = ([text, changes]) => {
  const whole = bytesOf(text);
  return changes.map(([length, places]) => {
    const changed = whole.slice(0, length);
    for (const [place, byte] of places) changed[place] = byte;
    return outcome(changed, "generator");
  });
};
"""


@pytest.fixture(scope="module")
def page(chromium):
    opened = chromium.new_page()
    opened.add_script_tag(content=f"{scripts.bundle_script('networks')}\n{IN_PAGE}", type="module")
    opened.wait_for_function("globalThis.openedChanged !== undefined")
    yield opened


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The bytes of a tiny generator's file."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    config = TrainConfig(
        source="drawn",
        size=40,
        model=ModelConfig(latent_dim=2, base_channels=1, hidden_units=3),
    )
    generator, _ = dcgan.make_pair(config.model, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "principal_directions", lambda _, z: (torch.eye(z), torch.ones(z)))
        model_file.save_model(path, generator.eval(), config, 0)
    return path.read_bytes()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The bytes of a tiny classifier's file."""
    folder = tmp_path_factory.mktemp("classifier")
    save(make_classifier(1, 0), [], {}, "classifier", folder)
    return weights_file("classifier", folder).read_bytes()


def _kind(page, content, reader="generator"):
    return page.evaluate("opened", [base64.b64encode(content).decode(), reader])


def _taken_apart(content):
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _put_together(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _with_config(content, change):
    """The file with its configuration changed by ``change(info)``."""
    header, data = _taken_apart(content)
    info = json.loads(header["__metadata__"]["gan"])
    change(info)
    header["__metadata__"]["gan"] = json.dumps(info)
    return _put_together(header, data)


def _with_network(content, **changes):
    return _with_config(content, lambda info: info["config"]["model"].update(changes))


def test_the_files_that_are_spoilt_below_can_be_read(page, model, classifier):
    assert _kind(page, model) == "read"
    assert _kind(page, classifier, "classifier") == "read"
    assert _kind(page, _put_together(*_taken_apart(model))) == "read"


def test_nothing_came(page):
    assert _kind(page, b"") == "truncated"


@pytest.mark.parametrize(
    "content", [b'{"detail": "Not Found"}', b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(500)]
)
def test_something_else_came(page, content):
    assert _kind(page, content) == "damaged"


def test_a_judge_is_no_generator_and_the_other_way_round(page, model, classifier):
    assert _kind(page, classifier) == "other"
    assert _kind(page, model, "classifier") == "other"


def test_wherever_a_file_is_cut_it_is_seen(page, model):
    (header,) = struct.unpack("<Q", model[:8])
    lengths = {0, 1, 7, 8, 9, 100, 7 + header, 8 + header, 9 + header, len(model) - 1}
    lengths |= set(range(0, len(model), len(model) // 40))
    changes = [[length, []] for length in sorted(lengths)]
    found = page.evaluate("openedChanged", [base64.b64encode(model).decode(), changes])
    assert found == ["truncated"] * len(changes)


def test_a_longer_file_is_another(page, model):
    assert _kind(page, model + b"\0") == "damaged"


@pytest.mark.parametrize("length", [0, 1, 100_000_001, 2**31, 2**32 + 10, 2**63, 2**64 - 1])
def test_a_header_of_absurd_length(page, model, length):
    assert _kind(page, struct.pack("<Q", length) + model[8:]) == "damaged"


@pytest.mark.parametrize(
    "header", [b"null", b"12", b'"text"', b"[1, 2]", b"{}", b"{", b"\xff\xff", b"[[[[", b"{}  "]
)
def test_a_header_that_describes_nothing(page, header):
    kind = _kind(page, _put_together(header, b""))
    assert kind == ("other" if header.strip() in (b"{}", b"12") else "damaged")
    assert _kind(page, _put_together(header, b"data")) == "damaged"


@pytest.mark.parametrize(
    "entry", [None, 5, "text", [], {}, {"data_offsets": 5}, {"data_offsets": None}]
)
def test_an_entry_that_describes_no_tensor(page, model, entry):
    header, data = _taken_apart(model)
    header["directions"] = entry
    assert _kind(page, _put_together(header, data)) == "damaged"


@pytest.mark.parametrize(
    "move",
    [
        lambda a, b: [a - 10_000, b - 10_000],  # negative
        lambda a, b: [a + 1, b + 1],
        lambda a, b: [a + 2, b],  # a gap
        lambda a, b: [a - 2, b],  # overlapping
        lambda a, b: [b, a],
        lambda a, b: [a + 0.5, b + 0.5],
        lambda a, b: [a, b, b],
        lambda a, b: [a],
        lambda a, b: ["a", "b"],
        lambda a, b: [str(a), str(b)],
        lambda a, b: [a, 1e300],
        lambda a, b: [None, None],
    ],
)
def test_tensors_out_of_place(page, model, move):
    header, data = _taken_apart(model)
    tensors = [entry for name, entry in header.items() if name != "__metadata__"]
    for entry in tensors:
        kept = entry["data_offsets"]
        entry["data_offsets"] = move(*kept)
        if len(entry["data_offsets"]) != 3:  # a third number means nothing
            assert _kind(page, _put_together(header, data)) in ("damaged", "truncated")
        entry["data_offsets"] = kept


def test_two_tensors_cannot_be_the_same_bytes(page, model):
    header, data = _taken_apart(model)
    header["strengths"]["data_offsets"] = header["directions"]["data_offsets"]
    assert _kind(page, _put_together(header, data)) == "damaged"


@pytest.mark.parametrize("dtype", ["BF16", "I64", "F64", "F8_E4M3", "", None, "constructor"])
def test_numbers_of_another_kind(page, model, dtype):
    header, data = _taken_apart(model)
    header["generator.up.weight"]["dtype"] = dtype
    assert _kind(page, _put_together(header, data)) == "other"


def test_numbers_of_another_width(page, model):
    header, data = _taken_apart(model)
    header["generator.up.weight"]["dtype"] = "F32"
    assert _kind(page, _put_together(header, data)) == "damaged"


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_dim": 3},
        {"hidden_units": 4},
        {"hidden_units": 4097},
        {"base_channels": 2},
        {"img_channels": 3},
        {"img_size": 32},
        {"img_size": 30},
        {"img_size": 16384},
        {"latent_dim": 0},
        {"latent_dim": -2},
        {"latent_dim": 2.5},
        {"latent_dim": "2"},
        {"latent_dim": None},
        {"latent": "cauchy"},
        {"latent": "constructor"},
        {"pixels": "__proto__"},
        {"pixels": 5},
    ],
    ids=str,
)
def test_a_network_that_its_tensors_do_not_fit(page, model, changes):
    assert _kind(page, _with_network(model, **changes)) == "other"


@pytest.mark.parametrize(
    "config", [None, 5, "text", [], {}, {"model": None}, {"model": 7}], ids=str
)
def test_a_model_without_a_configuration(page, model, config):
    assert _kind(page, _with_config(model, lambda info: info.update(config=config))) == "other"


@pytest.mark.parametrize("text", ["null", "5", "[]", '"generator"', "{}"])
def test_metadata_of_somebody_else(page, model, text):
    header, data = _taken_apart(model)
    header["__metadata__"]["gan"] = text
    assert _kind(page, _put_together(header, data)) == "other"


def test_no_metadata(page, model):
    header, data = _taken_apart(model)
    del header["__metadata__"]
    assert _kind(page, _put_together(header, data)) == "other"


def test_a_tensor_too_few_or_too_many_is_another_network(page, model):
    header, data = _taken_apart(model)
    header["generator.up2.weight"] = header.pop("generator.up.weight")
    assert _kind(page, _put_together(header, data)) == "other"
    header["generator.up.weight"] = header["generator.up2.weight"]
    size = len(data)
    header["generator.up2.weight"] = {
        "dtype": "F16",
        "shape": [2],
        "data_offsets": [size, size + 4],
    }
    assert _kind(page, _put_together(header, data + bytes(4))) == "other"


@pytest.mark.parametrize("width", [0, 2, 257, None, "1", 1.5])
def test_a_judge_of_another_width(page, classifier, width):
    spoilt = _with_config(classifier, lambda info: info.update(width=width))
    assert _kind(page, spoilt, "classifier") == "other"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("generator.hidden.weight", float("nan")),
        ("generator.up.weight", float("inf")),
        ("generator.to_image.bias", float("-inf")),
        ("generator.up_norm.running_mean", float("nan")),
        ("generator.expand_norm.running_var", -1.0),
        ("generator.hidden_norm.running_var", float("nan")),
        ("directions", float("nan")),
        ("strengths", float("inf")),
    ],
)
def test_values_that_no_picture_can_be_made_of(page, model, name, value):
    header, data = _taken_apart(model)
    entry = header[name]
    code = {"F16": "<e", "F32": "<f"}[entry["dtype"]]
    spoilt = bytearray(data)
    struct.pack_into(code, spoilt, entry["data_offsets"][1] - struct.calcsize(code), value)
    assert _kind(page, _put_together(header, bytes(spoilt))) == "damaged"


def test_whatever_is_done_to_a_file_it_is_read_or_a_load_error_says_why(page, model):
    rng = random.Random(5)
    (header,) = struct.unpack("<Q", model[:8])
    changes = []
    for i in range(600):
        # most of the meaning is in the header
        last = 8 + header if i % 3 else len(model)
        places = [
            [rng.randrange(last), rng.randrange(256)] for _ in range(rng.choice((1, 1, 2, 8)))
        ]
        length = rng.randrange(len(model)) if i % 10 == 0 else len(model)
        changes.append([length, [place for place in places if place[0] < length]])
    found = page.evaluate("openedChanged", [base64.b64encode(model).decode(), changes])
    kinds = {"read", "truncated", "damaged", "other"}
    assert set(found) <= kinds, sorted(set(found) - kinds)
    assert {"read", "damaged", "other", "truncated"} <= set(found)  # all was tried
