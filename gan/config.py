"""Settings as frozen values: what is trained, on how much data, for how long.

Pydantic checks a configuration when it is made. It turns into plain dictionaries and back without
loss, so that it can lie beside the weights. `read_as` checks everything else that comes from outside.
"""

from __future__ import annotations

import dataclasses
import json
import reprlib
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from gan.errors import ConfigError, GanError

Budget = Literal["epochs", "updates"]
Augment = Literal["none", "fixed", "adaptive"]
Loss = Literal["logistic", "hinge", "least-squares"]
BUDGETS: tuple[Budget, ...] = get_args(Budget)
AUGMENTATIONS: tuple[Augment, ...] = get_args(Augment)
LOSSES: tuple[Loss, ...] = get_args(Loss)  # see gan.networks.losses
#: What each recipe changes in the defaults of `TrainConfig`; "model": in those of `ModelConfig`.
#: "plain" is a DCGAN as the articles use one, without any remedy for too little data.
#: "rescue" has the remedies that helped in the trials of docs/LOG.md. "article-2018" is the program
#: behind the second article (GAN.py of hwalsuklee's tensorflow-generative-model-collections).
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "rescue": {
        "augment": "fixed",
        "augment_probability": 1.0,
        "lr_d": 1e-3,
        "model": {"d_norm": "none"},
    },
    "article-2018": {
        "reshuffle": False,
        "constant_share": 1.0,
        "ema_decay": 0.0,
        "model": {
            "latent_dim": 62,
            "base_channels": 64,
            "hidden_units": 1024,
            "latent": "uniform",
            "pixels": "unit",
        },
    },
}
#: Sides in pixels that a folder's images can be resized to. All other sources have 28.
FOLDER_SIDES = range(16, 65, 4)

#: For a pydantic dataclass of what comes from outside: it refuses unknown names, and neither
#: ``true`` nor ``"3"`` is a number.
STRICT = ConfigDict(extra="forbid", strict=True)

T = TypeVar("T")


class StrictModel(BaseModel):
    """The base of models of what comes from outside: frozen, and as strict as `STRICT`."""

    model_config = ConfigDict(frozen=True, **STRICT)


def read_as(
    model: type[T], value: object, what: str = "", error: type[GanError] = ConfigError
) -> T:
    """``value``, as JSON or TOML gave it, as ``model``: a pydantic model or dataclass, or a type
    such as ``list[Entry]``. Strict models take JSON's forms: a list where they want a tuple.

    Where it does not fit, raises ``error`` with one line: ``what`` (the file, say), the place in
    it, the value and what is allowed.
    """
    try:
        return TypeAdapter(model).validate_json(json.dumps(value))
    except ValidationError as problem:
        message = describe(problem, problem.title)
    except (GanError, TypeError, ValueError, RecursionError) as problem:
        message = str(problem)
    raise error(f"{what}: {message}" if what else message)


def describe(error: ValidationError, model: str) -> str:
    """The first problem of a ``model`` in one line, and how many more there are."""
    problems = error.errors(include_url=False)
    first, more = problems[0], len(problems) - 1
    kind, value, text = first["type"], reprlib.repr(first["input"]), first["msg"]
    value = f"={value}" if len(value) <= 40 else ""  # a whole table would hide what is wrong in it
    place = ".".join(str(part) for part in first["loc"])
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        line = f"{model} does not know {place}; remove it"
    elif kind in ("missing", "missing_argument"):
        line = f"{model} lacks {place}; add it"
    elif text.startswith("Input "):
        line = f"{place or model}{value} {text.removeprefix('Input ')}"
    else:
        line = f"{place or model}{value} is wrong: {text.removeprefix('Value error, ')}"
    return f"{line} (and {more} more)" if more else line


def source_channels(source: str) -> int:
    """Channels of the images of a source of `gan.data.sources`: 3 for stacked digits, else 1."""
    return 3 if source.partition(":")[0] == "stacked" else 1


def has_digits(source: str) -> bool:
    """Whether the images of a source of `gan.data.sources` are digits, which the classifiers can read: all but
    the visitor's own."""
    return source.partition(":")[0] != "folder"


@dataclass(frozen=True, config=STRICT)
class Settings:
    """Dictionaries in and out. Every value is checked; one that cannot work is a ConfigError."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Self:
        return read_as(cls, values)

    @model_validator(mode="wrap")
    @classmethod
    def _as_config_error(cls, values: Any, check: Callable[[Any], Self]) -> Self:
        try:
            return check(values)
        except ValidationError as error:
            known = ", ".join(sorted(f.name for f in dataclasses.fields(cls)))
            line = describe(error, cls.__name__)
            raise ConfigError(line.replace("remove it", f"it knows {known}")) from error


_Width = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True, config=STRICT)
class ModelConfig(Settings):
    """The pair of networks.

    A DCGAN (Radford et al. 2016, arXiv:1511.06434) with one dense layer more at the inner end
    of each network, as in InfoGAN (Chen et al. 2016, arXiv:1606.03657, appendix C.1): two
    stride-2 convolutions make an image of ``img_size`` from ``img_size / 4``.
    """

    latent_dim: _Width = 64  # Z, standard normal
    img_size: Annotated[_Width, Field(multiple_of=4)] = 28  # pixels; two layers halve the image
    img_channels: _Width = 1
    base_channels: _Width = 32  # channels at half resolution; twice as many at a quarter
    hidden_units: _Width = 256  # width of the dense layer
    #: G's own latents: its standard normal z as it is, or z ~ U(-1, 1) made from it ("uniform").
    latent: Literal["normal", "uniform"] = "normal"
    #: Range inside the networks: [-1, 1] and tanh ("symmetric"), or [0, 1] and a sigmoid ("unit").
    #: Outside it is always [-1, 1].
    pixels: Literal["symmetric", "unit"] = "symmetric"
    d_norm: Literal["batch", "none"] = "batch"  # normalisation in D


_Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Rate = Annotated[float, Field(ge=0, le=1)]
_Weight = Annotated[float, Field(ge=0, le=1000)]


@dataclass(frozen=True, config=STRICT)
class TrainConfig(Settings):
    """One training run. The same configuration and device give the same run.

    ``budget`` says what is held equal when sizes are compared: "epochs" (``epochs`` passes over
    the data, so a small set gets few updates, as in the articles) or "updates" (``updates``
    optimizer steps, whatever the size). An update is one step of D and one of G.
    """

    #: "mnist", "stacked", "stacked:BASE", "drawn" or "folder:PATH"
    source: Annotated[str, Field(min_length=1)] = "mnist"
    #: Number of training images. Batch normalisation needs 2.
    size: Annotated[int, Field(ge=2, le=10_000_000)] = 60_000
    data_seed: _Seed = 0  # which images: subsets of one data_seed are nested
    budget: Budget = "updates"
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 20
    updates: Annotated[int, Field(ge=1, le=10_000_000)] = 6_000
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 64
    recipe: str = "plain"  # a name in `RECIPES`
    seed: _Seed = 0  # weights, batch order and latents
    lr_g: _Rate = 1e-3
    lr_d: _Rate = 2e-4
    beta1: Annotated[float, Field(ge=0, le=0.9999)] = 0.5
    beta2: Annotated[float, Field(ge=0, le=0.999999)] = 0.999
    constant_share: _Rate = 0.5  # share of the run after which both rates fall linearly to 0
    #: Of the moving average of G, per update; see gan.networks.ema for the warm-up.
    ema_decay: Annotated[float, Field(ge=0, le=0.999999)] = 0.999
    reshuffle: bool = True  # a new order of the images every epoch, or the first one again
    augment: Augment = "none"  # changes of D's input: see gan.networks.augment
    #: The probability of a change ("fixed"), or the most it may become ("adaptive").
    augment_probability: _Rate = 0.8
    #: "adaptive": more while D is right about more than (1 + this) / 2 of the training images.
    augment_target: Annotated[float, Field(ge=-1, le=1)] = 0.6
    #: Images shown in which the probability could go from 0 to 1.
    augment_ramp: Annotated[int, Field(ge=1, le=10_000_000_000)] = 30_000
    augment_hole: bool = False  # also a square hole
    lecam: _Weight = 0.0  # weight of the LeCam penalty on D
    r1_gamma: _Weight = 0.0  # weight of the gradient penalty at real images
    loss: Loss = "logistic"  # of D and G: see gan.networks.losses
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ConfigError(f"recipe={self.recipe!r} should be one of {', '.join(RECIPES)}")
        side, channels = self.model.img_size, source_channels(self.source)
        if self.model.img_channels != channels:
            raise ConfigError(
                f"img_channels={self.model.img_channels} does not fit source={self.source!r}, whose "
                f"images have {channels}; give the model img_channels={channels}, or another source"
            )
        if has_digits(self.source) and side != ModelConfig.img_size:
            raise ConfigError(
                f"img_size={side} does not fit source={self.source!r}, whose images have "
                f"{ModelConfig.img_size} x {ModelConfig.img_size} pixels; leave it out, or train on "
                "folder:PATH, whose images are resized"
            )
        if not has_digits(self.source) and side not in FOLDER_SIDES:
            raise ConfigError(
                f"img_size={side} is no side that a folder's images are resized to; choose a "
                f"multiple of 4 from {FOLDER_SIDES[0]} to {FOLDER_SIDES[-1]}, such as 28 or 64"
            )

    @property
    def effective_batch(self) -> int:
        """Images per update: ``batch_size``, or all of them where there are fewer."""
        return min(self.batch_size, self.size)

    @property
    def updates_per_epoch(self) -> int:
        """Full batches in one pass. Each epoch leaves out the remainder, other images each time."""
        return self.size // self.effective_batch

    @property
    def total_updates(self) -> int:
        if self.budget == "updates":
            return self.updates
        return self.epochs * self.updates_per_epoch


def standard_config(config: TrainConfig) -> TrainConfig:
    """The recipe of ``config`` without other changes, for the same source, size, budget and seed."""
    names = ("source", "size", "budget", "seed")
    return recipe_config(config.recipe, **{name: getattr(config, name) for name in names})


def recipe_config(recipe: str, **changes: Any) -> TrainConfig:
    """The configuration of a recipe, with ``changes`` on top; ``model`` may be a ModelConfig, or a
    dictionary of changes to the recipe's. The networks get as many channels as the source has, unless
    ``model`` gives another number. ConfigError for an unknown name."""
    default = RECIPES.get(recipe, {})  # TrainConfig refuses an unknown recipe
    values = {**default, **changes, "recipe": recipe}
    model = values.pop("model", {})
    if not isinstance(model, ModelConfig):
        channels = source_channels(str(values.get("source", TrainConfig.source)))
        model = ModelConfig.from_dict(
            {"img_channels": channels, **default.get("model", {}), **model}
        )
    return TrainConfig(model=model, **values)
