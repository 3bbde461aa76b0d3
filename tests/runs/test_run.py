import io
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan.cli import main
from gan.config import ModelConfig, TrainConfig, recipe_config
from gan.data import sources, uploads
from gan.errors import CheckpointError, DataError, TrainingError
from gan.evaluation import evaluate, metrics
from gan.networks import dcgan, latents
from gan.networks.images import from_uint8
from gan.runs import manifest, model_file, monitor, names, run
from gan.runs.record import RunRecord
from gan.system import devices, tensor_files
from gan.system import files as file_system
from gan.training import stacking, trainer
from gan.training.state import load_checkpoint, new_state, save_checkpoint
from gan.zoo import build
from gan.zoo.cards import load_evidence, load_film, open_model, read_manifest

CPU = torch.device("cpu")
OLD = Path(__file__).parents[1] / "fixtures/v0.1"
FILES = {"model.safetensors", "evidence.json", "film.png", "manifest.json"}


def _tensors(folder):
    return tensor_files.load_tensors(folder / "model.safetensors", "generator")[0]


def _assert_same_model(one, other):
    a, b = _tensors(one), _tensors(other)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_a_finished_folder_holds_the_files_and_no_checkpoint(finished):
    assert {path.name for path in finished.iterdir()} - {"best.safetensors"} == FILES


def test_a_finished_folder_is_a_zoo_of_one_run(finished, tiny):
    cards = read_manifest(finished)
    card = cards[0]
    assert (card.name, card.snapshot, card.step) == ("finished", "final", 12)
    assert card.config == tiny()
    assert (card.source, card.size, card.budget, card.recipe) == ("drawn", 40, "updates", "plain")
    assert (card.seed, card.seeds, card.resolution) == (0, 1, 28)
    assert card.sha256 == file_system.sha256(finished / "model.safetensors")
    assert card.metrics.samples == 400 and card.metrics.copies is not None
    assert card.provenance["command"] == "the command"
    assert {"device", "seconds", "commit", "torch", "python", "finished"} <= set(card.provenance)
    assert card.seed_rows[0]["fd"] == card.metrics.figures["fd"].value
    assert [v.kind for v in card.metrics.verdicts()] == card.seed_rows[0]["verdicts"]
    assert build.verify(finished) == []


def test_the_saved_model_is_generator_ema(finished, tiny):
    training, unseen = sources.load("drawn", 40), sources.load_held_out("drawn", 40)
    state = new_state(tiny(), CPU, devices.choose_precision(CPU))
    for _ in trainer.train(state, training.images, unseen.images):
        pass
    loaded, extra = model_file.load_model(finished / "model.safetensors")
    for name, tensor in state.generator_ema.state_dict().items():
        expected = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(loaded.state_dict()[name], expected), name
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    directions = extra["directions"]
    assert directions.shape == (6, 6)
    torch.testing.assert_close(directions @ directions.T, torch.eye(6), atol=1e-5, rtol=0)
    again, strengths = latents.principal_directions(state.generator_ema, 6)
    torch.testing.assert_close(extra["strengths"], strengths, atol=1e-3, rtol=1e-2)
    assert model_file.model_config(finished / "model.safetensors") == tiny()
    assert again.shape == directions.shape


def test_the_evidence_covers_the_whole_run(finished):
    evidence = json.loads((finished / "evidence.json").read_text())
    curves, moments = evidence["curves"], evidence["moments"]
    assert curves["step"] == list(range(1, 13))
    assert {"g_loss", "d_loss", "prob_real", "prob_fake", "prob_held_out"} < set(curves)
    assert {len(column) for column in curves.values()} == {12}
    assert [m["step"] for m in moments] == monitor.moments_to_measure(12)
    assert all(len(m["counts"]) == 10 and sum(m["counts"]) <= 100 for m in moments)
    assert all(m["fd"] >= 0 and m["spread"] >= 0 for m in moments)


def test_the_film_has_a_row_of_sixteen_for_every_moment(finished):
    moments = monitor.moments_to_measure(12)
    with Image.open(finished / "film.png") as film:
        assert film.size == (16 * 28, len(moments) * 28)
        last = np.asarray(film)[-28:]
    # the last row shows the images of the finished model, apart from the rounding of its weights
    generator, _ = model_file.load_model(finished / "model.safetensors")
    drawn = generator(latents.sample_z(range(16), 6))[:, 0]
    expected = (torch.cat(list(drawn), dim=1) + 1) * 127.5
    assert np.abs(last - expected.numpy()).max() < 3


def test_running_a_finished_folder_again_does_nothing(finished, tiny, classifiers):
    before = {p.name: p.stat().st_mtime_ns for p in finished.iterdir()}
    assert list(run.run(tiny(), finished, CPU, classifiers)) == []
    assert {p.name: p.stat().st_mtime_ns for p in finished.iterdir()} == before


def test_a_finished_folder_refuses_another_configuration(finished, tiny, classifiers):
    with pytest.raises(CheckpointError, match="finished run of another configuration"):
        next(run.run(tiny(seed=1), finished, CPU, classifiers))
    assert manifest.is_finished(finished, tiny())


@pytest.mark.parametrize("content", ["{}", '{"models": []}', '{"models": 5}', "[]", "{"])
def test_a_folder_with_a_foreign_manifest_is_left_alone(tmp_path, tiny, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        manifest.is_finished(tmp_path, tiny())


@pytest.mark.parametrize("stop", [1, 7, 12])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    tmp_path, finished, tiny, classifiers, stop
):
    folder = tmp_path / "finished"
    loop = run.run(tiny(), folder, CPU, classifiers)
    for progress in loop:
        if progress.report.step >= stop:
            break
    loop.close()
    assert {path.name for path in folder.iterdir()} == {"checkpoint.safetensors"}
    rest = list(run.run(tiny(), folder, CPU, classifiers))
    assert [p.report.step for p in rest] == list(range(stop + 1, 13))
    _assert_same_model(folder, finished)
    assert {p.name for p in folder.iterdir()} == {p.name for p in finished.iterdir()}
    for name in ("evidence.json", "film.png"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()
    there, here = (read_manifest(f) for f in (finished, folder))
    assert [c.metrics for c in there] == [c.metrics for c in here]


def test_a_crashed_run_goes_on_from_its_last_checkpoint(tmp_path, finished, tiny, classifiers):
    folder = tmp_path / "finished"
    loop = run.run(tiny(), folder, CPU, classifiers, checkpoint_seconds=0.0)
    for _ in range(5):
        next(loop)
    # a power cut leaves the file as it is now, not what closing the generator would write
    at_the_cut = (folder / "checkpoint.safetensors").read_bytes()
    loop.close()
    (folder / "checkpoint.safetensors").write_bytes(at_the_cut)
    steps = [p.report.step for p in run.run(tiny(), folder, CPU, classifiers)]
    assert steps[0] <= 6 and steps[-1] == 12
    _assert_same_model(folder, finished)


def test_the_record_before_an_interruption_is_kept(tmp_path, tiny, classifiers, monkeypatch):
    config, total = tiny(updates=30), 30
    due = monitor.moments_to_measure(total)
    stop = next(step for step in range(1, total) if step not in due)
    folder, path = tmp_path / "run", tmp_path / "run" / "checkpoint.safetensors"
    used = set()
    sample_images = evaluate.sample_images

    def watch(generator, latent_dim, first_seed, count):
        used.update((first_seed, first_seed + count))
        return sample_images(generator, latent_dim, first_seed, count)

    class Monitor(monitor.Monitor):
        def __call__(self, generator, step):
            return replace(
                super().__call__(generator, step), counts=(10,) * 10, fd=1.0 if step == 1 else 100.0
            )

    monkeypatch.setattr(monitor, "sample_images", watch)
    monkeypatch.setattr(monitor, "Monitor", Monitor)
    loop = run.run(config, folder, CPU, classifiers)
    while next(loop).report.step < stop:
        pass
    loop.close()
    state, extra = load_checkpoint(path, config, CPU)
    extra["seconds"][0] = 1_000.0
    save_checkpoint(path, state, extra)
    for _ in run.run(config, folder, CPU, classifiers):
        pass
    final, best = read_manifest(folder)
    assert best.step == 1  # the best moment was before
    assert final.provenance["seconds"] > 1_000
    evidence = load_evidence(final)
    assert [m["step"] for m in evidence["moments"]] == due
    assert evidence["curves"]["step"] == list(range(1, 31))
    # the monitor does not use the latents of the final score
    assert min(used) >= evaluate.FIRST_SEED + evaluate.SAMPLES * evaluate.DRAWS


def test_a_checkpoint_of_other_settings_is_refused(tmp_path, tiny, classifiers):
    loop = run.run(tiny(), tmp_path / "run", CPU, classifiers)
    next(loop)
    loop.close()
    with pytest.raises(CheckpointError, match="seed: 0 there, 1 here"):
        next(run.run(tiny(seed=1), tmp_path / "run", CPU, classifiers))


def test_nothing_is_written_if_the_data_is_missing(tmp_path, tiny, classifiers):
    with pytest.raises(DataError):
        next(run.run(tiny(source="folder:nowhere"), tmp_path / "run", CPU, classifiers))
    assert not (tmp_path / "run").exists()


def test_blocks_of_any_length_end_at_the_moments(
    tmp_path, finished, tiny, classifiers, monkeypatch
):
    monkeypatch.setattr(monitor, "moments_to_measure", lambda total: [2, 3, 7, total])
    folder, stops = tmp_path / "finished", [1, 6, 8, 12]

    def block(step):
        return next(stop for stop in stops if stop > step) - step

    rows = list(run.run(tiny(), folder, CPU, classifiers, block=block))
    assert [p.report.step for p in rows] == [1, 2, 3, 6, 7, 8, 12]
    assert [p.moment.step for p in rows if p.moment] == [2, 3, 7, 12]
    card = read_manifest(folder)[0]
    evidence = load_evidence(card)
    assert [m["step"] for m in evidence["moments"]] == [2, 3, 7, 12]
    assert load_film(card, 4).shape == (4, 16, 28, 28, 1)
    assert evidence["curves"]["step"] == list(range(1, 13))
    _assert_same_model(folder, finished)


def test_a_consumer_that_uses_random_numbers_does_not_change_the_run(
    tmp_path, finished, tiny, classifiers
):
    folder = tmp_path / "finished"
    for progress in run.run(tiny(), folder, CPU, classifiers):
        torch.manual_seed(progress.report.step)  # a consumer that uses random numbers
        torch.rand(3)
        assert progress.images_per_second > 0
    _assert_same_model(folder, finished)


@pytest.mark.parametrize(("best_fd", "kept_apart"), [(10.0, True), (80.0, False)])
def test_the_best_moment_is_kept_if_the_end_is_clearly_worse(
    tmp_path, tiny, classifiers, monkeypatch, best_fd, kept_apart
):
    class Monitor(monitor.Monitor):
        def __call__(self, generator, step):
            return replace(
                super().__call__(generator, step),
                counts=(10,) * 10,
                fd=best_fd if step == 3 else 100.0,
            )

    monkeypatch.setattr(monitor, "Monitor", Monitor)
    folder = tmp_path / "run"
    for _ in run.run(tiny(), folder, CPU, classifiers):
        pass
    if not kept_apart:
        assert [card.snapshot for card in read_manifest(folder)] == ["final"]
        return
    final, best = read_manifest(folder)
    assert (final.name, final.snapshot, final.step) == ("run", "final", 12)
    assert (best.name, best.snapshot, best.step) == ("run-best", "best", 3)
    state = new_state(tiny(), CPU, devices.choose_precision(CPU))
    loop = trainer.train(
        state, sources.load("drawn", 40).images, sources.load("drawn", 9).images, 1
    )
    for _ in range(3):
        next(loop)
    kept = open_model(best).generator.state_dict()
    for name, tensor in state.generator_ema.state_dict().items():
        expected = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(kept[name], expected), name


def test_a_moment_without_legible_digits_is_not_the_best(tmp_path, tiny, classifiers, monkeypatch):
    class Monitor(monitor.Monitor):
        def __call__(self, generator, step):
            seen = super().__call__(generator, step)
            return replace(seen, counts=(0,) * 10, fd=1.0 if step == 3 else 100.0)

    monkeypatch.setattr(monitor, "Monitor", Monitor)
    for _ in run.run(tiny(), tmp_path / "run", CPU, classifiers):
        pass
    assert [card.snapshot for card in read_manifest(tmp_path / "run")] == ["final"]


def test_rescoring_replaces_old_scores(tmp_path, finished, tiny, classifiers):
    folder = tmp_path / "finished"
    shutil.copytree(finished, folder)
    before = json.loads((folder / "manifest.json").read_text())
    spoiled = json.loads(json.dumps(before))
    for entry in spoiled["models"]:
        entry["evaluation"]["figures"]["fd"]["value"] = -1.0
        entry["seeds"][0]["fd"] = -1.0
    (folder / "manifest.json").write_text(json.dumps(spoiled))
    manifest.rescore(folder, tiny(), classifiers)
    assert json.loads((folder / "manifest.json").read_text()) == before
    with pytest.raises(CheckpointError, match="no finished run"):
        manifest.rescore(tmp_path / "none", tiny(), classifiers)


def test_a_failed_scoring_keeps_the_training(tmp_path, finished, tiny, classifiers, monkeypatch):
    folder = tmp_path / "finished"

    def fail(*_):
        raise CheckpointError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "finish", fail)
        with pytest.raises(CheckpointError, match="no space left"):
            list(run.run(tiny(), folder, CPU, classifiers))
    assert list(run.run(tiny(), folder, CPU, classifiers)) == []  # nothing is trained again
    assert {path.name for path in folder.iterdir()} - {"best.safetensors"} == FILES
    _assert_same_model(folder, finished)


def test_a_folder_of_images_can_be_trained_on(tmp_path, tiny, classifiers, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    for index, pixels in enumerate(sources.load("drawn", 10).images):
        Image.fromarray(pixels[0].numpy()).save(folder / f"{index}.png")

    class Monitor(monitor.Monitor):
        def __call__(self, generator, step):
            return replace(super().__call__(generator, step), fd=float(step))

    monkeypatch.setattr(monitor, "Monitor", Monitor)
    config = tiny(source=f"folder:{folder}", size=9)
    for _ in run.run(config, tmp_path / "run", CPU, classifiers):
        pass
    # the distance to digits does not rank these images, so there is no best moment
    (card,) = read_manifest(tmp_path / "run")
    assert (card.snapshot, card.source) == ("final", config.source)
    assert card.metrics.copies is None
    text = (tmp_path / "run" / "evidence.json").read_text()
    assert "NaN" not in text  # one held-out image is too few for a batch
    assert set(json.loads(text)["curves"]["prob_held_out"]) == {None}


@pytest.mark.parametrize("block", [1, 7, 500])
def test_the_length_of_the_blocks_does_not_change_the_moments(tmp_path, tiny, classifiers, block):
    steps = run.run(tiny(updates=60), tmp_path, CPU, classifiers, block=lambda step: block)
    progress = list(steps)
    seen = [p.moment.step for p in progress if p.moment is not None]
    assert seen == monitor.moments_to_measure(60)
    reports = [p.report.step for p in progress]
    assert set(seen) <= set(reports) and reports == sorted(reports)
    assert len(progress) == {1: 60, 500: len(seen)}.get(block, len(progress))


def test_progress_gives_generator_ema_and_saves_the_checkpoint(tmp_path, tiny, classifiers):
    loop = run.run(tiny(), tmp_path, CPU, classifiers)
    progress = next(loop)
    path = tmp_path / run.CHECKPOINT
    assert not path.exists()
    progress.save()
    assert run.read_checkpoint_step(path) == progress.report.step
    saved, _ = load_checkpoint(path, tiny(), CPU)
    for ours, theirs in zip(
        progress.generator_ema.state_dict().values(),
        saved.generator_ema.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(ours, theirs)
    loop.close()


def _snapshots(folder):
    return sorted(path.name for path in (folder / "snapshots").glob("*"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory, tiny, classifiers):
    """The folder of a finished run with snapshots after 2, 4, 6, 8 and 10 of its 12 updates."""
    folder = tmp_path_factory.mktemp("kept") / "parent"
    for _ in run.run(tiny(), folder, CPU, classifiers, snapshots=5):
        pass
    return folder


def test_snapshots_are_kept_evenly_among_the_moments_and_stay(kept, finished, tiny):
    assert monitor.moments_to_measure(12) == list(range(1, 13))
    assert _snapshots(kept) == [f"{step:08d}.safetensors" for step in (2, 4, 6, 8, 10)]
    assert {p.name for p in kept.iterdir()} - {"best.safetensors"} == FILES | {"snapshots"}
    _assert_same_model(kept, finished)
    for name in _snapshots(kept):
        path = kept / "snapshots" / name
        state, extra = load_checkpoint(path, tiny(), CPU)
        step = run.read_checkpoint_step(path)
        assert state.step == step == int(path.stem)
        assert extra["moments"][:, 0].tolist() == list(range(1, step + 1))
        assert len(extra["frames"]) == len(extra["g_loss"]) == step


@pytest.mark.parametrize("count", [0, 1, 5, 23, 24, 1_000])
def test_the_moments_to_keep_are_spread_and_never_the_last(count):
    moments = monitor.moments_to_measure(6_000)
    chosen = sorted(monitor.snapshots_to_keep(moments, count))
    assert len(chosen) == min(count, 23) and set(chosen) <= set(moments[:-1])
    places = [-1, *(moments.index(step) for step in chosen), 23]
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert max(gaps) - min(gaps) <= 1
    later = monitor.snapshots_to_keep(moments, count, [{"step": 9}, {"step": 2_000}])
    assert len(later) == min(count, sum(2_000 < s < 6_000 for s in moments))
    assert all(2_000 < step < 6_000 for step in later)
    assert monitor.snapshots_to_keep([1], count) == set()


def test_an_interrupted_run_keeps_the_same_snapshots(tmp_path, kept, tiny, classifiers):
    folder = tmp_path / "parent"
    loop = run.run(tiny(), folder, CPU, classifiers, snapshots=5)
    while next(loop).report.step < 7:
        pass
    loop.close()
    for _ in run.run(tiny(), folder, CPU, classifiers, snapshots=5):
        pass
    assert _snapshots(folder) == _snapshots(kept)


def test_no_snapshot_is_kept_of_a_run_that_has_diverged(tmp_path, tiny, classifiers, monkeypatch):
    report = trainer.report

    def diverges(state, record, held_out):
        if state.step > 5:
            raise TrainingError("a loss is no longer a number")
        return report(state, record, held_out)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "report", diverges)
        with pytest.raises(TrainingError):
            list(run.run(tiny(), tmp_path / "run", CPU, classifiers, snapshots=11))
    assert _snapshots(tmp_path / "run") == [f"{step:08d}.safetensors" for step in range(1, 6)]

    class Monitor(monitor.Monitor):  # the losses are finite, the weights are not
        def film(self, generator):
            frame = super().film(generator)
            if len(_snapshots(folder)) == 2:
                generator.hidden.weight[0, 0] = torch.nan
            return frame

    monkeypatch.setattr(monitor, "Monitor", Monitor)
    folder = tmp_path / "other"
    loop = run.run(tiny(), folder, CPU, classifiers, checkpoint_seconds=0.0, snapshots=11)
    for _ in range(3):
        next(loop)
    loop.close()
    assert _snapshots(folder) == ["00000001.safetensors", "00000002.safetensors"]
    # the last sound checkpoint is still there
    assert run.read_checkpoint_step(folder / "checkpoint.safetensors") == 2


def test_a_run_continued_with_other_settings_keeps_the_whole_history(
    tmp_path, kept, tiny, classifiers, monkeypatch
):
    class Monitor(monitor.Monitor):
        def __call__(self, generator, step):
            assert step > 6  # earlier moments are not measured again
            return replace(super().__call__(generator, step), counts=(10,) * 10, fd=1e9)

    monkeypatch.setattr(monitor, "Monitor", Monitor)
    config, folder = tiny(updates=30, lr_d=1e-3, loss="hinge"), tmp_path / "child"
    source = kept / "snapshots" / "00000006.safetensors"
    state, extra = load_checkpoint(source, tiny(), CPU)
    extra["moments"][:, 3:] = 10  # digits were read
    source = tmp_path / "source.safetensors"
    save_checkpoint(source, state, extra)
    rows = list(run.run(config, folder, CPU, classifiers, start=source, snapshots=2))
    assert [rows[0].report.step, rows[-1].report.step] == [7, 30]
    card, best = read_manifest(folder)
    assert card.config == config and card.step == 30
    assert card.provenance["continued_from"] == [{"config": tiny().to_dict(), "step": 6}]
    assert card.provenance["seconds"] >= round(float(extra["seconds"][0]), 1)
    evidence, parents = load_evidence(card), load_evidence(read_manifest(kept)[0])
    moments = [1, 2, 3, 4, 5, 6, *(s for s in monitor.moments_to_measure(30) if s > 6)]
    assert [m["step"] for m in evidence["moments"]] == moments
    distances = [m["fd"] for m in evidence["moments"]]
    assert distances[:6] == [m["fd"] for m in parents["moments"][:6]]
    assert best.step == moments[distances.index(min(distances))] <= 6
    weights = open_model(best).generator.hidden.weight
    assert torch.equal(weights, extra["best.hidden.weight"].half().float())
    assert evidence["curves"]["step"] == list(range(1, 31))
    for name in ("g_loss", "d_loss", "prob_held_out"):
        assert evidence["curves"][name][:6] == parents["curves"][name][:6]
        assert evidence["curves"][name][7:12] != parents["curves"][name][7:12]
    film = load_film(card, len(moments))
    assert np.array_equal(film[:6], load_film(read_manifest(kept)[0], 12)[:6])
    kept_steps = [run.read_checkpoint_step(p) for p in (folder / "snapshots").iterdir()]
    assert len(kept_steps) == 2 and all(6 < step < 30 for step in kept_steps)


def test_a_continued_and_interrupted_run_knows_its_origin(tmp_path, kept, tiny, classifiers):
    source = kept / "snapshots" / "00000006.safetensors"
    second, third = tiny(lr_g=2e-3), tiny(lr_g=3e-3)
    note = {"config": tiny().to_dict(), "step": 6}
    folder = tmp_path / "child"
    path = folder / "checkpoint.safetensors"
    loop = run.run(second, folder, CPU, classifiers, start=source)
    next(loop)
    assert run.read_checkpoint_step(path) == 6  # written before anything was trained
    at_the_cut = path.read_bytes()
    next(loop)
    loop.close()
    assert run.read_checkpoint_step(path) == 8
    path.write_bytes(at_the_cut)
    # the folder's own checkpoint wins over ``start``; a copy continues with a third setting
    loop = run.run(second, folder, CPU, classifiers, start=tmp_path / "gone")
    assert next(loop).report.step == 7
    loop.close()
    grandchild = tmp_path / "grandchild"
    for _ in run.run(third, grandchild, CPU, classifiers, start=path):
        pass
    for _ in run.run_together([second], [folder], CPU, classifiers):
        pass
    (card, *_), (last, *_) = read_manifest(folder), read_manifest(grandchild)
    assert card.provenance["continued_from"] == [note]
    assert last.provenance["continued_from"] == [note, {"config": second.to_dict(), "step": 7}]


def test_a_snapshot_continued_unchanged_ends_like_its_run(
    tmp_path, kept, finished, tiny, classifiers
):
    folder = tmp_path / "finished"
    source = kept / "snapshots" / "00000004.safetensors"
    for _ in run.run(tiny(), folder, CPU, classifiers, start=source):
        pass
    _assert_same_model(folder, finished)
    for name in ("evidence.json", "film.png"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()
    assert "continued_from" not in read_manifest(finished)[0].provenance
    assert source.exists()


def test_a_checkpoint_without_a_record_cannot_be_continued(tmp_path, tiny, classifiers):
    path = tmp_path / "bare.safetensors"
    state = new_state(tiny(), CPU)
    save_checkpoint(path, state)
    with pytest.raises(
        CheckpointError, match=r"bare\.safetensors has no record of its run .* a run has written"
    ):
        next(run.run(tiny(), tmp_path / "run", CPU, classifiers, start=path))
    assert not (tmp_path / "run").exists()


def test_the_step_of_a_checkpoint_is_read_or_the_error_is_named(tmp_path, finished):
    with pytest.raises(CheckpointError, match="is missing"):
        run.read_checkpoint_step(tmp_path / "none")
    with pytest.raises(CheckpointError, match="holds 'generator'"):
        run.read_checkpoint_step(finished / "model.safetensors")
    tensor_files.save_tensors(tmp_path / "c", "training checkpoint", {}, {})
    with pytest.raises(CheckpointError, match="does not say how many updates"):
        run.read_checkpoint_step(tmp_path / "c")


@pytest.fixture
def uploaded(tmp_path):
    """A folder of 30 bright stripes of 70 x 90 pixels, as a visitor uploads them."""
    files = []
    for index in range(30):
        pixels = np.full((70, 90), 40, np.uint8)
        pixels[2 * index : 2 * index + 12] = 200
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files.append((f"{index}.png", buffer.getvalue()))
    return uploads.keep(files, tmp_path / "uploads").folder


def test_uploads_are_trained_on_in_64_pixels(tmp_path, tiny, tiny_model, classifiers, uploaded):
    config = tiny(source=f"folder:{uploaded}", size=27, model=replace(tiny_model, img_size=64))
    folder = tmp_path / "run"
    moments = [p.moment for p in run.run(config, folder, CPU, classifiers) if p.moment is not None]
    (card,) = read_manifest(folder)
    assert (card.resolution, card.config) == (64, config)
    steps = monitor.moments_to_measure(12)
    film = load_film(card, len(steps))
    assert film.shape == (len(steps), 16, 64, 64, 1)
    model = open_model(card)
    drawn = model.generator(latents.sample_z(range(16), model.generator.latent_dim))
    assert drawn.shape == (16, 1, 64, 64)
    assert np.abs(film[-1] - ((drawn + 1) * 127.5).permute(0, 2, 3, 1).numpy()).max() < 3
    # spread and contrast are relative to the training images, not to digits
    assert not card.metrics.digits
    training = from_uint8(sources.load(config.source, 27, resolution=64).images)
    sampled = evaluate.sample_images(model.generator, 6, evaluate.FIRST_SEED, 400)
    own = [metrics.pairwise_spread(x) for x in (sampled[:200], sampled[200:])]
    expected = sum(own) / 2 / metrics.pairwise_spread(training)
    assert card.metrics.figures["spread"].value == pytest.approx(expected, rel=1e-4)
    sampled = evaluate.sample_images(model.generator, 6, 2 * evaluate.FIRST_SEED, 100)
    expected = metrics.pairwise_spread(sampled) / metrics.pairwise_spread(training)
    assert moments[-1].spread == pytest.approx(expected, rel=0.02)  # the file is in half precision
    assert {v.key for v in card.metrics.verdicts()} <= {"one_picture/other", "not_digits"}
    before = (folder / "manifest.json").read_bytes()
    manifest.rescore(folder, config, classifiers)
    assert (folder / "manifest.json").read_bytes() == before


def test_uploads_of_64_pixels_resume_and_train_in_a_stack(
    tmp_path, tiny, tiny_model, classifiers, uploaded
):
    config = tiny(source=f"folder:{uploaded}", size=27, model=replace(tiny_model, img_size=64))
    loop = run.run(config, tmp_path / "one", CPU, classifiers)
    while next(loop).report.step < 7:
        pass
    loop.close()
    assert not (tmp_path / "one" / "manifest.json").exists()
    for _ in run.run(config, tmp_path / "one", CPU, classifiers):
        pass
    configs = [config, replace(config, seed=1)]
    for _ in run.run_together(configs, [tmp_path / "a", tmp_path / "b"], CPU, classifiers):
        pass
    curves = [
        np.array(load_evidence(read_manifest(tmp_path / n)[0])["curves"]["d_loss"])
        for n in ("one", "a", "b")
    ]
    assert [len(c) for c in curves] == [12] * 3
    # a stack sums in another order, which shows after a few updates
    assert np.abs(curves[0] - curves[1])[:2].max() < 3e-4 < np.abs(curves[0] - curves[2])[:2].max()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"size": 600}, "mnist-600-updates-plain"),
        ({"source": "drawn", "size": 6_000, "budget": "epochs"}, "drawn-6000-epochs-plain"),
        ({"source": "folder:/a/my pics!", "size": 9}, "folder_my_pics_-9-updates-plain"),
        ({"source": "folder:../../etc", "size": 9}, "folder_etc-9-updates-plain"),
        (
            {"source": "folder:cats", "size": 9, "model": ModelConfig(img_size=64)},
            "folder_cats-9-updates-plain-64px",
        ),
    ],
)
def test_a_cell_is_named_by_what_is_compared(changes, name):
    assert names.cell_name(TrainConfig(**changes)) == name
    assert names.cell_name(TrainConfig(**changes, seed=5)) == name


def test_names_of_folders_are_those_of_version_0_1():
    assert names.run_name(recipe_config("plain", size=600)) == "mnist-600-updates-plain-s0"
    changed = recipe_config("rescue", size=600, updates=20, model={"latent_dim": 8})
    assert names.run_name(changed) == "mnist-600-updates-rescue-s0-52767861"
    folder = recipe_config("plain", source="folder:/a/cats", size=9, seed=3)
    assert names.run_name(folder) == "folder_cats-9-updates-plain-s3-0b6b4981"


def test_a_folder_that_version_0_1_named_by_cell_and_seed_is_found_again(tmp_path, tiny, finished):
    """`train` and `zoo build` named it so, whatever else differed from the recipe."""
    new = tmp_path / names.run_name(tiny())
    old = tmp_path / "drawn-40-updates-plain-s0"
    assert new.name.startswith(f"{old.name}-")
    assert run.run_folder(tiny(), tmp_path) == new
    shutil.copytree(finished, old)
    assert run.run_folder(tiny(), tmp_path) == old
    other = tiny(updates=30)  # another configuration is another folder
    assert run.run_folder(other, tmp_path) == tmp_path / names.run_name(other)
    new.mkdir()
    assert run.run_folder(tiny(), tmp_path) == new


def test_an_unfinished_run_of_version_0_1_goes_on_in_its_folder(tmp_path, classifiers):
    (job,) = (OLD / "runs").glob("drawn-40-updates-plain-s3-*")
    config = names.read_config(job / "config.json")
    old = tmp_path / "drawn-40-updates-plain-s3"
    old.mkdir()
    assert run.run_folder(config, tmp_path) == tmp_path / job.name
    (old / "checkpoint.safetensors").write_bytes(b"damaged")
    assert run.run_folder(config, tmp_path) == tmp_path / job.name
    shutil.copy(job / "checkpoint.safetensors", old)
    assert run.run_folder(config, tmp_path) == old
    assert run.run_folder(replace(config, updates=99), tmp_path) != old
    step = run.read_checkpoint_step(old / "checkpoint.safetensors")
    steps = [p.report.step for p in run.run(config, old, CPU, classifiers)]
    assert step < steps[0] <= step + 3 and steps[-1] == config.updates


@pytest.mark.parametrize("total", [1, 47, 60, 300, 18_740])
def test_count_moments_agrees_with_a_run(total, tiny, tmp_path, classifiers, monkeypatch):
    monkeypatch.setattr(monitor.Monitor, "__call__", lambda self, generator, step: step)
    monkeypatch.setattr(monitor.Monitor, "film", lambda self, generator: None)
    monkeypatch.setattr(RunRecord, "add_moment", lambda self, *a: None)
    one = run._Run(tiny(updates=total), tmp_path, CPU, classifiers, "float32", run._load)
    assert one.block == monitor.block_length(total) <= trainer.BLOCK
    ends = [*range(one.block, total, one.block), total]
    loss = torch.zeros(1)
    reports = [trainer.Report(step, total, loss, loss, loss, loss, 0.5) for step in ends]
    moments = [progress.moment for report in reports if (progress := one.add(report)).moment]
    assert len(moments) == monitor.count_moments(total)
    assert moments[-1] == total


@pytest.mark.parametrize("total", [1, 2, 10, 60, 6_000, 18_740])
def test_moments_grow_from_the_start_to_the_very_end(total):
    steps = monitor.moments_to_measure(total)
    assert steps == sorted(set(steps))
    assert steps[0] >= 1 and steps[-1] == total
    assert len(steps) <= 25
    if total >= 6_000:
        assert len(steps) == 24 and steps[0] == total // 100
        ratios = [b / a for a, b in itertools.pairwise(steps)]
        assert max(ratios) / min(ratios) < 1.05


def test_a_training_set_above_60_000_is_scored_against_5_000_test_images():
    assert names.reference_images(TrainConfig(size=60_000)) == 10_000
    assert names.reference_images(TrainConfig(size=65_000)) == 5_000
    assert names.reference_images(TrainConfig(source="drawn", size=65_000)) == 10_000


@pytest.mark.parametrize(
    "config",
    [
        recipe_config("plain", size=600),
        recipe_config("plain", source="drawn", size=7, budget="epochs", epochs=3, seed=4),
        recipe_config("plain", size=65_000, updates=10, data_seed=2),
        recipe_config("plain", source="folder:/a b/c", size=9),
        recipe_config("plain", size=600, loss="least-squares"),
        recipe_config("rescue", source="folder:cats", size=9, model={"img_size": 64}),
    ],
)
def test_train_arguments_give_the_same_configuration(config, tmp_path, monkeypatch):
    seen = {}

    def watch(config, folder, device, **_):
        seen.update(config=config, folder=folder, device=device)
        yield from ()

    monkeypatch.setattr(run, "run", watch)
    arguments = names.train_arguments(config, tmp_path / "run", "cpu", threads=1)
    assert main.main(arguments) == 1  # no manifest was written
    assert seen == {"config": config, "folder": tmp_path / "run", "device": CPU}


def test_a_model_file_without_its_directions_is_named(tmp_path, finished):
    path = tmp_path / "model.safetensors"
    tensors, info = tensor_files.load_tensors(finished / "model.safetensors", "generator")
    del tensors["directions"]
    tensor_files.save_tensors(path, "generator", tensors, info)
    with pytest.raises(CheckpointError, match=r"model\.safetensors has no directions"):
        model_file.load_model(path)


def test_a_model_file_of_another_network_is_named(tmp_path, tiny, tiny_model):
    path = tmp_path / "model.safetensors"
    generator, _ = dcgan.make_pair(tiny_model, 0)
    wrong = tiny(model=replace(tiny_model, hidden_units=9))
    model_file.save_model(path, generator.eval(), wrong, step=1)
    with pytest.raises(CheckpointError, match=r"model\.safetensors belongs to another network"):
        model_file.load_model(path)


def test_a_checkpoint_is_no_model(tmp_path, tiny):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, new_state(tiny(), CPU))
    with pytest.raises(CheckpointError, match="not 'generator'"):
        model_file.load_model(path)


def test_a_copied_folder_is_still_finished(tmp_path, finished, tiny):
    shutil.copytree(finished, tmp_path / "elsewhere")
    assert manifest.is_finished(tmp_path / "elsewhere", tiny())
    assert not manifest.is_finished(tmp_path / "nowhere", tiny())


def test_runs_trained_together_end_like_runs_trained_alone(tmp_path, tiny, classifiers):
    configs = [
        tiny(seed=0),
        tiny(seed=1),
        tiny(seed=2, lr_g=2e-3),
    ]  # the last in a stack of its own
    folders = [tmp_path / str(c.seed) for c in configs]
    for _ in run.run(configs[0], folders[0], CPU, classifiers):
        pass
    seen = [len(row) for row in run.run_together(configs, folders, CPU, classifiers)]
    assert set(seen) == {1}  # the first had finished; the others differ in more than the seed
    for config, folder in zip(configs, folders, strict=True):
        assert manifest.is_finished(folder, config)
    again = [tmp_path / f"again{c.seed}" for c in configs[:2]]
    assert {len(row) for row in run.run_together(configs[:2], again, CPU, classifiers)} == {2}
    for folder, other in zip(folders, again, strict=False):
        (alone,), (together,) = read_manifest(folder), read_manifest(other)
        assert together.step == alone.step == 12
        assert together.provenance["precision"] == alone.provenance["precision"]
        ours = load_evidence(together)["curves"]["g_loss"]
        theirs = load_evidence(alone)["curves"]["g_loss"]
        assert ours == pytest.approx(theirs, abs=0.05)


def test_a_stack_that_is_closed_saves_every_run(tmp_path, tiny, classifiers):
    configs = [tiny(seed=s) for s in range(2)]
    folders = [tmp_path / str(s) for s in range(2)]
    steps = run.run_together(configs, folders, CPU, classifiers)
    for _ in range(5):
        assert [p.report.step for p in next(steps)]
    steps.close()
    for config, folder in zip(configs, folders, strict=True):
        state, _ = load_checkpoint(folder / "checkpoint.safetensors", config, CPU)
        assert state.step == 5
    rest = [p.report.step for p in run.run(configs[0], folders[0], CPU, classifiers)]
    assert rest[0] == 6 and rest[-1] == 12  # one of them alone, and then the other
    others = list(run.run_together(configs, folders, CPU, classifiers))
    assert others[0][0].report.step == 6 and len(others[0]) == 1
    assert all(manifest.is_finished(f, c) for c, f in zip(configs, folders, strict=True))


def test_a_diverging_run_does_not_stop_the_others(tmp_path, tiny, classifiers, monkeypatch):
    report = trainer.report

    def diverges(state, record, held_out):
        if state.config.seed == 1 and state.step > 5:
            raise TrainingError("a loss is no longer a number")
        return report(state, record, held_out)

    monkeypatch.setattr(trainer, "report", diverges)
    configs = [tiny(seed=s) for s in range(3)]
    folders = [tmp_path / str(s) for s in range(3)]
    seen = []
    with pytest.raises(TrainingError, match=f"{folders[1]}: a loss is no longer a number"):
        for row in run.run_together(configs, folders, CPU, classifiers):
            seen.append([p.run for p in row])
    assert seen[0] == [0, 1, 2] and seen[-1] == [0, 2]
    finished = [manifest.is_finished(f, c) for c, f in zip(configs, folders, strict=True)]
    assert finished == [True, False, True]
    card = read_manifest(folders[0])[0]
    assert card.provenance["together"] == 3
    assert not list(tmp_path.glob("*/progress.json"))


def test_seeds_share_their_data_in_memory(tmp_path, tiny, classifiers, monkeypatch):
    lengths = []
    pool = stacking._pool
    monkeypatch.setattr(
        stacking, "_pool", lambda images: lengths.append(len(pool(images)[0])) or pool(images)
    )
    configs = [tiny(seed=0), tiny(seed=1), tiny(seed=2, size=50)]
    folders = [tmp_path / str(s) for s in range(3)]
    for _ in run.run_together(configs, folders, CPU, classifiers):
        pass
    assert lengths == [90]
