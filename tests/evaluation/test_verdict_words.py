import re
import string

import pytest

from gan.evaluation.verdict import LANGUAGES, WORDS

ENGLISH, JAPANESE = (WORDS[language] for language in LANGUAGES)


def placeholders(templates):
    """Names of the facts that sentences ask for."""
    parsed = string.Formatter().parse(" ".join(templates))
    return {name for _, name, _, _ in parsed if name}


def test_every_verdict_has_words_in_both_languages():
    assert tuple(WORDS) == LANGUAGES
    assert ENGLISH.keys() == JAPANESE.keys()


@pytest.mark.parametrize("kind", ENGLISH)
def test_both_languages_say_the_same_numbers(kind):
    assert placeholders(ENGLISH[kind]) == placeholders(JAPANESE[kind])


@pytest.mark.parametrize("kind", ENGLISH)
def test_each_language_is_written_in_its_own_script(kind):
    assert all(re.search(r"[぀-ヿ一-鿿]", text) for text in JAPANESE[kind])
    assert all(text.isascii() for text in ENGLISH[kind])
