import importlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import gan
from gan.browser import site
from gan.cli import bench, main, zoo
from gan.data import sources
from gan.data.torchvision_compat import import_datasets
from gan.evaluation import classifier, evaluate, modes
from gan.jobs import worker
from gan.jobs.folder import Caps, Job, create, read_status
from gan.runs import estimate, run
from gan.system import files, locks, processes, tensor_files
from gan.training import step as update_step
from gan.zoo import build as zoo_build
from gan.zoo.build import Built
from gan.zoo.cards import read_manifest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small_classifiers(monkeypatch, classifiers):
    """The command line scores with the small classifiers of the tests."""
    load, reference, provenance = (
        classifier.load_classifier,
        classifier.load_reference,
        classifier.provenance,
    )
    monkeypatch.setattr(run, "run", partial(run.run, classifiers=classifiers))
    monkeypatch.setattr(
        classifier, "load_classifier", lambda name="classifier", root=classifiers: load(name, root)
    )
    monkeypatch.setattr(
        classifier,
        "load_reference",
        lambda name="classifier", test_images=10_000, root=classifiers: reference(
            name, test_images, root
        ),
    )
    monkeypatch.setattr(
        classifier, "provenance", lambda name="classifier", root=classifiers: provenance(name, root)
    )


def _error(capsys, *arguments: str) -> str:
    """What a failing command says: one line on standard error, nothing on standard output."""
    assert main.main(list(arguments)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def _answer(capsys, *arguments: str):
    """The one JSON value that a command writes to standard output."""
    assert main.main([*arguments, "--json"]) == 0
    out, _ = capsys.readouterr()
    return json.loads(out)


TRAIN = ("train", "--source", "drawn", "--size", "40", "--updates", "10", "--device", "cpu")


def test_two_lengths_of_training_in_a_row_are_two_folders(capsys, small_classifiers, tmp_path):
    short = _answer(capsys, *TRAIN[:-3], "3", *TRAIN[-2:])
    longer = _answer(capsys, *TRAIN[:-3], "4", *TRAIN[-2:])
    assert short["folder"] != longer["folder"]
    steps = {
        read_manifest(tmp_path / answer["folder"])[0].config.updates for answer in (short, longer)
    }
    assert steps == {3, 4}
    assert _answer(capsys, *TRAIN[:-3], "3", *TRAIN[-2:]) == short  # found again


def test_train_trains_scores_and_answers_in_json(capsys, small_classifiers, tmp_path):
    answer = _answer(capsys, *TRAIN, "--out", "here")
    assert answer["folder"] == "here"
    final = answer["models"][0]
    assert (final["name"], final["snapshot"]) == ("here", "final")
    assert len(final["evaluation"]["counts"]) == 10
    (card, *_) = read_manifest(tmp_path / "here")
    assert (card.config.source, card.config.size, card.config.updates) == ("drawn", 40, 10)
    assert card.metrics.to_dict() == evaluate.Evaluation.from_dict(final["evaluation"]).to_dict()
    # again: the same answer without training
    assert _answer(capsys, *TRAIN, "--out", "here") == answer


def test_train_tells_people_what_it_measured(capsys, small_classifiers):
    assert main.main([*TRAIN]) == 0
    out, _ = capsys.readouterr()
    assert re.match(r"runs/drawn-40-updates-plain-s0-\w{8}: 10 updates on 40 images", out)
    assert "final (update 10):" in out and "=>" in out
    for name in ("legible", "fd", "coverage", "vendi"):
        assert f"  {name} " in out


def test_train_into_the_folder_of_another_run_is_an_error(
    capsys, small_classifiers, finished, tmp_path
):
    shutil.copytree(finished, tmp_path / "there")
    assert "another configuration" in _error(capsys, *TRAIN, "--out", "there")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--source", "cifar"), "'cifar'"),
        (("--source", "folder:nowhere"), "nowhere"),
        (("--source", "stacked:0"), "'stacked:0'"),
        (("--source", "drawn", "--seed", "-1"), "seed=-1"),
        (("--source", "drawn", "--updates", "0"), "updates=0"),
        (("--source", "drawn", "--size", "1"), "size=1"),
        (("--source", "drawn", "--device", "tpu"), "'tpu'"),
        (("--source", "drawn", "--img-size", "64"), "img_size=64"),
        (("--source", "folder:nowhere", "--img-size", "66"), "img_size=66"),
    ],
)
def test_a_setting_that_cannot_work_is_one_line(
    capsys, small_classifiers, tmp_path, arguments, named
):
    assert named in _error(capsys, "train", *arguments)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--size", "nan%"],
        ["train", "--size", "0"],
        ["train", "--budget", "hours"],
        ["train", "--recipe", "secret"],
        ["zoo", "burn"],
        ["fly"],
        [],
    ],
)
def test_a_command_line_that_is_none_ends_with_code_2_and_the_usage(capsys, arguments):
    assert main.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Usage: python -m gan" in err


def _commands(command=main.program, *path):
    """Every command line without its arguments: ("train",), ("zoo", "list"), ..."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from _commands(command.get_command(context, name), *path, name)


@pytest.mark.parametrize(
    "command", [c for c in _commands() if c[0] != "bench" or c[1] == "update"], ids=" ".join
)
def test_every_command_has_help_and_json(capsys, command):
    assert main.main([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--json" in out
    # an option without an explanation would be a line of its name alone
    assert [line for line in out.splitlines() if re.fullmatch(r"  --[a-z-]+( [A-Z]+)?", line)] == []


def test_the_program_lists_its_commands_but_not_the_apps_own(capsys):
    assert main.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in main.COMMANDS if name != "work")
    assert "\n  work " not in out
    assert main.main(["--version"]) == 0
    assert gan.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        "zoo list --seeds 9",
        "zoo verify --workers 2",
        "zoo score --device cpu",
        "zoo import x.zip --out y",
        "evaluate x --device cpu",
        "bench update --rounds 3",
        "bench update --book x",
        "jobs list --threads 1",
    ],
)
def test_an_option_that_a_command_would_ignore_does_not_exist(capsys, line):
    assert main.main(line.split()) == 2
    assert "No such option" in capsys.readouterr().err


def test_a_worker_does_not_load_what_it_does_not_need():
    code = (
        "import sys; from gan.cli import main\n"
        "main.main(['work', '--help'])\n"
        "assert not {'gan.zoo.build', 'gan.browser', 'gan.sweeps', 'benchmarks'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words",
    ["--sizes 40 1% --seeds 0 1", "--sizes 40,1% --seeds 0,1", "--sizes 40 --sizes 1% --seeds 0,1"],
)
def test_a_list_is_given_with_spaces_or_commas_or_by_repeating(capsys, monkeypatch, words):
    seen = []
    monkeypatch.setattr(zoo_build, "score", lambda configs, work, out: seen.extend(configs) or [])
    line = f"zoo score --budgets updates {words} --recipes plain --json"
    assert main.main(line.split()) == 0
    assert [(c.size, c.seed) for c in seen] == [(40, 0), (600, 0), (40, 1), (600, 1)]


def test_an_interruption_is_told_and_has_its_code(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(run, "run", interrupted)
    assert main.main([*TRAIN]) == 130
    assert "run the same command again" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_keeps_what_it_did(
    capsys, small_classifiers, monkeypatch, number
):
    def untouched(*_):
        raise AssertionError("the signal went past the command")

    step = update_step.train_step

    def interrupted(state, *batch):
        if state.step == 6:
            signal.raise_signal(number)
        return step(state, *batch)

    before = signal.signal(number, untouched)
    try:
        monkeypatch.setattr(update_step, "train_step", interrupted)
        assert main.main([*TRAIN, "--out", "here"]) == 130
        assert signal.getsignal(number) is untouched
    finally:
        signal.signal(number, before)
    assert "run the same command again" in capsys.readouterr().err
    _, info = tensor_files.load_tensors(Path("here/checkpoint.safetensors"), "training checkpoint")
    assert info["step"] == 7  # the update under way is finished and kept
    monkeypatch.setattr(update_step, "train_step", step)
    assert main.main([*TRAIN, "--out", "here"]) == 0


def test_evaluate_scores_a_file_again_as_the_run_did(capsys, small_classifiers, finished):
    answer = _answer(
        capsys,
        "evaluate",
        str(finished / "model.safetensors"),
        "--samples",
        "200",
        "--draws",
        "2",
        "--copies",
    )
    (card, *_) = read_manifest(finished)
    verdicts = answer.pop("verdicts")
    assert verdicts == [v.kind for v in card.metrics.verdicts()]
    assert evaluate.Evaluation.from_dict(answer) == card.metrics


def test_evaluate_without_the_copy_check_needs_no_data(
    capsys, small_classifiers, finished, monkeypatch
):
    def refuse(*_):
        raise AssertionError("the data was asked for")

    monkeypatch.setattr(sources, "load", refuse)
    model = str(finished / "model.safetensors")
    answer = _answer(capsys, "evaluate", model, "--samples", "200", "--draws", "2")
    assert answer["copies"] is None


def test_evaluate_names_a_model_or_a_file_that_is_not_there(
    capsys, small_classifiers, finished, tmp_path
):
    assert "nothing.safetensors is missing" in _error(capsys, "evaluate", "nothing.safetensors")
    model = str(finished / "model.safetensors")
    assert "samples=5" in _error(capsys, "evaluate", model, "--samples", "5")
    (tmp_path / "page.safetensors").write_text("<html>")
    assert "page.safetensors is damaged" in _error(capsys, "evaluate", "page.safetensors")


STACKED = ("train", "--source", "stacked:300", "--size", "64", "--updates", "3", "--device", "cpu")


def test_a_model_of_stacked_digits_is_trained_and_its_modes_are_counted(
    capsys, small_classifiers, fake_mnist
):
    answer = _answer(capsys, *STACKED, "--out", "here")
    scored = answer["models"][0]["evaluation"]
    assert scored["modes"]["n"] == 300
    model = str(Path("here") / "model.safetensors")
    counted = _answer(capsys, "evaluate", model, "--stacked", "--samples", "300")
    # the same latents, so the same figures as the run's own
    assert {name: counted[name] for name in scored["modes"]} == scored["modes"]
    assert counted["noise_floor"] == pytest.approx(999 / 600)
    assert counted["real"]["n"] == 300 and counted["classifier_accuracy"] == 0.1
    assert len(counted["published"]) == len(modes.PUBLISHED)
    assert main.main(["evaluate", model, "--stacked", "--samples", "300"]) == 0
    out, _ = capsys.readouterr()
    for words in ("of stacked:300", "real test digits", "R3GAN-E", "not a comparison"):
        assert words in out
    # and as single digits, without the data
    figures = _answer(capsys, "evaluate", model, "--samples", "200", "--draws", "2")
    assert figures["samples"] == 400 and figures["modes"] is None
    assert main.main(["zoo", "list", "--out", "here"]) == 0
    assert f"modes {scored['modes']['modes']}, KL" in capsys.readouterr().out


def test_train_says_what_the_modes_are_and_what_the_verdict_is_of(
    capsys, small_classifiers, fake_mnist
):
    assert main.main([*STACKED]) == 0
    out, _ = capsys.readouterr()
    assert re.match(r"runs/stacked_300-64-updates-plain-s0-\w{8}: 3 updates on 64 images", out)
    assert " of 1,000, KL " in out and "what follows is of single digits" in out
    assert "handwriting of MNIST" not in out


@pytest.mark.parametrize(("source", "size"), [("stacked", 128_000), ("drawn", 600)])
def test_a_training_without_a_size_takes_the_usual_one(capsys, monkeypatch, source, size):
    seen = []

    def watch(config, *_, **__):
        seen.append(config.size)
        yield from ()

    monkeypatch.setattr(run, "run", watch)
    assert main.main(["train", "--source", source, "--device", "cpu"]) == 1  # nothing was written
    assert seen == [size]


def test_modes_are_not_counted_where_there_are_none(capsys, small_classifiers, finished):
    model = str(finished / "model.safetensors")
    message = _error(capsys, "evaluate", model, "--stacked")
    assert "1 channel" in message and "leave out --stacked" in message


@pytest.mark.parametrize(
    ("options", "named"),
    [(("--draws", "2"), "--draws"), (("--copies",), "--copies"), (("--samples", "0"), "samples=0")],
)
def test_the_protocol_of_modes_has_no_draws_and_no_copy_check(
    capsys, small_classifiers, fake_mnist, options, named
):
    assert main.main([*STACKED, "--out", "here"]) == 0
    capsys.readouterr()
    model = str(Path("here") / "model.safetensors")
    assert named in _error(capsys, "evaluate", model, "--stacked", *options)


def test_zoo_list_has_a_row_for_every_model(capsys, finished):
    rows = _answer(capsys, "zoo", "list", "--out", str(finished))
    cards = read_manifest(finished)
    assert [row["name"] for row in rows] == [card.name for card in cards]
    assert rows[0]["fd"] == cards[0].metrics.figures["fd"].value
    assert rows[0]["verdicts"] == [v.kind for v in cards[0].metrics.verdicts()]
    assert main.main(["zoo", "list", "--out", str(finished)]) == 0
    assert capsys.readouterr().out.startswith("finished ")


def test_zoo_verify_fails_where_a_file_was_altered(capsys, finished, tmp_path):
    folder = tmp_path / "zoo"
    shutil.copytree(finished, folder)
    assert _answer(capsys, "zoo", "verify", "--out", str(folder)) == {
        "failed": 0,
        "complaints": [],
    }
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert main.main(["zoo", "verify", "--out", str(folder), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["failed"] >= 1 and "model.safetensors" in answer["complaints"][0]


def test_a_model_goes_into_one_file_and_comes_back(capsys, finished, tmp_path):
    card = read_manifest(finished)[0]
    out = ("--out", str(finished))
    told = _answer(capsys, "zoo", "export", "finished", "one.zip", *out)
    size = (tmp_path / "one.zip").stat().st_size
    assert told == {"name": "finished", "file": "one.zip", "bytes": size}
    answer = _answer(capsys, "zoo", "import", "one.zip")
    name = f"import-{card.sha256[:12]}-final"
    assert (answer["name"], answer["folder"]) == (name, f"runs/{name}")
    assert answer["imported"] and answer["fd"] == card.metrics.figures["fd"].value
    rows = _answer(capsys, "zoo", "list", *out)
    # the run's own models, then what was imported; people are told as well
    assert [row["imported"] for row in rows] == [False] * (len(rows) - 1) + [True]
    assert main.main(["zoo", "list", *out]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("(imported)") for line in lines] == [row["imported"] for row in rows]
    assert main.main(["zoo", "import", "one.zip"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"finished is in runs/{name}; its figures are those in the file")
    assert printed.rstrip().endswith("(imported)")


def test_an_export_replaces_nothing_but_itself(capsys, finished, tmp_path):
    line = ("zoo", "export", "finished", "one.zip", "--out", str(finished))
    _answer(capsys, *line)
    before = (tmp_path / "one.zip").read_bytes()
    _answer(capsys, *line)
    assert (tmp_path / "one.zip").read_bytes() == before
    (tmp_path / "one.zip").write_bytes(b"mine")
    assert "one.zip exists and is something else" in _error(capsys, *line)
    assert (tmp_path / "one.zip").read_bytes() == b"mine"
    (tmp_path / "folder").mkdir()
    assert "folder exists" in _error(capsys, *line[:3], "folder", *line[4:])


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("zoo export", "Missing argument 'NAME'"),
        ("zoo export finished", "Missing argument 'FILE'"),
        ("zoo export a b c", "unexpected extra argument (c)"),
        ("zoo import", "Missing argument 'FILE'"),
        ("zoo import a b", "unexpected extra argument (b)"),
        ("zoo list a", "unexpected extra argument (a)"),
        ("jobs list one", "unexpected extra argument (one)"),
        ("jobs stop", "Missing argument 'NAME'"),
        ("export site page --sizes 0", "not an amount of data"),
    ],
)
def test_arguments_that_are_missing_or_too_many_are_named(capsys, line, named, tmp_path):
    assert main.main(line.split()) == 2
    assert named in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_or_a_model_that_is_not_there_is_one_line(capsys, tmp_path):
    assert "nowhere.zip cannot be read" in _error(capsys, "zoo", "import", "nowhere.zip")
    assert "'nobody' is not in the zoo" in _error(capsys, "zoo", "export", "nobody", "x.zip")
    assert list(tmp_path.iterdir()) == []


def test_an_import_of_something_else_is_one_line_and_leaves_nothing(capsys, tmp_path):
    (tmp_path / "page.zip").write_bytes(b"<html>")
    assert "a web page; ask for the file again" in _error(capsys, "zoo", "import", "page.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["page.zip"]


def test_options_may_stand_before_and_between_the_names(capsys, finished, tmp_path):
    before = ["zoo", "export", "--json", "finished", "--out", str(finished), "one.zip"]
    assert main.main(before) == 0
    assert json.loads(capsys.readouterr().out)["file"] == "one.zip"


def test_zoo_without_a_manifest_is_one_line(capsys, tmp_path):
    assert "manifest.json is missing" in _error(capsys, "zoo", "list", "--out", str(tmp_path))


def test_the_readmes_table_has_sizes_by_budgets(finished):
    card = replace(read_manifest(finished)[0], source="mnist")
    rows = [{**card.seed_rows[0], "legible": x, "fd": y} for x, y in ((0.5, 3.0), (0.7, 2.0))]
    cards = [
        replace(card, size=600, budget="epochs", step=180, seed_rows=tuple(rows[:1])),
        replace(card, size=600, budget="updates", seed_rows=tuple(rows)),
        replace(card, size=60_000, budget="updates", seed_rows=tuple(rows[1:])),
        replace(card, size=200, budget="updates", snapshot="best", seed_rows=tuple(rows)),
        replace(card, size=500, source="drawn", seed_rows=tuple(rows)),
        replace(card, size=50, recipe="rescue", budget="updates", seed_rows=tuple(rows[1:])),
    ]
    plain, first, rescue, second = zoo.markdown_table(cards).split("\n\n")
    assert (plain, rescue) == ("**plain**", "**rescue**")
    assert len(second.splitlines()) == 3 and "50 (0.0833 %)" in second
    lines = first.splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in table} == {8}
    assert [row[0] for row in table[2:]] == ["60,000 (100 %)", "600 (1 %)"]
    assert table[2][1:4] == ["–"] * 3
    assert table[3][1:4] == ["180", "50.0%", "3.0"]
    assert table[3][5:7] == ["50.0% to 70.0% (n = 2)", "2.0 to 3.0 (n = 2)"]
    assert table[2][5:7] == ["70.0%", "2.0"]


def test_zoo_build_reports_what_failed(capsys, monkeypatch, tmp_path):
    plans = []

    def build(configs, work, out, workers, threads, device, on_progress):
        plans.append((configs, work, out, workers, threads, device))
        for done, config in enumerate(configs):
            error = "no luck" if config.seed else ""
            yield Built(f"run{config.seed}", done, len(configs), error)

    monkeypatch.setattr(zoo_build, "build", build)
    line = "zoo build --source drawn --sizes 1% 40 --budgets updates --recipes plain --seeds 0 1 --updates 5"
    assert main.main([*line.split(), "--workers", "2", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["failed"] == ["run1: no luck"] * 2
    assert (answer["done"], answer["total"]) == (2, 4)
    ((configs, _, _, workers, threads, _),) = plans
    assert [(c.size, c.seed, c.updates) for c in configs] == [
        (600, 0, 5),
        (40, 0, 5),
        (600, 1, 5),
        (40, 1, 5),
    ]
    assert (workers, threads) == (2, 1)


def test_classifier_without_mnist_is_one_line(capsys, monkeypatch):

    def download(self):
        raise RuntimeError("no network")

    monkeypatch.setattr(import_datasets().MNIST, "download", download)
    assert "GAN_DATA" in _error(capsys, "classifier", "--out", "here")


def test_json_has_no_nan(capsys, monkeypatch):
    monkeypatch.setattr(estimate, "measure", lambda *_: math.nan)
    assert _answer(capsys, "bench", "update", "--device", "cpu")["seconds_per_update"] is None
    value = {"a": [math.nan, 1.0, {"b": math.inf}], "c": (1, "x", None)}
    assert files.without_nan(value) == {"a": [None, 1.0, {"b": None}], "c": [1, "x", None]}


@pytest.mark.parametrize(
    ("name", "module"),
    [("app", "pages"), ("pad", "pad"), ("watch", "watch"), ("train", "training")],
)
def test_bench_starts_the_benchmark_with_all_its_arguments(monkeypatch, name, module):
    seen = []
    monkeypatch.setattr(processes, "foreground", lambda command: seen.append(command) or 3)
    assert main.main(["bench", name, "--rounds", "2", "--help", "--json", "x"]) == 3
    assert seen == [
        [sys.executable, "-m", "benchmarks", module, "--rounds", "2", "--help", "--json", "x"]
    ]


def test_bench_runs_in_a_process_of_its_own(capfd, tmp_path):
    assert main.main(["bench", "watch", "--help"]) == 0
    out = capfd.readouterr().out
    assert "python -m benchmarks watch" in out and "--seconds" in out
    assert main.main(["bench", "watch", "--seconds", "2"]) == 2


def test_an_installed_package_says_where_its_benchmarks_are(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "_CHECKOUT", tmp_path)
    assert "python -m benchmarks training in a checkout" in _error(capsys, "bench", "train")


def test_the_module_is_the_program(monkeypatch, capsys, finished):
    import runpy

    monkeypatch.setattr(sys, "argv", ["gan", "zoo", "verify", "--out", str(finished)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("gan", run_name="__main__")
    assert caught.value.code == 0
    assert "what the manifest says" in capsys.readouterr().out


def test_zoo_score_says_how_many_runs_it_scored(capsys, monkeypatch, tmp_path):
    def score(configs, work, out):
        for done in (1, 2):
            yield Built("run", done, 2)

    monkeypatch.setattr(zoo_build, "score", score)
    assert main.main(["zoo", "score", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"scored": 2}


FEW = ("--sizes", "200,1%", "--recipes", "plain", "--budgets", "epochs")


def test_export_writes_the_page_and_says_what_and_where(capsys, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "runs" / "mine")
    name = read_manifest(tmp_path / "runs" / "mine")[0].name
    page = ("export", "site", "page", *FEW)
    answer = _answer(capsys, *page, "--model", name, "--model", name)
    found = [path for path in Path("page").rglob("*") if path.is_file()]
    assert answer == {
        "folder": "page",
        "index": str(tmp_path / "page" / "index.html"),
        "files": len(found),
        "bytes": sum(path.stat().st_size for path in found),
        "written": len(found),
        "models": 3,
    }
    assert main.main([*page]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("page: 2 models, 9 files, ") and "(1 written now)" in out
    assert f"open {tmp_path / 'page' / 'index.html'} in a browser" in out


def test_an_export_that_cannot_work_is_one_line(capsys, tmp_path, monkeypatch):
    assert "size 7; there are: 50, 100" in _error(capsys, "export", "site", "page", "--sizes", "7")
    assert "recipe no" in _error(capsys, "export", "site", "page", "--recipes", "no,plain")
    assert "'nobody' is not in the zoo" in _error(
        capsys, "export", "site", "page", *FEW, "--model", "nobody"
    )
    (tmp_path / "thesis.doc").touch()
    assert "thesis.doc" in _error(capsys, "export", "site", ".", *FEW)
    assert not Path("page").exists()

    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(site, "export", interrupted)
    assert main.main(["export", "site", "page", *FEW]) == 130


@pytest.fixture
def pictures(tmp_path):
    """40 pictures of 64 x 64 pixels that are no digits."""
    (tmp_path / "cats").mkdir()
    rng = np.random.default_rng(0)
    for index in range(40):
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((64, 64))
        picture.save(tmp_path / "cats" / f"{index}.png")
    return "folder:cats"


def test_own_pictures_are_trained_on_and_scored_in_64_pixels(capsys, small_classifiers, pictures):
    options = ("--source", pictures, "--size", "36", "--updates", "3", "--device", "cpu")
    answer = _answer(capsys, "train", *options, "--img-size", "64")
    assert re.fullmatch(r"runs/folder_cats-36-updates-plain-64px-s0-\w{8}", answer["folder"])
    (card,) = read_manifest(Path(answer["folder"]))
    assert card.resolution == 64 and not card.metrics.digits
    # the data are needed to say how varied the samples are, so without being asked for
    again = _answer(
        capsys,
        *("evaluate", f"{answer['folder']}/model.safetensors", "--samples", "200", "--draws", "2"),
    )
    assert again["figures"] == card.metrics.to_dict()["figures"] and again["digits"] is False
    assert again["verdicts"] == [v.kind for v in card.metrics.verdicts()]
    assert main.main(["train", *options, "--img-size", "64"]) == 0
    out, _ = capsys.readouterr()
    assert "spread and contrast are compared with those of the training images" in out
    assert "real digits" not in out


@pytest.fixture
def a_job(tiny):
    folder = Path("runs") / "one"
    create(Job("one", folder, tiny(), "cpu", "somebody", 1.0, Caps(600.0, 10**9)))
    return folder


def test_a_job_is_trained_listed_and_removed(a_job, classifiers, monkeypatch, capsys):
    monkeypatch.setattr(worker, "_lower_priority", lambda: None)
    monkeypatch.setattr(run, "run", partial(run.run, classifiers=classifiers))
    assert main.main(["jobs", "list"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["queued", "0"]
    assert main.main(["work", str(a_job), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "finished"
    assert main.main(["jobs", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["state"], row["step"], row["total"]) == ("one", "finished", 12, 12)
    assert main.main(["jobs", "remove", "one", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "removed" and not a_job.exists()


def test_a_job_that_waits_can_be_stopped_from_the_terminal(a_job, capsys):
    held = locks.try_lock(a_job.parent / ".slots" / "cpu.0.lock")  # somebody has the place
    try:
        assert main.main(["jobs", "stop", "one"]) == 0
    finally:
        os.close(held)
    assert capsys.readouterr().out == "one: stopped\n"
    assert read_status(a_job).state == "stopped"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["jobs", "stop", "two"], "no job 'two'"),
        (["jobs", "stop", "../x"], "no job '../x'"),
        (["work", "nowhere"], "nowhere/job.json is missing"),
    ],
)
def test_jobs_that_are_not_there_are_named(a_job, capsys, monkeypatch, words, says):
    monkeypatch.setattr(worker, "_lower_priority", lambda: None)
    assert main.main(words) == 1
    assert says in capsys.readouterr().err


def test_a_job_that_cannot_be_trained_says_why(a_job, classifiers, monkeypatch, capsys):
    monkeypatch.setattr(worker, "_lower_priority", lambda: None)
    monkeypatch.setattr(run, "run", partial(run.run, classifiers=classifiers))
    values = json.loads((a_job / "config.json").read_text())
    (a_job / "config.json").write_text(json.dumps({**values, "source": "mnist"}))
    assert main.main(["work", str(a_job)]) == 1
    assert "MNIST" in capsys.readouterr().err
    assert read_status(a_job).problem == "data"


def test_the_installed_command_is_the_same_program(monkeypatch, capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["gan"].partition(":")
    monkeypatch.setattr(sys, "argv", ["gan", "--version"])
    with pytest.raises(SystemExit) as caught:
        getattr(importlib.import_module(module), function)()
    assert caught.value.code == 0
    assert gan.__version__ in capsys.readouterr().out
