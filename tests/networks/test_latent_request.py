import json
import math

import pytest
import torch

from gan.errors import ConfigError
from gan.networks import latent_request, latents
from gan.networks.latent_request import LAST_SEED, LatentRequest, Seeds, Sum, Walk, resolve_latents

Z = 20
EYE = torch.eye(Z)


def z_of(*seeds: int) -> torch.Tensor:
    return latents.sample_z(seeds, Z)


def test_rows_of_seeds_are_the_latents_of_seeds_in_a_row():
    assert torch.equal(resolve_latents(LatentRequest(Seeds(7)), 3, EYE), z_of(7, 8, 9))


def test_a_walk_goes_from_start_to_end_row_by_row():
    start, end = z_of(3, 4), z_of(50, 51)
    torch.testing.assert_close(resolve_latents(LatentRequest(Walk(3, 50, 0.0)), 2, EYE), start)
    torch.testing.assert_close(resolve_latents(LatentRequest(Walk(3, 50, 1)), 2, EYE), end)
    halfway = resolve_latents(LatentRequest(Walk(3, 50, 0.5)), 2, EYE)
    for row in range(2):
        expected = latents.slerp(start[row], end[row], torch.tensor([0.5]))[0]
        torch.testing.assert_close(halfway[row], expected)


def test_a_walk_from_a_seed_to_itself_stands_still():
    torch.testing.assert_close(
        resolve_latents(LatentRequest(Walk(5, 5, 0.3)), 4, EYE), z_of(5, 6, 7, 8)
    )


def test_a_sum_has_the_direction_of_the_arithmetic_and_the_mean_length():
    plus, minus, other = z_of(1, 2), z_of(30, 31), z_of(60, 61)
    found = resolve_latents(LatentRequest(Sum(1, 30, 60)), 2, EYE)
    cosine = torch.cosine_similarity(found, plus - minus + other)
    torch.testing.assert_close(cosine, torch.ones(2))
    length = (plus.norm(dim=1) + minus.norm(dim=1) + other.norm(dim=1)) / 3
    torch.testing.assert_close(found.norm(dim=1), length)


def test_what_is_added_and_taken_away_again_is_gone():
    found = resolve_latents(LatentRequest(Sum(8, 8, 3)), 1, EYE)[0]
    torch.testing.assert_close(torch.cosine_similarity(found, z_of(3)[0], dim=0), torch.tensor(1.0))


def test_truncation_shrinks_the_latents_and_not_what_is_added_to_them():
    directions, _ = torch.linalg.qr(torch.randn(Z, Z, generator=torch.Generator().manual_seed(1)))
    moved = LatentRequest(
        Seeds(2), truncation=0.5, shifts=(0.0, 2.0), axes=((3, 1.0), (0, -1.0), (3, 0.5))
    )
    raw = torch.zeros(Z)
    raw[3], raw[0] = 1.5, -1.0
    expected = 0.5 * z_of(2, 3) + 2 * directions[1] + raw
    torch.testing.assert_close(resolve_latents(moved, 2, directions), expected)
    assert torch.equal(
        resolve_latents(LatentRequest(Seeds(0), truncation=0), 2, EYE), torch.zeros(2, Z)
    )


@pytest.mark.parametrize(
    "rows", [Seeds(4), Walk(4, 90, 0.7), Sum(4, 90, 200)], ids=lambda r: r.kind
)
def test_a_row_is_the_same_however_many_are_asked_for(rows):
    many, few = (resolve_latents(LatentRequest(rows, 0.8), count, EYE) for count in (9, 2))
    assert torch.equal(many[:2], few)


@pytest.mark.parametrize("rows", [Walk(0, LAST_SEED, 0.5), Sum(0, 1, LAST_SEED)])
def test_the_last_seed_has_a_latent_for_every_row(rows):
    assert bool(
        torch.isfinite(resolve_latents(LatentRequest(rows), latent_request.MAX_COUNT, EYE)).all()
    )


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Seeds(first=-1), "first=-1 "),
        (lambda: Seeds(first=LAST_SEED + 1), f"first={LAST_SEED + 1}"),
        (lambda: Seeds(first=True), "first=True"),
        (lambda: Walk(start=0.5, end=1, t=0.0), r"start=0\.5"),
        (lambda: Walk(start=0, end=-2, t=0.0), "end=-2"),
        (lambda: Walk(start=0, end=1, t=1.01), r"t=1\.01"),
        (lambda: Walk(start=0, end=1, t=math.nan), "t=nan"),
        (lambda: Sum(plus=0, minus=1, other="2"), "other='2'"),
        (lambda: LatentRequest(Seeds(0), truncation=1.6), r"truncation=1\.6 .* 1\.5"),
        (lambda: LatentRequest(Seeds(0), truncation=-0.1), r"truncation=-0\.1"),
        (lambda: LatentRequest(Seeds(0), truncation=True), "truncation=True"),
        (lambda: LatentRequest(Seeds(0), shifts=(0.0, -4.5)), r"shifts\.1=-4\.5"),
        (lambda: LatentRequest(Seeds(0), shifts=(math.inf,)), "shifts.0=inf"),
        (lambda: LatentRequest(Seeds(0), axes=((0, math.nan),)), "axes.0.1=nan"),
        (lambda: LatentRequest(Seeds(0), axes=((1.0, 0.0),)), r"axes.0.0=1\.0"),
        (lambda: LatentRequest(Seeds(0), axes=((-1, 0.0),)), "axes.0.0=-1"),
        (lambda: resolve_latents(LatentRequest(Seeds(0)), 0, EYE), "count 0"),
        (
            lambda: resolve_latents(LatentRequest(Seeds(0)), latent_request.MAX_COUNT + 1, EYE),
            "count 401",
        ),
        (
            lambda: resolve_latents(LatentRequest(Seeds(0), shifts=(0.0,) * (Z + 1)), 1, EYE),
            "21 shifts for 20",
        ),
        (
            lambda: resolve_latents(LatentRequest(Seeds(0), axes=((Z, 0.0),)), 1, EYE),
            "axis 20 must be from 0 to 19",
        ),
    ],
)
def test_a_value_out_of_range_is_named(make, named):
    with pytest.raises(ConfigError, match=named):
        make()


REQUESTS = [
    LatentRequest(Seeds(0)),
    LatentRequest(Walk(0, 64, 0.5), 0.7, (1.0, -2.5)),
    LatentRequest(Sum(1, 2, 3), 1.5, (), ((4, 0.5), (0, -4.0))),
]


@pytest.mark.parametrize("sent", REQUESTS)
def test_a_request_survives_json(sent):
    back = LatentRequest.from_dict(json.loads(json.dumps(sent.to_dict())))
    assert back == sent and hash(back) == hash(sent)


def test_the_json_form_is_the_one_that_browsers_and_files_have():
    assert json.loads(json.dumps([request.to_dict() for request in REQUESTS])) == [
        {"rows": {"kind": "seeds", "first": 0}, "truncation": 1.0, "shifts": [], "axes": []},
        {
            "rows": {"kind": "walk", "start": 0, "end": 64, "t": 0.5},
            "truncation": 0.7,
            "shifts": [1.0, -2.5],
            "axes": [],
        },
        {
            "rows": {"kind": "sum", "plus": 1, "minus": 2, "other": 3},
            "truncation": 1.5,
            "shifts": [],
            "axes": [[4, 0.5], [0, -4.0]],
        },
    ]


def _but(**changes):
    return {**LatentRequest(Seeds(0)).to_dict(), **changes}


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, "LatentRequest=None"),
        ([], r"LatentRequest=\[\]"),
        ({}, "lacks rows"),
        (_but(more=1), "does not know more; it knows axes, rows, shifts, truncation"),
        (_but(rows=None), "rows=None"),
        (_but(rows={"kind": "dance"}), "dance.*'seeds', 'list', 'walk', 'sum'"),
        (_but(rows={"first": 0}), "kind"),
        (_but(rows={"kind": ["seeds"], "first": 0}), "seeds.*does not match"),
        (_but(rows={"kind": "seeds"}), "Seeds lacks first"),
        (_but(rows={"kind": "seeds", "first": 0, "t": 0}), "Seeds does not know t"),
        (_but(rows={"kind": "seeds", "first": False}), "first=False"),
        (_but(rows={"kind": "seeds", "first": 2.0}), r"first=2\.0"),
        (_but(rows={"kind": "list", "seeds": []}), r"seeds=\[\]"),
        (_but(rows={"kind": "list", "seeds": [0] * 25}), "at most 24"),
        (_but(rows={"kind": "list", "seeds": [0, "1"]}), "seeds.1='1'"),
        (_but(rows={"kind": "walk", "start": 0, "end": 1, "t": None}), "t=None"),
        (_but(rows={"kind": "sum", "plus": 0, "minus": 1, "other": {}}), r"other=\{\}"),
        (_but(truncation="1"), "truncation='1'"),
        (_but(truncation=math.nan), "truncation=nan"),
        (_but(truncation=10**400), "truncation=1000"),
        (_but(shifts=1.0), r"shifts=1\.0"),
        (_but(shifts="12"), "shifts='12'"),
        (_but(shifts=[True]), "shifts.0=True"),
        (_but(shifts=[[1]]), r"shifts.0=\[1\]"),
        (_but(axes={"0": 1}), "axes="),
        (_but(axes=[1]), "axes.0=1 "),
        (_but(axes=[[1]]), "lacks axes.0.1"),
        (_but(axes=[[1, 1, 1]]), "axes.0="),
        (_but(axes=[[True, 1]]), "axes.0.0=True"),
        (_but(axes=[[1, "1"]]), "axes.0.1='1'"),
        (_but(axes=[[-1, 1]]), "axes.0.0=-1"),
        (_but(axes=[[4096, 1]]), "axes.0.0=4096"),
        (_but(axes=[[axis, 1] for axis in range(65)]), "at most 64"),
    ],
)
def test_what_a_browser_sends_is_not_trusted(value, named):
    with pytest.raises(ConfigError, match=named):
        LatentRequest.from_dict(value)


def test_a_message_stays_short_whatever_was_sent():
    with pytest.raises(ConfigError) as caught:
        LatentRequest.from_dict(_but(truncation="9" * 1_000_000))
    assert len(str(caught.value)) < 200
