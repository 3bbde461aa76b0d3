import json
import shutil
from dataclasses import replace

import pytest
import torch

from gan.config import TrainConfig
from gan.errors import CheckpointError, ConfigError, DataError
from gan.evaluation.classifier import PRETRAINED
from gan.networks import dcgan
from gan.runs import manifest as run_manifest
from gan.runs import model_file, names, run
from gan.system import files, processes
from gan.system.processes import Outcome
from gan.zoo import build, compare
from gan.zoo import cards as model_cards
from gan.zoo.cards import (
    find,
    list_models,
    load,
    load_evidence,
    load_film,
    open_model,
    read_manifest,
)


def _copy(finished, folder):
    shutil.copytree(finished, folder)
    return folder


def _edit(folder, change):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def two(finished, tmp_path):
    """A zoo of two models, "one" and "other"."""
    folder = _copy(finished, tmp_path / "zoo")
    shutil.copy(folder / "model.safetensors", folder / "other.safetensors")

    def double(content):
        (entry,) = content["models"][:1]
        content["models"] = [
            {**entry, "name": "one"},
            {**entry, "name": "other", "file": "other.safetensors"},
        ]

    _edit(folder, double)
    return folder


def _run(work, finished, config, fd, best=False):
    """The folder of a finished run of ``config`` that scored ``fd``, with weights of its own seed."""
    folder = _copy(finished, run.run_folder(config, work))
    (folder / "best.safetensors").unlink(missing_ok=True)
    generator, _ = dcgan.make_pair(config.model, config.seed)
    path = folder / "model.safetensors"
    model_file.save_model(path, generator.eval(), config, step=12)

    def change(content):
        entry = content["models"][0]
        entry |= {
            "name": folder.name,
            "config": config.to_dict(),
            "sha256": files.sha256(path),
            "seeds": [{**entry["seeds"][0], "seed": config.seed, "fd": fd}],
        }
        content["models"] = [entry]
        if best:
            shutil.copy(path, folder / "best.safetensors")
            content["models"].append(
                {**entry, "name": f"{folder.name}-best", "snapshot": "best", "step": 3}
                | {"file": "best.safetensors"}
            )

    _edit(folder, change)
    return folder


def test_a_model_is_opened_with_its_directions(two):
    card = find("other", read_manifest(two))
    model = open_model(card)
    assert model.card is card
    assert model.directions.shape == (6, 6) and model.strengths.shape == (6,)
    assert not model.generator.training
    assert model.generator(torch.zeros(2, 6)).shape == (2, 1, 28, 28)


def test_load_finds_opens_and_hands_out_the_generator(two):
    generator = load("one", root=two)
    assert isinstance(generator, dcgan.Generator) and generator.latent_dim == 6
    assert not any(p.requires_grad for p in generator.parameters())


def test_an_unknown_name_lists_the_known(two):
    with pytest.raises(ConfigError, match=r"'third' is not in the zoo; there are: one, other"):
        load("third", root=two)
    with pytest.raises(ConfigError, match="there are: none"):
        find("third", [])


def test_an_altered_file_is_refused_by_name_and_the_others_still_open(two):
    path = two / "other.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.safetensors is not the file") as caught:
        load("other", root=two)
    assert "git checkout" in str(caught.value) and "zoo build" in str(caught.value)
    assert load("one", root=two).latent_dim == 6
    (complaint,) = build.verify(two)
    assert "other.safetensors" in complaint


def test_a_missing_file_is_named_with_the_remedy_and_the_others_still_open(two):
    (two / "other.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"other\.safetensors cannot be read .*git checkout"):
        load("other", root=two)
    assert load("one", root=two).latent_dim == 6
    assert len(build.verify(two)) == 1


def test_a_file_that_does_not_fit_its_card_is_refused(two, tiny):
    def widen(content):
        content["models"][1]["config"]["model"]["hidden_units"] = 9

    _edit(two, widen)
    with pytest.raises(CheckpointError, match=r"other\.safetensors holds another network"):
        load("other", root=two)


def test_verify_has_nothing_to_say_of_a_sound_zoo_and_reads_the_evidence(two):
    assert build.verify(two) == []
    (two / "evidence.json").write_text("[]")
    assert [("holds no curves" in text) for text in build.verify(two)] == [True, True]


def test_the_evidence_of_a_model_is_its_curves_and_moments(two):
    evidence = load_evidence(read_manifest(two)[0])
    assert evidence["curves"]["step"][-1] == 12
    assert evidence["moments"][-1]["step"] == 12


def test_a_missing_manifest_is_named_with_the_remedy(tmp_path):
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing; .*zoo build"):
        list_models(tmp_path)


@pytest.mark.parametrize("name", ["file", "evidence", "film"])
@pytest.mark.parametrize("value", ["../x", "/etc/passwd", "below/x", 5, None])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(two, name, value):
    _edit(two, lambda content: content["models"][1].update({name: value}))
    with pytest.raises(CheckpointError, match=r"manifest\.json is not a manifest"):
        read_manifest(two)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("models"),
        lambda content: content.update(models=5),
        lambda content: content.update(models=["x"]),
        lambda content: content["models"][0].pop("sha256"),
        lambda content: content["models"][0].update(seeds=5),
        lambda content: content["models"][0].update(config="mnist"),
        lambda content: content["models"][0]["config"].update(colour=1),
        lambda content: content["models"][0]["config"].update(size=-1),
        lambda content: content["models"][0]["config"].update(model=None),
        lambda content: content["models"][0].update(evaluation=5),
        lambda content: content["models"][0]["evaluation"].update(figures=[]),
        lambda content: content["models"][0]["evaluation"].update(counts=None),
    ],
)
def test_a_manifest_of_another_kind_is_refused_by_name(two, change):
    _edit(two, change)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        read_manifest(two)


def test_finished_runs_follow_the_pretrained_models_and_foreign_folders_are_left_out(
    two, finished, tmp_path
):
    runs = tmp_path / "runs"
    _copy(finished, runs / "b")
    _copy(finished, runs / "a")
    (runs / "half").mkdir()
    (runs / "foreign").mkdir()
    (runs / "foreign" / "manifest.json").write_text("<html>")
    names = [card.name for card in list_models(two, runs)]
    per_run = [card.name for card in read_manifest(finished)]
    assert names == ["one", "other", *per_run, *per_run]
    assert [c.name for c in list_models(two, None)] == ["one", "other"]
    assert [c.name for c in list_models(two, tmp_path / "nowhere")] == ["one", "other"]


def test_the_median_seed_is_shown_and_all_seeds_are_told(finished, tiny, tmp_path):
    configs = [tiny(seed=seed) for seed in range(3)]
    for config, fd in zip(configs, (5.0, 1.0, 3.0), strict=True):
        _run(tmp_path / "work", finished, config, fd)
    root = tmp_path / "zoo"
    build.collect(configs, tmp_path / "work", root)
    (card,) = read_manifest(root)
    assert (card.name, card.seed, card.seeds) == ("drawn-40-updates-plain", 2, 3)
    assert [(row["seed"], row["fd"]) for row in card.seed_rows] == [(0, 5.0), (1, 1.0), (2, 3.0)]
    weights = open_model(card).generator.hidden.weight
    expected = dcgan.make_pair(configs[2].model, 2)[0].hidden.weight.detach().half().float()
    assert torch.equal(weights, expected)
    assert build.verify(root) == []


def test_of_an_even_number_of_seeds_the_lower_median_is_shown(finished, tiny, tmp_path):
    configs = [tiny(seed=seed) for seed in range(2)]
    for config, fd in zip(configs, (5.0, 1.0), strict=True):
        _run(tmp_path / "work", finished, config, fd)
    build.collect(configs, tmp_path / "work", tmp_path / "zoo")
    assert read_manifest(tmp_path / "zoo")[0].seed == 1


def test_unfinished_runs_are_left_out(finished, tiny, tmp_path):
    configs = [tiny(seed=0), tiny(seed=1)]
    _run(tmp_path / "work", finished, configs[1], 1.0)
    build.collect(configs, tmp_path / "work", tmp_path / "zoo")
    (card,) = read_manifest(tmp_path / "zoo")
    assert (card.seed, card.seeds) == (1, 1)


def test_cells_that_are_not_rebuilt_stay_as_they_are(finished, tiny, tmp_path):
    work, root = tmp_path / "work", tmp_path / "zoo"
    old, new = tiny(), tiny(size=50)
    _run(work, finished, old, 1.0)
    build.collect([old], work, root)
    before = json.loads((root / "manifest.json").read_text())["models"]
    _run(work, finished, new, 2.0)
    build.collect([new], work, root)
    after = json.loads((root / "manifest.json").read_text())["models"]
    assert after[0] == before[0]
    assert [entry["name"] for entry in after] == [
        "drawn-40-updates-plain",
        "drawn-50-updates-plain",
    ]
    assert build.verify(root) == []


def test_a_damaged_manifest_stops_the_collecting_before_anything_is_lost(two, tmp_path):
    manifest = two / "manifest.json"
    manifest.write_text('{"models": [')
    before = {path.name: path.read_bytes() for path in two.iterdir()}
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        build.collect([], tmp_path / "none", two)
    assert {path.name: path.read_bytes() for path in two.iterdir()} == before


def test_a_zoo_is_ordered_by_size_as_numbers(finished, tiny, tmp_path):
    configs = [tiny(size=size) for size in (1_000, 200, 60)]
    for config in configs:
        _run(tmp_path / "work", finished, config, 1.0)
    build.collect(configs, tmp_path / "work", tmp_path / "zoo")
    assert [card.size for card in read_manifest(tmp_path / "zoo")] == [60, 200, 1_000]


def test_a_best_moment_comes_along_and_goes_when_the_median_seed_has_none(finished, tiny, tmp_path):
    work, root = tmp_path / "work", tmp_path / "zoo"
    cell = "drawn-40-updates-plain"
    _run(work, finished, tiny(seed=0), 5.0, best=True)
    build.collect([tiny(seed=0)], work, root)
    final, best = read_manifest(root)
    assert (final.name, best.name) == (cell, f"{cell}-best")
    assert (final.snapshot, best.snapshot, best.step) == ("final", "best", 3)
    assert (root / f"{cell}-best.safetensors").exists()
    _run(work, finished, tiny(seed=1), 4.0)
    configs = [tiny(seed=0), tiny(seed=1)]
    build.collect(configs, work, root)
    assert [card.name for card in read_manifest(root)] == [cell]
    assert not (root / f"{cell}-best.safetensors").exists()


def test_a_plan_is_every_combination_one_seed_after_the_other():
    plan = build.plan(sizes=(200, 600), seeds=(0, 1), updates=50)
    assert [(c.seed, c.size, c.budget) for c in plan] == [
        (seed, size, budget)
        for seed in (0, 1)
        for size in (200, 600)
        for budget in ("epochs", "updates")
    ]
    assert {c.updates for c in plan} == {50}
    assert len({run.run_folder(c, model_cards.RUNS) for c in plan}) == len(plan)


@pytest.fixture
def workshop(monkeypatch, finished, tmp_path):
    """Children replaced by copies of a finished run; those of seed 1 fail."""
    seen = []

    def fake(commands, workers, poll_seconds, on_wait):
        for index, command in enumerate(commands):
            seen.append(list(command))
            arguments = dict(zip(command[4::2], command[5::2], strict=True))
            config = CONFIGS[int(arguments["--seed"])]
            if config.seed == 1:
                yield Outcome(index, 1, "error: no luck")
                continue
            folder = run.run_folder(config, tmp_path / "work")
            files.write_json(folder / "progress.json", {"step": 2, "total": 4})
            on_wait()
            shutil.rmtree(folder)
            _run(tmp_path / "work", finished, config, 1.0)
            on_wait()
            yield Outcome(index, 0, "")

    monkeypatch.setattr(processes, "run_all", fake)
    return seen


CONFIGS = {}


@pytest.fixture
def configs(tiny):
    CONFIGS.update({seed: tiny(seed=seed) for seed in range(3)})
    yield list(CONFIGS.values())
    CONFIGS.clear()


def test_a_build_goes_on_after_a_failed_run_and_says_which(configs, workshop, tmp_path):
    work, root = tmp_path / "work", tmp_path / "zoo"
    built = list(build.build(configs, work, root, device="cpu"))
    assert [b.name for b in built] == [names.run_name(config) for config in configs]
    assert [(b.done, b.total) for b in built] == [(1, 3), (1, 3), (2, 3)]
    assert [b.error for b in built] == ["", "error: no luck", ""]
    (card,) = read_manifest(root)
    assert [row["seed"] for row in card.seed_rows] == [0, 2]
    # the children are told what to make, where
    assert workshop[0][1:4] == ["-m", "gan", "train"]
    assert str(work / built[0].name) in workshop[0]


def test_a_build_tells_how_many_updates_are_done(configs, workshop, tmp_path):
    told = []
    list(build.build(configs, tmp_path / "work", tmp_path / "zoo", on_progress=told.append))
    all_of_one = configs[0].total_updates
    assert told == [2, all_of_one, all_of_one + 2, 2 * all_of_one]


def test_a_build_called_again_makes_only_what_is_missing(configs, workshop, tmp_path):
    work, root = tmp_path / "work", tmp_path / "zoo"
    next(build.build(configs, work, root))
    shutil.rmtree(root)
    workshop.clear()
    built = list(build.build(configs, work, root))
    assert [b.name for b in built] == [names.run_name(config) for config in configs[1:]]
    assert [b.done for b in built] == [1, 2]
    assert len(workshop) == 2
    assert read_manifest(root)[0].seeds == 2


def test_a_build_without_its_data_fails_before_it_starts(tiny, workshop, tmp_path):
    missing = replace(tiny(), source="folder:nowhere")
    with pytest.raises(DataError, match="nowhere"):
        next(build.build([missing], tmp_path / "work", tmp_path / "zoo"))
    assert workshop == []


def test_the_shipped_zoo_takes_comparable_runs_only(tmp_path):
    odd = TrainConfig(size=600, updates=100)
    with pytest.raises(ConfigError, match="--out"):
        next(build.build([odd], tmp_path))


def test_only_what_differs_in_data_budget_and_recipe_is_compared():
    card = list_models(runs=None)[0]
    others = [
        replace(card, config=replace(card.config, lr_g=0.5)),
        replace(card, provenance={"continued_from": [{"step": 1}]}),
        replace(card, provenance={"imported": "2026-11-22"}),
    ]
    assert compare.comparable([*others, card]) == [card]


def test_a_table_has_one_run_a_place_the_first_with_its_moments(tmp_path):
    card = list_models(runs=None)[0]
    best = replace(card, snapshot="best")
    later = replace(card, evidence_path=tmp_path / "another run")
    place = (card.size, card.budget)
    wanted = {card.recipe: {(*place, "final"): card, (*place, "best"): best}}
    assert compare.tables([card, later, best]) == wanted


@pytest.mark.parametrize("content", ['{"curves": {}, "moments": []}', '{"moments": []}', "[]"])
def test_evidence_without_curves_is_refused_by_name(two, content):
    card = read_manifest(two)[0]
    card.evidence_path.write_text(content)
    with pytest.raises(CheckpointError, match=r"evidence\.json"):
        load_evidence(card)


def test_a_film_has_a_picture_for_every_latent_and_moment(two):
    card = read_manifest(two)[0]
    moments = len(load_evidence(card)["moments"])
    assert load_film(card, moments).shape == (moments, 16, 28, 28, 1)
    with pytest.raises(CheckpointError, match=r"film\.png"):
        load_film(card, moments + 1)
    card.film_path.write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match=r"film\.png"):
        load_film(card, moments)


def test_scoring_anew_reaches_the_zoo(finished, tiny, tmp_path, monkeypatch):
    work, root, config = tmp_path / "work", tmp_path / "zoo", tiny()
    _run(work, finished, config, fd=1.0)

    def rescore(folder, config):
        _edit(folder, lambda content: content["models"][0]["seeds"][0].update(fd=7.0))

    monkeypatch.setattr(run_manifest, "rescore", rescore)
    unfinished = tiny(seed=9)
    (built,) = build.score([config, unfinished], work, root)
    assert (built.done, built.total) == (1, 1)
    assert read_manifest(root)[0].seed_rows[0]["fd"] == 7.0


def test_what_the_zoo_lacks_is_said_in_its_manifest():
    cards = read_manifest(PRETRAINED)
    absent = compare.missing(cards)
    content = json.loads((PRETRAINED / "manifest.json").read_text())
    assert content["missing"] == [f"mnist-{size}-{b}-{recipe}" for recipe, size, b in absent]
    there = {(c.recipe, c.size, c.budget) for c in cards}
    assert not there & set(absent)
    assert len(absent) == 2 * 2 * len(compare.ZOO_SIZES) - len(there)
    fewer = [c for c in cards if c.name != "mnist-600-updates-plain"]
    assert set(compare.missing(fewer)) - set(absent) == {("plain", 600, "updates")}
