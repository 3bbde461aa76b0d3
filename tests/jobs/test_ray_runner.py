"""Workers on Ray: against a Ray of our own for what needs none, and on real ones that are started here."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from functools import partial
from pathlib import Path

import pytest

from gan.config import ModelConfig, recipe_config
from gan.errors import CheckpointError, ConfigError
from gan.jobs import folder as job_folder
from gan.jobs import ray_runner, service
from gan.jobs.folder import WORKING, Caps, Job, create, read_status, updates_kept
from gan.jobs.limits import Limits
from gan.jobs.ray_runner import RayRunner
from gan.jobs.runner import UNKNOWN, Place
from gan.system import locks, processes
from gan.system import ray as ray_system
from gan.zoo import cards

HERE = Path(__file__).resolve().parent.parent
LONG = 90_000


def wait_for(check, what, seconds=90.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := check():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:g} s for {what}")


class RayError(Exception):
    pass


class FakeRay(types.ModuleType):
    """What the runner uses of Ray. ``answer``: what an actor says when it is asked how it ended: None
    while it is at work, an exception, or (exit code, words)."""

    def __init__(self, *machines):
        super().__init__("ray")
        self.exceptions = types.ModuleType("ray.exceptions")
        self.exceptions.RayError = RayError
        self.machines = [{"Alive": True, "Resources": machine} for machine in machines]
        self.actors, self.asked, self.killed, self.trouble = {}, [], [], None
        self.answer, self.settings = None, None

    def is_initialized(self):
        return self.settings is not None

    def init(self, **settings):
        if self.trouble:
            raise self.trouble
        self.settings = settings

    def nodes(self):
        return self.machines

    def remote(self, actor):
        return types.SimpleNamespace(
            options=lambda **o: types.SimpleNamespace(remote=partial(self._make, o))
        )

    def _make(self, options, *arguments):
        if options["name"] in self.actors:
            raise ValueError("the name is taken")
        method = types.SimpleNamespace
        actor = types.SimpleNamespace(
            name=options["name"],
            options=options,
            work=method(remote=lambda *a: self.asked.append(a)),
            outcome=method(remote=lambda: "outcome"),
        )
        self.actors[actor.name] = actor
        return actor

    def get_actor(self, name, namespace):
        if name not in self.actors:
            raise ValueError("nobody of that name")
        return self.actors[name]

    def kill(self, actor):
        self.killed.append(actor.name)
        self.actors.pop(actor.name, None)

    def wait(self, references, timeout):
        return (references, []) if self.answer else ([], references)

    def get(self, reference):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def fake(monkeypatch):
    ray = FakeRay({"CPU": 4.0})
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.exceptions", ray.exceptions)
    for name in ray_system._QUIET:  # what connecting sets for the process goes with the test
        monkeypatch.setenv(name, "0")
    return ray


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "runs" / "one"
    path.mkdir(parents=True)
    return path


def started(runner, folder, device="cpu:0"):
    """A worker as a supervisor starts it, and the path of its place."""
    path = folder.parent / ".slots" / "cpu-0.0.lock"
    handle = locks.try_lock(path)
    try:
        return runner.start(folder, Place(device, path, handle)), path
    finally:
        os.close(handle)


def test_places_are_counted_machine_by_machine(fake):
    fake.machines += [
        {"Alive": True, "Resources": {"CPU": 3.0, "GPU": 2.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
        {"Alive": True, "Resources": {}},
    ]
    runner = RayRunner("auto")
    assert runner.devices() == ["cuda", "cpu"]
    assert runner.places("cpu") == ["cpu:0", "cpu:1", "cpu:2"]  # 2 of four CPUs, 1 of three
    assert runner.places("cuda") == ["cuda:0", "cuda:1"]
    assert (runner.threads("cpu"), runner.threads("cuda")) == (2, 1)
    del fake.machines[1:], fake.machines[0]["Resources"]["CPU"]
    assert (runner.places("cpu"), runner.threads("cpu")) == (["cpu:0"], 1)
    assert runner.devices() == ["cpu"]


@pytest.mark.parametrize("slots", [1, 2, 3, 7])
def test_as_many_workers_as_there_are_places_fit_in(fake, folder, slots):
    runner = RayRunner("auto", slots)
    started(runner, folder)
    (actor,) = fake.actors.values()
    share = actor.options["num_cpus"]
    assert 2 - 1e-3 < share * slots <= 2 and actor.options["num_gpus"] == 0
    assert actor.options["lifetime"] == "detached" and actor.options["max_restarts"] == 0


def test_a_worker_on_a_gpu_does_not_wait_for_a_cpu(fake, folder):
    started(RayRunner("auto"), folder, "cuda:1")
    (actor,) = fake.actors.values()
    assert (actor.options["num_cpus"], actor.options["num_gpus"]) == (0, 1)
    assert fake.asked[0][1:3] == ("cuda", 1)


def test_a_worker_learns_where_things_are(fake, folder, monkeypatch):
    monkeypatch.setenv("GAN_DATA", "/the/data")
    monkeypatch.setenv("PYTHONPATH", "/more")
    _, place = started(RayRunner(None), folder)
    (actor,) = fake.actors.values()
    root = str(HERE.parent)
    assert actor.options["runtime_env"]["env_vars"] == {
        "PYTHONPATH": f"{root}{os.pathsep}/more",
        "GAN_DATA": "/the/data",
    }
    assert fake.asked == [(str(folder), "cpu", 2, str(place))]
    assert actor.options["lifetime"] is None  # this Ray ends with the server anyway
    monkeypatch.delenv("GAN_DATA")  # then that of the machine counts
    assert set(ray_runner._environment()) == {"PYTHONPATH"}


def test_a_ray_of_its_own_leaves_a_core_to_visitors(fake, monkeypatch):
    monkeypatch.setattr(ray_system, "usable_cores", lambda: 8)
    RayRunner(None)
    assert (fake.settings["address"], fake.settings["num_cpus"]) == ("local", 7)
    fake.trouble = AssertionError("a hot reload connects anew")
    RayRunner(None)


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((0, ""), 0, ""),
        ((1, "ValueError: odd"), 1, "ValueError: odd"),
        (RayError("the machine is lost"), UNKNOWN, "the machine is lost"),
        (
            RayError("killed as the node was running low on memory."),
            -signal.SIGKILL,
            "low on memory",
        ),
    ],
)
def test_how_a_worker_ended_is_reported_and_its_place_is_free(fake, folder, answer, code, words):
    worker, place = started(RayRunner("auto"), folder)
    assert worker.ended() is None and locks.try_lock(place) is None
    fake.answer = answer
    assert worker.ended() == code and words in worker.error_output()
    assert fake.killed == [f"job {folder}"] and not locks.is_locked(place)
    assert worker.ended() == code and len(fake.killed) == 1


def test_a_worker_that_could_not_begin_says_why(fake, folder):
    worker, _ = started(RayRunner("auto"), folder)
    fake.answer = RayError("No module named 'gan'")
    fake.answer.actor_init_failed = True
    assert worker.ended() == 1 and worker.error_output() == "No module named 'gan'"


def test_a_killed_worker_is_gone_with_its_name_and_place(fake, folder):
    runner = RayRunner("auto")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(3):
        worker, place = started(runner, folder)
        assert runner.find(folder) is not None
        worker.kill()
        assert worker.ended() == UNKNOWN
        assert runner.find(folder) is None and not locks.is_locked(place)
    assert before == 0 or len(os.listdir("/proc/self/fd")) == before


def test_who_dismisses_waits_until_the_process_is_gone(fake, folder, monkeypatch):
    worker, _ = started(RayRunner("auto"), folder)
    held = locks.try_lock(folder / job_folder.WORKER_LOCK)
    end = threading.Timer(0.3, os.close, (held,))
    began = time.monotonic()
    end.start()
    worker.kill()
    assert time.monotonic() - began >= 0.3
    end.join()


def test_a_name_that_is_taken_is_reported_and_costs_no_descriptor(fake, folder):
    runner = RayRunner("auto")
    fake.actors[f"job {folder}"] = None
    with pytest.raises(CheckpointError, match=r"still there .*resume the job in a moment"):
        started(runner, folder)
    assert not locks.is_locked(folder.parent / ".slots" / "cpu-0.0.lock")


def test_a_server_without_ray_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install -r requirements-cluster\.txt"):
        service.open_service(tmp_path, {"GAN_RUNNER": "ray"})


def test_an_address_where_nobody_listens_is_reported_at_once(fake, tmp_path):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"{address} .*ray start --head.*RAY_ADDRESS"):
            service.open_service(tmp_path, {"GAN_RUNNER": "ray", "RAY_ADDRESS": address})
    assert fake.settings is None


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, ConnectionError, RayError])
def test_what_ray_says_at_the_door_is_passed_on(fake, kind):
    fake.trouble = kind("Version mismatch: 2.59 there, 2.60 here")
    with pytest.raises(
        ConfigError, match=r"Ray cannot be reached .*Version mismatch: 2\.59 there.*RAY_ADDRESS"
    ):
        RayRunner("auto")


@pytest.fixture
def left(monkeypatch):
    """The exit codes with which a actor wanted to leave, instead of leaving."""
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(ray_runner, "_LINGER_SECONDS", 0.01)
    return codes


def test_a_machine_without_the_shared_folder_is_named(left, tmp_path):
    actor = ray_runner._Actor(str(tmp_path))
    actor.work(str(tmp_path / "not-shared"), "cpu", 1, None)
    code, words = actor.outcome()
    assert code == 1 and f"not-shared does not exist on {socket.gethostname()}" in words
    wait_for(lambda: left == [0], "the actor to leave")


def test_a_seat_works_where_the_server_is_and_keeps_the_place_it_leaves(left, folder, monkeypatch):
    place, before = folder.parent / "place.lock", threading.active_count()
    handle = locks.try_lock(place)
    monkeypatch.setattr(ray_runner, "_PLACE_SECONDS", 0.01)
    monkeypatch.setattr(ray_runner.worker, "work", lambda *a: os.getcwd() == str(folder) and a[2])
    kept = []
    monkeypatch.setattr(
        locks, "try_lock", lambda path, real=locks.try_lock: kept.append(real(path)) or kept[-1]
    )
    actor = ray_runner._Actor(str(folder))
    actor.work(str(folder), "cpu", 5, str(place))
    assert actor.outcome() == (5, "")
    wait_for(lambda: len(kept) > 2, "the actor to want the place")
    assert kept[-1] is None  # the server has it
    os.close(handle)
    wait_for(lambda: kept[-1] is not None, "the actor to have the place")
    assert locks.is_locked(place)
    os.close(kept[-1])
    wait_for(lambda: left == [0] and threading.active_count() == before, "the actor to leave")


def real(test):
    there = importlib.util.find_spec("ray") is not None
    return pytest.mark.ray(pytest.mark.skipif(not there, reason="Ray is not installed")(test))


class SmallActor(ray_runner._Actor):
    """With the small scores; and it notes where it was."""

    def work(self, folder, *rest):
        sys.path.insert(0, str(HERE))
        import small_gan

        small_gan.shrink()
        super().work(folder, *rest)

    def outcome(self):
        said = super().outcome()
        Path("actor.json").write_text(json.dumps({"data": os.environ.get("GAN_DATA")}))
        return said


def make_wish(tiny_model, **changes):
    settings = {"source": "drawn", "size": 40, "updates": 12, "batch_size": 8, **changes}
    return recipe_config("plain", model=tiny_model, **settings)


@pytest.fixture
def small(monkeypatch, classifiers, tiny_model):
    """Workers get the small scores, and one CPU each; gives what wishes are made with."""
    monkeypatch.setattr(ray_runner, "_Actor", SmallActor)
    monkeypatch.setattr(ray_runner, "_CPU_THREADS", 1)
    for name, value in _surroundings(classifiers).items():
        monkeypatch.setenv(name, value)
    return partial(make_wish, tiny_model)


def _surroundings(classifiers):
    return {
        **ray_system._QUIET,
        "RAY_AUTH_MODE": "disabled",
        "SMALL_GAN_CLASSIFIERS": str(classifiers),
        "PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parent, HERE, HERE.parent])),
    }


@pytest.fixture(scope="module")
def address(classifiers):
    """A cluster of two CPUs that is there before and after any server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets lie there, whose paths must be short
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += ["--num-cpus=2", f"--port={port}", f"--temp-dir={files}"]
    command += ["--include-dashboard=false", "--disable-usage-stats"]
    with open(Path(files) / "said", "wb") as said:
        head = subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            cwd="/",
            env={**os.environ, **_surroundings(classifiers)},
        )
    try:
        wait_for(lambda: b"block forever" in (Path(files) / "said").read_bytes(), "a Ray")
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        head.wait(timeout=60)
        shutil.rmtree(files, ignore_errors=True)


@pytest.fixture
def runner(small, address):
    import ray

    yield RayRunner(address)
    ray.shutdown()


def state_is(opened, id, *states):
    def check():
        view = opened.queries.view(id)
        return view if view is not None and view.status.state in states else None

    return wait_for(check, f"{id} to be {' or '.join(states)}")


def trained_a_bit(opened, id, updates=5):
    def check():
        status = opened.queries.view(id).status
        return status if status.state == "training" and status.step >= updates else None

    return wait_for(check, f"{updates} updates of {id}")


def all_is_given_back(runner, cpus):
    """No actor, no process of one, every CPU and every place free."""
    ray = runner._ray
    wait_for(lambda: ray.available_resources().get("CPU") == cpus, "the CPUs", 20)
    assert ray.util.list_named_actors(all_namespaces=True) == []


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@real
def test_a_job_on_a_cluster_trains_obeys_and_is_killed(runner, small, tmp_path, monkeypatch):
    opened = service.Service(tmp_path / "runs", runner=runner)
    id = opened.submit(small(), "cpu", "me").id
    view = state_is(opened, id, "finished", "failed")
    assert view.status.state == "finished", view.status
    assert any(card.name.startswith(id) for card in cards.list_models(runs=opened.runs))
    wait_for(lambda: gone(view.status.pid), "the process", 10)
    all_is_given_back(runner, 2)
    # a worker has the server's data and its current folder
    assert json.loads(Path("actor.json").read_text()) == {"data": os.environ["GAN_DATA"]}
    descriptors = len(os.listdir("/proc/self/fd"))

    id = opened.submit(small(updates=LONG), "cpu", "me").id
    trained_a_bit(opened, id)
    opened.pause(id, "me")
    step = state_is(opened, id, "paused").status.step
    opened.resume(id, "me")
    trained_a_bit(opened, id, step + 5)
    began = time.monotonic()
    opened.stop(id, "me")
    view = state_is(opened, id, "stopped")
    assert time.monotonic() - began < 5
    assert updates_kept(opened.runs / id) == view.status.step > step
    all_is_given_back(runner, 2)

    kept = view.status.step
    opened.resume(id, "me")
    pid = trained_a_bit(opened, id, kept + 1).pid
    os.kill(pid, signal.SIGKILL)
    status = state_is(opened, id, "failed").status
    assert (status.problem, status.step >= kept) == ("interrupted", True)
    assert f"update {status.step:,} is kept; resume it" in status.message
    all_is_given_back(runner, 2)
    assert [p for p in opened.runs.glob(".slots/*") if locks.is_locked(p)] == []
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 2

    # who does not obey is ended
    opened.resume(id, "me")
    pid = trained_a_bit(opened, id, kept + 1).pid
    os.kill(pid, signal.SIGSTOP)
    opened.stop(id, "me")
    state_is(opened, id, "stopped")
    wait_for(lambda: gone(pid), "the process", 10)
    all_is_given_back(runner, 2)


@real
def test_two_jobs_at_once_and_a_third_waits(runner, small, tmp_path):
    opened = service.Service(tmp_path / "runs", runner=runner)
    ids = [opened.submit(small(updates=LONG, seed=s), "cpu", f"v{s}").id for s in range(3)]
    for id in ids[:2]:
        trained_a_bit(opened, id)
    assert opened.queries.view(ids[2]).status.state == "queued"
    opened.stop(ids[0], None)
    trained_a_bit(opened, ids[2])
    for id in ids[1:]:
        opened.stop(id, None)
        state_is(opened, id, "stopped")
    all_is_given_back(runner, 2)


def submit_and_die(runs, address, updates):
    """What a server does that is killed while a job trains; a process of its own."""

    ray_runner._Actor, ray_runner._CPU_THREADS = SmallActor, 1
    opened = service.Service(Path(runs), runner=RayRunner(address))
    tiny_model = ModelConfig(base_channels=4, hidden_units=8, latent_dim=6)
    id = opened.submit(make_wish(tiny_model, updates=updates), "cpu", "me").id
    trained_a_bit(opened, id)
    os.kill(os.getpid(), signal.SIGKILL)


@real
def test_the_next_server_finds_a_job_and_sees_it_finish(runner, small, address, tmp_path):
    runs = tmp_path / "runs"
    call = f"import test_ray_runner as t; t.submit_and_die({str(runs)!r}, {address!r}, 2_000)"
    # SmallActor must be found under the name under which this module was imported
    assert __name__ == "test_ray_runner"
    ended = subprocess.run([sys.executable, "-c", call], capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    opened = service.Service(runs, Limits(), runner)
    (view,) = opened.queries.views()
    pid = view.status.pid
    assert view.status.state in WORKING and runner.find(view.job.folder) is not None
    places = sorted((runs / ".slots").glob("*.lock"))
    wait_for(lambda: locks.is_locked(places[0]), "the worker to have its place", 10)
    assert opened.attach() == 1
    status = state_is(opened, view.job.id, "finished", "failed").status
    assert (status.state, status.pid, status.attempts) == ("finished", pid, 1)
    wait_for(lambda: gone(pid), "the process", 10)
    all_is_given_back(runner, 2)
    assert not locks.is_locked(places[0])


@real
def test_a_job_whose_end_nobody_sees_leaves_the_cluster(runner, small, tmp_path):
    folder = tmp_path / "runs" / "one"
    config = small()
    caps = Caps(600.0, 10**9)
    create(Job("one", folder, config, "cpu", "me", time.time(), caps))
    place = os.open(tmp_path / "place.lock", os.O_RDWR | os.O_CREAT)
    runner.start(
        folder, Place("cpu", tmp_path / "place.lock", place)
    )  # and nobody asks how it ended
    wait_for(lambda: read_status(folder).state == "finished", "the job")
    all_is_given_back(runner, 2)
    os.close(place)


@real
def test_a_ray_of_another_version_is_reported(small, address, monkeypatch):
    import ray

    monkeypatch.setattr(ray, "__version__", "2.0.0")
    with pytest.raises(ConfigError, match=r"(?s)Version mismatch.*2\.0\.0.*RAY_ADDRESS"):
        RayRunner(address)
    ray.shutdown()


@real
def test_a_ray_started_here_trains_a_job(small, tmp_path):
    import ray

    opened = service.open_service(tmp_path / "runs", {"GAN_RUNNER": "ray"})
    try:
        id = opened.submit(small(), "cpu", "me").id
        view = state_is(opened, id, "finished", "failed")
        assert view.status.state == "finished", view.status
        all_is_given_back(opened.runner, max(1, processes.usable_cores() - 1))
    finally:
        ray.shutdown()
