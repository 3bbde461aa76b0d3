"""Against a Ray of our own that runs every task at once; test_sweep.py has a real one."""

import os
import shutil
import sys
import types

import pytest
import torch

from gan.errors import CheckpointError, ConfigError
from gan.runs import manifest, run
from gan.sweeps import on_ray
from gan.system import files as file_system
from gan.system import ray as ray_system

CPU = torch.device("cpu")


class RayError(Exception):
    pass


class FakeRay(types.ModuleType):
    """What `gan.sweeps.on_ray` uses of Ray; a task is run when it is asked for."""

    def __init__(self, gpus=0):
        super().__init__("ray")
        self.exceptions = types.ModuleType("ray.exceptions")
        self.exceptions.RayError = RayError
        self.gpus, self.asked, self.ended, self.most = gpus, [], 0, 0
        self.under_way = {}

    def init(self, **settings):
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        if settings["address"] == "nowhere":
            raise ConnectionError("nobody there")
        self.settings = settings

    def shutdown(self):
        self.ended += 1

    def cluster_resources(self):
        return {"GPU": self.gpus} if self.gpus else {}

    def remote(self, **options):
        self.options = options

        def decorate(function):
            def start(*arguments):
                self.asked.append(arguments)
                reference = object()
                self.under_way[reference] = (function, arguments)
                self.most = max(self.most, len(self.under_way))
                return reference

            return types.SimpleNamespace(remote=start)

        return decorate

    def wait(self, references, timeout):
        return references[:1], references[1:]

    def get(self, reference):
        function, arguments = self.under_way.pop(reference)
        return function(*arguments)


@pytest.fixture
def ray(monkeypatch):
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.exceptions", fake.exceptions)
    monkeypatch.setattr(
        ray_system, "_check_port", lambda address: None
    )  # there is no machine "head"
    return fake


@pytest.fixture
def elsewhere(monkeypatch, finished):
    """Tasks on a machine with a disk of its own: nothing is written here. Seed 8 fails, 9 dies."""

    def train_run(settings, folder, device, threads, command):
        if settings["seed"] == 9:
            raise RayError("\n".join(["", *"abcdefg"]))
        if settings["seed"] == 8:
            return "no luck", {}
        return "", {p.name: p.read_bytes() for p in finished.iterdir()}

    monkeypatch.setattr(on_ray, "train_run", train_run)


def _run_all(runs, device="cpu", workers=1, address=None, **more):
    return list(on_ray.run_all(runs, device, 2, workers, address, 0.0, **more))


def test_files_made_elsewhere_are_written_here(ray, elsewhere, finished, tiny, tmp_path):
    folder, waits = tmp_path / "run", []
    (outcome,) = _run_all([(tiny(), folder)], on_wait=lambda: waits.append(1))
    assert (outcome.index, outcome.code, outcome.error) == (0, 0, "")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        p.name: p.read_bytes() for p in finished.iterdir()
    }
    assert waits == [1]


def test_on_a_shared_disk_nothing_is_written_twice(ray, elsewhere, finished, tiny, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()}
    _run_all([(tiny(), tmp_path / "run")])
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()} == before


def test_the_manifest_is_written_last(ray, elsewhere, tiny, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(file_system, "write_atomically", lambda path, _: written.append(path.name))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").touch()
    _run_all([(tiny(), tmp_path / "run")])
    assert written[-1] == manifest.MANIFEST and len(written) >= 4
    assert list((tmp_path / "run").iterdir()) == []


def test_an_error_of_a_task_and_the_death_of_a_worker_are_told(ray, elsewhere, tiny, tmp_path):
    runs = [(tiny(seed=seed), tmp_path / str(seed)) for seed in (8, 9)]
    failed, died = _run_all(runs)
    assert (failed.code, failed.error) == (1, "no luck")
    assert (died.code, died.error.splitlines()) == (1, list("cdefg"))


def test_a_ray_of_its_own_is_as_large_as_asked_and_ended(ray, elsewhere, tiny, tmp_path):
    runs = [(tiny(seed=8), tmp_path / str(index)) for index in range(4)]
    assert len(_run_all(runs, workers=2)) == 4
    assert ray.settings["num_cpus"] == 4 and ray.settings["include_dashboard"] is False
    assert ray.settings["address"] == "local"
    assert ray.options == {"num_cpus": 2, "num_gpus": 0, "max_retries": on_ray.RETRIES}
    assert (ray.most, ray.ended) == (2, 1)
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


def test_a_ray_that_runs_is_asked_for_everything_at_once(ray, elsewhere, tiny, tmp_path):
    runs = [(tiny(seed=8), tmp_path / str(index)) for index in range(4)]
    _run_all(runs, "cuda:1", workers=None, address="head:6379")
    assert "num_cpus" not in ray.settings and ray.settings["address"] == "head:6379"
    assert ray.options["num_gpus"] == 1
    assert {arguments[2] for arguments in ray.asked} == {"cuda"}
    assert (ray.most, ray.ended) == (4, 1)


def test_what_ray_cannot_do_is_told(ray, elsewhere, tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere \(nobody there\); start one with `ray start"):
        _run_all([(tiny(), tmp_path)], address="nowhere")
    with pytest.raises(ConfigError, match="Ray finds no GPU here"):
        _run_all([(tiny(), tmp_path)], device="cuda")
    assert ray.ended == 2


def test_a_consumer_that_stops_ends_the_ray(ray, elsewhere, tiny, tmp_path):
    loop = on_ray.run_all([(tiny(seed=8), tmp_path)] * 2, "cpu", 1, 1, None, 0.0)
    next(loop)
    loop.close()
    assert ray.ended == 1


def test_a_task_trains_and_hands_the_files_back(finished, tiny, tmp_path, monkeypatch, classifiers):
    real = run.run
    monkeypatch.setattr(run, "run", lambda *a, **k: real(*a, **k, classifiers=classifiers))
    folder = tmp_path / "finished"
    error, files = on_ray.train_run(tiny().to_dict(), str(folder), "cpu", 1, ["x"])
    assert error == ""
    assert set(files) == {p.name for p in folder.iterdir()} == {p.name for p in finished.iterdir()}
    for name in ("evidence.json", "film.png"):
        assert files[name] == (finished / name).read_bytes()
    # again: the same files without training
    assert on_ray.train_run(tiny().to_dict(), str(folder), "cpu", 1, ["x"])[1] == files


def test_an_error_of_ours_comes_back_as_text(tiny, tmp_path):
    settings = tiny(source="folder:nowhere").to_dict()
    error, files = on_ray.train_run(settings, str(tmp_path / "run"), "cpu", 1, ["x"])
    assert "nowhere" in error and files == {}


def test_a_finished_folder_that_has_lost_a_file_is_named(finished, tiny, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "film.png").unlink()
    with pytest.raises(CheckpointError, match=r"film\.png"):
        on_ray._finished_files(tmp_path / "run")
