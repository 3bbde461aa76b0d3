import math
from dataclasses import replace

import pytest
import torch

from gan.config import LOSSES
from gan.data import sources
from gan.errors import CheckpointError, ConfigError, TrainingError
from gan.networks import losses
from gan.networks.augment import UNIFORMS
from gan.networks.images import from_uint8
from gan.system import devices, tensor_files
from gan.training import cuda_graph, trainer
from gan.training import step as update_step
from gan.training.state import (
    TrainState,
    continue_from,
    is_finite,
    load_checkpoint,
    new_state,
    save_checkpoint,
)
from gan.training.step import (
    Draws,
    Rates,
    _input_of_d,
    autocast,
    batch_indices,
    learning_rate_factor,
    update_d_stats,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictures():
    return sources.load("drawn", 40).images


@pytest.fixture(scope="module")
def unseen():
    return sources.load("drawn", 30, seed=9).images


def _everything(state: TrainState) -> dict[str, torch.Tensor]:
    """Every number that training changes, by name."""
    found = {"step": torch.tensor(state.step)}
    for name in ("generator", "discriminator", "generator_ema"):
        for key, tensor in getattr(state, name).state_dict().items():
            found[f"{name}.{key}"] = tensor.clone()
    for name in ("optimizer_g", "optimizer_d"):
        content = getattr(state, name).state_dict()
        found[f"{name}.lr"] = torch.tensor(
            float(content["param_groups"][0]["lr"]), dtype=torch.float64
        )
        for index, moments in content["state"].items():
            for key, tensor in moments.items():
                found[f"{name}.{index}.{key}"] = tensor.clone()
    return found


def _assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def _train(config, pictures, unseen, block=trainer.BLOCK):
    state = new_state(config, CPU)
    return state, list(trainer.train(state, pictures, unseen, block))


def test_nothing_is_trained_until_a_report_is_asked_for(tiny, pictures, unseen):
    state = new_state(tiny(), CPU)
    before = _everything(state)
    loop = trainer.train(state, pictures, unseen, block=5)
    _assert_same(_everything(state), before)
    assert next(loop).step == state.step == 5
    after = _everything(state)
    assert not torch.equal(after["generator.to_image.weight"], before["generator.to_image.weight"])
    loop.close()
    _assert_same(_everything(state), after)


def test_every_update_is_reported_once_and_the_last_block_is_what_is_left(tiny, pictures, unseen):
    _, reports = _train(tiny(), pictures, unseen, block=5)
    assert [(r.step, len(r.g_loss), r.total) for r in reports] == [
        (5, 5, 12),
        (10, 5, 12),
        (12, 2, 12),
    ]
    for report in reports:
        for series in (report.g_loss, report.d_loss, report.prob_real, report.prob_fake):
            assert series.shape == report.g_loss.shape and bool(torch.isfinite(series).all())
        for probability in (report.prob_real, report.prob_fake):
            assert bool(((probability >= 0) & (probability <= 1)).all())
        assert 0 <= report.prob_held_out <= 1


def test_a_finished_run_has_nothing_more_to_report(tiny, pictures, unseen):
    state, _ = _train(tiny(), pictures, unseen)
    before = _everything(state)
    assert list(trainer.train(state, pictures, unseen)) == []
    _assert_same(_everything(state), before)


def test_the_length_of_a_block_changes_what_is_reported_not_what_is_trained(tiny, pictures, unseen):
    def growing(step):
        return 1 + step // 2

    one, _ = _train(tiny(), pictures, unseen, block=1)
    for block in (7, 20, growing):
        other, _ = _train(tiny(), pictures, unseen, block)
        _assert_same(_everything(one), _everything(other))


def test_a_block_may_be_decided_from_report_to_report(tiny, pictures, unseen):
    asked = []

    def decide(step):
        asked.append(step)
        return {0: 3, 3: 0, 4: -5, 5: 4}.get(
            step, 1_000
        )  # at least one update, at most what is left

    _, reports = _train(tiny(), pictures, unseen, decide)
    assert asked == [0, 3, 4, 5, 9]
    assert [(r.step, len(r.g_loss)) for r in reports] == [(3, 3), (4, 1), (5, 1), (9, 4), (12, 3)]


def test_the_same_seed_is_the_same_run_and_another_seed_another(tiny, pictures, unseen):
    torch.manual_seed(1)
    one, _ = _train(tiny(seed=3), pictures, unseen)
    torch.manual_seed(2)
    same, _ = _train(tiny(seed=3), pictures, unseen)
    other, _ = _train(tiny(seed=4), pictures, unseen)
    _assert_same(_everything(one), _everything(same))
    assert not torch.equal(one.generator_ema.hidden.weight, other.generator_ema.hidden.weight)


def test_what_is_held_out_is_looked_at_but_not_learned(tiny, pictures, unseen):
    one, _ = _train(tiny(), pictures, unseen)
    other, _ = _train(tiny(), pictures, 255 - unseen[:10])
    _assert_same(_everything(one), _everything(other))


def test_the_average_follows_the_generator_with_a_decay_that_warms_up(tiny, pictures, unseen):
    state = new_state(tiny(ema_decay=0.4), CPU)
    expected = state.generator.expand.weight.detach().clone()
    for step, _ in enumerate(trainer.train(state, pictures, unseen, block=1)):
        decay = min(0.4, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * state.generator.expand.weight.detach()
        torch.testing.assert_close(state.generator_ema.expand.weight, expected)
    running = state.generator.expand_norm.running_var
    assert torch.equal(state.generator_ema.expand_norm.running_var, running)


def test_without_unseen_pictures_their_probability_is_not_known(tiny, pictures, unseen):
    _, reports = _train(tiny(), pictures, unseen[:1])
    assert math.isnan(reports[0].prob_held_out)


@pytest.mark.parametrize(
    ("loss", "sure"), [("logistic", 0.6), ("hinge", 0.6), ("least-squares", 0.55)]
)
def test_a_positive_logit_comes_to_mean_real(tiny, pictures, unseen, loss, sure):
    # the generator stands still, so the discriminator must win, and in this direction
    config = tiny(updates=100, lr_g=0.0, lr_d=0.02, constant_share=1.0, loss=loss)
    _, (report,) = _train(config, pictures, unseen, block=100)
    assert float(report.prob_real[-5:].mean()) > sure
    assert float(report.prob_fake[-5:].mean()) < 0.45
    assert float(report.d_loss[-5:].mean()) < 0.8 * float(report.d_loss[0])


@pytest.mark.parametrize("loss", LOSSES)
def test_g_comes_to_be_called_real_by_a_discriminator_that_stands_still(
    tiny, pictures, unseen, loss
):
    config = tiny(updates=100, lr_g=0.02, lr_d=0.0, constant_share=1.0, loss=loss)
    state = new_state(config, CPU)
    with torch.no_grad():
        state.discriminator.to_logit.weight.mul_(100)  # it has an opinion
    (report,) = trainer.train(state, pictures, unseen, 100)
    assert float(report.prob_fake[-5:].mean()) > float(report.prob_fake[0]) + 0.04
    assert float(report.g_loss[-5:].mean()) < float(report.g_loss[0]) - 0.2


@pytest.mark.parametrize(
    ("loss", "of_d", "of_g"),
    [("logistic", 2 * math.log(2), math.log(2)), ("hinge", 2.0, 0.0), ("least-squares", 1.0, 0.5)],
)
def test_the_first_losses_are_those_of_an_undecided_pair(tiny, pictures, unseen, loss, of_d, of_g):
    _, reports = _train(tiny(loss=loss), pictures, unseen)
    assert float(reports[0].d_loss[0]) == pytest.approx(of_d, abs=0.2)
    assert float(reports[0].g_loss[0]) == pytest.approx(of_g, abs=0.2)


def test_another_number_of_pictures_than_configured_is_refused(tiny, pictures, unseen):
    state = new_state(tiny(), CPU)
    with pytest.raises(ConfigError, match="40 images but got 39"):
        next(trainer.train(state, pictures[:39], unseen))


@pytest.mark.parametrize(("size", "batch"), [(40, 8), (43, 8), (5, 8), (8, 8)])
def test_every_epoch_shows_every_picture_at_most_once(tiny, size, batch):
    config = tiny(size=size, batch_size=batch)
    per_epoch, full = config.updates_per_epoch, config.effective_batch
    index = batch_indices(config, 0, 4 * per_epoch)
    assert index.shape == (4 * per_epoch, full)
    assert int(index.min()) >= 0 and int(index.max()) < size
    epochs = [rows.flatten().tolist() for rows in index.split(per_epoch)]
    for epoch in epochs:
        assert len(epoch) == len(set(epoch)) == per_epoch * full > size - full
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_batches_and_latents_depend_on_their_number_only(tiny):
    config = tiny(size=43)

    def latents(*arguments):
        return update_step.draws(*arguments).z

    def uniforms(config, *arguments):
        return update_step.draws(replace(config, augment="fixed"), *arguments).uniforms

    for draw in (batch_indices, latents, uniforms):
        whole = draw(config, 0, 17)
        assert torch.equal(whole[7:12], draw(config, 7, 5))
        assert not torch.equal(whole, draw(tiny(size=43, seed=1), 0, 17))
    z = latents(config, 0, 500)
    assert z.shape == (500, 8, 6)
    assert abs(float(z.mean())) < 5 / z.numel() ** 0.5
    chances = uniforms(config, 0, 50)
    assert chances.shape == (50, 3, 8, UNIFORMS)
    assert float(chances.min()) >= 0 and float(chances.max()) < 1
    assert update_step.draws(config, 0, 2).uniforms is None


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 1.0), (49, 1.0), (50, 1.0), (75, 0.5), (99, 0.02), (100, 0.0)]
)
def test_rates_are_constant_then_fall_to_zero(step, factor):
    assert learning_rate_factor(step, 100, 0.5) == pytest.approx(factor)


def test_a_constant_share_of_one_keeps_the_rate_and_of_zero_never():
    assert {learning_rate_factor(s, 10, 1.0) for s in range(10)} == {1.0}
    falling = [learning_rate_factor(s, 10, 0.0) for s in range(10)]
    assert falling == pytest.approx([1 - s / 10 for s in range(10)])


def test_the_optimizers_follow_the_schedule(tiny, pictures, unseen):
    state, _ = _train(tiny(), pictures, unseen)
    last = learning_rate_factor(11, 12, 0.5)
    assert state.optimizer_g.param_groups[0]["lr"] == pytest.approx(1e-3 * last)
    assert state.optimizer_d.param_groups[0]["lr"] == pytest.approx(2e-4 * last)


def test_poisoned_weights_end_the_run_with_a_training_error(tiny, pictures, unseen):
    state = new_state(tiny(), CPU)
    with torch.no_grad():
        state.discriminator.to_logit.weight[0, 0] = math.nan
    with pytest.raises(TrainingError, match=r"no longer a number at update 5 .*lr_g=0\.001"):
        next(trainer.train(state, pictures, unseen, block=5))


def test_a_network_that_blows_up_ends_the_run_with_a_training_error(tiny, pictures, unseen):
    state = new_state(tiny(), CPU)
    with torch.no_grad():
        state.discriminator.to_logit.weight.fill_(3e38)
    with pytest.raises(TrainingError, match="lower lr_g"):
        list(trainer.train(state, pictures, unseen))


@pytest.mark.parametrize("stop", [0, 3, 5, 7, 11])
def test_an_interrupted_run_is_the_uninterrupted_one_to_the_last_bit(
    tiny, pictures, unseen, tmp_path, stop
):
    # epochs end after 5 and 10 updates, blocks of 4 after 4, 8 and 12
    whole, reports = _train(tiny(), pictures, unseen, block=4)
    first = new_state(tiny(), CPU)
    loop = trainer.train(first, pictures, unseen, block=1)
    for _ in range(stop):
        next(loop)
    loop.close()
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, first, {"note": torch.tensor([stop])})
    saved = _everything(first)
    torch.manual_seed(stop)
    second, extra = load_checkpoint(path, tiny(), CPU)
    loaded = _everything(second)
    # every block sets the rate anew, so it does not travel
    for name in ("optimizer_g.lr", "optimizer_d.lr"):
        del saved[name], loaded[name]
    _assert_same(loaded, saved)
    assert extra["note"].tolist() == [stop]
    rest = list(trainer.train(second, pictures, unseen, block=4))
    _assert_same(_everything(second), _everything(whole))
    losses = torch.cat([r.g_loss for r in reports])[stop:]
    assert torch.equal(torch.cat([r.g_loss for r in rest]), losses)
    assert [r.step for r in rest] == [r.step for r in reports if r.step > stop]


def test_a_loaded_average_is_ready_to_be_looked_at(tiny, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, new_state(tiny(), CPU))
    state, extra = load_checkpoint(path, tiny(), CPU)
    assert extra == {}
    assert not state.generator_ema.training and state.generator.training
    assert not any(p.requires_grad for p in state.generator_ema.parameters())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"lr_g": 0.5}, "lr_g: 0.001 there, 0.5 here"),
        ({"size": 30, "updates": 9}, "size: 40 there, 30 here; updates: 12 there, 9 here"),
        ({"source": "mnist"}, "source: 'drawn' there, 'mnist' here"),
    ],
)
def test_a_checkpoint_of_another_run_names_what_differs(tiny, tmp_path, changes, named):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, new_state(tiny(), CPU))
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors") as caught:
        load_checkpoint(path, tiny(**changes), CPU)
    assert f"({named})" in str(caught.value)


def test_a_missing_truncated_or_foreign_checkpoint_is_named(tiny, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors is missing"):
        load_checkpoint(path, tiny(), CPU)
    save_checkpoint(path, new_state(tiny(), CPU))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors is damaged"):
        load_checkpoint(path, tiny(), CPU)
    tensor_files.save_tensors(path, "generator", {}, {})
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors holds 'generator'"):
        load_checkpoint(path, tiny(), CPU)


def test_a_checkpoint_without_its_step_is_incomplete(tiny, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, new_state(tiny(), CPU))
    tensors, info = tensor_files.load_tensors(path, "training checkpoint")
    del info["step"], info["kind"]
    tensor_files.save_tensors(path, "training checkpoint", tensors, info)
    with pytest.raises(CheckpointError, match=r"incomplete \('step'\)"):
        load_checkpoint(path, tiny(), CPU)


def _half_way(tmp_path, config, pictures, unseen, step=5):
    """The path of a checkpoint after ``step`` updates, and the state it was made of."""
    state = new_state(config, CPU)
    next(trainer.train(state, pictures, unseen, block=step))
    path = tmp_path / f"{step}.safetensors"
    save_checkpoint(path, state, {"note": torch.tensor([7])})
    return path, state


@pytest.mark.parametrize("changes", [{}, {"augment": "fixed"}, {"augment": "adaptive"}])
def test_going_on_with_the_same_settings_is_going_on(tmp_path, tiny, pictures, unseen, changes):
    config = tiny(**changes, augment_ramp=80, augment_target=-1.0)  # soon at its most
    whole, _ = _train(config, pictures, unseen)
    path, _ = _half_way(tmp_path, config, pictures, unseen)
    loaded, _ = load_checkpoint(path, config, CPU)
    state, extra = continue_from(path, config, CPU)
    assert extra["note"].tolist() == [7]
    _assert_same(_everything(state), _everything(loaded))
    assert torch.equal(state.d_stats, loaded.d_stats)
    list(trainer.train(state, pictures, unseen))
    _assert_same(_everything(state), _everything(whole))
    assert torch.equal(state.d_stats, whole.d_stats)


def test_going_on_keeps_what_was_learned_and_follows_the_new_settings(
    tmp_path, tiny, pictures, unseen
):
    path, before = _half_way(tmp_path, tiny(), pictures, unseen)
    config = tiny(
        size=30,
        batch_size=4,
        updates=9,
        seed=3,
        loss="hinge",
        lr_g=5e-3,
        lr_d=7e-3,
        beta1=0.3,
        ema_decay=0.2,
        constant_share=0.0,
    )
    state, _ = continue_from(path, config, CPU)
    ours, theirs = _everything(state), _everything(before)
    for name in ("optimizer_g.lr", "optimizer_d.lr"):
        del ours[name], theirs[name]
    _assert_same(ours, theirs)
    assert torch.equal(state.d_stats[1:], before.d_stats[1:])
    assert bool(state.d_stats[1:].abs().min() > 0)
    assert state.config == config and state.optimizer_d.param_groups[0]["betas"] == (0.3, 0.999)

    # the next update, by hand
    twin, _ = continue_from(path, config, CPU)
    drawn, index = update_step.draws(config, 5, 1), batch_indices(config, 5, 1)
    real = from_uint8(pictures[:30][index[0]])
    assert real.shape[0] == 4
    record = update_step.train_step(
        twin, real, Draws(drawn.z[0], None), update_step.rates(config, 5)
    )
    report = next(trainer.train(state, pictures[:30], unseen, block=1))
    assert (report.step, report.total) == (6, 9)
    assert float(report.d_loss[0]) == float(record[1]) == pytest.approx(2.0, abs=0.3)
    assert state.optimizer_g.param_groups[0]["lr"] == pytest.approx(5e-3 * 4 / 9)
    _assert_same(_everything(state), _everything(twin))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"augment": "fixed", "augment_probability": 0.3}, 0.3),
        ({"augment": "fixed"}, {}, 0.0),
        ({"augment": "fixed"}, {"augment": "fixed", "augment_probability": 0.3}, 0.3),
        ({"augment": "fixed"}, {"augment": "adaptive"}, 0.0),
        ({"augment": "adaptive"}, {"augment": "fixed"}, 0.8),
        ({"augment": "adaptive"}, {"augment": "adaptive"}, 0.5),
        ({"augment": "adaptive"}, {"augment": "adaptive", "augment_probability": 0.2}, 0.2),
    ],
)
def test_the_probability_of_augmentation_follows_the_new_settings(
    tmp_path, tiny, before, after, expected
):
    state = new_state(tiny(**before), CPU)
    if before == {"augment": "adaptive"}:
        state.d_stats[0] = 0.5
    state.d_stats[1:] = torch.tensor([0.1, 0.2, -0.3])
    save_checkpoint(tmp_path / "c", state)
    state, _ = continue_from(tmp_path / "c", tiny(**after), CPU)
    assert state.d_stats.tolist() == pytest.approx([expected, 0.1, 0.2, -0.3])


def test_where_a_state_was_continued_stays_with_it(tmp_path, tiny, pictures, unseen):
    first, second, third = tiny(), tiny(lr_g=2e-3), tiny(lr_g=2e-3, updates=20)
    path, fresh = _half_way(tmp_path, first, pictures, unseen)
    assert fresh.continued_from == ()
    assert load_checkpoint(path, first, CPU)[0].continued_from == ()
    state, _ = continue_from(path, second, CPU)
    next(trainer.train(state, pictures, unseen, block=lambda step: 2))
    save_checkpoint(path, state)
    state, _ = continue_from(path, third, CPU)
    save_checkpoint(path, state)
    state, _ = load_checkpoint(path, third, CPU)
    assert state.continued_from == (
        {"config": first.to_dict(), "step": 5},
        {"config": second.to_dict(), "step": 7},
    )


def test_other_networks_or_an_end_that_is_past_are_refused(
    tmp_path, tiny, tiny_model, pictures, unseen
):
    path, _ = _half_way(tmp_path, tiny(), pictures, unseen)
    wider = tiny(model=replace(tiny_model, hidden_units=9, d_norm="none"))
    with pytest.raises(ConfigError, match="hidden_units: 8 there, 9 here; d_norm: 'batch' there"):
        continue_from(path, wider, CPU)
    for updates in (4, 5):
        with pytest.raises(ConfigError, match=rf"5 updates and .* end at {updates}; raise upd"):
            continue_from(path, tiny(updates=updates), CPU)
    with pytest.raises(ConfigError, match="end at 5; raise epochs=1"):
        continue_from(path, tiny(budget="epochs", epochs=1), CPU)
    assert continue_from(path, tiny(updates=6), CPU)[0].step == 5
    with pytest.raises(CheckpointError, match="is missing"):
        continue_from(tmp_path / "none", tiny(), CPU)


def test_weights_that_are_no_numbers_are_known(tiny):
    state = new_state(tiny(), CPU)
    assert is_finite(state)
    with torch.no_grad():
        state.discriminator.to_logit.weight[0, 0] = math.inf
    assert not is_finite(state)


HARD = {"augment": "adaptive", "augment_ramp": 80, "augment_hole": True, "lecam": 0.1}


def test_the_probability_rises_while_d_is_sure_of_its_images_and_falls_again(tiny):
    config = tiny(augment="adaptive", augment_ramp=80, augment_target=0.5, augment_probability=0.25)
    state = new_state(config, CPU)
    assert float(state.d_stats[0]) == 0
    seen = []
    for sign in [1.0] * 30 + [-1.0] * 30:
        update_d_stats(state, torch.full((8,), sign), torch.zeros(8))
        seen.append(float(state.d_stats[0]))
    step = 8 / 80  # a batch of 8 of the 80 images in which it may go from 0 to 1
    crossing = math.ceil(math.log(0.5) / math.log(0.9))  # the average needs that long to pass 0.5
    assert seen[crossing - 2] == 0 and seen[crossing - 1] == pytest.approx(step)
    assert max(seen) == seen[29] == 0.25 and min(seen[crossing:]) == seen[-1] == 0
    fixed = new_state(tiny(augment="fixed", augment_probability=0.3), CPU)
    update_d_stats(fixed, torch.ones(8), torch.zeros(8))
    assert float(fixed.d_stats[0]) == pytest.approx(0.3)


def test_what_d_is_shown_is_changed_and_what_g_draws_is_not(tiny, pictures, unseen, monkeypatch):
    shown = []

    def watch(images, uniforms, probability, hole):
        shown.append((len(images), float(probability[0]), hole))
        return images

    monkeypatch.setattr(update_step, "augment", watch)
    _train(tiny(augment="fixed", updates=2), pictures, unseen)
    # real, fake for D, fake for G; twice, and at the end of the block the unseen ones
    assert shown == [(8, pytest.approx(0.8), False)] * 7
    monkeypatch.undo()
    plain, _ = _train(tiny(updates=2), pictures, unseen)
    never, _ = _train(tiny(updates=2, augment="fixed", augment_probability=0.0), pictures, unseen)
    ours, theirs = _everything(never), _everything(plain)
    _assert_same(ours, theirs)


def test_unseen_pictures_are_shown_as_the_training_pictures_are(tiny, pictures, monkeypatch):
    shown = []

    def watch(images, uniforms, probability, hole):
        shown.append(images)
        return images

    monkeypatch.setattr(update_step, "augment", watch)
    only = pictures[:1].expand(30, -1, -1, -1)
    _train(tiny(augment="fixed", updates=1), pictures, only)
    assert len(shown) == 4  # real, fake for D, fake for G, and the unseen ones
    torch.testing.assert_close(shown[3], from_uint8(only[:8]))


def test_fakes_are_changed_in_the_same_precision_as_real_pictures(tiny, pictures):
    state = new_state(tiny(augment="fixed"), CPU, "bfloat16")
    images = from_uint8(pictures[:8])
    draws = update_step.draws(state.config, 0, 1)
    chance = Draws(draws.z[0], draws.uniforms[0])
    alone = _input_of_d(state, images, chance, 0)
    with autocast(state):
        inside = _input_of_d(state, images, chance, 0)
    assert inside.dtype == torch.float32 and torch.equal(inside, alone)


@pytest.mark.parametrize(
    "changes",
    [HARD, {"r1_gamma": 0.5}, {"loss": "hinge"}, {"loss": "least-squares"}],
    ids=["augmented", "r1", "hinge", "squares"],
)
def test_every_option_changes_what_is_learned_and_stays_resumable(
    tmp_path, tiny, pictures, unseen, changes
):
    config = tiny(**changes)
    whole, _ = _train(config, pictures, unseen, block=5)
    plain, _ = _train(tiny(), pictures, unseen, block=5)
    assert not torch.equal(whole.generator_ema.hidden.weight, plain.generator_ema.hidden.weight)
    half = new_state(config, CPU)
    next(trainer.train(half, pictures, unseen, block=5))
    save_checkpoint(tmp_path / "checkpoint", half)
    state, _ = load_checkpoint(tmp_path / "checkpoint", config, CPU)
    for _ in trainer.train(state, pictures, unseen, block=5):
        pass
    _assert_same(_everything(state), _everything(whole))
    assert torch.equal(state.d_stats, whole.d_stats)


def test_without_reshuffling_the_images_of_the_remainder_are_never_used(tiny):
    index = batch_indices(tiny(size=43, reshuffle=False), 0, 15)  # three epochs of five
    assert torch.equal(index[:5], index[5:10]) and torch.equal(index[:5], index[10:])
    assert len(set(index.flatten().tolist())) == 40


def test_the_precision_is_kept_in_the_checkpoint(tmp_path, tiny):
    save_checkpoint(tmp_path / "c", new_state(tiny(), CPU, "bfloat16"))
    assert load_checkpoint(tmp_path / "c", tiny(), CPU)[0].precision == "bfloat16"


def test_half_precision_changes_the_products_and_nothing_else(tiny, pictures, unseen):
    reports = {}
    for precision in devices.PRECISIONS:
        state = new_state(tiny(updates=4), CPU, precision)
        (reports[precision],) = trainer.train(state, pictures, unseen)
        numbers = _everything(state)
        assert {t.dtype for name, t in numbers.items() if "weight" in name} == {torch.float32}
        with torch.no_grad():
            assert state.generator_ema(torch.zeros(1, 6)).dtype == torch.float32
    full, half = reports["float32"], reports["bfloat16"]
    assert not torch.equal(full.g_loss, half.g_loss)
    torch.testing.assert_close(half.g_loss, full.g_loss, rtol=0.05, atol=0.02)


def test_updates_can_be_taken_back_in_place(tiny, pictures, unseen):
    # what happens around the capture of a graph: first without Adam's moments, then with them
    for already in (0, 5):
        state = new_state(tiny(**HARD), CPU)
        if already:
            next(trainer.train(state, pictures, unseen, block=already))
        before, step = cuda_graph._copies(state), state.step
        expected = _everything(state)
        places = {name: t.data_ptr() for name, t in state.tensors().items()}
        next(trainer.train(state, pictures, unseen, block=7))
        cuda_graph._restore(state, before, step)
        assert places.items() <= {n: t.data_ptr() for n, t in state.tensors().items()}.items()
        restored = _everything(state)
        for name, tensor in expected.items():
            if not name.endswith(".lr"):
                assert torch.equal(restored[name], tensor), name
        new = set(restored) - set(expected)
        assert all(float(restored[name].abs().max()) == 0 for name in new)
        assert state.step == step


def test_rates_given_as_tensors_move_the_networks_alike(tiny, pictures):
    config = tiny()
    drawn = update_step.draws(config, 0, 1)
    real = from_uint8(pictures[:8])
    states = [new_state(config, CPU) for _ in range(2)]
    rates = update_step.rates(config, 0)
    as_tensors = Rates(*(torch.tensor(rate) for rate in rates))
    for state, given in zip(states, (rates, as_tensors), strict=True):
        update_step.train_step(state, real, Draws(drawn.z[0], None), given)
    ours, theirs = _everything(states[1]), _everything(states[0])
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, msg=name, check_dtype=False)


class _Stream:
    """Stands for a CUDA stream, a device and a capture: the work is done where it is asked for."""

    def __init__(self, *_, **__):
        pass

    def wait_stream(self, other):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def _without_cuda(monkeypatch, replay):
    """`CapturedStep` on the CPU: ``replay(step)`` stands for the launch of its graph."""

    class Graph:
        def replay(self):
            replay(made[0])

    made = []
    for name in ("Stream", "stream", "device", "graph"):
        monkeypatch.setattr(torch.cuda, name, _Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", _Stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)

    class Captured(cuda_graph.CapturedStep):
        def __init__(self, *arguments):
            made.append(self)
            super().__init__(*arguments)

    return Captured


@pytest.mark.parametrize(
    "changes", [{}, HARD, {"loss": "hinge"}], ids=["plain", "augmented", "hinge"]
)
def test_what_a_graph_reads_and_writes_is_what_single_updates_do(
    tiny, pictures, unseen, monkeypatch, changes
):
    def replay(captured):  # a graph does not count; the record is overwritten in place
        step = captured._state.step
        captured._record.copy_(captured._step())
        captured._state.step = step

    captured_step = _without_cuda(monkeypatch, replay)
    monkeypatch.setattr(trainer, "updater", captured_step)
    config = tiny(**changes)
    captured, reports = _train(config, pictures, unseen, block=5)
    monkeypatch.undo()
    plain, expected = _train(config, pictures, unseen, block=5)
    assert [r.step for r in reports] == [5, 10, 12]
    for ours, theirs in zip(reports, expected, strict=True):
        torch.testing.assert_close(ours.g_loss, theirs.g_loss, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(ours.prob_real, theirs.prob_real, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(captured.d_stats, plain.d_stats, rtol=1e-3, atol=1e-3)


def test_where_nothing_was_captured_updates_go_on_one_by_one(tiny, pictures, unseen, monkeypatch):
    captured_step = _without_cuda(monkeypatch, lambda captured: None)  # an empty graph
    monkeypatch.setattr(trainer, "updater", captured_step)
    with pytest.warns(UserWarning, match="cannot capture the update"):
        captured, _ = _train(tiny(), pictures, unseen)
    monkeypatch.undo()
    plain, _ = _train(tiny(), pictures, unseen)
    _assert_same(_everything(captured), _everything(plain))


def test_a_capture_that_breaks_half_way_leaves_d_able_to_learn(tiny, pictures, unseen, monkeypatch):
    captured_step = _without_cuda(monkeypatch, lambda captured: None)
    monkeypatch.setattr(trainer, "updater", captured_step)
    real, calls = losses.generator_loss, []

    def broken(logits, loss):
        calls.append(1)
        if len(calls) == cuda_graph.CapturedStep._WARM_UP + 1:  # the pass that is captured
            raise RuntimeError("operation not permitted when stream is capturing")
        return real(logits, loss)

    monkeypatch.setattr(losses, "generator_loss", broken)
    with pytest.warns(UserWarning, match="not permitted"):
        captured, _ = _train(tiny(), pictures, unseen)
    monkeypatch.undo()
    plain, _ = _train(tiny(), pictures, unseen)
    _assert_same(_everything(captured), _everything(plain))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_captured_graph_trains_what_single_updates_train(tiny, pictures, unseen):
    device = torch.device("cuda")
    for changes in ({}, HARD, {"loss": "hinge"}):
        config = tiny(**changes)
        captured = new_state(config, device)
        list(trainer.train(captured, pictures, unseen))
        eager = new_state(config, device)
        drawn, index = update_step.draws(config, 0, 12), batch_indices(config, 0, 12)
        for i in range(12):
            uniforms = None if drawn.uniforms is None else drawn.uniforms[i].to(device)
            real = from_uint8(pictures[index[i]].to(device))
            chance = Draws(drawn.z[i].to(device), uniforms)
            update_step.train_step(eager, real, chance, update_step.rates(config, i))
        for (name, a), b in zip(
            captured.generator_ema.state_dict().items(),
            eager.generator_ema.state_dict().values(),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=0.02, atol=2e-3, msg=name)
