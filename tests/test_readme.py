"""README and docs say what the code and the manifest say."""

import re
from pathlib import Path

import pytest

from gan.cli import zoo
from gan.config import ModelConfig
from gan.evaluation import classifier
from gan.networks import dcgan
from gan.zoo import cards

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SIZES = (60_000, 6_000, 1_000, 600, 200, 50)


def table_in(text, begin):
    start = text.index(begin) + len(begin)
    return text[start : text.index("<!-- end of table -->", start)].strip()


def main_numbers():
    """The README's table: some sizes, both recipes, equal updates."""
    found = {
        (c.recipe, c.size): c
        for c in cards.read_manifest(classifier.PRETRAINED)
        if (c.source, c.budget, c.snapshot) == ("mnist", "updates", "final")
    }
    lines = [
        "| training images | plain: legible | FD | rescue: legible | FD |",
        "|" + "---|" * 5,
    ]
    for size in SIZES:
        row = [f"{size:,}"]
        for recipe in ("plain", "rescue"):
            for name, form in (("legible", "{:.1%}"), ("fd", "{:.1f}")):
                values = [seed[name] for seed in found[recipe, size].seed_rows]
                ends = list(dict.fromkeys(form.format(end) for end in (min(values), max(values))))
                count = f" (n = {len(values)})" if len(values) > 1 and name == "legible" else ""
                row.append(" to ".join(ends) + count)
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def test_the_main_numbers_are_those_of_the_manifest():
    assert table_in(README, "<!-- table: main numbers -->") == main_numbers()


def test_the_table_of_results_is_what_the_manifest_says():
    results = (ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8")
    table = table_in(results, "<!-- table: python -m gan zoo list --markdown -->")
    assert table == zoo.markdown_table(cards.read_manifest(classifier.PRETRAINED))


def test_the_figures_of_the_classifier_are_those_of_its_file():
    info, real = classifier.provenance(), classifier.load_reference()
    assert f"{info['legible_real']:.1%}".replace("%", " %") in README
    assert f"{real.real_score(2_000).fd:.2f} for unseen real digits" in README


def test_the_sizes_of_the_networks_are_those_of_the_networks():
    method = (ROOT / "docs" / "METHOD.md").read_text(encoding="utf-8")
    generator, _ = dcgan.make_pair(ModelConfig(), seed=0)
    for network in (generator, classifier.load_classifier()):
        # the shipped classifier is frozen, which changes no number in it
        count = dcgan.count_parameters(network.requires_grad_(True))
        assert f"{count / 1e6:.2f} M parameters" in method


def test_the_readme_leads_a_newcomer_in_150_lines():
    assert len(README.splitlines()) <= 150


def test_the_layout_names_every_package():
    layout = README[README.index("## Layout") : README.index("## Limits")]
    named = set(re.findall(r"[\w.]+", layout))
    packages = {path.parent.name for path in ROOT.glob("gan/*/__init__.py")}
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages | folders <= named, (packages | folders) - named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    if page.name == "LOG.md":  # names files as they were called on that day
        return
    for target in re.findall(r"`((?:docs|gan|views|benchmarks|tests)/[\w./-]+\.\w+)`", text):
        assert (ROOT / target).exists(), target
