import math
import string
from dataclasses import replace

import pytest

from gan.evaluation import verdict as verdicts
from gan.evaluation.metrics import wilson_interval
from gan.evaluation.verdict import (
    CopyFigures,
    Measures,
    diagnose,
    effective_kinds,
    missing_digits,
)

N = 2_000
EVEN = (180,) * 10  # 90 % of N legible, all ten alike
NO_COPIES = CopyFigures(closer_share=0.5, copied_share=0.01, n=1_000, m=200, baseline_n=2_000)
COPIER = replace(NO_COPIES, closer_share=0.95, copied_share=0.6)
HEALTHY = Measures(n=N, counts=EVEN, spread=1.0, contrast=1.0, copies=NO_COPIES)


def _kinds(measures: Measures) -> list[str]:
    return [verdict.kind for verdict in diagnose(measures)]


@pytest.mark.parametrize(
    ("measures", "kinds"),
    [
        (HEALTHY, ["healthy"]),
        (replace(HEALTHY, copies=None), ["healthy"]),
        (replace(HEALTHY, counts=(100,) * 10), ["rough"]),
        (replace(HEALTHY, n=299, counts=(27,) * 10), ["unsure"]),
        (replace(HEALTHY, spread=0.05), ["one_picture"]),
        (replace(HEALTHY, counts=(20,) * 10), ["noise"]),
        (replace(HEALTHY, counts=(0,) * 10), ["noise"]),
        (replace(HEALTHY, counts=(0, 0, *(225,) * 8)), ["few_kinds"]),
        (replace(HEALTHY, counts=(900, 700, *(20,) * 8)), ["few_kinds"]),
        (replace(HEALTHY, copies=COPIER), ["copies"]),
        (replace(HEALTHY, counts=(0, *(200,) * 9), copies=COPIER), ["few_kinds", "copies"]),
        # one clear picture: neither noise nor a question of copies
        (
            replace(HEALTHY, counts=(0,) * 7 + (1_900, 0, 0), spread=0.1, copies=COPIER),
            ["one_picture"],
        ),
        # alike because grey: training did not get there
        (replace(HEALTHY, counts=(0,) * 10, spread=0.05, contrast=0.1), ["noise"]),
    ],
)
def test_every_failure_is_told_from_the_others(measures, kinds):
    assert _kinds(measures) == kinds


@pytest.mark.parametrize(
    ("at", "below", "kind"),
    [
        (
            replace(HEALTHY, spread=verdicts.ONE_PICTURE_SPREAD),
            replace(HEALTHY, spread=verdicts.ONE_PICTURE_SPREAD - 1e-6),
            "one_picture",
        ),
        (
            replace(HEALTHY, counts=(0,) * 10, spread=0.1, contrast=verdicts.GREY_CONTRAST),
            replace(HEALTHY, counts=(0,) * 10, spread=0.1, contrast=verdicts.GREY_CONTRAST - 1e-6),
            "noise",
        ),
        (
            replace(HEALTHY, counts=(50,) * 10),  # a quarter of 2,000
            replace(HEALTHY, counts=(49, *(50,) * 9)),
            "noise",
        ),
        (
            replace(HEALTHY, counts=(150,) * 10),  # three quarters
            replace(HEALTHY, counts=(149, *(150,) * 9)),
            "rough",
        ),
        (
            replace(HEALTHY, n=verdicts.MIN_SAMPLES, counts=(0,) * 10),
            replace(HEALTHY, n=verdicts.MIN_SAMPLES - 1, counts=(0,) * 10),
            "unsure",
        ),
        (
            replace(HEALTHY, n=400, counts=(39, *(38,) * 9)),
            replace(HEALTHY, n=400, counts=(38,) * 10),
            "unsure",
        ),
    ],
)
def test_a_threshold_itself_still_passes_and_just_below_does_not(at, below, kind):
    assert kind not in _kinds(at)
    assert _kinds(below) == [kind]


def test_copies_need_more_than_the_threshold_and_enough_samples():
    at = replace(COPIER, copied_share=verdicts.COPIED_SHARE)
    above = replace(at, copied_share=verdicts.COPIED_SHARE + 0.001)
    few = replace(above, copied_share=0.11, n=20)  # 2 of 20 may be chance
    assert [_kinds(replace(HEALTHY, copies=c)) for c in (at, above, few)] == [
        ["healthy"],
        ["copies"],
        ["healthy"],
    ]


def test_missing_digits_are_named():
    counts = (200, 0, 200, 200, 2, 200, 200, 200, 200, 200)
    assert missing_digits(counts) == [1, 4]
    (verdict,) = diagnose(replace(HEALTHY, counts=counts))
    assert verdict.facts["present"] == 8
    assert verdict.facts["missing"] == "1, 4"
    assert verdict.words().seen == "8 of 10 digits appear; missing or rare: 1, 4."


def test_a_rare_digit_is_not_missing_and_too_few_samples_miss_nothing():
    assert missing_digits((20, *(220,) * 9)) == []  # 1 % of the legible
    # none of 100 is what a digit at 1 % gives once in three times
    assert missing_digits((0, *(11,) * 9)) == []
    assert missing_digits((0,) * 10) == []


def test_where_no_digit_is_missing_the_rarest_are_named():
    (verdict,) = diagnose(replace(HEALTHY, counts=(900, 700, 40, 30, 40, 20, 40, 40, 15, 40)))
    assert verdict.facts["missing"] == "3, 5, 8"
    assert verdict.facts["present"] == 10


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((7,) * 10, 10.0), ((0,) * 9 + (5,), 1.0), ((4, 4) + (0,) * 8, 2.0), ((0,) * 10, 0.0)],
)
def test_effective_kinds_count_what_occurs(counts, expected):
    assert effective_kinds(counts) == pytest.approx(expected)


def test_effective_kinds_are_the_exponential_of_the_entropy():
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert effective_kinds((3, 1) + (0,) * 8) == pytest.approx(expected)


def test_legible_is_the_share_that_was_read():
    assert replace(HEALTHY, n=200, counts=(10,) * 10).legible == 0.5
    assert replace(HEALTHY, n=0, counts=(0,) * 10).legible == 0.0


EVERY_KIND = {
    "one_picture": replace(HEALTHY, spread=0.05),
    "noise": replace(HEALTHY, counts=(20,) * 10),
    "few_kinds": replace(HEALTHY, counts=(0, 0, *(225,) * 8)),
    "copies": replace(HEALTHY, copies=COPIER),
    "rough": replace(HEALTHY, counts=(100,) * 10),
    "healthy": HEALTHY,
    "unsure": replace(HEALTHY, n=100, counts=(9,) * 10),
    "one_picture/other": replace(HEALTHY, spread=0.05, digits=False),
    "copies/other": replace(HEALTHY, copies=COPIER, digits=False),
    "not_digits": replace(HEALTHY, digits=False),
}


def test_there_are_words_for_every_verdict():
    assert set(verdicts.WORDS["en"]) == set(EVERY_KIND)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_template_is_filled_from_the_facts_of_its_verdict(kind):
    (verdict,) = diagnose(EVERY_KIND[kind])
    assert (verdict.key, verdict.kind) == (kind, kind.partition("/")[0])
    words = verdict.words()
    assert (words.title, words.seen, words.measured, words.meaning) == tuple(words)
    assert all(words) and not any("{" in text or "}" in text for text in words)
    # another language may use any fact, so a template must not fail for want of one
    fields = {
        f for text in verdicts.WORDS["en"][kind] for _, f, _, _ in string.Formatter().parse(text)
    }
    assert fields - {None} <= set(verdict.facts)


def test_the_measured_sentence_carries_the_numbers():
    (verdict,) = diagnose(EVERY_KIND["copies"])
    assert "60% of 1,000 samples" in verdict.words().measured
    (verdict,) = diagnose(EVERY_KIND["noise"])
    assert verdict.words().measured.startswith("10% of 2,000 samples")


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_verdict_is_said_in_both_languages_with_its_numbers(kind):
    (verdict,) = diagnose(EVERY_KIND[kind])
    english, japanese = (verdict.words(language) for language in ("en", "ja"))
    assert english == verdict.words() != japanese
    assert all(japanese) and not any("{" in text or "}" in text for text in japanese)
    with pytest.raises(KeyError, match="de"):
        verdict.words("de")


def test_enough_legible_samples_are_those_among_which_no_digit_goes_missing_unseen():
    enough = verdicts.MIN_LEGIBLE
    assert wilson_interval(0, enough)[1] < verdicts.MISSING_SHARE
    assert wilson_interval(0, enough - 1)[1] >= verdicts.MISSING_SHARE


def test_a_digit_that_never_occurs_is_never_called_present():
    for each in range(1, 60):
        measures = replace(HEALTHY, n=600, counts=(0, *(each,) * 9))
        assert not {"healthy", "rough"} & set(_kinds(measures)), each


def test_what_was_not_looked_for_is_not_said_to_be_absent():
    (healthy,) = diagnose(HEALTHY)
    assert healthy.words().meaning.startswith("4 of 4")
    (healthy,) = diagnose(replace(HEALTHY, copies=None))
    assert healthy.words().meaning.startswith("3 of 4")


PICTURES = replace(HEALTHY, counts=(0,) * 10, digits=False)


@pytest.mark.parametrize(
    ("measures", "kinds"),
    [
        (PICTURES, ["not_digits"]),
        (replace(PICTURES, counts=(900, 700, *(20,) * 8)), ["not_digits"]),  # read, but none
        (replace(PICTURES, n=40), ["not_digits"]),
        (replace(PICTURES, contrast=0.1), ["not_digits"]),
        (replace(PICTURES, spread=verdicts.ONE_PICTURE_SPREAD), ["not_digits"]),
        (replace(PICTURES, spread=verdicts.ONE_PICTURE_SPREAD - 1e-6), ["one_picture"]),
        (replace(PICTURES, spread=0.05, contrast=0.1), ["one_picture"]),
        (replace(PICTURES, spread=0.05, copies=COPIER), ["one_picture"]),
        (replace(PICTURES, copies=COPIER), ["copies"]),
    ],
)
def test_of_other_pictures_only_what_needs_no_classifier_is_decided(measures, kinds):
    assert _kinds(measures) == kinds


def test_of_other_pictures_it_is_said_how_little_was_looked_for():
    for copies, checked in ((NO_COPIES, 2), (None, 1)):
        (verdict,) = diagnose(replace(PICTURES, copies=copies))
        assert verdict.words().meaning.startswith(f"{checked} of 4 kinds of failure could be")


@pytest.mark.parametrize("kind", ["one_picture/other", "copies/other", "not_digits"])
def test_the_words_for_other_pictures_measure_no_digits(kind):
    title, seen, measured, _ = verdicts.WORDS["en"][kind]
    assert "digit" not in seen + measured
    assert "legible" not in "".join(verdicts.WORDS["en"][kind])
    assert title
