import dataclasses
import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas
import pytest
import torch

from gan.cli import main
from gan.config import RECIPES, ModelConfig, TrainConfig, recipe_config
from gan.errors import CheckpointError, ConfigError
from gan.evaluation import classifier
from gan.runs import manifest, run
from gan.runs import names as run_names
from gan.runs.names import cell_name, read_config, run_name
from gan.sweeps import sweep
from gan.sweeps.grid import read
from gan.system import files as file_system
from gan.system import locks, processes, tensor_files
from gan.system.processes import Outcome
from gan.zoo.cards import read_manifest

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]
SMALL_GAN = ROOT / "tests" / "small_gan.py"
TINY = """
source = "drawn"
batch_size = 8
[fixed.model]
base_channels = 4
hidden_units = 8
latent_dim = 6
"""


def _write(tmp_path, text):
    path = tmp_path / "grid.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _tiny_file(tmp_path, grid, updates=12):
    """A sweep called "small" over runs as those of the fixture ``tiny``."""
    return _write(tmp_path, f'name = "small"\n[grid]\n{grid}\n[fixed]\nupdates = {updates}\n{TINY}')


def _rows(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def _assert_same_model(one, other):
    a, b = (
        tensor_files.load_tensors(folder / "model.safetensors", "generator")[0]
        for folder in (one, other)
    )
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_all_of_one_seed_come_before_the_next_and_the_last_key_varies_fastest(tmp_path):
    path = _write(
        tmp_path,
        'name = "a"\n[grid]\nsize = [200, "1%"]\nseed = [0, 1]\nlr_g = [1e-3, 2e-3]\n'
        "[grid.model]\nbase_channels = [8, 16]\n[fixed]\nupdates = 50\n[fixed.model]\nlatent_dim = 6",
    )
    plan = read(path)
    assert plan.name == "a"
    assert [(c.seed, c.size, c.lr_g, c.model.base_channels) for c in plan.configs] == [
        (seed, size, rate, channels)
        for seed in (0, 1)
        for size in (200, 600)
        for rate in (1e-3, 2e-3)
        for channels in (8, 16)
    ]
    assert {(c.updates, c.model.latent_dim, c.recipe) for c in plan.configs} == {(50, 6, "plain")}


def test_the_networks_of_a_file_come_on_top_of_those_of_its_recipe(tmp_path, monkeypatch):
    changes = {"lr_d": 0.5, "model": {"latent_dim": 7, "hidden_units": 9}}
    monkeypatch.setitem(RECIPES, "other", changes)
    path = _write(
        tmp_path,
        'name = "a"\n[grid]\nrecipe = ["plain", "other"]\n[fixed.model]\nhidden_units = 5',
    )
    plain, other = read(path).configs
    assert (plain.lr_d, plain.model) == (TrainConfig().lr_d, ModelConfig(hidden_units=5))
    assert (other.lr_d, other.model) == (0.5, ModelConfig(latent_dim=7, hidden_units=5))
    assert recipe_config("other", model=ModelConfig()).model == ModelConfig()


def test_the_example_is_what_it_says():
    plan = read(ROOT / "docs" / "sweeps" / "example.toml")
    assert [(c.seed, c.size) for c in plan.configs] == [
        (seed, size) for seed in (0, 1, 2) for size in (200, 600)
    ]
    assert {(c.recipe, c.source, c.updates) for c in plan.configs} == {("plain", "drawn", 300)}


GOOD = 'name = "a"\n[grid]\nseed = [0]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", r"grid.toml is not TOML"),
        ('name = "a"\n', r"\[grid\] is empty"),
        ("[grid]\nseed = [0]", "SweepFile lacks name"),
        ('name = "../a"\n[grid]\nseed = [0]', "name='../a' is wrong"),
        ('name = ".a"\n[grid]\nseed = [0]', "name='.a'"),
        (GOOD + "[gird]\nsize = [5]", r"does not know 'gird' \(did you mean 'grid'"),
        ('name = "a"\ngrid = [1]', r"grid=\[1\] is wrong: write it as a table"),
        (GOOD + "sise = [5]", r"\[grid\] does not know 'sise' \(did you mean 'size'.*lr_g"),
        (
            GOOD + "[fixed]\nupdate = 5",
            r"\[fixed\] does not know 'update' \(did you mean 'updates'",
        ),
        (GOOD + "[grid.model]\nwidth = [5]", r"\[grid\] does not know 'model.width'.*latent_dim"),
        (GOOD + "model = [5]", "is wrong: write it as a table"),
        (
            GOOD + "size = 600",
            r"\[grid\] size=600 must be a list; single values belong in",
        ),
        (GOOD + "size = []", r"grid\.size=\[\] is wrong: .*at least 1 item"),
        (GOOD + 'size = [600, "1%"]', r"'size': 600} and .*'size': '1%'} are the same run"),
        (GOOD + "lr_g = [1, 1.0]", "the same run.*leave one out"),
        (GOOD + 'size = ["few"]', r"size 'few' is not an amount.*such as 1%"),
        (GOOD + "size = [600.0]", r"size=600.0 should be a valid integer"),
        (GOOD + "size = [true]", r"size=True"),
        (GOOD + "size = [[600]]", r"size=\[600\] should be a valid integer"),
        (GOOD + "[fixed]\nsize = [600]", r"size=\[600\] should be a valid integer"),
        (GOOD + "[fixed]\nlr_g = nan", r"lr_g=nan"),
        (GOOD + "[fixed]\nseed = 1", r"seed is in \[grid\] and in \[fixed\]"),
        (
            GOOD + 'recipe = ["plane"]',
            r"recipe='plane' should be one of plain.*article-2018",
        ),
        (GOOD + 'budget = ["epoch"]', r"budget='epoch' should be 'epochs' or 'updates'"),
        (GOOD + 'source = ["drwan"]', r"source 'drwan' is unknown; choose mnist, stacked"),
        (GOOD + "source = [5]", r"source=5"),
        (GOOD + "[grid.model]\nimg_size = [30]", r"img_size=30.*multiple of 4"),
        (
            GOOD + 'budget = ["epochs", "updates"]\nupdates = [5, 6]',
            "are the same run .updates changes nothing under budget='epochs'",
        ),
        (
            GOOD + f"updates = {list(range(1, 1001))}\nepochs = {list(range(1, 1001))}",
            "makes 1,000,000 runs",
        ),
    ],
)
def test_an_error_names_file_key_value_and_remedy(tmp_path, text, message):
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml is missing; .*example\.toml"):
        read(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(ConfigError, match=r"latin\.toml cannot be read"):
        read(tmp_path / "latin.toml")


def test_every_configuration_has_a_folder_of_its_own(tmp_path):
    plain = recipe_config("plain", size=600)
    configs = [
        plain,
        dataclasses.replace(plain, seed=1),
        dataclasses.replace(plain, updates=50),
        dataclasses.replace(plain, updates=51),
        dataclasses.replace(plain, lr_g=1e-4),
        dataclasses.replace(plain, data_seed=1),
        dataclasses.replace(plain, model=ModelConfig(latent_dim=5)),
        dataclasses.replace(plain, source="folder:/a/pictures"),
        dataclasses.replace(plain, source="folder:/b/pictures"),
    ]
    names = [run_name(c) for c in configs]
    assert len(set(names)) == len(names)
    assert names[:2] == ["mnist-600-updates-plain-s0", "mnist-600-updates-plain-s1"]
    assert all(name.startswith(cell_name(c)) for name, c in zip(names, configs, strict=True))
    assert names == [run_name(TrainConfig.from_dict(c.to_dict())) for c in configs]


def test_a_setting_that_is_new_tomorrow_leaves_the_names_as_they_are(monkeypatch, tiny):
    before = run_name(tiny())
    flat = run_names.flat
    monkeypatch.setattr(run_names, "flat", lambda config: flat(config) | {"new": 1})
    assert run_name(tiny()) == before


@pytest.fixture
def small_classifiers(monkeypatch, classifiers):
    """The command line scores with the small classifiers of the tests."""
    load, reference = classifier.load_classifier, classifier.load_reference
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


def test_train_takes_a_whole_configuration_from_a_file(small_classifiers, finished, tiny, tmp_path):
    file_system.write_json(tmp_path / "run.json", tiny().to_dict())
    assert main.main(["train", "--config", "run.json", "--out", "here", "--device", "cpu"]) == 0
    assert manifest.is_finished(tmp_path / "here", tiny())
    _assert_same_model(tmp_path / "here", finished)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda values: values.pop("lr_g"), "lacks lr_g"),
        (lambda values: values["model"].pop("latent_dim"), r"lacks model\.latent_dim"),
        (lambda values: values.update(colour=1), "does not know colour"),
        (lambda values: values.update(size=-1), "size=-1"),
        (lambda values: values.update(model=5), "ModelConfig=5 should be a dictionary"),
    ],
)
def test_a_configuration_that_is_not_whole_is_refused(capsys, tmp_path, tiny, change, told):
    values = tiny().to_dict()
    change(values)
    file_system.write_json(tmp_path / "run.json", values)
    with pytest.raises(ConfigError, match=rf"run\.json.*{told}"):
        read_config(tmp_path / "run.json")
    assert main.main(["train", "--config", "run.json"]) == 1
    assert capsys.readouterr().err.startswith("error: run.json")


def test_a_configuration_file_stands_alone(capsys, tmp_path, tiny):
    file_system.write_json(tmp_path / "run.json", tiny().to_dict())
    assert main.main(["train", "--config", "run.json", "--size", "60", "--data-seed", "1"]) == 1
    assert "leave --size, --data-seed out" in capsys.readouterr().err
    for content in ("[", "[]"):
        (tmp_path / "run.json").write_text(content)
        assert main.main(["train", "--config", "run.json"]) == 1
        assert "error: run.json" in capsys.readouterr().err
    assert main.main(["train", "--config", "none.json"]) == 1
    assert "none.json is missing" in capsys.readouterr().err


def test_a_training_stops_and_keeps_what_it_did_when_its_parent_is_gone(
    small_classifiers, tiny, tmp_path
):
    file_system.write_json(tmp_path / "run.json", tiny().to_dict())
    command = ["train", "--config", "run.json", "--out", "here", "--device", "cpu", "--parent"]
    assert main.main([*command, str(os.getpid())]) == 130  # our parent is another
    assert (tmp_path / "here" / "checkpoint.safetensors").exists()
    assert main.main([*command, str(os.getppid())]) == 0


def _finished_run(finished, config, work):
    """A folder below ``work`` that passes for the finished run of ``config``."""
    folder = run.run_folder(config, work)
    shutil.copytree(finished, folder)
    content = json.loads((folder / "manifest.json").read_text())
    for entry in content["models"]:
        entry |= {"config": config.to_dict(), "name": folder.name}
        entry["seeds"][0]["seed"] = config.seed
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def workshop(monkeypatch, finished, tmp_path, small_classifiers):
    """Children replaced by copies of a finished run; those of seed 9 fail. The list of their seeds."""
    seen = []

    def fake(commands, workers, poll_seconds, on_wait, pass_fds):
        for index, command in enumerate(commands):
            arguments = dict(zip(command[4::2], command[5::2], strict=True))
            config = read_config(Path(arguments["--config"]))
            seen.append(config.seed)
            on_wait()
            if config.seed == 9:
                yield Outcome(index, 1, "error: no luck")
                continue
            folder = Path(arguments["--out"])
            _finished_run(finished, config, folder.parent)
            yield Outcome(index, 0, "")

    monkeypatch.setattr(processes, "run_all", fake)
    return seen


def _start(configs, work, **more):
    return list(sweep.start(configs, work, device="cpu", **more))


def test_a_row_says_what_the_manifest_says(workshop, finished, tiny, tmp_path):
    (built,) = _start([tiny()], tmp_path / "work")
    assert (built.done, built.total, built.error) == (1, 1, "")
    (row,) = _rows(tmp_path / "work")
    cards = read_manifest(tmp_path / "work" / row["folder"])
    assert TrainConfig.from_dict(row["config"]) == tiny()
    for name, figure in cards[0].metrics.figures.items():
        assert row["final"]["figures"][name] == dataclasses.asdict(figure)
    assert row["final"]["step"] == 12
    assert row["final"]["verdicts"] == [v.kind for v in cards[0].metrics.verdicts()]
    assert (row["best"] is None) == (len(cards) == 1)
    assert row["provenance"] == cards[0].provenance
    assert row["seconds"] == cards[0].provenance["seconds"]


def test_pandas_reads_the_table(workshop, tiny, tmp_path):
    _start([tiny(seed=seed) for seed in range(3)], tmp_path / "work")
    table = pandas.read_json(tmp_path / "work" / "results.jsonl", lines=True)
    assert [config["seed"] for config in table.config] == [0, 1, 2]
    assert set(table.columns) == {"folder", "config", "final", "best", "seconds", "provenance"}


def test_a_failed_run_is_told_and_tried_again_and_the_others_go_on(
    workshop, tiny, tmp_path, monkeypatch
):
    configs = [tiny(seed=seed) for seed in (0, 9, 1)]
    built = _start(configs, tmp_path / "work")
    assert [b.error for b in built] == ["", "error: no luck", ""]
    assert [b.done for b in built] == [1, 1, 2]
    assert len(_rows(tmp_path / "work")) == 2
    workshop.clear()
    (again,) = _start(configs, tmp_path / "work")
    assert (again.name[-11:-9], again.done, again.total) == ("s9", 2, 3)
    assert workshop == [9]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("<html>", "manifest.json cannot be read"),
        ('{"models": [{"config": {"colour": 1}}]}', "does not know colour"),
    ],
)
def test_a_run_that_cannot_be_read_is_told_and_does_not_stop_the_others(
    workshop, tiny, tmp_path, content, told
):
    configs = [tiny(seed=seed) for seed in (0, 1)]
    folder = run.run_folder(configs[0], tmp_path / "work")
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(content)
    first, second = _start(configs, tmp_path / "work")
    assert told in first.error and second.error == ""
    assert [row["config"]["seed"] for row in _rows(tmp_path / "work")] == [1]


def test_a_finished_sweep_called_again_does_nothing_and_needs_nothing(
    workshop, tiny, tmp_path, monkeypatch
):
    work, told = tmp_path / "work", []
    _start([tiny()], work)
    before = (work / "results.jsonl").stat().st_mtime_ns
    monkeypatch.setattr(
        classifier, "load_classifier", lambda *_: pytest.fail("the classifier was asked for")
    )
    assert _start([tiny()], work, on_progress=told.append) == []
    assert (work / "results.jsonl").stat().st_mtime_ns == before
    assert (workshop, told) == ([0], [12])


@pytest.mark.parametrize("keep", [0, 1, 60, -1])
def test_a_torn_last_line_is_written_anew_from_the_manifest(workshop, tiny, tmp_path, keep):
    work, configs = tmp_path / "work", [tiny(seed=0), tiny(seed=1)]
    _start(configs, work)
    path = work / "results.jsonl"
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[: start + keep] if keep >= 0 else whole[:keep])
    assert _start(configs, work) == []
    assert path.read_bytes() == whole
    assert workshop == [0, 1]


@pytest.mark.parametrize("rubbish", [b"\xff\x00\n", b"[]\n", b"5\n", b"{}\n", b"\n"])
def test_what_is_no_row_is_dropped_and_a_double_too(workshop, tiny, tmp_path, rubbish):
    work, configs = tmp_path / "work", [tiny(seed=0), tiny(seed=1)]
    _start(configs, work)
    path = work / "results.jsonl"
    whole = path.read_bytes()
    path.write_bytes(rubbish + whole + whole)
    _start(configs, work)
    assert path.read_bytes() == whole


def test_a_run_that_finished_without_its_row_gets_it_from_the_next_call(
    workshop, finished, tiny, tmp_path
):
    work = tmp_path / "work"
    _finished_run(finished, tiny(), work)
    _start([tiny(), tiny(seed=1)], work)
    assert sorted(row["config"]["seed"] for row in _rows(work)) == [0, 1]
    assert workshop == [1]


def test_a_run_made_again_replaces_its_row(workshop, tiny, tmp_path):
    work = tmp_path / "work"
    _start([tiny()], work)
    path = work / "results.jsonl"
    path.write_text(path.read_text().replace('"seconds": ', '"seconds": 9'))
    shutil.rmtree(run.run_folder(tiny(), work))
    _start([tiny()], work)
    (row,) = _rows(work)
    assert row["seconds"] == row["provenance"]["seconds"]


class _FullDisk:
    """A file that takes ten bytes."""

    def __init__(self, file):
        self._file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, content):
        self._file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_a_full_disk_is_told_and_loses_no_finished_run(workshop, tiny, tmp_path, monkeypatch):
    work, configs = tmp_path / "work", [tiny(seed=0), tiny(seed=1)]
    _start(configs[:1], work)
    before = (work / "results.jsonl").read_bytes()
    real = Path.open

    def full(path, mode="r", **more):
        file = real(path, mode, **more)
        return _FullDisk(file) if mode == "ab" else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(
            CheckpointError, match=r"results\.jsonl.*No space left.*Free some space"
        ):
            _start(configs, work)
    assert (work / "results.jsonl").read_bytes() == before
    assert manifest.is_finished(run.run_folder(configs[1], work), configs[1])
    assert _start(configs, work) == []
    assert [row["config"]["seed"] for row in _rows(work)] == [0, 1]
    assert workshop == [0, 1]


def test_a_second_sweep_on_the_same_folder_is_told_so(workshop, tiny, tmp_path):
    work = tmp_path / "work"
    first = sweep.start([tiny(), tiny(seed=1)], work, device="cpu")
    next(first)
    with pytest.raises(ConfigError, match=rf"work is in use by process {os.getpid()}"):
        _start([tiny()], work)
    first.close()
    assert [b.error for b in _start([tiny(), tiny(seed=1)], work)] == [""]


def test_where_there_are_no_locks_a_sweep_goes_unguarded(workshop, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    assert [b.error for b in _start([tiny()], tmp_path / "work")] == [""]


def test_the_command_answers_in_json_and_ends_with_code_1_where_a_run_failed(
    capsys, workshop, tmp_path
):
    path = _tiny_file(tmp_path, "size = [40]\nseed = [0, 9]")
    assert main.main(["sweep", str(path), "--device", "cpu", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    folder = Path("runs/sweeps/small")
    assert (answer["name"], answer["folder"]) == ("small", str(folder))
    assert (answer["done"], answer["total"]) == (1, 2)
    (failed,) = answer["failed"]
    assert failed.startswith("drawn-40-updates-plain-s9-") and failed.endswith("error: no luck")
    assert answer["results"] == str(folder / "results.jsonl") and len(_rows(folder)) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--address", "auto"], "address='auto' is that of a Ray; add --on ray"),
        (["--device", "tpu"], "'tpu'"),
        (["--on", "ray"], "requirements-cluster.txt"),
    ],
)
def test_what_a_sweep_cannot_do_is_one_line(
    capsys, small_classifiers, tmp_path, monkeypatch, arguments, told
):
    monkeypatch.setitem(sys.modules, "ray", None)  # not installed
    path = _tiny_file(tmp_path, "size = [40]")
    assert main.main(["sweep", str(path), *arguments]) == 1
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert out == "" and told in line


def test_one_run_a_core_unless_a_gpu_is_shared(monkeypatch):
    monkeypatch.setattr(processes, "usable_cores", lambda: 8)
    assert sweep.default_workers(CPU, threads=1) == 8
    assert sweep.default_workers(CPU, threads=3) == 2
    assert sweep.default_workers(CPU, threads=16) == 1
    assert sweep.default_workers(torch.device("cuda"), threads=1) == 1


def _sweep_process(path, classifiers, *arguments):
    """``python -m gan sweep`` with small scores, as a process."""
    environment = {**os.environ, "SMALL_GAN_CLASSIFIERS": str(classifiers), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, SMALL_GAN, "sweep", path, "--work", "work", "--device", "cpu", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def _note(folder):
    """What the process that works on a run last noted; None where there is none."""
    try:
        return json.loads((folder / "progress.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _end(process):
    """Waits for a process and gives its exit code and what it said."""
    try:
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    return process.returncode, err


def _undisturbed(config, folder, classifiers):
    for _ in run.run(config, folder, CPU, classifiers=classifiers):
        pass
    return folder


def test_a_sweep_that_is_killed_goes_on_and_repeats_nothing(
    tmp_path, classifiers, finished, small_classifiers, monkeypatch
):
    path = _tiny_file(tmp_path, "size = [40]\nseed = [0, 1]", updates=300)
    configs, work = read(path).configs, tmp_path / "work"
    first, second = (run.run_folder(config, work) for config in configs)
    _finished_run(finished, configs[0], work)
    made = {p.name: p.stat().st_mtime_ns for p in first.iterdir()}
    killed = _sweep_process(path, classifiers)
    try:
        note = _wait_for(lambda: _note(second), killed)
    finally:
        killed.kill()
        killed.communicate()
    # at once: the child of the killed one may still be at work, and is waited for
    environment = {"SMALL_GAN_CLASSIFIERS": str(classifiers), "PYTHONPATH": str(ROOT)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        processes, "gan_command", lambda *rest: [sys.executable, str(SMALL_GAN), *rest]
    )
    assert [built.error for built in _start(configs, work)] == [""]
    with pytest.raises(ProcessLookupError):
        os.kill(note["pid"], 0)
    assert made == {p.name: p.stat().st_mtime_ns for p in first.iterdir()}
    assert [row["config"]["seed"] for row in _rows(work)] == [0, 1]
    _assert_same_model(second, _undisturbed(configs[1], tmp_path / "alone", classifiers))


def test_runs_are_grouped_where_they_differ_in_data_and_seed_only(tiny):
    configs = [
        tiny(seed=0),
        tiny(seed=0, lr_g=2e-3),
        tiny(seed=1, size=50),
        tiny(seed=1, lr_g=2e-3),
        tiny(seed=2),
        tiny(seed=3, updates=13),
    ]
    assert sweep.group(configs, 2) == [[0, 2], [1, 3], [4], [5]]
    assert sweep.group(configs, 9) == [[0, 2, 4], [1, 3], [5]]
    assert sweep.group(configs, 1) == [[i] for i in range(6)]


def test_a_sweep_trains_several_runs_in_one_process(tmp_path, classifiers, small_classifiers):
    path = _tiny_file(tmp_path, "size = [40]\nseed = [0, 1, 2]", updates=60)
    code, said = _end(_sweep_process(path, classifiers, "--together", "2"))
    assert code == 0, said
    rows = _rows(tmp_path / "work")
    assert sorted(row["config"]["seed"] for row in rows) == [0, 1, 2]
    commands = {row["provenance"]["command"] for row in rows}
    assert len(commands) == 2  # two processes: one of two runs, one of one
    assert sum(command.count(" --config ") for command in commands) == 2
    config = read(path).configs[0]
    alone = _undisturbed(config, tmp_path / "alone", classifiers)
    ours, theirs = (
        json.loads((folder / "evidence.json").read_text())["curves"]["g_loss"]
        for folder in (run.run_folder(config, tmp_path / "work"), alone)
    )
    assert ours[:5] == pytest.approx(theirs[:5], abs=0.01)


def test_of_several_that_fail_together_the_finished_ones_are_kept(
    finished, tiny, tmp_path, small_classifiers, monkeypatch
):
    def fake(commands, workers, poll_seconds, on_wait, pass_fds):
        (command,) = commands
        first = command[command.index("--config") + 1]
        _finished_run(finished, read_config(Path(first)), tmp_path / "work")
        yield Outcome(0, 1, "error: killed")

    monkeypatch.setattr(processes, "run_all", fake)
    configs = [tiny(seed=s) for s in range(3)]
    built = _start(configs, tmp_path / "work", together=3)
    assert [b.error for b in built] == ["", "error: killed", "error: killed"]
    assert [row["config"]["seed"] for row in _rows(tmp_path / "work")] == [0]


def test_train_asks_for_a_folder_for_each_run(capsys, tmp_path, tiny):
    files = []
    for seed in range(2):
        files.append(tmp_path / f"{seed}.json")
        files[-1].write_text(json.dumps(tiny(seed=seed).to_dict()))
    assert main.main(["train", "--config", *map(str, files), "--out", "one"]) == 1
    assert "--out names 1 folder(s) for 2 run(s)" in capsys.readouterr().err


def test_train_refuses_one_folder_for_two_runs(capsys, tmp_path, tiny):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(tiny().to_dict()))
    assert main.main(["train", "--config", str(path), str(path)]) == 1
    assert "share a folder" in capsys.readouterr().err


def test_what_fits_together_is_taken_together(tmp_path):
    path = tmp_path / "sweep.toml"
    text = (
        'name = "x"\n[grid]\nseed = [0]\n[fixed]\nsource = "{}"\n[fixed.model]\nimg_channels = 3\n'
    )
    path.write_text(text.format("stacked"))
    assert read(path).configs[0].model.img_channels == 3
    path.write_text(text.format("mnist"))
    with pytest.raises(ConfigError, match="img_channels=3 does not fit"):
        read(path)


def test_a_ray_task_trains_one_run(tiny, tmp_path):
    with pytest.raises(ConfigError, match="together=4 is for local runs"):
        next(sweep.start([tiny()], tmp_path / "work", on="ray", together=4))


@pytest.mark.ray
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_ray_worker_that_is_killed_costs_nothing(tmp_path, classifiers):
    path = _tiny_file(tmp_path, "size = [40]\nseed = [0, 1, 2]", updates=600)
    configs, work = read(path).configs, tmp_path / "work"
    folders = [run.run_folder(config, work) for config in configs]
    # begun before: a worker that dies within its first minute leaves no checkpoint of its own
    loop = run.run(configs[0], folders[0], CPU, classifiers=classifiers)
    while next(loop).report.step < 100:
        pass
    loop.close()
    # and one that cannot be gone on with, whose error comes back
    folders[2].mkdir()
    (folders[2] / "checkpoint.safetensors").write_text("<html>")
    process = _sweep_process(path, classifiers, "--on", "ray", "--workers", "2", "--json")
    try:
        note = _wait_for(lambda: _note(folders[0]), process)
        assert note["step"] > 100  # gone on with, not begun anew
        os.kill(note["pid"], signal.SIGKILL)
        again = _wait_for(
            lambda: (n := _note(folders[0])) and n["pid"] != note["pid"] and n, process
        )
        assert again["step"] > 100
    finally:
        code, err = _end(process)
    assert code == 1
    assert f"{folders[2].name}: " in err and "checkpoint.safetensors is damaged" in err
    assert sorted(row["config"]["seed"] for row in _rows(work)) == [0, 1]
    for config, folder in zip(configs[:2], folders[:2], strict=True):
        _assert_same_model(folder, _undisturbed(config, tmp_path / f"s{config.seed}", classifiers))
    with pytest.raises(ProcessLookupError):
        os.kill(again["pid"], 0)
