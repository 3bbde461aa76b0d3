"""What `manifest.json` and `evidence.json` hold, as models that check every value.

They accept what any version has written so far. A file of a run on this machine and one from a
stranger have the same form; `gan.zoo.bundle_check` adds what holds for files from elsewhere only.
"""

from __future__ import annotations

import itertools
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gan.config import StrictModel, TrainConfig
from gan.evaluation.evaluate import Evaluation
from gan.evaluation.figures import (
    LARGEST,
    Count,
    Digits,
    Divergence,
    Positive,
    Share,
    Whole,
    printable,
)
from gan.evaluation.modes import Modes
from gan.evaluation.verdict import Kind
from gan.runs import names


def _file_name(name: str) -> str:
    if name in (".", "..") or {PurePosixPath(name).name, PureWindowsPath(name).name} != {name}:
        raise ValueError("it must be the name of a file in the same folder")
    return name


def _rising(steps: list[int]) -> list[int]:
    if any(a >= b for a, b in itertools.pairwise(steps)):
        raise ValueError("each number of updates must be larger than the one before")
    return steps


Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Text = Annotated[str, Field(max_length=500), AfterValidator(printable)]
Name = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(printable)]
FileName = Annotated[Name, AfterValidator(_file_name)]


class Curves(StrictModel):
    """Means over up to 150 stretches of a run, each given at its last update. ``prob_held_out`` is
    None where too few images were held out to measure it."""

    step: Annotated[list[Count], Field(min_length=1, max_length=1_000), AfterValidator(_rising)]
    g_loss: list[Number]
    d_loss: list[Number]
    prob_real: list[Number]
    prob_fake: list[Number]
    prob_held_out: list[Number | None]

    @model_validator(mode="after")
    def _have_one_length(self) -> Self:
        if any(len(values) != len(self.step) for _, values in self):
            raise ValueError(f"every curve must have {len(self.step)} values, as many as step")
        return self


class MomentEntry(StrictModel):
    """A `gan.runs.monitor.Moment`. Runs before the contrast was measured have none."""

    step: Count
    counts: Digits
    fd: Positive
    spread: Positive
    contrast: Positive | None = None


class Evidence(StrictModel):
    """`evidence.json`: the curves of a run and what was measured at some moments of it."""

    curves: Curves
    moments: Annotated[list[MomentEntry], Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _moments_rise(self) -> Self:
        _rising([moment.step for moment in self.moments])
        return self

    @property
    def last_step(self) -> int:
        """The highest number of updates in it; at most `TrainConfig.total_updates`."""
        return max(self.curves.step[-1], self.moments[-1].step)


class SeedRow(StrictModel):
    """How one training seed scored: a row of the table behind a model's figures."""

    seed: Whole
    legible: Share
    fd: Divergence
    coverage: Share
    verdicts: Annotated[list[Kind], Field(min_length=1, max_length=4)]
    seconds: Divergence  # of training
    modes: Modes | None = None  # of stacked digits, as `kl`
    kl: Divergence | None = None


class ContinuedEntry(StrictModel):
    """Under which configuration a run was until its settings changed, after how many updates."""

    config: TrainConfig
    step: Whole


class Provenance(StrictModel):
    """Where a model comes from. Early versions did not write every key."""

    command: str = ""
    device: Text = ""
    precision: Text = ""
    seconds: Positive = 0.0  # of training
    together: Whole = 1  # how many runs shared the device and these seconds, as one stack
    finished: Text = ""  # ISO 8601
    commit: Text = ""
    torch: Text = ""
    python: Text = ""
    platform: Text = ""
    continued_from: Annotated[list[ContinuedEntry], Field(max_length=20, default_factory=list)]
    #: Of a model that came as a file from elsewhere: the day, and its name there.
    imported: Text = ""
    imported_name: Text = ""


class ManifestEntry(StrictModel):
    """A model: its files with their digests, where it comes from, and how it scores."""

    name: Name
    snapshot: Literal["final", "best"]
    step: Count
    file: FileName
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Count
    evidence: FileName
    film: FileName
    config: TrainConfig
    provenance: Provenance
    evaluation: Evaluation
    seeds: Annotated[list[SeedRow], Field(min_length=1, max_length=1_000)]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        config, reference = self.config, f"test{names.reference_images(self.config)}"
        if self.step > config.total_updates:
            raise ValueError(f"step={self.step} is past the last update {config.total_updates}")
        if self.evaluation.reference != reference:
            raise ValueError(f"reference={self.evaluation.reference!r} must be {reference!r}")
        if all(row.seed != config.seed for row in self.seeds):
            raise ValueError(f"seeds has no row of the model's own seed {config.seed}")
        return self


class Manifest(StrictModel):
    """`manifest.json` of a run or a zoo. ``missing``: names of models that the zoo could have."""

    version: Literal[1]
    models: list[ManifestEntry]
    missing: list[Text] = Field(default_factory=list)
