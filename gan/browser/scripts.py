"""What runs in the browser, made of the files in ``gan/browser/js``: scripts, styles and words as text.

The scripts are ES modules. Neither a Streamlit component (one text) nor a page opened from a disk (no
``import`` between files) can have them as such, so they are joined into one here: in the order of their imports, without
the import lines and the word ``export``. That asks three things of them, which `script` checks: imports
are one line each and by the exported name, exports stand before a declaration, and no two modules
declare the same name. Comments on lines of their own and indentation stay behind: the text travels with every page.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

JS = Path(__file__).resolve().parent / "js"
LANGUAGES = ("en", "ja")
_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "\.{1,2}/(?:\w+/)?(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function\b|class\b|const\b|let\b)", re.MULTILINE)
_DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE
)
#: What may only look as if it began or held a comment, or a line of code.
_LITERAL = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/"""
_COMMENT = re.compile(
    r"(?P<gone>^[ ]*(?://[^\n]*|/\*.*?\*/[ ]*)\n)|" + _LITERAL, re.MULTILINE | re.DOTALL
)
_INDENTATION = re.compile(r"(?P<gone>^[ ]+)|" + _LITERAL, re.MULTILINE | re.DOTALL)
_LEFT_OVER = re.compile(r"^(?:import\b|export (?!default function\b))", re.MULTILINE)


@functools.cache
def script(entry: str) -> str:
    """The module ``gan/browser/js/ENTRY.js`` and all it imports as one module's text, which imports nothing.
    ValueError where a module does not keep the rules above."""
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
    return pattern.sub(lambda found: "" if found["gone"] else found[0], text)


def _collect(name: str, order: list[str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"{' -> '.join((*above, name))}: modules import each other in a circle")
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
    """What the module ``gan/browser/js/NAME.js`` exports."""
    lines = [line for line in read(f"{name}.js").splitlines() if line.startswith("export ")]
    return [found[1] for line in lines if (found := _DECLARED.match(line))]


def style(*names: str) -> str:
    """The style sheets ``gan/browser/js/NAME.css``, one behind the other."""
    return "\n".join(read(f"{name}.css") for name in names)


@functools.cache
def words() -> dict[str, dict[str, str]]:
    """Language -> key -> words, of all files in ``gan/browser/js/words``. ValueError where two have the same key."""
    table: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for path in sorted((JS / "words").glob("*.json")):
        for language, found in json.loads(path.read_text(encoding="utf-8")).items():
            twice = table[language].keys() & found.keys()
            if twice:
                raise ValueError(f"{path.name} has {', '.join(sorted(twice))} a second time")
            table[language] |= found
    return table


def read(name: str) -> str:
    """The text of the file of that name below ``gan/browser/js``. ValueError unless there is exactly one."""
    found = list(JS.rglob(name))
    if len(found) != 1:
        raise ValueError(f"{len(found)} files below {JS} are called {name}; give each its own name")
    return found[0].read_text(encoding="utf-8")
