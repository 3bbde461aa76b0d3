import json
import math

import pytest

from gan.config import RECIPES, ModelConfig, TrainConfig, has_digits, recipe_config
from gan.errors import ConfigError


@pytest.mark.parametrize(
    ("size", "updates"), [(200, 60), (500, 140), (1_000, 300), (60_000, 18_740)]
)
def test_twenty_epochs_are_as_many_updates_as_full_batches_fit(size, updates):
    assert TrainConfig(size=size, budget="epochs", epochs=20).total_updates == updates


@pytest.mark.parametrize("size", [2, 200, 60_000])
def test_under_the_updates_budget_the_size_changes_nothing(size):
    assert TrainConfig(size=size, budget="updates", updates=4_000).total_updates == 4_000


def test_a_set_smaller_than_a_batch_is_one_batch():
    config = TrainConfig(size=10, batch_size=64, budget="epochs", epochs=3)
    assert (config.effective_batch, config.updates_per_epoch, config.total_updates) == (10, 1, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 0},
        {"size": 1},
        {"size": 600.0},
        {"size": True},
        {"epochs": 0},
        {"updates": -1},
        {"batch_size": 1},
        {"seed": -1},
        {"seed": 2**31},
        {"data_seed": -1},
        {"lr_g": -1e-3},
        {"lr_g": math.nan},
        {"lr_d": math.inf},
        {"lr_d": "fast"},
        {"beta1": 1.0},
        {"constant_share": 1.5},
        {"ema_decay": 1.0},
        {"budget": "hours"},
        {"recipe": "secret"},
        {"source": ""},
        {"augment": "strong"},
        {"loss": "wasserstein"},
        {"loss": None},
        {"augment_probability": 1.5},
        {"augment_target": 2.0},
        {"augment_ramp": 0},
        {"augment_hole": 1},
        {"reshuffle": "no"},
        {"lecam": -1.0},
        {"r1_gamma": math.nan},
        {"lr_g": True},
    ],
)
def test_a_value_that_cannot_work_is_named(changes):
    (name,) = changes
    with pytest.raises(ConfigError, match=name):
        TrainConfig(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"img_size": 30},
        {"img_size": 0},
        {"latent_dim": 0},
        {"latent_dim": 1.5},
        {"base_channels": 5_000},
        {"hidden_units": True},
        {"latent": "cauchy"},
        {"pixels": "bytes"},
        {"d_norm": "spectral"},
    ],
)
def test_a_network_that_cannot_be_made_is_named(changes):
    (name,) = changes
    with pytest.raises(ConfigError, match=name):
        ModelConfig(**changes)


def test_a_configuration_survives_json():
    config = TrainConfig(size=600, budget="epochs", lr_g=3e-4, model=ModelConfig(latent_dim=7))
    there_and_back = TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert there_and_back == config
    assert hash(there_and_back) == hash(config)


def test_an_unknown_setting_is_refused_by_name_and_the_known_are_listed():
    with pytest.raises(ConfigError, match=r"does not know colour.*batch_size"):
        TrainConfig.from_dict({"colour": 1})
    with pytest.raises(ConfigError, match="ModelConfig does not know depth"):
        TrainConfig.from_dict({"model": {"depth": 3}})


@pytest.mark.parametrize("hostile", [{"recipe": []}, {"budget": {}}, {"source": 5}])
def test_values_of_another_type_are_config_errors_too(hostile):
    with pytest.raises(ConfigError):
        TrainConfig.from_dict(hostile)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_makes_a_configuration_that_can_be_changed(recipe):
    config = recipe_config(recipe, size=600, seed=3)
    assert (config.recipe, config.size, config.seed) == (recipe, 600, 3)


def test_the_plain_recipe_changes_nothing():
    assert recipe_config("plain") == TrainConfig()


def test_an_unknown_recipe_lists_the_known():
    with pytest.raises(ConfigError, match="plain"):
        recipe_config("secret")


def test_the_rescue_recipe_is_the_one_of_the_log():
    config = recipe_config("rescue")
    assert (config.augment, config.augment_probability, config.lr_d) == ("fixed", 1.0, 1e-3)
    assert config.model == ModelConfig(d_norm="none")


def test_the_articles_recipe_is_the_program_behind_it():
    config = recipe_config("article-2018", size=200, budget="epochs")
    assert config.total_updates == 60  # 3 full batches an epoch; 8 images are never used
    assert not config.reshuffle and config.ema_decay == 0 and config.constant_share == 1
    assert config.lr_g == 5 * config.lr_d == 1e-3
    model = config.model
    assert (model.latent_dim, model.hidden_units, model.base_channels) == (62, 1024, 64)
    assert (model.latent, model.pixels, model.d_norm) == ("uniform", "unit", "batch")


def test_a_recipes_networks_can_be_changed_in_part():
    config = recipe_config("rescue", model={"latent_dim": 7})
    assert config.model == ModelConfig(latent_dim=7, d_norm="none")
    assert recipe_config("rescue", model=ModelConfig()).model == ModelConfig()
    with pytest.raises(ConfigError, match="does not know depth"):
        recipe_config("plain", model={"depth": 2})


def test_an_older_configuration_means_what_it_meant():
    # as in the manifests written before there were these settings
    old = TrainConfig(size=600).to_dict()
    for name in (
        "reshuffle",
        "augment",
        "augment_hole",
        "augment_ramp",
        "lecam",
        "r1_gamma",
        "loss",
    ):
        del old[name]
    for name in ("latent", "pixels", "d_norm"):
        del old["model"][name]
    assert TrainConfig.from_dict(old) == recipe_config("plain", size=600)


@pytest.mark.parametrize("side", [16, 28, 32, 64])
def test_pictures_of_a_folder_can_have_other_sides(side):
    config = recipe_config("plain", source="folder:cats", model={"img_size": side})
    assert config.model == ModelConfig(img_size=side)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("side", [4, 12, 68, 128])
def test_a_side_that_a_folder_is_not_resized_to_is_named(side):
    with pytest.raises(ConfigError, match=rf"img_size={side} .*from 16 to 64, such as 28 or 64"):
        TrainConfig(source="folder:cats", model=ModelConfig(img_size=side))


@pytest.mark.parametrize("source", ["mnist", "drawn", "stacked:600"])
def test_other_sources_have_one_side(source):
    with pytest.raises(ConfigError, match=rf"img_size=64 does not fit source='{source}'.*folder:"):
        recipe_config("plain", source=source, model={"img_size": 64})


def test_all_but_a_folder_draws_digits():
    sources = ("mnist", "stacked", "stacked:600", "drawn", "folder:mnist", "folder:")
    assert [has_digits(s) for s in sources] == [True, True, True, True, False, False]
