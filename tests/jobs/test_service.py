"""Jobs with real workers: how they proceed, and every way in which they can end."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gan.config import recipe_config
from gan.data import uploads
from gan.errors import ConfigError
from gan.jobs import folder as job_folder
from gan.jobs import history, limits, service, supervisor
from gan.jobs.folder import (
    Caps,
    Control,
    Job,
    Parent,
    bytes_of,
    create,
    read_status,
    updates_kept,
    write_control,
    write_status,
)
from gan.jobs.limits import Limits
from gan.jobs.runner import LocalRunner
from gan.jobs.service import Ticket
from gan.runs import estimate, monitor, run
from gan.runs.names import run_name
from gan.system import devices, locks, processes
from gan.zoo import cards

pytestmark = pytest.mark.alone
HERE = Path(__file__).resolve().parent.parent
ME, OTHER = "visitor one", "visitor two"


@pytest.fixture
def runs(tmp_path, monkeypatch, classifiers):
    """An empty folder for runs; workers are children with small networks' classifiers and small scores."""
    script = str(HERE / "faulty_gan.py")
    monkeypatch.setattr(processes, "gan_command", lambda *a: [sys.executable, script, *a])
    monkeypatch.setenv("SMALL_GAN_CLASSIFIERS", str(classifiers))
    folder = tmp_path / "runs"
    yield folder
    for path in folder.glob("*"):  # whatever a test has left running
        if pid := locks.owner_pid(path / job_folder.WORKER_LOCK):
            processes.kill_group(pid)


@pytest.fixture
def make_config(tiny_model):
    """make_config(updates=...) -> a job of a few seconds on drawn digits."""

    def make(**changes):
        settings = {"source": "drawn", "size": 40, "updates": 12, "batch_size": 8, **changes}
        return recipe_config(settings.pop("recipe", "plain"), model=tiny_model, **settings)

    return make


LONG = 90_000


def wait_for(check, what, seconds=120.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = check()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def state_is(opened, id, *states, seconds=120.0):
    def check():
        view = opened.queries.view(id)
        return view if view is not None and view.status.state in states else None

    return wait_for(check, f"{id} to be {' or '.join(states)}; {opened.queries.view(id)}", seconds)


def trained_a_bit(opened, id, updates=5):
    return wait_for(
        lambda: (
            opened.queries.view(id).status.state == "training"
            and opened.queries.view(id).status.step >= updates
        ),
        f"{updates} updates; {opened.queries.view(id)}",
    )


def nobody_is_left(folder):
    """No worker, no supervisor, and no zombie among our children."""
    wait_for(lambda: not locks.is_locked(folder / job_folder.WORKER_LOCK), "the worker to be gone")
    wait_for(
        lambda: not locks.is_locked(folder / job_folder.SUPERVISOR_LOCK),
        "the supervisor to be gone",
    )
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if children.exists():
        for pid in children.read_text().split():
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            assert state != "Z", f"process {pid} is a zombie"
    return True


def test_a_job_trains_shows_itself_and_becomes_a_model_like_any_other(runs, make_config):
    opened = service.Service(runs)
    config = make_config(updates=400)
    ticket = opened.submit(config, "cpu", ME)
    assert ticket == Ticket(run_name(config), "new")
    view = state_is(opened, ticket.id, "finished", "failed")
    assert view.status.state == "finished", view.status
    folder = runs / ticket.id
    assert view.status.step == view.status.total == 400
    lines = history.Reader(folder).lines()
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    curves = history.curves(lines)
    assert curves["step"][-1] == 400 and None not in curves["g_loss"]
    measured = history.measurements(lines)
    assert [m["step"] for m in measured] == monitor.moments_to_measure(400)
    assert max(history.samples(folder)) == 400
    assert len(history.snapshots(folder)) == 8
    nobody_is_left(folder)
    (card, *_) = cards.list_models(runs=runs)[-1:]
    assert card.name.startswith(ticket.id) and card.provenance["device"].startswith("cpu")
    expected = opened.queries.expected(config, "cpu")
    assert expected is not None and expected.total > 0


def test_the_same_request_joins_and_a_finished_job_is_not_trained_again(runs, make_config):
    opened = service.Service(runs)
    config = make_config(updates=300)
    tickets = []
    together = threading.Barrier(10)

    def press(number):
        together.wait()
        tickets.append(opened.submit(config, "cpu", f"visitor {number}"))

    threads = [threading.Thread(target=press, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(t.kind for t in tickets) == ["joined"] * 9 + ["new"]
    assert len(opened.queries.views()) == 1
    state_is(opened, tickets[0].id, "finished")
    assert opened.submit(config, "cpu", "late").kind == "finished"
    assert opened.queries.view(tickets[0].id).status.attempts == 1


def test_ten_requests_at_once_are_trained_one_after_the_other(runs, make_config):
    opened = service.Service(runs, Limits(queue=4))
    together, tickets, refused = threading.Barrier(10), [], []

    def press(number):
        config = make_config(updates=4, seed=number)
        together.wait()
        try:
            tickets.append(opened.submit(config, "cpu", f"visitor {number}"))
        except ConfigError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=press, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4 <= len(tickets) <= 5  # the first may have begun before the last came, or not
    assert len(refused) == 10 - len(tickets) and all(
        "4 jobs are already waiting" in r for r in refused
    )
    at_work = 0
    order = {v.job.id: v.ahead for v in opened.queries.views() if v.status.state == "queued"}
    assert sorted(order.values()) == list(range(len(order)))

    def done():
        nonlocal at_work
        views = opened.queries.views()
        at_work = max(at_work, sum(v.status.state in job_folder.WORKING for v in views))
        return all(v.status.state == "finished" for v in views)

    wait_for(done, "all to be served", seconds=150)
    assert at_work == 1
    finished = sorted(opened.queries.views(), key=lambda v: v.status.updated)
    assert [v.job.id for v in finished] == [
        v.job.id for v in sorted(finished, key=lambda v: v.status.queued)
    ]


def test_a_visitor_has_one_job_and_leaves_those_of_others_alone(runs, make_config):
    opened = service.Service(runs)
    first = opened.submit(make_config(updates=LONG), "cpu", ME).id
    with pytest.raises(ConfigError, match=f"you already have a job: {first}"):
        opened.submit(make_config(updates=LONG, seed=1), "cpu", ME)
    assert len(opened.queries.views()) == 1
    waiting = opened.submit(make_config(updates=LONG, seed=1), "cpu", OTHER).id
    assert opened.queries.view(waiting).ahead == 0 and opened.queries.wait("cpu")[0] == 2
    for action in (
        opened.pause,
        opened.stop,
        opened.resume,
        opened.remove,
    ):
        with pytest.raises(ConfigError, match="another visitor"):
            action(first, OTHER)
    opened.stop(waiting, OTHER)  # before its turn
    state_is(opened, waiting, "stopped", seconds=3)
    trained_a_bit(opened, first)
    opened.stop(first, ME)
    state_is(opened, first, "stopped", seconds=3)
    assert nobody_is_left(runs / first) and nobody_is_left(runs / waiting)


def test_stop_ends_a_job_within_a_second_and_keeps_its_training(runs, make_config):
    opened = service.Service(runs)
    id = opened.submit(make_config(updates=LONG), "cpu", ME).id
    trained_a_bit(opened, id)
    ordered = time.monotonic()
    opened.stop(id, ME)
    view = state_is(opened, id, "stopped")
    assert time.monotonic() - ordered < 1.5  # a second, and the machine's other work
    nobody_is_left(runs / id)
    kept = updates_kept(runs / id)
    assert kept >= 5 and view.status.step == kept
    assert opened.submit(make_config(updates=LONG), "cpu", ME).kind == "resumed"
    wait_for(lambda: opened.queries.view(id).status.step > kept, "it to go on")
    lines = [line["step"] for line in history.Reader(runs / id).lines() if "g_loss" in line]
    assert lines == sorted(set(lines))  # no line twice
    opened.stop(id, ME)
    state_is(opened, id, "stopped")


def test_paused_stepped_and_resumed_it_ends_with_the_same_bits(
    runs, make_config, tmp_path, classifiers
):
    config = make_config(updates=700)
    plain = tmp_path / "plain"
    for _ in run.run(config, plain, torch.device("cpu"), classifiers):
        pass
    opened = service.Service(runs)
    id = opened.submit(config, "cpu", ME).id
    trained_a_bit(opened, id)
    opened.pause(id, ME)
    step = state_is(opened, id, "paused", seconds=5).status.step
    assert updates_kept(runs / id) == step < 700
    time.sleep(0.5)
    assert opened.queries.view(id).status.step == step
    worker = opened.queries.view(id).status.pid
    for count in (1, 5):
        opened.step(id, ME, count)
        step += count
        wait_for(lambda s=step: opened.queries.view(id).status.step == s, f"update {step}")
        state_is(opened, id, "paused")
        assert max(history.samples(runs / id)) == step
    assert opened.queries.view(id).status.pid == worker  # the same one all along
    opened.resume(id, ME)
    state_is(opened, id, "finished")
    ours, theirs = (cards.open_model(cards.read_manifest(f)[0]) for f in (runs / id, plain))
    for a, b in zip(
        ours.generator.state_dict().values(), theirs.generator.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)


def test_a_job_that_version_0_1_paused_is_listed_resumed_and_finished(runs):
    (old,) = (HERE / "fixtures" / "v0.1" / "runs").glob("drawn-40-updates-plain-s3-*")
    shutil.copytree(old, runs / old.name)
    opened = service.Service(runs)
    (view,) = opened.queries.views()
    assert (view.job.id, view.job.owner, view.job.device) == (old.name, "visitor-one", "cpu")
    assert (view.status.state, view.status.step, view.status.total) == ("paused", 4, 80)
    lines = history.Reader(runs / old.name).lines()
    assert len(lines) == len((old / "metrics.jsonl").read_text().splitlines())
    assert list(history.snapshots(runs / old.name)) == [3] and updates_kept(runs / old.name) == 4
    assert opened.attach() == 0  # it stays paused
    opened.resume(old.name, "visitor-one")
    view = state_is(opened, old.name, "finished", "failed")
    assert view.status.state == "finished", view.status
    after = history.Reader(runs / old.name).lines()
    assert after[: len(lines)] == lines and after[-1]["step"] == 80
    assert run_name(view.job.config) == old.name  # a new request finds it
    assert opened.submit(view.job.config, "cpu", ME).kind == "finished"


def test_a_paused_worker_leaves_when_somebody_waits_and_the_job_goes_on_later(runs, make_config):
    opened = service.Service(runs)
    id = opened.submit(make_config(updates=LONG), "cpu", ME).id
    trained_a_bit(opened, id)
    opened.pause(id, ME)
    step = state_is(opened, id, "paused").status.step
    other = opened.submit(make_config(seed=3), "cpu", OTHER).id
    state_is(opened, other, "finished")
    assert (
        opened.queries.view(id).status.state == "paused"
        and opened.queries.view(id).status.step == step
    )
    nobody_is_left(runs / id)
    opened.step(id, ME, 2)  # starts another worker
    wait_for(lambda: opened.queries.view(id).status.step == step + 2, "two updates more")
    state_is(opened, id, "paused")
    opened.stop(id, ME)
    state_is(opened, id, "stopped")
    nobody_is_left(runs / id)


def test_rewound_it_goes_on_from_a_snapshot_with_other_settings_as_a_job_of_its_own(
    runs, make_config
):
    opened = service.Service(runs)
    config = make_config(updates=48)
    id = opened.submit(config, "cpu", ME).id
    state_is(opened, id, "finished")
    step = list(history.snapshots(runs / id))[2]
    changed = replace(config, updates=60, lr_d=1e-3, augment="fixed")
    with pytest.raises(ConfigError, match=r"has no snapshot of update 7; there are: "):
        opened.rewind(id, 7, changed, "cpu", ME)
    with pytest.raises(ConfigError, match="keeps its networks"):
        wider = replace(changed, model=replace(config.model, base_channels=8))
        opened.rewind(id, step, wider, "cpu", ME)
    ticket = opened.rewind(id, step, changed, "cpu", ME)
    assert ticket.kind == "new" and ticket.id.startswith(run_name(changed))
    view = state_is(opened, ticket.id, "finished", "failed")
    assert view.status.state == "finished", view.status
    assert view.job.parent == Parent(id, step)
    card = cards.read_manifest(runs / ticket.id)[0]
    assert card.provenance["continued_from"] == [{"config": config.to_dict(), "step": step}]
    assert card.step == 60
    assert opened.queries.view(id).status.state == "finished"  # the old one stays
    assert opened.rewind(id, step, changed, "cpu", OTHER).kind == "finished"


def test_resumed_in_the_moment_of_its_end_it_goes_on(runs, make_config):
    opened = service.Service(runs)
    id = opened.submit(make_config(updates=LONG), "cpu", ME).id
    trained_a_bit(opened, id)
    opened.stop(id, ME)
    step = state_is(opened, id, "stopped").status.step
    opened.resume(id, ME)  # its worker and its supervisor are just leaving
    wait_for(lambda: opened.queries.view(id).status.step > step, "it to go on")
    opened.stop(id, ME)
    state_is(opened, id, "stopped")


def test_a_removed_job_is_gone_with_its_model(runs, make_config):
    opened = service.Service(runs)
    id = opened.submit(make_config(updates=LONG), "cpu", ME).id
    trained_a_bit(opened, id)
    with pytest.raises(ConfigError, match="stop it first"):
        opened.remove(id, ME)
    opened.stop(id, ME)
    state_is(opened, id, "stopped")
    nobody_is_left(runs / id)
    opened.remove(id, ME)
    assert opened.queries.view(id) is None and list(runs.glob(f"*{id}*")) == []
    with pytest.raises(ConfigError, match="no job"):
        opened.resume(id, ME)


@pytest.mark.parametrize(
    ("fault", "problem", "says"),
    [
        ("memory", "memory", "allocate memory"),
        ("nan", "diverged", "no longer a number"),
        ("disk", "disk", "disk is full|No space left"),
        ("crash", "crashed", "something nobody thought of"),
    ],
)
def test_an_error_in_a_worker_is_reported_and_the_training_is_kept(
    runs, make_config, monkeypatch, fault, problem, says
):
    monkeypatch.setenv("FAULT", fault)
    monkeypatch.setenv("FAULT_STEP", "150")
    opened = service.Service(runs)
    id = opened.submit(make_config(updates=200), "cpu", ME).id
    view = state_is(opened, id, "failed")
    assert view.status.problem == problem
    assert re.search(says, view.status.message), view.status
    nobody_is_left(runs / id)
    assert view.job.id not in [c.name for c in cards.list_models(runs=runs)]
    # mended, it goes on from what it had, and the place is free for it
    monkeypatch.setenv("FAULT", "")
    opened.resume(id, ME)
    state_is(opened, id, "finished")


def test_a_killed_worker_is_reported_and_its_place_is_free_at_once(runs, make_config):
    opened = service.Service(runs)
    id = opened.submit(make_config(updates=LONG), "cpu", ME).id
    trained_a_bit(opened, id)
    os.kill(opened.queries.view(id).status.pid, signal.SIGKILL)
    view = state_is(opened, id, "failed", seconds=5)
    assert view.status.problem == "killed" and "signal 9" in view.status.message
    nobody_is_left(runs / id)
    other = opened.submit(make_config(), "cpu", ME).id
    state_is(opened, other, "finished")


def test_a_worker_that_hangs_is_stopped_all_the_same(runs, make_config, monkeypatch):
    monkeypatch.setenv("FAULT", "hang")
    opened = service.Service(runs)
    id = opened.submit(make_config(updates=LONG), "cpu", ME).id
    wait_for(lambda: opened.queries.view(id).status.state == "training", "training")
    time.sleep(0.5)
    ordered = time.monotonic()
    opened.stop(id, ME)
    state_is(opened, id, "stopped")
    assert time.monotonic() - ordered < 2.0
    nobody_is_left(runs / id)


def test_a_worker_that_stops_responding_is_killed(runs, make_config, monkeypatch):
    monkeypatch.setenv("FAULT", "hang")
    monkeypatch.setitem(supervisor._HUNG_SECONDS, "training", 1.0)
    opened = service.Service(runs)
    id = opened.submit(make_config(updates=LONG), "cpu", ME).id
    view = state_is(opened, id, "failed")
    assert view.status.problem == "hung" and nobody_is_left(runs / id)


def test_a_job_has_its_time_and_its_part_of_the_disk(runs, make_config):
    opened = service.Service(runs, Limits(minutes=0.02))
    id = opened.submit(make_config(updates=LONG), "cpu", ME).id
    view = state_is(opened, id, "stopped")
    assert view.status.problem == "time" and updates_kept(runs / id) == view.status.step > 0
    opened = service.Service(runs, Limits(job_bytes=1_000))
    other = opened.submit(make_config(updates=LONG, seed=1), "cpu", ME).id
    view = state_is(opened, other, "stopped", "failed")
    assert (view.status.state, view.status.problem) == ("stopped", "disk")


def test_images_that_vanish_are_reported(runs, make_config):
    from PIL import Image

    pictures = []
    for shade in range(30):
        path = runs.parent / f"{shade}.png"
        Image.new("L", (28, 28), shade * 8).save(path)
        pictures.append((path.name, path.read_bytes()))
    kept = uploads.keep(pictures, runs / "uploads")
    config = make_config(source=f"folder:{kept.folder}", size=20, updates=LONG)
    opened = service.Service(runs)
    id = opened.submit(config, "cpu", ME).id
    trained_a_bit(opened, id)
    opened.stop(id, ME)
    state_is(opened, id, "stopped")
    nobody_is_left(runs / id)
    for path in kept.folder.iterdir():
        path.unlink()
    opened.resume(id, ME)
    view = state_is(opened, id, "failed")
    assert view.status.problem == "data" and str(kept.folder.name) in view.status.message
    kept.folder.rmdir()
    with pytest.raises(ConfigError, match="upload them again"):
        opened.resume(id, ME)
    with pytest.raises(ConfigError, match="upload them again"):
        opened.submit(replace(config, seed=9), "cpu", ME)


SERVER = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from gan.config import TrainConfig
from gan.jobs.service import Service
from gan.system import processes
script = {script!r}
processes.gan_command = lambda *a: [sys.executable, script, *a]
service = Service(Path({runs!r}))
service.attach()
config = TrainConfig.from_dict(json.loads({config!r}))
print(service.submit(config, "cpu", "visitor one").id, flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(runs):
    """server(config) -> a process that has begun the job, as a server does."""
    started = []

    def start(config):
        code = SERVER.format(
            here=str(HERE.parent),
            script=str(HERE / "faulty_gan.py"),
            runs=str(runs),
            config=json.dumps(config.to_dict()),
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline().strip()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_job_outlives_its_server_and_the_next_one_sees_it_finish(runs, make_config, server):
    config = make_config(updates=2_000)
    first = server(config)
    id = run_name(config)
    opened = service.Service(runs)
    trained_a_bit(opened, id)
    pid = opened.queries.view(id).status.pid
    assert not opened.attach()  # the first server measured after it
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert opened.queries.view(id).status.state == "training"
    # its place is taken still, also for a server that has just come
    other = opened.submit(make_config(seed=5), "cpu", OTHER).id
    time.sleep(0.6)
    assert opened.queries.view(other).status.state == "queued"
    assert opened.attach() == 1
    assert opened.queries.view(id).status.pid == pid
    state_is(opened, id, "finished")
    state_is(opened, other, "finished")
    assert nobody_is_left(runs / id) and opened.queries.view(id).status.attempts == 1


def test_an_orphan_can_be_stopped_by_the_next_server(runs, make_config, server):
    config = make_config(updates=LONG)
    first = server(config)
    opened = service.Service(runs)
    id = run_name(config)
    trained_a_bit(opened, id)
    first.kill()
    first.wait()
    ordered = time.monotonic()
    opened.stop(id, ME)
    state_is(opened, id, "stopped")
    assert time.monotonic() - ordered < 2.0 and nobody_is_left(runs / id)


def test_a_job_whose_server_and_worker_died_together_goes_on(runs, make_config, server):
    config = make_config(updates=1_000)
    first = server(config)
    opened = service.Service(runs)
    id = run_name(config)
    trained_a_bit(opened, id)
    pid = opened.queries.view(id).status.pid
    first.kill()
    os.kill(pid, signal.SIGKILL)
    first.wait()
    wait_for(lambda: not locks.is_locked(runs / id / job_folder.WORKER_LOCK), "the worker's end")
    assert opened.attach() == 1
    assert opened.attach() == 0  # once is enough
    view = state_is(opened, id, "finished")
    assert view.status.attempts == 2 and view.status.pid != pid


def test_a_job_that_is_always_interrupted_is_given_up(runs, make_config):
    opened = service.Service(runs)
    config = make_config()
    folder = runs / run_name(config)
    create(Job(folder.name, folder, config, "cpu", ME, time.time(), Caps(600.0, 10**9)))
    status = replace(read_status(folder), state="training", attempts=supervisor.MOST_ATTEMPTS)
    write_status(folder, status)
    opened.attach()
    view = state_is(opened, folder.name, "failed")
    assert view.status.problem == "interrupted" and "3 times" in view.status.message


def test_a_worker_that_is_asked_to_end_saves_and_is_started_again(runs, make_config):
    opened = service.Service(runs)
    id = opened.submit(make_config(updates=LONG), "cpu", ME).id
    trained_a_bit(opened, id)
    first = opened.queries.view(id).status
    os.kill(first.pid, signal.SIGTERM)
    wait_for(lambda: opened.queries.view(id).status.pid != first.pid, "another worker")
    wait_for(lambda: opened.queries.view(id).status.step > first.step, "it to go on")
    opened.stop(id, ME)
    state_is(opened, id, "stopped")


def test_a_restart_while_a_worker_is_starting_does_not_make_another(runs, make_config, server):
    """Between its start and its first status a worker is known by its lock alone."""
    config = make_config(updates=LONG)
    first = server(config)
    opened = service.Service(runs, Limits(slots=2))
    id = run_name(config)
    wait_for(lambda: locks.is_locked(runs / id / job_folder.WORKER_LOCK), "the worker's start")
    first.kill()
    first.wait()
    opened.attach()
    trained_a_bit(opened, id)
    assert opened.queries.view(id).status.attempts == 1
    opened.stop(id, ME)
    state_is(opened, id, "stopped", seconds=3)
    assert nobody_is_left(runs / id)


def test_a_queue_does_not_wait_for_a_job_without_a_supervisor(runs, make_config):
    ghost = make_config(seed=7)
    folder = runs / run_name(ghost)
    caps = Caps(600.0, 10**9)
    create(Job(folder.name, folder, ghost, "cpu", OTHER, time.time(), caps))
    opened = service.Service(runs)
    id = opened.submit(make_config(), "cpu", ME).id
    state_is(opened, id, "finished")
    state_is(opened, folder.name, "finished")  # taken on by the one behind it


def test_a_job_for_a_device_that_is_gone_says_so(runs, make_config, monkeypatch):
    opened = service.Service(runs)
    monkeypatch.setattr(opened.runner, "devices", lambda: ["mps", "cpu"])
    monkeypatch.setattr(opened.runner, "places", lambda device: [])
    view = state_is(opened, opened.submit(make_config(), "mps", ME).id, "failed", seconds=5)
    assert view.status.problem == "settings" and "no mps here any more" in view.status.message
    wait_for(lambda: opened.queries.wait("mps")[0] == 0, "the queue to be empty")


def test_a_supervisor_that_breaks_says_so_and_leaves_the_job_to_others(
    runs, make_config, monkeypatch
):
    opened = service.Service(runs)
    start = opened.runner.start

    def fails(folder, place):
        raise RuntimeError("something nobody thought of")

    monkeypatch.setattr(opened.runner, "start", fails)
    id = opened.submit(make_config(), "cpu", ME).id
    view = state_is(opened, id, "failed", seconds=5)
    assert (view.status.problem, view.status.message) == ("crashed", "something nobody thought of")
    monkeypatch.setattr(opened.runner, "start", start)
    opened.resume(id, ME)
    state_is(opened, id, "finished")


def test_removed_and_asked_for_again_at_once_it_has_one_supervisor(runs, make_config):
    opened = service.Service(runs)
    for _ in range(3):
        id = opened.submit(make_config(updates=LONG), "cpu", ME).id
        wait_for(
            lambda i=id: opened.queries.view(i).status.state in ("starting", "training"), "a start"
        )
        opened.stop(id, ME)
        state_is(opened, id, "stopped", seconds=5)
        wait_for(lambda i=id: opened.runner.find(runs / i) is None, "its end")
        opened.remove(id, ME)
    id = opened.submit(make_config(updates=300), "cpu", ME).id
    names = [t.name for t in threading.enumerate() if t.name == f"supervisor of {id}"]
    assert len(names) == 1
    state_is(opened, id, "finished")


def test_a_paused_job_of_another_is_watched_not_taken(runs, make_config):
    opened = service.Service(runs)
    config = make_config(updates=LONG)
    id = opened.submit(config, "cpu", ME).id
    trained_a_bit(opened, id)
    opened.pause(id, ME)
    state_is(opened, id, "paused")
    assert opened.submit(config, "cpu", OTHER).kind == "joined"
    view = opened.queries.view(id)
    assert view.job.owner == ME and view.status.state == "paused"
    assert opened.submit(config, "cpu", ME).kind == "resumed"
    state_is(opened, id, "training")
    opened.stop(id, ME)
    state_is(opened, id, "stopped")


def test_few_jobs_may_be_left_paused(runs, make_config):
    opened = service.Service(runs, Limits(paused=1))
    for seed in range(2):
        config = make_config(seed=seed)
        folder = runs / run_name(config)
        caps = Caps(600.0, 10**9)
        create(Job(folder.name, folder, config, "cpu", ME, time.time(), caps))
        write_status(folder, replace(read_status(folder), state="paused"))
        write_control(folder, Control("pause"))
    with pytest.raises(ConfigError, match="2 of your jobs are paused, and at most 1"):
        opened.submit(make_config(seed=5), "cpu", ME)
    assert opened.attach() == 0  # paused ones want nothing


@pytest.mark.parametrize(
    ("changes", "limits", "says"),
    [
        ({"updates": 5_000}, {"updates": 4_000}, "updates=5,000 is more than the 4,000"),
        ({"size": 5_000}, {"size": 300}, "size=5,000 is more than"),
        ({"batch_size": 512}, {"batch": 100}, "batch_size=512 is more than"),
        ({}, {"parameters": 1_000}, "parameters="),
        ({}, {"activations": 1_000}, "batch_size x pixels x width="),
        ({"source": "folder:/etc"}, {}, "upload them again"),
        ({"source": "folder:../../etc"}, {}, "upload them again"),
        ({}, {"enabled": False}, "switched off"),
    ],
)
def test_a_request_over_a_limit_is_refused_before_anything_is_written(
    runs, make_config, changes, limits, says
):
    opened = service.Service(runs, Limits(**limits))
    with pytest.raises(ConfigError, match=says):
        opened.submit(make_config(**changes), "cpu", ME)
    assert not runs.exists() or list(runs.glob("*/*")) == []


def test_a_device_that_is_not_there_is_refused(runs, make_config):
    with pytest.raises(ConfigError, match=r"device 'tpu' is not here; choose one of .*cpu"):
        service.Service(runs).submit(make_config(), "tpu", ME)


@pytest.mark.parametrize(
    "id",
    ["", ".", "..", "../x", "a/b", ".hidden", "/etc", "nothing", "あ" * 100, "x" * 300, "a\0b"],
)
def test_names_of_no_job_find_nothing(runs, id):
    assert service.Service(runs).queries.view(id) is None


def test_when_all_runs_take_too_much_snapshots_of_finished_ones_go_first(
    runs, make_config, monkeypatch
):
    opened = service.Service(runs)
    first = opened.submit(make_config(updates=40), "cpu", ME).id
    state_is(opened, first, "finished")
    assert history.snapshots(runs / first)
    monkeypatch.setattr(limits, "_RECENT_SECONDS", 0.0)
    taken = bytes_of(runs / first)
    tight = service.Service(runs, Limits(runs_bytes=taken - 1))
    second = tight.submit(make_config(seed=1), "cpu", ME).id
    assert list(history.snapshots(runs / first)) == []
    state_is(tight, second, "finished")
    assert cards.open_model(cards.read_manifest(runs / first)[0])
    full = service.Service(runs, Limits(runs_bytes=1_000))
    with pytest.raises(ConfigError, match="remove old models"):
        full.submit(make_config(seed=2), "cpu", ME)


def test_the_wait_is_known_before_a_request(runs, make_config, monkeypatch):
    opened = service.Service(runs)
    assert opened.queries.wait("cpu") == (0, 0.0)
    first = opened.submit(make_config(updates=LONG), "cpu", ME).id
    trained_a_bit(opened, first)
    ahead, seconds = opened.queries.wait("cpu")
    left = opened.queries.remaining(opened.queries.view(first))
    assert ahead == 1 and seconds is not None and seconds == pytest.approx(left, rel=0.5)
    opened.stop(first, ME)
    state_is(opened, first, "stopped")


def test_an_environment_that_makes_no_sense_is_named(runs):
    opened = service.open_service(runs, {"GAN_MAX_UPDATES": "500", "GAN_TRAINING": "off"})
    assert opened.limits.updates == 500 and not opened.limits.enabled
    assert isinstance(opened.runner, LocalRunner)
    for name, value in (
        ("GAN_TRAINING", "perhaps"),
        ("GAN_MAX_MINUTES", "-1"),
        ("GAN_SLOTS", "0"),
        ("GAN_RUNS_GB", "many"),
        ("GAN_RUNNER", "slurm"),
    ):
        with pytest.raises(ConfigError, match=f"{name}='{value}'"):
            service.open_service(runs, {name: value})


def test_more_places_take_more_jobs(runs, make_config):
    opened = service.Service(runs, Limits(slots=2), LocalRunner())
    ids = [
        opened.submit(make_config(updates=LONG, seed=s), "cpu", f"visitor {s}").id for s in range(3)
    ]
    for id in ids[:2]:
        trained_a_bit(opened, id, 1)
    assert opened.queries.view(ids[2]).status.state == "queued"
    for s, id in enumerate(ids):
        opened.stop(id, f"visitor {s}")
    for id in ids:
        state_is(opened, id, "stopped")


def test_a_job_with_64_pixels_has_an_estimate(runs, make_config, tiny_model):
    """Also an active one, or every request after it would be refused."""
    opened = service.Service(runs)
    estimate.record(runs / "speed.json", opened.queries._key("cpu"), make_config(), 0.01)
    config = replace(
        make_config(), source="folder:runs/uploads/abc", model=replace(tiny_model, img_size=64)
    )
    assert (
        opened.queries.expected(config, "cpu").total
        > opened.queries.expected(make_config(), "cpu").total
    )
    folder = runs / "big"
    caps = Caps(600.0, 10**9)
    create(Job("big", folder, config, "cpu", OTHER, time.time(), caps))
    ahead, seconds = opened.queries.wait("cpu")
    assert ahead == 1 and seconds > 0


def test_a_wait_that_is_too_long_is_not_begun(runs, make_config):
    opened = service.Service(runs, Limits(wait_minutes=0.01))
    estimate.record(runs / "speed.json", opened.queries._key("cpu"), make_config(), 1.0)
    caps = Caps(600.0, 10**9)
    create(Job("one", runs / "one", make_config(updates=500), "cpu", OTHER, time.time(), caps))
    with pytest.raises(ConfigError, match=r"would have to wait about \d+ minutes"):
        opened.submit(make_config(seed=2), "cpu", ME)


def test_describing_a_device_needs_no_worker(runs):
    opened = service.Service(runs)
    assert opened.runner.devices()[-1] == "cpu"
    assert devices.describe_device(torch.device("cpu"), 1) in opened.queries._key("cpu")
