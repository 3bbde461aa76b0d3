"""``gan evaluate`` and ``gan classifier``: score a model, and train what scores it."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from gan.config import TrainConfig, has_digits
from gan.data import labelled, mnist, sources
from gan.errors import ConfigError
from gan.evaluation import classifier as digit_classifier
from gan.evaluation import evaluate as evaluation
from gan.evaluation import modes as digit_modes
from gan.evaluation.classifier import (
    Classifier,
    legible_junk,
    make_classifier,
    make_reference,
    read,
    rounded,
    save,
    train,
)
from gan.evaluation.modes import mode_probabilities, of_real_digits
from gan.evaluation.verdict import diagnose
from gan.networks import dcgan
from gan.runs import manifest, model_file, names
from gan.system import devices
from gan.zoo import cards


def evaluate(options: argparse.Namespace) -> tuple[Any, str]:
    path = Path(options.model)
    if path.suffix == ".safetensors":
        config = model_file.model_config(path)
        generator, _ = model_file.load_model(path)
    else:
        card = cards.find(options.model, cards.list_models())
        config, generator = card.config, cards.open_model(card).generator
    if options.stacked:
        return _evaluate_modes(options, config, generator)
    draws = evaluation.DRAWS if options.draws is None else options.draws
    training = held_out = None
    digits = has_digits(config.source)
    if options.copies or not digits:  # other pictures are measured against their training images
        side = config.model.img_size
        singles = sources.load_singles(config.source, config.size, config.data_seed, side)
        training, held_out = (part.images for part in singles)
    with tqdm(total=draws, unit="draw", disable=None) as bar:
        scored = evaluation.evaluate(
            generator,
            config.model.latent_dim,
            digit_classifier.load_classifier(),
            digit_classifier.load_reference(test_images=names.reference_images(config)),
            samples=evaluation.SAMPLES if options.samples is None else options.samples,
            draws=draws,
            training_images=training,
            held_out_images=held_out,
            digits=digits,
            progress=lambda done, total: bar.update(done - bar.n),
        )
    result = scored.to_dict() | {"verdicts": [v.kind for v in scored.verdicts()]}
    return result, "\n".join([options.model, *score_lines(scored)])


def _evaluate_modes(
    options: argparse.Namespace, config: TrainConfig, generator: dcgan.Generator
) -> tuple[Any, str]:
    """The modes of stacked digits: of the model, of a perfect sampler, and as published of others."""
    if config.model.img_channels != digit_modes.CHANNELS:
        raise ConfigError(
            f"{options.model} was trained on {config.source}, pictures of {config.model.img_channels} "
            "channel: it has no modes to count; leave out --stacked, or name a model of --source stacked"
        )
    if options.draws is not None or options.copies:
        raise ConfigError(
            "--stacked is one draw without a copy check; leave out --draws and --copies"
        )
    samples = digit_modes.SAMPLES if options.samples is None else options.samples
    base, unseen = sources.load_singles(config.source, seed=config.data_seed)
    assert base.labels is not None
    classifier = digit_classifier.load_classifier()
    with tqdm(total=2 * samples, unit="sample", disable=None) as bar:
        found = evaluation.evaluate_modes(
            generator,
            config.model.latent_dim,
            classifier,
            mode_probabilities(base.labels),
            samples,
            progress=lambda done, _: bar.update(done - bar.n),
        )
        real = of_real_digits(
            classifier, unseen, samples, progress=lambda done, _: bar.update(samples + done - bar.n)
        )
    accuracy = digit_classifier.provenance()["accuracy"]
    result = {
        "model": options.model,
        **asdict(found),
        "noise_floor": found.floor,
        "real": asdict(real),
        "classifier_accuracy": accuracy,
        "published": [row._asdict() for row in digit_modes.PUBLISHED],
    }
    lines = [
        f"{options.model}: stacked digits of {config.source}, {samples:,} samples in one draw",
        f"  {'':22} modes of 1,000     KL  read with 0.9 confidence",
        f"  {'this model':22} {found.modes:14,} {found.kl:6.4f}  {found.legible:.1%}",
        f"  {'real test digits':22} {real.modes:14,} {real.kl:6.4f}  {real.legible:.1%}",
        f"  a perfect sampler's KL is about {found.floor:.4f} at this number of samples; the classifier reads "
        f"{accuracy:.2%} of single test digits right",
        "published (other networks, training and classifiers: a place on the map, not a race):",
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
            f"  modes      {modes.modes:,} of {digit_modes.MODES:,}, KL {modes.kl:.3f} (about {modes.floor:.4f} "
            f"of a perfect sampler) in {modes.n:,} samples; what follows is of single digits"
        )
    for verdict in diagnose(scored.measures()):
        words = verdict.words()
        lines += [f"  => {words.title}: {words.seen} {words.measured} {words.meaning}"]
    return lines


def classifier(options: argparse.Namespace) -> tuple[Any, str]:
    training, test = sources.load("mnist"), sources.load_held_out("mnist")
    lent = sources.load_held_out("mnist", mnist.FULL_SIZE + 1)  # the half that is never trained on
    assert test.labels is not None
    if options.statistics_only:
        classifier = digit_classifier.load_classifier(options.name, options.out)
        info = digit_classifier.provenance(options.name, options.out)
    else:
        classifier, info = _train_classifier(options, training, test)
    references = [make_reference(classifier, images) for images in (test.images, lent.images)]
    reading = read(classifier, test.images)
    info |= {
        "accuracy": float((reading.digit == test.labels).double().mean()),
        "legible_real": sum(references[0].counts) / references[0].n,
        "legible_junk": legible_junk(classifier, test.images, test.labels),
    }
    save(classifier, references, info, options.name, options.out)
    path = options.out / f"{options.name}.safetensors"
    result = info | {"file": str(path), "bytes": path.stat().st_size}
    text = (
        f"{path}: {info['accuracy']:.2%} of 10,000 test digits right; read with 0.9 confidence: "
        f"{info['legible_real']:.1%} of them, {info['legible_junk']:.1%} of junk"
    )
    return result, text


def _train_classifier(
    options: argparse.Namespace, training: labelled.Labelled, test: labelled.Labelled
) -> tuple[Classifier, dict[str, Any]]:
    """The classifier, rounded to what its file will hold, and where it comes from."""
    assert training.labels is not None and test.labels is not None
    width, seed = digit_classifier.CLASSIFIERS[options.name]
    started = time.monotonic()
    classifier = make_classifier(width, seed)
    with tqdm(total=options.epochs, unit="epoch", disable=None) as bar:
        for progress in train(
            classifier,
            training.images,
            training.labels,
            test.images,
            test.labels,
            epochs=options.epochs,
            seed=seed,
        ):
            bar.update(1)
            bar.set_postfix(loss=f"{progress.loss:.3f}", accuracy=f"{progress.accuracy:.2%}")
    info = {
        "seed": seed,
        "epochs": options.epochs,
        "seconds": round(time.monotonic() - started, 1),
        "device": devices.describe_device(torch.device("cpu")),
        "command": " ".join(manifest.this_command()),
        "torch": torch.__version__,
    }
    return rounded(classifier), info
