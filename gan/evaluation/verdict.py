"""Four ways for a GAN to fail, told apart and named in words.

    one picture   total collapse: every latent gives nearly the same picture
    noise         failed training: what is drawn is no digit at all
    few kinds     mode collapse: digits are drawn, but some of the ten are missing or rare
    copies        memorisation: samples lie closer to the training images than unseen real ones do

and two that are no failure of these kinds: ``rough`` (all digits, many of them unclear) and
``healthy``. ``unsure`` says that there are too few samples to tell. One model can show several.
Of pictures that are no digits only the first and the last can be told; ``not_digits`` says that
neither was seen.
This module decides from measured numbers only; `gan.evaluation.evaluate` measures. Each verdict carries
its numbers, and says three things: what is seen, what was measured, what it may mean. The sentences
are in `gan.evaluation.verdict_words`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from gan.evaluation.figures import CopyFigures
from gan.evaluation.metrics import wilson_interval
from gan.evaluation.verdict_words import ENGLISH, LANGUAGES, Words

Kind = Literal[
    "one_picture", "noise", "few_kinds", "copies", "rough", "healthy", "unsure", "not_digits"
]
MIN_SAMPLES = 300
MIN_LEGIBLE = 381  # legible ones: from here on a digit never seen is below 1 % (Wilson)
ONE_PICTURE_SPREAD = 0.35  # of the median distance of two real digits
GREY_CONTRAST = 0.6  # of real digits'; below, alike pictures are alike in being grey
NOISE_LEGIBLE = 0.25  # share of samples read as a digit
ROUGH_LEGIBLE = 0.75
MISSING_SHARE = 0.01  # of the legible samples; a digit whose 95 % interval ends below is missing
FEW_KINDS_EFFECTIVE = 7.0  # exp(entropy) of the digits; real test digits: 9.98
COPIED_SHARE = 0.10  # of the samples nearer to training images than 99 % of unseen reals are


@dataclass(frozen=True)
class Measures:
    """What a verdict is decided on. ``counts``: samples of n read as 0..9 with confidence 0.9;
    ``spread``: median distance of two samples over that of two real test digits;
    ``contrast``: pixel deviation within a sample over that within a real digit (grey: near 0).
    ``digits=False``: trained on other pictures; spread and contrast are over those of its training
    images, and the counts decide nothing."""

    n: int
    counts: tuple[int, ...]
    spread: float
    contrast: float
    copies: CopyFigures | None = None  # None where the training images were not at hand
    digits: bool = True

    @property
    def legible(self) -> float:
        return sum(self.counts) / self.n if self.n else 0.0


@dataclass(frozen=True)
class Verdict:
    """A named finding with the numbers behind it; ``words()`` puts it into sentences."""

    kind: Kind
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Of its words: what speaks of digits has a form for other pictures, as "copies/other"."""
        other = f"{self.kind}/other"
        return other if other in ENGLISH and not self.facts.get("digits", True) else self.kind

    def words(self, templates: Mapping[str, Words] | None = None) -> Words:
        """The sentences of this verdict. ``templates`` of another language have the keys of `ENGLISH`."""
        template = (templates or ENGLISH)[self.key]
        return Words(*(text.format(**self.facts) for text in template))


def verdict_words(language: str, verdict: Verdict) -> Words:
    """A verdict's title and three sentences in "en" or "ja". KeyError for another language."""
    return verdict.words(LANGUAGES[language])


def effective_kinds(counts: tuple[int, ...]) -> float:
    """exp of the entropy of the counts: 10 when all ten are equally frequent, 1 when only one occurs."""
    total = sum(counts)
    if total == 0:
        return 0.0
    shares = [c / total for c in counts if c]
    return math.exp(-sum(s * math.log(s) for s in shares))


def missing_digits(counts: tuple[int, ...]) -> list[int]:
    """Digits whose share of the legible samples is below `MISSING_SHARE` with 95 % confidence."""
    legible = sum(counts)
    return [
        digit
        for digit, count in enumerate(counts)
        if legible and wilson_interval(count, legible)[1] < MISSING_SHARE
    ]


def diagnose(measures: Measures) -> list[Verdict]:
    """The findings, the gravest first; never empty. ``unsure`` alone where there are fewer than
    `MIN_SAMPLES` samples, or too few legible ones to miss a digit among. Of pictures that are no digits
    it is ``one_picture``, ``copies`` or ``not_digits``, which a median and a share tell from few samples."""
    legible = measures.legible
    facts: dict[str, Any] = {
        "n": measures.n,
        "read": sum(measures.counts),
        "checked": 3 if measures.copies is None else 4,
        "legible": legible,
        "spread": measures.spread,
        "contrast": measures.contrast,
        "present": 10,
        "missing": "",
        "effective": effective_kinds(measures.counts),
        "needed": MIN_LEGIBLE,
        "digits": measures.digits,
    }
    if not measures.digits:
        return [_diagnose_pictures(measures, facts)]
    if measures.n < MIN_SAMPLES:
        return [Verdict("unsure", facts)]
    if measures.spread < ONE_PICTURE_SPREAD and measures.contrast >= GREY_CONTRAST:
        return [Verdict("one_picture", facts)]
    if legible < NOISE_LEGIBLE:
        return [Verdict("noise", facts)]
    if facts["read"] < MIN_LEGIBLE:
        return [Verdict("unsure", facts)]
    verdicts: list[Verdict] = []
    missing = missing_digits(measures.counts)
    rare = facts["effective"] < FEW_KINDS_EFFECTIVE
    if missing or rare:
        shown = [d for d in range(10) if d not in missing]
        named = missing or sorted(sorted(shown, key=lambda d: measures.counts[d])[:3])
        facts |= {"present": len(shown), "missing": ", ".join(map(str, named))}
        verdicts.append(Verdict("few_kinds", facts))
    if _copies(measures.copies):
        verdicts.append(Verdict("copies", facts | _copy_facts(measures.copies)))
    if not verdicts:
        verdicts.append(Verdict("rough" if legible < ROUGH_LEGIBLE else "healthy", facts))
    return verdicts


def _diagnose_pictures(measures: Measures, facts: dict[str, Any]) -> Verdict:
    """Without a classifier of what is drawn. Alike pictures need no contrast to be called so: what is
    noise among such pictures is not known."""
    facts = facts | {"checked": 1 if measures.copies is None else 2}
    if measures.spread < ONE_PICTURE_SPREAD:
        return Verdict("one_picture", facts)
    if _copies(measures.copies):
        return Verdict("copies", facts | _copy_facts(measures.copies))
    return Verdict("not_digits", facts)


def _copies(copies: CopyFigures | None) -> TypeGuard[CopyFigures]:
    if copies is None:
        return False
    # the baseline is 1 % by construction; ask that the excess is no accident of the sample
    sure = wilson_interval(copies.copied_share * copies.n, copies.n)[0] > COPIED_SHARE / 2
    return copies.copied_share > COPIED_SHARE and sure


def _copy_facts(copies: CopyFigures) -> dict[str, Any]:
    return {"copied": copies.copied_share, "copies_n": copies.n}
