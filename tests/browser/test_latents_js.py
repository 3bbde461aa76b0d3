"""Latents in the browser against those of torch."""

import pytest
import torch

from gan.browser import scripts
from gan.networks import latents
from gan.networks.latent_request import LAST_SEED, LatentRequest, Seeds, Sum, Walk, resolve_latents

pytestmark = pytest.mark.browser
NAMES = "mersenneTwister, seedLatent, slerp, makeLatents"


@pytest.fixture(scope="module")
def page(chromium):
    opened = chromium.new_page()
    code = f"{scripts.bundle_script('latents')}\nObject.assign(globalThis, {{ {NAMES} }});"
    opened.add_script_tag(content=code, type="module")
    opened.wait_for_function("globalThis.makeLatents !== undefined")
    yield opened


def test_the_random_bits_are_those_of_the_published_generator(page):
    # std::mt19937: the 10,000th number of the seed 5489 is 4123659995 (ISO C++ 14882, rand.predef)
    script = """() => {
        const random = mersenneTwister(5489);
        for (let i = 1; i < 10000; i++) random();
        return random();
    }"""
    assert page.evaluate(script) == 4123659995


@pytest.mark.parametrize("dims", [range(1, 16), range(16, 41), (62, 64, 100, 128), (227, 640, 999)])
def test_a_seed_is_the_same_latent_as_in_torch(page, dims):
    seeds = [0, 1, 2, 42, 65_535, 123_456_789, LAST_SEED, latents.MAX_SEED, *range(1_000, 1_060)]
    found = page.evaluate(
        "([seeds, dims]) => dims.map(d => seeds.map(s => Array.from(seedLatent(s, d))))",
        [seeds, list(dims)],
    )
    for dim, rows in zip(dims, found, strict=True):
        expected = latents.sample_z(seeds, dim)
        torch.testing.assert_close(torch.tensor(rows), expected, atol=2e-6, rtol=0)


def test_a_latent_takes_microseconds(page):
    script = """() => {
        for (let i = 0; i < 2000; i++) seedLatent(i, 64);
        const begun = performance.now();
        for (let i = 0; i < 2000; i++) seedLatent(i, 64);
        return (performance.now() - begun) / 2000;
    }"""
    assert page.evaluate(script) < 0.1  # milliseconds; measured: 0.005


REQUESTS = [
    LatentRequest(Seeds(0)),
    LatentRequest(Seeds(LAST_SEED), 0.5, (1.0, -2.0, 0.0, 4.0)),
    LatentRequest(Seeds(9), 0.0, (), ((0, 1.5), (5, -4.0), (0, 0.25))),
    LatentRequest(Walk(0, 64, 0.0)),
    LatentRequest(Walk(0, 64, 0.37), 1.5, (0.5,), ((1, 1.0),)),
    LatentRequest(Walk(3, 3, 0.6)),
    LatentRequest(Walk(700, 5, 1.0)),
    LatentRequest(Sum(1, 2, 3)),
    LatentRequest(Sum(10, 10, 77), 0.7, (0.0, 0.1)),
    LatentRequest(Sum(LAST_SEED, 0, 500), 1.2, (), ((3, -0.5),)),
]


@pytest.mark.parametrize("dim", [6, 16, 62, 64, 100])
def test_a_request_has_the_same_latents_as_in_python(page, dim):
    # not symmetric, so that rows taken for columns are seen
    directions = torch.randn(dim, dim, generator=torch.Generator().manual_seed(dim)) / dim**0.5
    found = page.evaluate(
        """([requests, dim, directions]) => {
            const { rows } = makeLatents(dim, Float32Array.from(directions));
            return requests.map((request) => Array.from(rows(request, 20)));
        }""",
        [[request.to_dict() for request in REQUESTS], dim, directions.flatten().tolist()],
    )
    for request, values in zip(REQUESTS, found, strict=True):
        expected = resolve_latents(request, 20, directions)
        assert torch.allclose(torch.tensor(values).reshape(20, dim), expected, atol=2e-5, rtol=0), (
            request
        )


def test_a_straight_line_where_no_arc_is_defined(page):
    a = latents.sample_z([1], 6)[0]
    for b in (a, -a, torch.zeros(6), 2 * a):
        for first, second in ((a, b), (b, a)):
            found = page.evaluate(
                "([a, b]) => Array.from(slerp(Float32Array.from(a), Float32Array.from(b), 0.25))",
                [first.tolist(), second.tolist()],
            )
            expected = 0.75 * first + 0.25 * second
            torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=0)


def test_latents_are_remembered_and_what_is_remembered_is_bounded_and_left_alone(page):
    answers = page.evaluate(
        """() => {
            const made = makeLatents(8, new Float32Array(64).fill(1));
            const first = made.seed(0);
            const before = Array.from(first);
            const request = { rows: { kind: "seeds", first: 0 }, truncation: 0.5, shifts: [2], axes: [] };
            const out = new Float32Array(24);
            const same = made.rows(request, 3, out) === out;
            const kept = made.seed(0) === first;
            for (let i = 1; i <= 5000; i++) made.seed(i);
            const alone = makeLatents(8, new Float32Array(64).fill(1)).rows(request, 3);
            return [same, kept, made.seed(0) === first, String(before) === String(first),
                    String(out) === String(alone)];
        }"""
    )
    assert answers == [True, True, False, True, True]


@pytest.mark.parametrize(
    "change", ["shifts: [0, 0, 0]", "axes: [[2, 1]]", "axes: [[-1, 1]]", "rows: { kind: 'dance' }"]
)
def test_what_the_model_does_not_have_is_refused(page, change):
    refused = page.evaluate(
        f"""() => {{
            const still = {{ rows: {{ kind: "seeds", first: 0 }}, truncation: 1, shifts: [], axes: [] }};
            try {{ makeLatents(2, new Float32Array(4)).rows({{ ...still, {change} }}, 1); }}
            catch (error) {{ return error instanceof RangeError; }}
            return false;
        }}"""
    )
    assert refused
