"""``gan evaluate``: scores a model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from gan.cli import options
from gan.config import TrainConfig, has_digits
from gan.data import sources
from gan.errors import ConfigError
from gan.evaluation import classifier as digit_classifier
from gan.evaluation import evaluate as evaluation
from gan.evaluation import modes as digit_modes
from gan.networks import dcgan
from gan.runs import manifest, model_file, names
from gan.system.terminal import answers
from gan.zoo import cards


@click.command()
@click.argument("model")
@click.option(
    "--samples",
    type=int,
    help=f"Samples a draw (default {evaluation.SAMPLES:,}; with --stacked {digit_modes.SAMPLES:,}).",
)
@click.option("--draws", type=int, help=f"Independent draws (default {evaluation.DRAWS}).")
@click.option("--copies", is_flag=True, help="Also the copy check, which needs the training data.")
@click.option(
    "--stacked",
    is_flag=True,
    help="Count the modes of a model of stacked digits instead, which needs MNIST.",
)
@options.threads(default=None)
@answers
def evaluate(
    model: str, samples: int | None, draws: int | None, copies: bool, stacked: bool
) -> tuple[Any, str]:
    """Score MODEL: a name from `zoo list`, or a .safetensors file."""
    path = Path(model)
    if path.suffix == ".safetensors":
        config = model_file.model_config(path)
        generator, _ = model_file.load_model(path)
    else:
        card = cards.find(model, cards.list_models())
        config, generator = card.config, cards.open_model(card).generator
    if stacked:
        if draws is not None or copies:
            raise ConfigError(
                "--stacked is one draw without a copy check; leave out --draws and --copies"
            )
        return _count_modes(model, config, generator, samples)
    training = held_out = None
    digits = has_digits(config.source)
    if copies or not digits:  # other images are compared with their training images
        training, held_out = (part.images for part in manifest.load_singles(config))
    draws = evaluation.DRAWS if draws is None else draws
    with tqdm(total=draws, unit="draw", disable=None) as bar:
        scored = evaluation.evaluate(
            generator,
            config.model.latent_dim,
            digit_classifier.load_classifier(),
            digit_classifier.load_reference(test_images=names.reference_images(config)),
            samples=evaluation.SAMPLES if samples is None else samples,
            draws=draws,
            training_images=training,
            held_out_images=held_out,
            digits=digits,
            progress=lambda done, total: bar.update(done - bar.n),
        )
    result = scored.to_dict() | {"verdicts": [v.kind for v in scored.verdicts()]}
    return result, "\n".join([model, *score_lines(scored)])


def _count_modes(
    model: str, config: TrainConfig, generator: dcgan.Generator, samples: int | None
) -> tuple[Any, str]:
    """The modes of stacked digits: of the model, of real digits, and as published for other models."""
    if config.model.img_channels != digit_modes.CHANNELS:
        raise ConfigError(
            f"{model} was trained on {config.source}, images of {config.model.img_channels} channel: it has "
            "no modes to count; leave out --stacked, or name a model of --source stacked"
        )
    samples = digit_modes.SAMPLES if samples is None else samples
    base, unseen = sources.load_singles(config.source, seed=config.data_seed)
    assert base.labels is not None
    classifier = digit_classifier.load_classifier()
    with tqdm(total=2 * samples, unit="sample", disable=None) as bar:
        found = evaluation.evaluate_modes(
            generator,
            config.model.latent_dim,
            classifier,
            digit_modes.mode_probabilities(base.labels),
            samples,
            progress=lambda done, _: bar.update(done - bar.n),
        )
        real = digit_modes.of_real_digits(
            classifier, unseen, samples, progress=lambda done, _: bar.update(samples + done - bar.n)
        )
    accuracy = digit_classifier.provenance()["accuracy"]
    result = {
        "model": model,
        **asdict(found),
        "noise_floor": found.floor,
        "real": asdict(real),
        "classifier_accuracy": accuracy,
        "published": [row._asdict() for row in digit_modes.PUBLISHED],
    }
    lines = [
        f"{model}: stacked digits of {config.source}, {samples:,} samples in one draw",
        f"  {'':22} modes of 1,000     KL  read with 0.9 confidence",
        f"  {'this model':22} {found.modes:14,} {found.kl:6.4f}  {found.legible:.1%}",
        f"  {'real test digits':22} {real.modes:14,} {real.kl:6.4f}  {real.legible:.1%}",
        f"  a perfect sampler has a KL of about {found.floor:.4f} at this number of samples; the classifier "
        f"reads {accuracy:.2%} of single test digits correctly",
        "published results (other networks, training and classifiers: for orientation, not a comparison):",
        *(f"  {r.method:22} {r.modes:14,g} {r.kl:6.3g}  {r.source}" for r in digit_modes.PUBLISHED),
    ]
    return result, "\n".join(lines)


def score_lines(scored: evaluation.Evaluation) -> list[str]:
    """For people: each figure with its spread, then the verdicts in words."""
    figure = scored.figures["legible"]
    lines = [
        f"  classifier {scored.classifier!r} against {scored.reference}, {figure.draws} draws of {figure.n:,}",
        *(f"  {name:10} {f.value:8.3f} +- {f.spread:.3f}" for name, f in scored.figures.items()),
        "  digits 0-9 " + " ".join(f"{c / scored.samples:.1%}" for c in scored.counts),
    ]
    if scored.copies is not None:
        lines.append(
            f"  copies     {scored.copies.copied_share:.1%} of {scored.copies.n:,} (expected 1 %)"
        )
    if scored.modes is not None:
        modes = scored.modes
        lines.append(
            f"  modes      {modes.modes:,} of {digit_modes.MODES:,}, KL {modes.kl:.3f} (a perfect sampler: about "
            f"{modes.floor:.4f}) in {modes.n:,} samples; what follows is of single digits"
        )
    for verdict in scored.verdicts():
        words = verdict.words()
        lines += [f"  => {words.title}: {words.seen} {words.measured} {words.meaning}"]
    return lines
