"""Names the ways in which a GAN fails, from measured numbers alone.

    one picture   total collapse: every latent gives nearly the same image
    noise         failed training: the images are not digits
    few kinds     mode collapse: some of the ten digits are missing or rare
    copies        memorisation: samples are closer to the training images than unseen real images are

A model can have several of these. If it has none, it is ``rough`` (all digits, many of them unclear) or
``healthy``. ``unsure``: too few samples to tell. For images that are not digits, only the first and
the last failure can be detected; ``not_digits``: neither was found.

`gan.evaluation.evaluate` measures; ``verdict_words.json`` has the sentences. *Legible*
samples are those that the classifier reads with confidence 0.9.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeGuard

from gan.evaluation.figures import CopyFigures
from gan.evaluation.metrics import wilson_interval

Kind = Literal[
    "one_picture", "noise", "few_kinds", "copies", "rough", "healthy", "unsure", "not_digits"
]
LANGUAGES = ("en", "ja")
MIN_SAMPLES = 300
MIN_LEGIBLE = 381  # legible samples; a digit not seen among them has a share below 1 % (Wilson)
ONE_PICTURE_SPREAD = 0.35  # of the median distance of two real digits
GREY_CONTRAST = 0.6  # of that of real digits; similar images below it are just grey: noise
NOISE_LEGIBLE = 0.25  # share of samples read as a digit
ROUGH_LEGIBLE = 0.75
MISSING_SHARE = 0.01  # of the legible samples; a digit is missing if its 95 % interval is below
FEW_KINDS_EFFECTIVE = 7.0  # exp(entropy) of the digits; real test digits: 9.98
COPIED_SHARE = 0.10  # of the samples, closer to training images than 99 % of unseen real ones


class Words(NamedTuple):
    """A title, and three sentences: what is seen, what was measured, and what it may mean."""

    title: str
    seen: str
    measured: str
    meaning: str


_FILE = Path(__file__).with_name("verdict_words.json")
#: Language -> `Verdict.key` -> words; braces contain names of `Verdict.facts`. All languages have the same keys and state
#: the same numbers.
WORDS: dict[str, dict[str, Words]] = {
    language: {key: Words(**texts) for key, texts in table.items()}
    for language, table in json.loads(_FILE.read_text(encoding="utf-8")).items()
}


@dataclass(frozen=True)
class Measures:
    """What a verdict depends on. ``counts``: how many of n samples were read as 0..9 with confidence 0.9.
    ``spread``: median distance between two samples, divided by that of two real test digits.
    ``contrast``: pixel deviation within a sample, divided by that within a real digit (grey: near 0).
    ``digits=False``: trained on other images; spread and contrast are divided by those of the training
    images, and the counts are ignored."""

    n: int
    counts: tuple[int, ...]
    spread: float
    contrast: float
    copies: CopyFigures | None = None  # None: not checked
    digits: bool = True

    @property
    def legible(self) -> float:
        return sum(self.counts) / self.n if self.n else 0.0


@dataclass(frozen=True)
class Verdict:
    """A finding with the numbers behind it; ``words()`` gives its sentences."""

    kind: Kind
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of its words; for images that are not digits "copies/other", for example."""
        other = f"{self.kind}/other"
        return other if other in WORDS["en"] and not self.facts.get("digits", True) else self.kind

    def words(self, language: str = "en") -> Words:
        """The title and three sentences in "en" or "ja". KeyError for another language."""
        return Words(*(text.format(**self.facts) for text in WORDS[language][self.key]))


def effective_kinds(counts: tuple[int, ...]) -> float:
    """Effective number of digit classes: exp(entropy of the counts); 10 if all ten are equally frequent, 1
    if only one occurs."""
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
    """The findings, most serious first; never empty. Only ``unsure`` if there are fewer than `MIN_SAMPLES`
    samples, or too few legible ones to say that a digit is missing. For images that are not digits one of
    ``one_picture``, ``copies`` and ``not_digits``, for which a few samples are enough."""
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
    """The verdict without a classifier. Contrast is ignored, since noise cannot be told from such images."""
    facts = facts | {"checked": 1 if measures.copies is None else 2}
    if measures.spread < ONE_PICTURE_SPREAD:
        return Verdict("one_picture", facts)
    if _copies(measures.copies):
        return Verdict("copies", facts | _copy_facts(measures.copies))
    return Verdict("not_digits", facts)


def _copies(copies: CopyFigures | None) -> TypeGuard[CopyFigures]:
    if copies is None:
        return False
    # 1 % is expected without copies; make sure that the excess is not chance
    sure = wilson_interval(copies.copied_share * copies.n, copies.n)[0] > COPIED_SHARE / 2
    return copies.copied_share > COPIED_SHARE and sure


def _copy_facts(copies: CopyFigures) -> dict[str, Any]:
    return {"copied": copies.copied_share, "copies_n": copies.n}
