import json
import math

import pytest
import torch

from gan.errors import ConfigError
from gan.networks import latent_request, latents
from gan.networks.latent_request import LAST_SEED, LatentRequest, Seeds, Sum, Walk, resolve_latents
from gan.zoo import generate

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


def test_the_explore_page_asks_for_the_same_latents():
    request = generate.GenerateRequest(first_seed=3, count=5, shifts=(1.0,), axes=((2, -1.5),))
    asked = LatentRequest(Seeds(3), shifts=(1.0,), axes=((2, -1.5),))
    assert request.pose == asked
    assert torch.equal(generate.request_z(request, EYE), resolve_latents(asked, 5, EYE))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Seeds(-1), "first seed -1"),
        (lambda: Seeds(LAST_SEED + 1), f"first seed {LAST_SEED + 1}"),
        (lambda: Seeds(True), "first seed True"),
        (lambda: Walk(0.5, 1, 0.0), r"start seed 0\.5"),
        (lambda: Walk(0, -2, 0.0), "end seed -2"),
        (lambda: Walk(0, 1, 1.01), r"t 1\.01"),
        (lambda: Walk(0, 1, math.nan), "t nan"),
        (lambda: Sum(0, 1, "2"), "other seed '2'"),
        (lambda: LatentRequest(Seeds(0), truncation=1.6), r"truncation 1\.6"),
        (lambda: LatentRequest(Seeds(0), truncation=-0.1), r"truncation -0\.1"),
        (lambda: LatentRequest(Seeds(0), truncation=True), "truncation True"),
        (lambda: LatentRequest(Seeds(0), shifts=(0.0, -4.5)), r"shift -4\.5"),
        (lambda: LatentRequest(Seeds(0), shifts=(math.inf,)), "shift inf"),
        (lambda: LatentRequest(Seeds(0), axes=((0, math.nan),)), "shift nan"),
        (lambda: LatentRequest(Seeds(0), axes=((1.0, 0.0),)), r"axis 1\.0"),
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
        (
            lambda: resolve_latents(LatentRequest(Seeds(0), axes=((-1, 0.0),)), 1, EYE),
            "axis -1 must be",
        ),
    ],
)
def test_a_value_out_of_range_is_named(make, named):
    with pytest.raises(ConfigError, match=named):
        make()


POSES = [
    LatentRequest(Seeds(0)),
    LatentRequest(Walk(0, 64, 0.5), 0.7, (1.0, -2.5)),
    LatentRequest(Sum(1, 2, 3), 1.5, (), ((4, 0.5), (0, -4.0))),
]


@pytest.mark.parametrize("posed", POSES)
def test_a_pose_survives_the_way_through_json(posed):
    back = LatentRequest.from_dict(json.loads(json.dumps(posed.to_dict())))
    assert back == posed and hash(back) == hash(posed)


def test_the_json_form_is_the_one_that_is_promised():
    assert [posed.to_dict() for posed in POSES] == [
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
        (None, "pose None"),
        ([], r"pose \[\]"),
        ({}, "rows, truncation, shifts, axes"),
        (_but(more=1), "just these entries"),
        (_but(rows=None), "rows None must have a kind: seeds, list, walk, sum"),
        (_but(rows={"kind": "dance"}), "dance"),
        (_but(rows={"kind": ["seeds"], "first": 0}), "must have a kind"),
        (_but(rows={"kind": "seeds"}), "just these entries: kind, first"),
        (_but(rows={"kind": "seeds", "first": 0, "t": 0}), "just these entries"),
        (_but(rows={"kind": "seeds", "first": False}), "first seed False"),
        (_but(rows={"kind": "seeds", "first": 2.0}), r"first seed 2\.0"),
        (_but(rows={"kind": "walk", "start": 0, "end": 1, "t": None}), "t None"),
        (_but(rows={"kind": "sum", "plus": 0, "minus": 1, "other": {}}), r"other seed \{\}"),
        (_but(truncation="1"), "truncation '1'"),
        (_but(truncation=math.nan), "truncation nan"),
        (_but(truncation=10**400), "truncation 1000"),
        (_but(shifts=1.0), r"shifts 1\.0 must be a list"),
        (_but(shifts="12"), "shifts '12' must be a list"),
        (_but(shifts=[True]), "shift True"),
        (_but(shifts=[[1]]), r"shift \[1\]"),
        (_but(axes={"0": 1}), "axes .* must be a list"),
        (_but(axes=[1]), "axis 1 must be a list"),
        (_but(axes=[[1]]), "an index and a value"),
        (_but(axes=[[True, 1]]), "axis True"),
        (_but(axes=[[1, "1"]]), "shift '1'"),
        (_but(axes=[[-1, 1]]), "axis -1"),
        (_but(axes=[[4096, 1]]), "axis 4096"),
        (_but(axes=[[axis, 1] for axis in range(65)]), "65 components"),
    ],
)
def test_what_a_browser_sends_is_not_trusted(value, named):
    with pytest.raises(ConfigError, match=named):
        LatentRequest.from_dict(value)


def test_a_message_stays_short_whatever_was_sent():
    with pytest.raises(ConfigError) as caught:
        LatentRequest.from_dict(_but(truncation="9" * 1_000_000))
    assert len(str(caught.value)) < 200
