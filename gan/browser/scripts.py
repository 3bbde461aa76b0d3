"""Reads the files of ``gan/browser/js``: ES modules bundled into one script, style sheets, and interface texts.

A Streamlit component is one text, and a page opened from a disk cannot import other files. So `bundle_script` joins a
module and its imports into one: in the order of the imports, without import lines and the word ``export``. It
checks three conditions: every import is one line and uses the exported name, every export stands before a
declaration, and no two modules declare the same name. Comments on their own lines and indentation are removed, because
every page sends the text to the browser.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from gan.evaluation.verdict import LANGUAGES, WORDS

JS = Path(__file__).resolve().parent / "js"
_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "\.{1,2}/(?:\w+/)?(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function\b|class\b|const\b|let\b)", re.MULTILINE)
_DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE
)
# Strings, and comments behind code: they may contain what looks like a comment or the begin of a line.
_LITERAL = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/"""
_COMMENT = re.compile(
    r"(?P<removed>^[ ]*(?://[^\n]*|/\*.*?\*/[ ]*)\n)|" + _LITERAL, re.MULTILINE | re.DOTALL
)
_INDENTATION = re.compile(r"(?P<removed>^[ ]+)|" + _LITERAL, re.MULTILINE | re.DOTALL)
_LEFT_OVER = re.compile(r"^(?:import\b|export (?!default function\b))", re.MULTILINE)


@functools.cache
def bundle_script(entry: str) -> str:
    """The module ``ENTRY.js`` and everything it imports as the text of one module without imports. ValueError if a
    module breaks one of the conditions above."""
    order: list[str] = []
    _collect(entry, order, ())
    owner: dict[str, str] = {}
    parts = []
    for name in order:
        text = _without(_COMMENT, read(f"{name}.js"))
        for declared in _DECLARED.findall(text):
            if owner.setdefault(declared, name) != name:
                raise ValueError(f"{declared} is declared in {owner[declared]}.js and in {name}.js")
        joined = _EXPORT.sub("", _IMPORT.sub("", text))
        rest = _LEFT_OVER.search(joined)
        if rest or ("export default" in joined and name != entry):
            raise ValueError(f"{name}.js has an import or export that cannot be joined")
        parts.append(_without(_INDENTATION, joined).strip())
    return "\n\n".join(parts) + "\n"


def _without(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda found: "" if found["removed"] else found[0], text)


def _collect(name: str, order: list[str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"import cycle: {' -> '.join((*above, name))}")
    if name in order:
        return
    text = read(f"{name}.js")
    for names, source in _IMPORT.findall(text):
        _collect(source, order, (*above, name))
        missing = {n.strip() for n in names.split(",")} - set(exported(source))
        if missing:
            raise ValueError(f"{name}.js imports {', '.join(sorted(missing))}: not in {source}.js")
    order.append(name)


def exported(name: str) -> list[str]:
    """The names that the module ``NAME.js`` exports."""
    lines = [line for line in read(f"{name}.js").splitlines() if line.startswith("export ")]
    return [found[1] for line in lines if (found := _DECLARED.match(line))]


def style(*names: str) -> str:
    """The style sheets ``NAME.css``, one after the other."""
    return "\n".join(read(f"{name}.css") for name in names)


@functools.cache
def words(*names: str) -> dict[str, dict[str, str]]:
    """Language -> key -> interface text, of the files ``words/NAME.json``; without names, of all of them; and the titles
    of the verdicts as ``film_verdict_KIND``. ValueError if two files have the same key."""
    table = {
        language: {f"film_verdict_{key}": words.title for key, words in WORDS[language].items()}
        for language in LANGUAGES
    }
    for name in names or sorted(path.stem for path in (JS / "words").glob("*.json")):
        for language, found in json.loads(read(f"{name}.json")).items():
            twice = table[language].keys() & found.keys()
            if twice:
                raise ValueError(f"{name}.json repeats the keys {', '.join(sorted(twice))}")
            table[language] |= found
    return table


def read(name: str) -> str:
    """The text of the file of that name in any folder of ``gan/browser/js``. ValueError unless there is exactly one."""
    found = list(JS.rglob(name))
    if len(found) != 1:
        raise ValueError(f"{len(found)} files in {JS} have the name {name}; rename all but one")
    return found[0].read_text(encoding="utf-8")
