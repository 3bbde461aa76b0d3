"""Settings as frozen values: what is trained, on how much, for how long.

A configuration is validated when it is made, so that whoever holds one may rely on it, and
turns into plain dictionaries and back without loss, so that it can lie beside the weights.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from gan.errors import ConfigError

Budget = Literal["epochs", "updates"]
BUDGETS: tuple[Budget, ...] = ("epochs", "updates")
#: What a recipe changes against the defaults below; ``model``: against those of the networks.
#: "plain" is a DCGAN as the articles use one, without anything that helps against too little data.
#: "rescue" is what helps, as far as the trials in docs/LOG.md showed. "article-2018" is the program
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
AUGMENTATIONS = ("none", "fixed", "adaptive")
LOSSES = ("logistic", "hinge", "least-squares")  # see gan.networks.losses
#: Sides in pixels that anyone's own pictures can be brought to. Those of all other sources have 28.
FOLDER_SIDES = range(16, 65, 4)


def source_channels(source: str) -> int:
    """Channels of the pictures of a source of `gan.data.sources`: 3 for stacked digits, else 1."""
    return 3 if source.partition(":")[0] == "stacked" else 1


def has_digits(source: str) -> bool:
    """Whether the pictures of a source of `gan.data.sources` are digits, which the classifiers can read: all but
    the visitor's own."""
    return source.partition(":")[0] != "folder"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _choose(name: str, value: Any, known: Iterable[str]) -> None:
    _require(value in known, f"{name}={value!r} is unknown; choose one of {', '.join(known)}")


class _Plain:
    """Dictionaries in and out, strict about names."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        _require(
            not unknown,
            f"{cls.__name__} does not know {', '.join(unknown)}; it knows {', '.join(sorted(known))}",
        )
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"{cls.__name__} cannot be made from {values!r}: {error}") from error


@dataclass(frozen=True)
class ModelConfig(_Plain):
    """The pair of networks.

    A DCGAN (Radford et al. 2016, arXiv:1511.06434) with one dense layer more at the inner end
    of each network, as in InfoGAN (Chen et al. 2016, arXiv:1606.03657, appendix C.1): two
    stride-2 convolutions make a picture of ``img_size`` from ``img_size / 4``.
    """

    latent_dim: int = 64  # Z, standard normal
    img_size: int = 28  # pixels, a multiple of 4
    img_channels: int = 1
    base_channels: int = 32  # channels at half resolution; twice as many at a quarter
    hidden_units: int = 256  # width of the dense layer
    #: What G makes of its standard normal z first: nothing, or z ~ U(-1, 1) ("uniform").
    latent: str = "normal"
    #: What the networks work with: [-1, 1] and tanh ("symmetric"), or [0, 1] and a sigmoid ("unit").
    #: Outside it is always [-1, 1].
    pixels: str = "symmetric"
    d_norm: str = "batch"  # normalisation in D: "batch" or "none"

    def __post_init__(self) -> None:
        for name, known in (
            ("latent", ("normal", "uniform")),
            ("pixels", ("symmetric", "unit")),
            ("d_norm", ("batch", "none")),
        ):
            _choose(name, getattr(self, name), known)
        for name in ("latent_dim", "img_size", "img_channels", "base_channels", "hidden_units"):
            value = getattr(self, name)
            _require(
                isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4096,
                f"{name}={value!r} must be a whole number from 1 to 4096",
            )
        _require(
            self.img_size % 4 == 0,
            f"img_size={self.img_size} must be a multiple of 4: two layers halve the picture",
        )


@dataclass(frozen=True)
class TrainConfig(_Plain):
    """One training run. The same configuration and device give the same run.

    ``budget`` says what is held equal when sizes are compared: "epochs" (``epochs`` passes over
    the data, so a small set gets few updates, as in the articles) or "updates" (``updates``
    optimizer steps, whatever the size). An update is one step of D and one of G.
    """

    source: str = "mnist"  # "mnist", "stacked", "stacked:BASE", "drawn" or "folder:PATH"
    size: int = 60_000  # number of training images
    data_seed: int = 0  # which images: subsets of one data_seed are nested
    budget: Budget = "updates"
    epochs: int = 20
    updates: int = 6_000
    batch_size: int = 64
    recipe: str = "plain"
    seed: int = 0  # weights, batch order and latents
    lr_g: float = 1e-3
    lr_d: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    constant_share: float = 0.5  # share of the run after which both rates fall linearly to 0
    ema_decay: float = 0.999  # of G, per update; see gan.networks.ema for the warm-up
    reshuffle: bool = True  # a new order of the images every epoch, or the first one again
    augment: str = "none"  # what D is shown is changed: see gan.networks.augment
    #: The probability of a change ("fixed"), or the most it may become ("adaptive").
    augment_probability: float = 0.8
    #: "adaptive": more while D is right about more than (1 + this) / 2 of the training images.
    augment_target: float = 0.6
    augment_ramp: int = 30_000  # images shown in which the probability could go from 0 to 1
    augment_hole: bool = False  # also a square hole
    lecam: float = 0.0  # weight of the LeCam penalty on D
    r1_gamma: float = 0.0  # weight of the gradient penalty at real images
    loss: str = "logistic"  # the game that is played: see gan.networks.losses
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("size", 1, 10_000_000),
            ("epochs", 1, 100_000),
            ("updates", 1, 10_000_000),
            ("batch_size", 2, 65_536),
            ("augment_ramp", 1, 10_000_000_000),
            ("seed", 0, 2**31 - 1),
            ("data_seed", 0, 2**31 - 1),
        ):
            value = getattr(self, name)
            _require(
                isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
                f"{name}={value!r} must be a whole number from {low:,} to {high:,}",
            )
        for name, low_f, high_f in (
            ("lr_g", 0.0, 1.0),
            ("lr_d", 0.0, 1.0),
            ("beta1", 0.0, 0.9999),
            ("beta2", 0.0, 0.999999),
            ("constant_share", 0.0, 1.0),
            ("ema_decay", 0.0, 0.999999),
            ("augment_probability", 0.0, 1.0),
            ("augment_target", -1.0, 1.0),
            ("lecam", 0.0, 1000.0),
            ("r1_gamma", 0.0, 1000.0),
        ):
            value = getattr(self, name)
            _require(
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and math.isfinite(value)
                and low_f <= value <= high_f,
                f"{name}={value!r} must be a number from {low_f:g} to {high_f:g}",
            )
        _choose("budget", self.budget, BUDGETS)
        _choose("recipe", self.recipe, RECIPES)
        _choose("augment", self.augment, AUGMENTATIONS)
        _choose("loss", self.loss, LOSSES)
        for name in ("reshuffle", "augment_hole"):
            _require(
                isinstance(getattr(self, name), bool),
                f"{name}={getattr(self, name)!r} must be true or false",
            )
        _require(
            isinstance(self.source, str) and bool(self.source),
            f"source={self.source!r} must be mnist, stacked, stacked:BASE, drawn or folder:PATH",
        )
        _require(isinstance(self.model, ModelConfig), f"model={self.model!r} must be a ModelConfig")
        channels = source_channels(self.source)
        _require(
            self.model.img_channels == channels,
            f"img_channels={self.model.img_channels} does not fit source={self.source!r}, whose "
            f"pictures have {channels}; give the model img_channels={channels}, or another source",
        )
        side = self.model.img_size
        if has_digits(self.source):
            _require(
                side == ModelConfig.img_size,
                f"img_size={side} does not fit source={self.source!r}, whose pictures have "
                f"{ModelConfig.img_size} x {ModelConfig.img_size} pixels; leave it out, or train on "
                "folder:PATH, whose pictures are resized",
            )
        else:
            _require(
                side in FOLDER_SIDES,
                f"img_size={side} is no side that pictures of a folder are resized to; choose a "
                f"multiple of 4 from {FOLDER_SIDES[0]} to {FOLDER_SIDES[-1]}, such as 28 or 64",
            )
        _require(
            self.size >= 2, f"size={self.size} is too small: batch normalisation needs 2 images"
        )

    @property
    def effective_batch(self) -> int:
        """Images per update: ``batch_size``, or all of them where there are fewer."""
        return min(self.batch_size, self.size)

    @property
    def updates_per_epoch(self) -> int:
        """Full batches in one pass; the remainder is left out, in another place every epoch."""
        return self.size // self.effective_batch

    @property
    def total_updates(self) -> int:
        if self.budget == "updates":
            return self.updates
        return self.epochs * self.updates_per_epoch

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        values = dict(values)
        if isinstance(values.get("model"), dict):
            values["model"] = ModelConfig.from_dict(values["model"])
        return super().from_dict(values)


def recipe_config(recipe: str, **changes: Any) -> TrainConfig:
    """The configuration of a recipe, with ``changes`` on top; ``model`` may be a ModelConfig, or a
    dictionary of changes to the recipe's. The networks get as many channels as the source has, unless
    ``model`` says another number. ConfigError for an unknown name."""
    _choose("recipe", recipe, RECIPES)
    values = {**RECIPES[recipe], **changes}
    model = values.pop("model", {})
    if not isinstance(model, ModelConfig):
        channels = source_channels(str(values.get("source", TrainConfig.source)))
        recipes = RECIPES[recipe].get("model", {})
        model = ModelConfig.from_dict({"img_channels": channels, **recipes, **model})
    return TrainConfig(recipe=recipe, model=model, **values)
