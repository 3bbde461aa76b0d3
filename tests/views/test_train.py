"""The Train page through Streamlit's own test harness, and what Explore makes of models trained here.

No process is started: the workers are fakes that do nothing until they are told to end.
"""

import io
import json
import os
import shutil
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from gan.browser import static_files
from gan.config import TrainConfig, recipe_config
from gan.errors import ConfigError
from gan.jobs import folder as job_folder
from gan.jobs import history
from gan.jobs.folder import (
    Caps,
    Control,
    Job,
    Parent,
    Status,
    create,
    read_control,
    write_control,
    write_status,
)
from gan.jobs.limits import Limits
from gan.jobs.service import Service, Ticket
from gan.networks import images
from gan.runs import names, run
from gan.runs.estimate import Estimate
from gan.system import locks
from gan.zoo import bundle, cards
from views.shared import cache, session
from views.train.settings import TrainSettings

ROOT = Path(__file__).resolve().parents[2]
CAPS = Caps(600.0, 10**9)
SMALL = {"source": "drawn", "size": "200", "updates": "60", "batch_size": "16"}
OTHER = "somebody else"


class FakeWorker:
    def __init__(self, runner):
        self.runner = runner

    def ended(self):
        time.sleep(0.01)
        return -9 if self.runner.over.is_set() else None

    def kill(self):
        self.runner.over.set()

    def error_output(self):
        return ""


class FakeRunner:
    """A CPU that somebody is at work on wherever a status says so."""

    here = False  # nobody measures it

    def __init__(self):
        self.over = threading.Event()
        self.started = []

    def devices(self):
        return ["cpu"]

    def places(self, device):
        return [device]

    def threads(self, device):
        return 1

    def start(self, folder, place):
        self.started.append(folder.name)
        return FakeWorker(self)

    def find(self, folder):
        at_work = job_folder.read_status(folder).state in (*job_folder.WORKING, "paused")
        return FakeWorker(self) if at_work and not self.over.is_set() else None


@pytest.fixture(autouse=True)
def fresh_caches():
    for cached in (cache._cards, cache.model, cache.generated, cache.evidence, cache.metrics):
        cached.clear()
    cache.training.clear()


@pytest.fixture
def runner():
    fake = FakeRunner()
    yield fake
    fake.over.set()
    for thread in threading.enumerate():
        if thread.name.startswith("supervisor of"):
            thread.join(timeout=10)


@pytest.fixture
def service(runner, monkeypatch):
    opened = Service(cards.RUNS, Limits(), runner)
    monkeypatch.setattr(cache, "training", lambda: opened)
    return opened


@pytest.fixture
def me(monkeypatch):
    monkeypatch.setattr(session, "visitor", lambda: "me")
    return "me"


def open_page(page="train", **query):
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.switch_page(f"views/{page}/{page}.py")
    for name, value in {"lang": "en", **query}.items():
        app.query_params[name] = value
    return app.run()


def said(app):
    """All that can be read on the page."""
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "subheader", "header")
    return "\n".join(e.value for kind in kinds for e in app.get(kind))


def button(app, key):
    return next((b for b in app.button if b.key == key), None)


def html(app):
    return "\n".join(h.proto.body for h in app.get("html"))


LOOK = {"n": 1000, "fd": 40.0, "spread": 0.9, "contrast": 0.9, "counts": [90] * 9 + [0]}


def make_job(id="a-job", state="training", owner="me", step=300, total=600, **how):
    """A job folder as a worker and its supervisor leave it on the way."""
    config = how.pop("config", None) or TrainConfig(source="drawn", size=200, updates=total)
    parent, looks = how.pop("parent", None), how.pop("looks", [LOOK | {"step": step}])
    folder = cards.RUNS / id
    create(Job(id, folder, config, "cpu", owner, time.time(), CAPS, parent))
    reports = {"g_loss": 0.7, "d_loss": 1.3, "prob_real": 0.6, "prob_fake": 0.4}
    for at in range(0, step, 100):
        history.add_line(folder, {"step": at, **reports, "prob_held_out": 0.5})
    for look in looks:
        history.add_line(folder, look)
        sheet = np.zeros((29, 29, 1), dtype=np.uint8)
        path = folder / "samples" / f"{look['step']:08d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(images.to_png(sheet))
    write_status(
        folder,
        Status(
            state,
            step,
            total,
            images_per_second=2_000.0,
            seconds=12.0,
            device="a CPU",
            queued=time.time(),
            attempts=1,
            **how,
        ),
    )
    return id


def test_the_page_opens_in_both_languages(service):
    for lang, title in (("en", "Train your own"), ("ja", "自分で学習する")):
        app = open_page(lang=lang)
        assert not app.exception and not app.error
        assert app.title[0].value == title
        assert not button(app, "train_go").disabled


def test_a_press_trains_what_the_form_says(service, runner):
    app = open_page(**SMALL)
    app.number_input(key="setting_seed").set_value(7).run()
    button(app, "train_go").click().run()
    assert not app.exception and not app.error
    (view,) = service.queries.views()
    assert view.job.config == recipe_config(
        "plain", source="drawn", size=200, updates=60, batch_size=16, seed=7
    )
    assert app.query_params["job"] == view.job.id and "seed" not in app.query_params
    assert "200 images of drawn digits" in app.subheader[0].value


def test_a_second_press_changes_nothing_and_says_nothing(service):
    app = open_page(**SMALL)
    button(app, "train_go").click().run()
    button(app, "train_go").click().run()
    assert not app.exception and not app.error and not app.toast
    assert len(service.queries.views()) == 1


def test_the_same_training_of_another_visitor_is_joined(service):
    first, second = open_page(**SMALL), open_page(**SMALL)
    button(first, "train_go").click().run()
    button(second, "train_go").click().run()
    assert second.query_params == first.query_params
    assert "already under way" in second.toast[0].value
    assert len(service.queries.views()) == 1


def test_what_was_stopped_goes_on(service, me):
    config = recipe_config("plain", source="drawn", size=200, updates=60, batch_size=16)
    name = make_job(names.run_name(config), "stopped", config=config, step=20, total=60)
    app = open_page(**SMALL)
    button(app, "train_go").click().run()
    assert "continues where" in app.toast[0].value and app.query_params["job"] == name


def test_what_was_finished_from_the_command_line_is_explored(service, finished, monkeypatch):
    put_model(finished, "trained-in-a-terminal")  # without a job to watch
    ticket = Ticket("trained-in-a-terminal", "finished")
    monkeypatch.setattr(service, "submit", lambda *a: ticket)
    app = open_page(**SMALL)
    button(app, "train_go").click().run()
    assert not app.exception and app.selectbox(key="model").value == "trained-in-a-terminal"


def test_a_refusal_is_said_until_something_else_is_asked_for(service, me):
    make_job("mine", "queued")
    app = open_page(**SMALL)
    button(app, "train_go").click().run()
    assert "you already have a job" in app.error[0].value and "stop it" in app.error[0].value
    assert "job" not in app.query_params
    app.run()
    assert app.error
    app.number_input(key="setting_seed").set_value(1).run()
    assert not app.error


def test_a_recipe_sets_the_fine_settings(service):
    app = open_page()
    app.segmented_control(key="setting_recipe").set_value("article-2018").run()
    article = recipe_config("article-2018")
    assert app.number_input(key="setting_hidden_units").value == article.model.hidden_units
    assert app.number_input(key="setting_lr_g").value == pytest.approx(article.lr_g)
    assert dict(app.query_params) == {"lang": "en", "recipe": "article-2018"}


def test_the_presets(service, monkeypatch):
    app = open_page(**SMALL)
    button(app, "preset_full").click().run()
    assert app.number_input(key="setting_updates").value == 6_000
    monkeypatch.setattr(service.queries, "updates_for", lambda *a: 1_234)
    button(app, "preset_minute").click().run()
    assert app.number_input(key="setting_updates").value == 1_234
    monkeypatch.setattr(
        service.queries, "updates_for", lambda *a: 3
    )  # a slow machine: fewer than are offered
    button(app, "preset_minute").click().run()
    assert not app.exception and app.number_input(key="setting_updates").value == 20


def test_epochs_can_be_asked_for(service):
    app = open_page(**SMALL)
    app.segmented_control(key="setting_budget").set_value("epochs").run()
    app.number_input(key="setting_epochs").set_value(3).run()
    assert dict(app.query_params)["epochs"] == "3"
    button(app, "train_go").click().run()
    config = service.queries.views()[0].job.config
    assert (config.budget, config.epochs, config.updates) == ("epochs", 3, TrainConfig().updates)


@pytest.mark.parametrize("updates", [5, 50])
def test_narrow_limits_narrow_the_form(runner, monkeypatch, updates):
    opened = Service(cards.RUNS, Limits(updates=updates), runner)
    monkeypatch.setattr(cache, "training", lambda: opened)
    app = open_page()
    assert not app.exception and app.number_input(key="setting_updates").value == updates
    assert f"({updates} updates)" in button(app, "preset_full").label


def test_where_training_is_off_the_page_says_so_and_nothing_starts(runner, monkeypatch):
    opened = Service(cards.RUNS, Limits(enabled=False), runner)
    monkeypatch.setattr(cache, "training", lambda: opened)
    app = open_page()
    assert "switched off" in app.info[0].value
    assert button(app, "train_go").disabled
    assert not open_page("explore").exception


@pytest.mark.parametrize(
    ("name", "value"), [("GAN_TRAINING", "perhaps"), ("GAN_SLOTS", "0"), ("GAN_RUNNER", "steam")]
)
def test_nonsense_in_the_environment_is_named_and_explore_works(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    app = open_page()
    assert not app.exception
    told = app.error[0].value.replace("\\", "")
    assert name in told and repr(value) in told
    explore = open_page("explore")
    assert not explore.exception and not explore.error


def test_a_folder_that_cannot_be_written_is_named_and_explore_works(service):
    cards.RUNS.write_text("not a folder")  # as good as one without permission
    app = open_page(**SMALL)
    assert not app.exception
    button(app, "train_go").click().run()
    assert not app.exception
    assert "may write to" in app.error[0].value
    explore = open_page("explore")
    assert not explore.exception and not explore.error


def test_a_hostile_link_opens_the_form_with_a_notice(service):
    hostile = {"updates": "9" * 30, "size": "-1", "source": "`<b>`", "lr_g": "nan", "own": "../x"}
    app = open_page(**hostile, job="../../etc/passwd")
    assert not app.exception and not app.error
    told = said(app)
    assert "no longer exists" in told and all(f"{n}=" in told for n in hostile)
    assert settings_on(app) == TrainSettings()
    assert dict(app.query_params) == {"lang": "en"}


def settings_on(app):
    return app.session_state["train_written"].shown[0]


def test_the_settings_survive_a_visit_to_the_other_page(service):
    app = open_page(**SMALL)
    app.switch_page("views/explore/explore.py").run()
    app.query_params.clear()  # as the navigation does
    app.switch_page("views/train/train.py").run()
    assert not app.exception
    assert app.number_input(key="setting_updates").value == 60
    assert dict(app.query_params) == {"lang": "en", **SMALL}


def test_the_job_is_still_watched_after_a_look_at_the_other_page(service):
    name = make_job()
    app = open_page(job=name)
    app.switch_page("views/explore/explore.py").run()
    app.query_params.clear()
    app.switch_page("views/train/train.py").run()
    assert app.query_params["job"] == name


def test_back_and_forward_in_the_browser(service):
    name = make_job()
    app = open_page(**SMALL)
    app.number_input(key="setting_updates").set_value(80).run()
    app.query_params["updates"] = "60"
    app.run()  # back
    assert app.number_input(key="setting_updates").value == 60
    app.query_params.clear()
    app.query_params["job"], app.query_params["lang"] = name, "en"
    app.run()  # to a job
    assert app.subheader and app.session_state["train_job"] == name
    app.query_params.clear()
    for key, value in {**SMALL, "lang": "en"}.items():
        app.query_params[key] = value
    app.run()  # and back to the form
    assert not app.subheader and app.session_state["train_job"] == ""


def test_a_bare_address_on_the_way_back_is_left_as_it_is(service):
    name = make_job()
    for page, query in (("train", {"job": name}), ("explore", {"size": "600"})):
        app = open_page(page, **query)
        app.query_params.clear()
        app.run()
        assert (
            not app.exception and dict(app.query_params) == {}
        )  # else nobody could go back past it
        shown = app.subheader if page == "train" else [app.select_slider(key="size").value == 600]
        assert shown[0]


def test_a_language_is_switched_while_one_watches(service):
    name = make_job()
    app = open_page(job=name)
    app.segmented_control(key="lang").set_value("ja").run()
    assert not app.exception and "学習中" in app.get("progress")[0].proto.text
    assert app.query_params["job"] == name


def test_how_long_it_will_take_is_said(service, monkeypatch):
    monkeypatch.setattr(service.queries, "expected", lambda *a: Estimate(4.0, 60.0, 1.0, 10.0))
    app = open_page(**SMALL)
    assert "**75 s**" in said(app) and "starts at once" in said(app)
    monkeypatch.setattr(service.queries, "expected", lambda *a: Estimate(4.0, 90_000.0, 1.0, 10.0))
    assert "120 minutes" in app.run().warning[0].value


def test_the_page_says_while_the_device_is_measured_and_then_how_long(service, monkeypatch):
    known = []
    monkeypatch.setattr(service.queries, "expected", lambda *a: known[0] if known else None)
    monkeypatch.setattr(service.queries, "measure", lambda device: not known)
    app = open_page(**SMALL)
    assert "Measuring how long" in said(app)
    known.append(Estimate(4.0, 60.0, 1.0, 10.0))
    assert "Measuring how long" not in said(app.run()) and "**75 s**" in said(app)


def test_how_many_are_before(service):
    make_job("first", "training", OTHER)
    make_job("second", "queued", OTHER, step=0, looks=[])
    locks.try_lock(cards.RUNS / ".slots" / "cpu.0.lock")  # whoever trains has the place
    monkey = Estimate(4.0, 60.0, 1.0, 10.0)
    service.queries.expected = lambda *a: monkey
    assert "2 before you" in said(open_page(**SMALL))


def live_curves(app):
    """What the chart component shows."""
    (found,) = [e.proto for e in app.get("bidi_component") if e.proto.id.endswith("-live_curves")]
    return json.loads(found.json)["payload"]


def test_a_training_under_way_is_shown(service, me):
    app = open_page(job=make_job())
    assert not app.exception and not app.error
    words = app.get("progress")[0].proto.text
    assert "training" in words and "300 of 600" in words and "2,000 images/s" in words
    assert "update 300" in html(app) and "9 of 10 digits" in html(app)
    assert "So far: " in said(app)
    shown = live_curves(app)
    assert shown["digits"] and shown["total"] == 600 and not shown["described"]
    assert shown["curves"]["prob_held_out"][-1] == 0.5 and shown["moments"][-1]["step"] == 300
    keys = {b.key for b in app.button}
    assert {"job_pause", "job_stop", "close_watch"} <= keys
    assert not {"job_resume", "job_step_one", "job_remove_sure"} & keys


@pytest.mark.parametrize(
    ("state", "buttons", "words"),
    [
        ("queued", {"job_stop"}, "waiting"),
        ("starting", {"job_pause", "job_stop"}, "worker is starting"),
        ("paused", {"job_resume", "job_step_one", "job_step_many", "job_stop"}, "Paused"),
        ("scoring", {"job_stop"}, "classifier is reading"),
        ("stopped", {"job_resume", "job_remove_sure"}, "stopped"),
        ("failed", {"job_resume", "job_remove_sure"}, "failed"),
    ],
)
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_state_has_its_buttons(service, me, state, buttons, words, lang):
    held = None
    if state == "queued":
        (cards.RUNS / ".slots").mkdir(parents=True)
        held = locks.try_lock(cards.RUNS / ".slots" / "cpu.0.lock")
    app = open_page(job=make_job(state=state), lang=lang)
    assert not app.exception and not app.error
    there = {b.key for b in app.button if b.key.startswith("job_")}
    assert there == buttons
    if lang == "en":
        assert words in said(app) + app.get("progress")[0].proto.text
    if held is not None:
        os.close(held)


def test_a_failure_says_what_happened_and_what_to_try(service, me):
    name = make_job(
        state="failed", problem="memory", message="CUDA out of memory; a `smaller` batch"
    )
    app = open_page(job=name)
    assert "not enough memory" in app.error[0].value and "a 'smaller' batch" in app.error[0].value


def test_a_time_that_is_up_is_no_failure(service, me):
    app = open_page(job=make_job(state="stopped", problem="time", message="it has had its time"))
    assert not app.error and "time is up" in app.warning[0].value


def test_what_has_hardly_begun_is_not_called_a_failure(service, me):
    noise = LOOK | {"counts": [0] * 10, "contrast": 0.1}
    app = open_page(job=make_job(step=50, looks=[noise | {"step": 50}]))
    assert "Hardly begun" in said(app) and "So far" not in said(app)
    app = open_page(job=make_job("later", step=60, looks=[noise | {"step": 60}]))
    assert "So far: Noise" in said(app)


def test_before_the_first_picture_its_place_is_kept(service, me):
    app = open_page(job=make_job(state="starting", step=0, looks=[]))
    assert "aspect-ratio:1" in html(app)
    assert live_curves(app)["curves"]["step"] == live_curves(app)["moments"] == []


def test_another_visitor_watches_and_cannot_steer(service, me):
    app = open_page(job=make_job(owner=OTHER))
    assert "Another visitor" in said(app)
    assert {b.key for b in app.button if b.key.startswith("job_")} == set()


def test_orders_reach_the_job(service, me):
    name = make_job()
    app = open_page(job=name)
    button(app, "job_pause").click().run()
    assert read_control(cards.RUNS / name).want == "pause"
    write_status(cards.RUNS / name, Status("paused", 300, 600))
    app.run()
    button(app, "job_step_many").click().run()
    assert read_control(cards.RUNS / name).until == 320
    button(app, "job_stop").click().run()
    assert read_control(cards.RUNS / name).want == "stop"


def test_a_refused_order_can_be_read_for_longer_than_a_poll(service, me, monkeypatch):
    def refuse(*args):
        raise ConfigError("you already have a job: other (training)")

    monkeypatch.setattr(service, "resume", refuse)
    app = open_page(job=make_job(state="stopped"))
    button(app, "job_resume").click().run()
    assert "you already have a job" in app.error[0].value
    assert app.run().error
    monkeypatch.setattr("views.train.actions._REFUSED_SECONDS", 0.0)
    assert not app.run().error


def test_deleting_asks_once_more_and_leads_back_to_the_form(service, me):
    name = make_job(state="stopped")
    app = open_page(job=name)
    button(app, "job_remove_sure").click().run()
    assert not app.exception and not app.warning
    assert not (cards.RUNS / name).exists()
    assert app.toast[0].value == "Deleted." and "job" not in app.query_params


def test_back_to_the_form(service):
    app = open_page(job=make_job())
    button(app, "close_watch").click().run()
    assert not app.subheader and "job" not in app.query_params


def test_the_list_shows_the_others_and_leads_to_them(service, me):
    make_job("one", "finished")
    make_job("two", "failed", OTHER)
    app = open_page(job="one")
    assert button(app, "watch_one") is None and "yours" not in said(app)
    button(app, "watch_two").click().run()
    assert app.session_state["train_job"] == "two" and "yours" in said(app)


def test_an_alarm_while_there_is_time_and_a_way_back(service, me):
    good = LOOK | {"step": 100, "fd": 10.0, "counts": [90] * 10}
    bad = LOOK | {"step": 300, "fd": 90.0, "counts": [0] * 10, "contrast": 0.1}
    name = make_job(looks=[good, bad])
    snapshots = cards.RUNS / name / run.SNAPSHOTS
    snapshots.mkdir()
    for step in (100, 200):
        (snapshots / f"{step:08d}.safetensors").write_bytes(b"weights")
    app = open_page(job=name)
    assert "getting worse" in app.warning[0].value
    write_status(cards.RUNS / name, Status("paused", 300, 600))
    app.run()
    assert "It was better before" in app.info[0].value
    assert app.select_slider(key=f"rewind_step_{name}").value == 100
    assert app.selectbox(key=f"rewind_augment_{name}").value == "fixed"
    write_control(cards.RUNS / name, Control("run"))
    button(app, "rewind_go").click().run()
    assert not app.exception and not app.error
    (new,) = [v for v in service.queries.views() if v.job.parent]
    assert new.job.parent == Parent(name, 100) and new.job.config.augment == "fixed"
    assert app.session_state["train_job"] == new.job.id
    assert "from update 100 to 600" in app.subheader[0].value


def test_a_rewind_under_narrower_limits_still_has_its_widgets(runner, monkeypatch, me):
    opened = Service(cards.RUNS, Limits(updates=250), runner)
    monkeypatch.setattr(cache, "training", lambda: opened)
    name = make_job(state="stopped")
    snapshots = cards.RUNS / name / run.SNAPSHOTS
    snapshots.mkdir()
    for step in (100, 300):
        (snapshots / f"{step:08d}.safetensors").write_bytes(b"weights")
    app = open_page(job=name)
    assert not app.exception
    app.select_slider(key=f"rewind_step_{name}").set_value(100).run()
    assert not app.exception and app.number_input(key=f"rewind_updates_{name}_100").value == 250


def test_pictures_that_are_no_digits_have_no_distance_to_digits(service, me):
    config = TrainConfig(source="folder:runs/uploads/abc", size=20, updates=600)
    app = open_page(job=make_job(config=config))
    assert not app.exception
    assert not live_curves(app)["digits"] and "digits appear" not in html(app)


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_ones_own_pictures_are_taken_in_and_trained_on(service):
    app = open_page(**SMALL | {"source": "own"})
    assert "Upload some images first" in said(app) and button(app, "train_go").disabled
    files = [(f"{i}.png", picture(i), "image/png") for i in range(20)]
    files.append(("<b>bad.png", b"\x89PNG\r\n\x1a\nrubbish", "image/png"))
    app.file_uploader(key="own_files").set_value(files).run()
    assert not app.exception and not app.error
    assert "20 images are ready" in said(app)
    assert app.slider(key="setting_size").value == 18  # one in ten is kept apart
    assert app.dataframe[0].value["file"].tolist() == ["<b>bad.png"]
    app.segmented_control(key="setting_img_size").set_value(64).run()
    button(app, "train_go").click().run()
    assert not app.exception and not app.error
    config = service.queries.views()[0].job.config
    assert config.source.startswith("folder:runs/uploads/") and config.size == 18
    assert config.model.img_size == 64


def test_a_zip_is_taken_in_and_a_damaged_one_is_refused(service):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(12):
            archive.writestr(f"{i}.png", picture(i))
    app = open_page(**SMALL | {"source": "own"})
    upload = app.file_uploader(key="own_files")
    upload.set_value([("some.zip", buffer.getvalue(), "application/zip")]).run()
    assert "12 images are ready" in said(app)
    app = open_page(**SMALL | {"source": "own"})
    upload = app.file_uploader(key="own_files")
    upload.set_value([("bad.zip", buffer.getvalue()[:-30], "application/zip")]).run()
    assert not app.exception and "bad.zip" in app.error[0].value
    assert button(app, "train_go").disabled


def put_model(finished, name, change=lambda entry: None):
    """A copy of the finished tiny run as the model of that name."""
    folder = cards.RUNS / name
    shutil.copytree(finished, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["models"]:
        entry["name"] = entry["name"].replace("finished", name)
        change(entry)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return name


def test_a_finished_training_leads_to_its_model(service, me, finished):
    name = put_model(finished, "mine")
    make_job(name, "finished", step=600)
    app = open_page(job=name)
    assert not app.exception and not app.error
    assert "Finished after 12 s" in app.success[0].value
    assert app.get("download_button")
    assert live_curves(app)["described"]  # the curves in words
    button(app, "explore_it").click().run()
    assert not app.exception and not app.error
    assert app.title[0].value == "How much data does a GAN need?"
    assert app.selectbox(key="model").value == name
    assert "trained on 40 images" in html(app)


def test_own_models_are_named_by_what_they_are(service, finished):
    put_model(finished, "mine")
    put_model(finished, "other", lambda e: e["provenance"].update(imported="2030-01-01"))
    app = open_page("explore")
    options = app.selectbox(key="model").options
    assert (
        options[1]
        == "Imported: 40 images of drawn digits · Plain DCGAN · 12 updates · seed 0 (other)"
    )
    assert options[2] == "40 images of drawn digits · Plain DCGAN · 12 updates · seed 0 (mine)"
    app.selectbox(key="model").set_value("other").run()
    assert not app.exception and not app.error
    assert app.query_params["model"] == "other"
    assert any("Imported" in i.value for i in app.info)
    assert "Slide the amount of data" not in said(app)


def test_pictures_that_are_no_digits_are_shown_without_the_judge_of_digits(service, finished):
    def no_digits(entry):
        entry["evaluation"]["digits"] = False
        entry["config"]["source"] = "folder:somewhere"

    put_model(finished, "faces", no_digits)
    app = open_page("explore", model="faces")
    assert not app.exception and not app.error
    assert not app.metric and "classifier reads" not in said(app)
    assert "64 images drawn" in html(app)
    assert not app.get("vega_lite_chart")  # no histogram
    shown = {
        e.proto.id.rpartition("-")[2]: json.loads(e.proto.json) for e in app.get("bidi_component")
    }
    assert shown["playground"]["payload"]["classifier"] is None
    (cell,) = shown["film"]["payload"]["cells"]
    told = json.loads((static_files.STATIC / Path(cell["payload"]["url"]).name).read_text())
    assert told["digits"] is False and "legible" not in told["moments"][0]


def test_a_model_that_was_removed_falls_back_to_the_comparison(service, finished):
    put_model(finished, "mine")
    app = open_page("explore", model="mine")
    shutil.rmtree(cards.RUNS / "mine")
    app.run()
    assert not app.exception and not app.error
    assert app.select_slider(key="size").value == 6_000 and "model" not in app.query_params


def test_what_was_explored_is_found_again_after_training(service):
    app = open_page("explore", size="600", seed="64")
    app.switch_page("views/train/train.py").run()
    app.query_params.clear()
    app.switch_page("views/explore/explore.py").run()
    assert not app.exception
    assert app.select_slider(key="size").value == 600 and app.number_input(key="seed").value == 64


@pytest.mark.parametrize("link", [True, False])
def test_an_own_model_is_found_again_after_training(service, finished, link):
    put_model(finished, "mine")
    app = open_page("explore", model="mine")
    app.number_input(key="seed").set_value(64).run()
    app.switch_page("views/train/train.py").run()
    app.query_params.clear()
    if link:
        app.query_params.update({"model": "mine", "lang": "en", "seed": "64"})
    app.switch_page("views/explore/explore.py").run()
    assert not app.exception and not app.error
    assert app.selectbox(key="model").value == "mine" and app.number_input(key="seed").value == 64


def test_a_bundle_is_imported_and_explored(service, finished):
    content = bundle.pack(cards.read_manifest(finished)[0])
    app = open_page()
    app.file_uploader(key="import_file").set_value(("m.zip", content, "application/zip")).run()
    assert not app.exception and not app.error
    assert "Imported as" in app.success[0].value
    button(app, "explore_imported").click().run()
    assert not app.exception and app.selectbox(key="model").value.startswith("import-")


def test_a_hostile_bundle_is_refused(service, finished):
    content = bundle.pack(cards.read_manifest(finished)[0])
    app = open_page()
    spoiled = content.replace(b"manifest.json", b"../anifest.js")
    app.file_uploader(key="import_file").set_value(("m.zip", spoiled, "application/zip")).run()
    assert not app.exception and "cannot be imported" in app.error[0].value
    assert not list(cards.RUNS.glob("import-*"))
