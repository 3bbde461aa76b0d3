"""The texts of the app in English and Japanese, which are in ``words/*.json`` under the same keys.

The sentences of the verdicts are in `gan.evaluation`, because the command line prints them too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gan.evaluation.verdict import LANGUAGES

WORDS = Path(__file__).with_name("words")
_TABLES: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
for _path in WORDS.glob("*.json"):
    for _language, _words in json.loads(_path.read_text(encoding="utf-8")).items():
        _TABLES[_language] |= _words


def text(language: str, key: str, **facts: Any) -> str:
    """The text of ``key`` with ``facts`` filled in. KeyError for an unknown key."""
    words = _TABLES[language][key]
    return words.format(**facts) if facts else words
