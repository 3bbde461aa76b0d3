import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gan import judge, zoo

# Arrows point down only: a module may import what stands before it here, nothing else of gan.
FLOORS = (
    "errors config images jobs torchvision_compat webcode",
    "data models losses augment latents",
    "uploads",
    "ema metrics collapse_words collapse checkpoint pose",
    "judge trainer published",
    "stacked",
    "evaluation parallel speed",
    "run neighbours",
    "zoo cluster estimate job limits",
    "bundle worker runners story",
    "keeper supervisor ray_runner",
    "studio",
    "explorer exhibit bench bench_watch bench_pad sweep",
    "site",
    "cli __main__",
)
ORDER = " ".join(FLOORS).split()
ROOT = Path(__file__).resolve().parent.parent
GAN = sorted(path for path in (ROOT / "gan").glob("*.py") if path.stem != "__init__")
# what pages use but what must be testable without a server
UI_FREE = [
    ROOT / "views" / "parts" / f"{name}.py"
    for name in (
        *("charts", "live_charts", "state", "pictures", "i18n", "articles"),
        *("train_form", "words", "words_train"),
    )
]


def _imports(source: str) -> set[str]:
    """Dotted names of everything a source imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            found |= {start} | {f"{start}.{alias.name}" for alias in node.names}
    return found


def _upward(name: str, source: str) -> list[str]:
    """The modules of gan that ``name`` imports although they do not stand before it."""
    inside = {
        parts[1] for n in _imports(source) if len(parts := n.split(".")) > 1 and parts[0] == "gan"
    }
    return sorted((inside & set(ORDER)) - set(ORDER[: ORDER.index(name)]))


def test_every_module_has_its_floor():
    assert sorted(path.stem for path in GAN) == sorted(ORDER)


@pytest.mark.parametrize("path", GAN, ids=lambda path: path.stem)
def test_imports_inside_the_library_point_down_only(path):
    assert _upward(path.stem, path.read_text()) == []


@pytest.mark.parametrize(
    ("name", "source", "offenders"),
    [
        ("data", "from gan import zoo, errors", ["zoo"]),
        ("judge", "def f():\n    from gan.trainer import train", ["trainer"]),
        ("metrics", "import gan.metrics", ["metrics"]),
        ("config", "from gan.errors import ConfigError", []),
    ],
)
def test_an_upward_import_would_be_seen(name, source, offenders):
    assert _upward(name, source) == offenders


@pytest.mark.parametrize(
    "path", [*GAN, *UI_FREE], ids=lambda path: f"{path.parent.name}.{path.stem}"
)
def test_the_library_and_the_pure_parts_of_the_pages_know_no_user_interface(path):
    forbidden = {"streamlit", "views"} if path.parent.name == "gan" else {"streamlit"}
    names = _imports(path.read_text())
    assert not {name for name in names if name.split(".")[0] in forbidden}
    assert not {name for name in names if name.startswith(".")}, "relative imports hide the floor"


def test_importing_the_library_prints_nothing_and_starts_nothing(tmp_path):
    code = (
        f"import sys, threading; sys.path.insert(0, {str(ROOT)!r})\n"
        f"import {', '.join(f'gan.{path.stem}' for path in GAN)}\n"
        "assert 'streamlit' not in sys.modules and 'torchvision' not in sys.modules\n"
        "assert threading.active_count() == 1\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


# --- what is shipped -----------------------------------------------------------------------


def _shipped() -> set[str]:
    """Names of the files below pretrained/ that belong to the repository, else of all that lie there."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--", "pretrained"],
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0 and listed.stdout:
        return {name.removeprefix("pretrained/") for name in listed.stdout.split("\0") if name}
    return {path.name for path in judge.PRETRAINED.rglob("*") if path.is_file()}


def test_every_shipped_model_opens_with_the_digest_its_manifest_says():
    assert zoo.read_manifest(judge.PRETRAINED) != []
    assert zoo.verify() == []


def test_every_shipped_film_is_there():
    missing = [c.name for c in zoo.read_manifest(judge.PRETRAINED) if not c.film_path.is_file()]
    assert missing == []


def test_the_manifest_lists_every_shipped_file():
    manifest = json.loads((judge.PRETRAINED / "manifest.json").read_text())
    listed = {entry[kind] for entry in manifest["models"] for kind in ("file", "evidence", "film")}
    for name in judge.JUDGES:
        listed |= {f"{name}.safetensors", f"{name}.statistics.safetensors"}
    assert _shipped() - listed - {"manifest.json"} == set()
