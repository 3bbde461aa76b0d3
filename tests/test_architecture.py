import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from gan.evaluation import classifier
from gan.zoo import build, cards

ROOT = Path(__file__).resolve().parent.parent
#: From the ground up: a package imports packages of earlier lines only; those of one line do not
#: import each other. A single module counts as a package.
ORDER = (
    {"errors"},
    {"config"},
    {"system"},
    {"networks"},
    {"training", "data"},
    {"evaluation"},
    {"runs"},
    {"zoo"},
    {"browser", "jobs", "sweeps"},
    {"cli"},
    {"__main__"},
)
LIBRARY = sorted((ROOT / "gan").rglob("*.py"))
#: What pages use but tests must reach without a server.
UI_FREE = [
    ROOT / "views" / name
    for name in (
        *("shared/charts.py", "shared/pictures.py", "shared/i18n.py", "shared/words.py"),
        *("explore/state.py", "train/settings.py"),
    )
]


def imported(source: str) -> set[str]:
    """Dotted names of everything that a source imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            found |= {start} | {f"{start}.{alias.name}" for alias in node.names}
    return found


def upward(package: str, source: str) -> list[str]:
    """The packages of gan that a module of ``package`` imports although they do not stand below it."""
    place = next(i for i, names in enumerate(ORDER) if package in names)
    below = {package}.union(*ORDER[:place])
    used = {name.split(".")[1] for name in imported(source) if name.startswith("gan.")}
    return sorted((used & set().union(*ORDER)) - below)


def package_of(path: Path) -> str:
    return path.relative_to(ROOT / "gan").with_suffix("").parts[0]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_package_has_its_place_in_the_order():
    assert {package_of(path) for path in LIBRARY} - {"__init__"} == set().union(*ORDER)


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_packages_import_only_what_stands_below_them(path):
    if package_of(path) != "__init__":
        assert upward(package_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("package", "source", "offenders"),
    [
        ("data", "from gan import zoo, errors", ["zoo"]),
        ("evaluation", "def f():\n    from gan.runs.run import run", ["runs"]),
        ("training", "import gan.data.mnist", ["data"]),
        ("config", "from gan.errors import ConfigError", []),
        ("runs", "from gan.runs import names", []),
    ],
)
def test_an_upward_import_would_be_seen(package, source, offenders):
    assert upward(package, source) == offenders


def test_modules_of_a_package_do_not_import_each_other_in_a_circle():
    graph = {}
    for path in LIBRARY:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        graph[name] = imported(path.read_text()) - {name}
    TopologicalSorter({n: used & graph.keys() for n, used in graph.items()}).prepare()


@pytest.mark.parametrize("path", [*LIBRARY, *UI_FREE], ids=name_of)
def test_the_library_and_the_pure_parts_of_the_pages_know_no_user_interface(path):
    forbidden = {"streamlit", "views", "benchmarks"} if path in LIBRARY else {"streamlit"}
    names = imported(path.read_text())
    assert not {name for name in names if name.split(".")[0] in forbidden}
    assert not {name for name in names if name.startswith(".")}, "relative imports hide the package"


@pytest.mark.parametrize("package", sorted(p.parent for p in LIBRARY if p.name == "__init__.py"))
def test_every_package_says_what_it_is_in_one_sentence(package):
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    assert docstring.splitlines()[0].rstrip().endswith((".", "?"))


def test_importing_the_library_prints_nothing_and_starts_nothing(tmp_path):
    code = (
        f"import sys, threading; sys.path.insert(0, {str(ROOT)!r})\n"
        f"import {', '.join(name_of(p)[:-3].replace('/', '.') for p in LIBRARY if p.stem != '__main__')}\n"
        "assert 'streamlit' not in sys.modules and 'torchvision' not in sys.modules\n"
        "assert threading.active_count() == 1\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def _shipped() -> set[str]:
    """Names of the files below pretrained/ that belong to the repository, else of all that lie there."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--", "pretrained"],
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0 and listed.stdout:
        return {name.removeprefix("pretrained/") for name in listed.stdout.split("\0") if name}
    return {path.name for path in classifier.PRETRAINED.rglob("*") if path.is_file()}


def test_every_shipped_model_opens_with_the_digest_its_manifest_says():
    assert cards.read_manifest(classifier.PRETRAINED) != []
    assert build.verify() == []


def test_every_shipped_film_is_there():
    missing = [
        c.name for c in cards.read_manifest(classifier.PRETRAINED) if not c.film_path.is_file()
    ]
    assert missing == []


def test_the_manifest_lists_every_shipped_file():
    manifest = json.loads((classifier.PRETRAINED / "manifest.json").read_text())
    listed = {entry[kind] for entry in manifest["models"] for kind in ("file", "evidence", "film")}
    for name in classifier.CLASSIFIERS:
        listed |= {f"{name}.safetensors", f"{name}.statistics.safetensors"}
    assert _shipped() - listed - {"manifest.json"} == set()
