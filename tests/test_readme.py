"""What the README says is what is there."""

import re
from pathlib import Path

from gan.cli import zoo
from gan.config import ModelConfig
from gan.evaluation import classifier
from gan.networks import dcgan
from gan.zoo import cards

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_what_the_manifest_says():
    begin, end = "<!-- table: python -m gan zoo list --markdown -->\n", "<!-- end of table -->"
    table = README[README.index(begin) + len(begin) : README.index(end)]
    assert table.strip() == zoo.markdown_table(cards.read_manifest(classifier.PRETRAINED))


def test_the_figures_of_the_judge_are_those_of_its_file():
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


def test_every_module_has_its_place_in_the_layout():
    layout = README[README.index("## Layout") : README.index("## Limits")]
    named = set(re.findall(r"[a-z_]+", layout))
    modules = {p.stem for p in (ROOT / "gan").glob("*.py")} - {"__init__", "__main__"}
    assert modules <= named, modules - named


def test_every_file_the_readme_points_to_exists():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for target in re.findall(r"`(docs/[A-Z]+\.md)`", README):
        assert (ROOT / target).exists(), target
