"""The sentences of the verdicts of `gan.evaluation.verdict`, which are in ``verdict_words.json``.

A key is the kind of a verdict, with "/other" for images that are not digits. Braces contain names of
`Verdict.facts`. All languages have the same keys and state the same numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

LANGUAGES = ("en", "ja")


class Words(NamedTuple):
    """A title, and three sentences: what is seen, what was measured, and what it may mean."""

    title: str
    seen: str
    measured: str
    meaning: str


def _tables() -> dict[str, dict[str, Words]]:
    found = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return {
        language: {key: Words(**texts) for key, texts in found[language].items()}
        for language in LANGUAGES
    }


#: Language -> key -> words.
TABLES = _tables()
