"""The networks in the browser against those of torch, for every model that is shipped and every architecture."""

import base64
import copy
import functools

import pytest
import torch

from gan.browser import scripts
from gan.config import RECIPES, recipe_config
from gan.data import sources
from gan.evaluation import classifier
from gan.networks import dcgan, images, latents
from gan.runs import model_file
from gan.zoo import cards

pytestmark = pytest.mark.browser
#: What issue 5 promises of the pictures: half precision changes one by 1.8e-3.
PROMISED = 2e-3
#: What is asked here. The browser reads the very file that torch reads, so the weights are the same numbers on
#: both sides and only the sums are rounded otherwise. Against torch in double precision 5.1e-6 was measured for
#: all that is shipped, latents far out included; torch's own single precision is 8.7e-6 away from that, and
#: another amount on another processor.
EXACT = 2e-5
CERTAIN = 1e-5  # of the classifier's probabilities
CARDS = cards.list_models(runs=None)
NETWORKS = {
    **{name: {"recipe": name} for name in RECIPES},
    "odd-widths": {"model": {"base_channels": 3, "hidden_units": 10, "latent_dim": 5}},
    "all-ones": {"seed": 1, "model": {"base_channels": 1, "hidden_units": 1, "latent_dim": 1}},
    "16-pixels": {"source": "folder:x", "model": {"img_size": 16}},
    "64-pixels": {"source": "folder:x", "model": {"img_size": 64}},
    "three-channels": {"source": "stacked", "model": {"latent_dim": 100}},
    "three-odd": {"source": "stacked:drawn", "model": {"base_channels": 5, "latent_dim": 3}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the page can fetch beside the shipped files."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def page(chromium, folder):
    opened = chromium.new_page()
    opened.route("http://weights/**", functools.partial(_answer, folder))
    opened.goto("http://weights/")
    opened.add_script_tag(content=f"{scripts.bundle_script('networks')}\n{IN_PAGE}", type="module")
    opened.wait_for_function("globalThis.drawn !== undefined")
    yield opened


def _answer(folder, route):
    name = route.request.url.removeprefix("http://weights/")
    if not name:
        route.fulfill(body="<!doctype html>", content_type="text/html")
        return
    files = [path for place in (folder, classifier.PRETRAINED) if (path := place / name).is_file()]
    if files:
        route.fulfill(path=files[0])
    else:
        route.abort()  # an answer there must be: the page waits for it


IN_PAGE = """
const asBase64 = (numbers) => {
  let binary = "";
  for (const byte of new Uint8Array(numbers.buffer)) binary += String.fromCharCode(byte);
  return btoa(binary);
};
const fetched = async (name) => (await fetch(`/${name}`)).arrayBuffer();

/** Pictures of z, rows from-to of each of `batches` by itself; by the WebAssembly kernel and by plain JavaScript. */
globalThis.drawn = async ({ file, z, batches }) => {
  const bytes = await fetched(file);
  return [true, false].map((wanted) => {
    const { generate, latentDim, side, channels, directions, strengths, simd } = readGenerator(bytes, { simd: wanted });
    const pictures = batches.map(([from, to]) =>
      asBase64(generate(Float32Array.from(z.slice(from, to).flat()), to - from)));
    return {
      pictures, latentDim, side, channels, simd,
      directions: asBase64(directions), strengths: asBase64(strengths),
    };
  });
};

globalThis.judged = async ({ file, pictures, simd }) => {
  const classifier = readClassifier(await fetched(file), { simd });
  const bytes = Uint8Array.from(atob(pictures), (letter) => letter.charCodeAt(0));
  const pixels = new Float32Array(bytes.buffer);
  const size = classifier.side ** 2;
  const readings = Array.from({ length: pixels.length / size }, (_, i) => classifier.read(pixels.subarray(i * size, (i + 1) * size)));
  return { simd: classifier.simd, readings: readings.map((one) => ({ ...one, probabilities: [...one.probabilities] })) };
};
"""


def _numbers(text):
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.float32)


def _pictures(text, like):
    """Channels last, as the browser has them -> as torch has them."""
    count, channels, side, _ = like.shape
    return _numbers(text).view(count, side, side, channels).permute(0, 3, 1, 2)


def _latents(latent_dim):
    """Usual ones, some far out where a slider can bring them, and the middle."""
    z = latents.sample_z([0, 1, 2, 42], latent_dim)
    return torch.cat([z, 4 * z[:1], torch.zeros(1, latent_dim)])


def _compared(page, file, generator):
    """How far the pictures are from torch's: with WebAssembly, and without. What the browser read in the file."""
    z = _latents(generator.latent_dim)
    found = page.evaluate("drawn", {"file": file, "z": z.tolist(), "batches": [[0, len(z)]]})
    with torch.no_grad():
        usual = generator(z)
        exact = copy.deepcopy(generator).double()(z.double())
    assert usual.std() > 0.05  # pictures that say something
    # else an error in the assembler would hide behind plain JavaScript
    assert [one["simd"] for one in found] == [True, False]
    pictures = [_pictures(one["pictures"][0], usual) for one in found]
    assert all((picture - usual).abs().max() < PROMISED for picture in pictures)
    return [float((picture - exact).abs().max()) for picture in pictures], found[0]


def test_more_is_asked_than_was_promised():
    assert EXACT < PROMISED
    assert len(CARDS) >= 44 and any(card.name.endswith("-best") for card in CARDS)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_shipped_model_draws_what_torch_draws(page, card):
    model = cards.open_model(card)
    differences, found = _compared(page, card.path.name, model.generator)
    assert max(differences) < EXACT
    assert torch.equal(_numbers(found["directions"]).view_as(model.directions), model.directions)
    assert torch.equal(_numbers(found["strengths"]), model.strengths)


def _save(path, config):
    """A network with weights, and statistics in BatchNorm, as large as training makes them."""
    generator, _ = dcgan.make_pair(config.model, config.seed)
    rng = torch.Generator().manual_seed(config.seed)
    with torch.no_grad():
        for module in generator.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3, generator=rng)
                module.running_var.uniform_(0.2, 2, generator=rng)
                module.weight.normal_(1, 0.3, generator=rng)
                module.bias.normal_(0.3, 0.3, generator=rng)  # little is dead
            elif hasattr(module, "weight"):
                module.weight.mul_(4)
        generator.to_image.bias.normal_(0, 0.3, generator=rng)
    model_file.save_model(path, generator.eval(), config, 0)
    return model_file.load_model(path)[0]


@pytest.fixture(scope="module")
def networks(folder):
    """name -> the network, which the page finds as NAME.safetensors."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        # those of a large network take seconds, and nothing is drawn with them here
        patch.setattr(latents, "principal_directions", lambda _, z: (torch.eye(z), torch.ones(z)))
        for name, settings in NETWORKS.items():
            config = recipe_config(**{"recipe": "plain", "size": 40, **settings})
            made[name] = _save(folder / f"{name}.safetensors", config)
    return made


@pytest.mark.parametrize("name", NETWORKS)
def test_every_architecture_draws_what_torch_draws(page, networks, name):
    generator = networks[name]
    differences, found = _compared(page, f"{name}.safetensors", generator)
    assert max(differences) < EXACT
    config = generator.config
    assert (found["latentDim"], found["side"]) == (config.latent_dim, config.img_size)
    assert found["channels"] == config.img_channels


@pytest.mark.parametrize("name", ["odd-widths", "plain"])
def test_a_picture_depends_on_its_latent_alone(page, networks, name):
    z = latents.sample_z(range(40), networks[name].latent_dim)
    batches = [[0, 40], [0, 1], [0, 16], [0, 17], [23, 40], [39, 40], [5, 8]]
    asked = {"file": f"{name}.safetensors", "z": z.tolist(), "batches": batches}
    for way in page.evaluate("drawn", asked):
        everything, *parts = [_numbers(text) for text in way["pictures"]]
        for (start, end), part in zip(batches[1:], parts, strict=True):
            assert torch.equal(part, everything.view(40, -1)[start:end].flatten())


@pytest.fixture(scope="module")
def judged_pictures():
    """Generated, drawn and senseless: [N, 1, 28, 28]."""
    generator = cards.open_model(CARDS[-1]).generator
    with torch.no_grad():
        generated = generator(latents.sample_z(range(20), generator.latent_dim))
    digits = images.from_uint8(sources.load("drawn", 20, seed=3).images)
    noise = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.cat([generated, digits, noise, torch.full((1, 1, 28, 28), -1.0)])


@pytest.mark.parametrize("simd", [True, False], ids=["simd", "plain"])
@pytest.mark.parametrize("width", [None, 1, 6, 24], ids=["shipped", "1", "6", "24"])
def test_the_judge_reads_what_torch_reads(page, folder, judged_pictures, width, simd):
    place = f"{width}/" if width else ""
    if width:
        made = classifier.make_classifier(width, seed=width)
        for norm in (made.norm1, made.norm2, made.norm3, made.norm4):
            norm.running_mean.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
            norm.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(2))
        classifier.save(made, [], {}, "classifier", folder / place)
    reader = classifier.load_classifier(root=folder / place if width else classifier.PRETRAINED)
    with torch.no_grad():
        expected = reader(judged_pictures).softmax(1)
    sent = base64.b64encode(judged_pictures.numpy().tobytes()).decode()
    asked = {"file": f"{place}classifier.safetensors", "pictures": sent, "simd": simd}
    found = page.evaluate("judged", asked)
    probabilities = torch.tensor([one["probabilities"] for one in found["readings"]])
    assert found["simd"] is simd
    assert (probabilities - expected).abs().max() < CERTAIN
    assert [one["digit"] for one in found["readings"]] == expected.argmax(1).tolist()
    confidences = torch.tensor([one["confidence"] for one in found["readings"]])
    assert torch.equal(confidences, probabilities.amax(1))
    assert expected.argmax(1).unique().numel() > 1
