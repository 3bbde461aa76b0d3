"""The browser's scripts, styles and words as text; no browser is needed for these."""

import json
import re

import pytest

from gan.browser import payload, scripts

MODULES = sorted(path.stem for path in scripts.JS.rglob("*.js"))
ENTRIES = ("pad_component", "film_component", "charts_component", "lazy_component", "site")
LOADERS = ["lazy_component", "loading"]  # of the script, and of everything else
PARTS = sorted(path.stem for path in (scripts.JS / "words").glob("*.json"))


def source(name):
    return scripts.read(f"{name}.js")


@pytest.fixture
def web(tmp_path, monkeypatch):
    """An empty folder in the place of ``gan/browser/js``: web(a="...", b="...") puts modules into it."""
    monkeypatch.setattr(scripts, "JS", tmp_path)
    scripts.bundle_script.cache_clear()
    scripts.words.cache_clear()

    def put(**modules):
        for name, text in modules.items():
            (tmp_path / f"{name}.js").write_text(text, "utf-8")

    yield put
    scripts.bundle_script.cache_clear()
    scripts.words.cache_clear()


def test_modules_are_joined_in_the_order_of_their_imports_each_once(web):
    web(
        top='import { left } from "./left.js";\nimport { right, bottom } from "./right.js";\n\nleft(right);\n',
        left='import { low } from "./low.js";\n\nexport function left(x) {\n  return low(x);\n}\n',
        right='import { low } from "./low.js";\n\nexport const right = 1;\nexport class bottom {}\n',
        low="export async function low() {}\nexport let high = 2;\n",
    )
    assert scripts.bundle_script("top") == (
        "async function low() {}\nlet high = 2;\n\n"
        "function left(x) {\nreturn low(x);\n}\n\n"
        "const right = 1;\nclass bottom {}\n\n"
        "left(right);\n"
    )
    assert scripts.exported("low") == ["low", "high"]


def test_the_entry_alone_may_have_a_default_export(web):
    web(top="export default function top() {}\n", low='import { top } from "./top.js";\n')
    assert scripts.bundle_script("top") == "export default function top() {}\n"
    web(low='import { x } from "./mid.js";\n', mid="export const x = 1;\nexport default x;\n")
    with pytest.raises(ValueError, match=r"mid.js has an import or export"):
        scripts.bundle_script("low")


def test_modules_that_import_each_other_are_refused(web):
    web(
        a='import { b } from "./b.js";\nexport const a = 1;\n',
        b='import { c } from "./c.js";\nexport const b = 1;\n',
        c='import { a } from "./a.js";\nexport const c = 1;\n',
    )
    with pytest.raises(ValueError, match=r"import cycle: a -> b -> c -> a"):
        scripts.bundle_script("a")


def test_what_is_imported_must_be_exported(web):
    web(a='import { here, gone } from "./b.js";\n', b="export const here = 1;\nconst gone = 2;\n")
    with pytest.raises(ValueError, match=r"a.js imports gone: not in b.js"):
        scripts.bundle_script("a")


@pytest.mark.parametrize(
    "twice", ["const x = 2;", "function x() {}", "async function x() {}", "class x {}", "let x;"]
)
def test_one_name_belongs_to_one_module(web, twice):
    web(a=f'import {{ y }} from "./b.js";\n{twice}\n', b="export const y = 1;\nconst x = 1;\n")
    with pytest.raises(ValueError, match=r"x is declared in b.js and in a.js"):
        scripts.bundle_script("a")


@pytest.mark.parametrize(
    "line",
    [
        'import { y as z } from "./b.js";',
        'import * as b from "./b.js";',
        'import b from "./b.js";',
        'import "./b.js";',
        "import { y } from './b.js';",
        'import {\n  y,\n} from "./b.js";',
        'import { y } from "https://elsewhere/b.js";',
        "export { y };",
        'export * from "./b.js";',
        "export var y = 1;",
    ],
)
def test_other_forms_of_imports_and_exports_are_refused(web, line):
    web(a=f"{line}\n", b="export const y = 1;\n")
    with pytest.raises(ValueError, match=r"a.js (has an import|imports y as z: not in b)"):
        scripts.bundle_script("a")


def test_a_style_is_its_files_one_behind_the_other(web, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.css").write_text(f".{name} {{}}\n")
    assert scripts.style("b", "a") == ".b {}\n\n.a {}\n"


def test_what_python_and_the_scripts_both_count_is_the_same():
    rows = re.search(r"ROWS_SHOWN = (\d+);", source("wall"))
    shifts = re.search(r"SHIFTS = (\d+);", source("pad"))
    assert (int(rows[1]), int(shifts[1])) == (payload.WALL_ROWS, payload.NUM_SHIFTS)


def test_comments_on_lines_of_their_own_stay_behind_and_nothing_else(web):
    kept = [
        "const url = 'http://x'; // a trailing one's",
        'const text = "/** no comment */";',
        r"""const pattern = /["'/]+/;""",
        "const lines = `",
        "// in a template",
        "  /* in a template */",
        "    ${url /* inside */}`;",
        r'const quote = "\"// still a string";',
        "const sum = 1 /* one",
        "*/ + 2;",
    ]
    gone = [
        "// first",
        "  // don't",
        "/** `one` line */",
        "/**",
        " * several",
        " */",
        "  /* a 'b */",
    ]
    lines = [gone[0], *kept[:3], *gone[1:3], *kept[3:8], *gone[3:], *kept[8:], "// the end"]
    web(a="\n".join(lines) + "\n")
    assert scripts.bundle_script("a") == "\n".join(kept) + "\n"


def test_indentation_stays_behind_but_not_that_of_a_template(web):
    web(a="function f() {\n  const a = `\n    deep\n  `;\n    return a;\n}\n")
    assert (
        scripts.bundle_script("a") == "function f() {\nconst a = `\n    deep\n  `;\nreturn a;\n}\n"
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_module_without_its_comments_says_the_same(name):
    alone = scripts._without(scripts._COMMENT, source(name))
    assert not re.search(r"^\s*(//|/\*|\*)", alone, re.MULTILINE)
    # what is left is the lines there were, in their order, and what is gone is comment
    lines = iter(source(name).splitlines())
    inside = False
    for line in alone.splitlines():
        for other in lines:
            if other == line and not inside:
                break
            begins = other.strip().startswith("/*")
            assert inside or begins or other.strip().startswith("//"), other
            inside = (inside or begins) and not other.rstrip().endswith("*/")
        else:
            pytest.fail(f"{line!r} is new")


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_joined_and_says_what_it_is_for(name):
    assert scripts.bundle_script(name)
    assert re.match(r"// [A-Z].{20,}", source(name))


def test_every_module_is_reached_from_an_entry():
    reached = []
    for entry in ENTRIES:
        scripts._collect(entry, reached, ())
    assert set(MODULES) - set(reached) == set()


def test_the_network_belongs_to_the_loaders():
    fetching = re.compile(
        r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts|\bimport\("
    )
    assert [name for name in MODULES if fetching.search(source(name))] == LOADERS


@pytest.mark.parametrize("name", MODULES)
def test_nothing_comes_from_elsewhere(name):
    code = re.sub(r"\s//.*", "", scripts._without(scripts._COMMENT, source(name)))
    addresses = re.findall(r"(?:https?:)?//[\w.]+[^\"'`\s]*", code)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # the name of SVG's elements


def test_no_style_brings_anything_from_elsewhere():
    for path in scripts.JS.rglob("*.css"):
        assert not re.search(r"url\(|@import|@font-face", path.read_text("utf-8")), path.name


def test_every_style_sheet_can_be_asked_for():
    for path in scripts.JS.rglob("*.css"):
        assert scripts.style(path.stem) == path.read_text("utf-8")


def test_words_are_those_of_all_files():
    words = scripts.words()
    assert set(words) == set(scripts.LANGUAGES)
    for part in PARTS:
        table = json.loads((scripts.JS / "words" / f"{part}.json").read_text("utf-8"))
        for language in scripts.LANGUAGES:
            assert table[language].items() <= words[language].items()


def test_a_key_belongs_to_one_file(web, tmp_path):
    (tmp_path / "words").mkdir()
    for name in "ab":
        (tmp_path / "words" / f"{name}.json").write_text('{"en": {"x": "1"}, "ja": {"x": "2"}}')
    with pytest.raises(ValueError, match=r"b.json repeats the keys x"):
        scripts.words()


@pytest.mark.parametrize("part", PARTS)
def test_every_language_has_the_same_keys_and_places(part):
    def no_repetition(pairs):
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys))
        return dict(pairs)

    text = (scripts.JS / "words" / f"{part}.json").read_text("utf-8")
    table = json.loads(text, object_pairs_hook=no_repetition)
    assert list(table) == list(scripts.LANGUAGES)
    english, japanese = table["en"], table["ja"]
    assert list(english) == list(japanese)
    for key, words in english.items():
        places = [re.findall(r"\{(\w+)\}", said) for said in (words, japanese[key])]
        assert set(places[0]) == set(places[1]), key
        for said in (words, japanese[key]):
            assert said.strip(), key
            assert not re.search(r"\{(?!\w+\})|(?<!\w)\}|<\w", said), (
                key
            )  # a broken place, or markup


def _used():
    """(keys that the scripts name, beginnings of those they put together)."""
    code = "\n".join(scripts._without(scripts._COMMENT, source(name)) for name in MODULES)
    names = set(re.findall(r"[\"'`]([a-z]\w*)[\"'`]", code))
    starts = set(re.findall(r"`([a-z]\w*_)\$\{", code))
    said = set(re.findall(r"\bsay\(\s*[\"']([^\"']+)[\"']", code))
    return names, starts, said


def test_every_key_that_is_said_exists():
    keys = set(scripts.words()["en"])
    names, starts, said = _used()
    assert said <= keys
    # names kept in tables, too: what begins like the keys of a part
    parts = {key.partition("_")[0] for key in keys}
    assert {n for n in names if "_" in n and n.partition("_")[0] in parts} <= keys
    assert [start for start in starts if not any(key.startswith(start) for key in keys)] == []


def test_no_key_is_there_for_nothing():
    names, starts, _ = _used()
    keys = set(scripts.words()["en"])
    assert [
        k for k in sorted(keys - names) if not any(k.startswith(start) for start in starts)
    ] == []


def test_every_failure_to_load_has_words():
    kinds = set()
    for name in MODULES:
        kinds |= set(re.findall(r"new LoadError\(\"(\w+)\"", source(name)))
        kinds |= set(re.findall(r"\bkind: \"(\w+)\", detail", source(name)))
    assert kinds >= {"network", "missing", "page", "truncated", "damaged", "other"}
    for language in scripts.LANGUAGES:
        assert {f"load_{kind}" for kind in kinds | {"unknown"}} <= set(scripts.words()[language])
