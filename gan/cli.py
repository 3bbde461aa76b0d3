"""The command line: ``python -m gan train | evaluate | judge | zoo | export | sweep | jobs | bench``.

Results go to standard output (as one JSON value with ``--json``), progress and errors to standard
error. Exit code 0: done; 1: a `GanError`, told in one line; 130: interrupted, nothing lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from tqdm import tqdm

from gan import (
    bench,
    bench_pad,
    bench_watch,
    bundle,
    checkpoint,
    data,
    estimate,
    evaluation,
    job,
    jobs,
    judge,
    models,
    run,
    site,
    speed,
    stacked,
    studio,
    sweep,
    trainer,
    worker,
    zoo,
)
from gan.checkpoint import without_nan as _without_nan
from gan.collapse import diagnose
from gan.config import (
    BUDGETS,
    LOSSES,
    RECIPES,
    Budget,
    TrainConfig,
    has_digits,
    recipe_config,
    source_channels,
)
from gan.errors import ConfigError, GanError, TrainingError

#: The options of ``train`` that make up a configuration.
_SETTINGS = (
    "source",
    "size",
    "budget",
    "epochs",
    "updates",
    "recipe",
    "loss",
    "seed",
    "data_seed",
    "img_size",
)

_ORDER_SECONDS = 10.0  # until an order to a job should have been obeyed

#: What the verbs of ``zoo`` take that make a model one file, and a file a model.
_CARRIES = {"export": ("NAME", "FILE"), "import": ("FILE",)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if not hasattr(options, "names") or any(word.startswith("-") for word in rest):
        parser.parse_args(arguments)  # ends with what it does not know
    elif rest:  # argparse stops to take names at the first option between them
        options.names += rest
    torch.set_flush_denormal(True)  # denormal numbers make a collapsed run many times slower
    if getattr(options, "threads", None):
        torch.set_num_threads(options.threads)
    # a termination ends like Ctrl-C: whoever started children ends them too
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result, text = options.action(options)
    except GanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    print(json.dumps(_without_nan(result)) if options.json else text)
    return int(bool(isinstance(result, dict) and result.get("failed")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gan", description="How much data does a GAN need?"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, action: Callable[[argparse.Namespace], tuple[Any, str]], text: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(action=action)
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
        return sub

    train = command("train", _train, "Train one GAN, or go on with an interrupted run.")
    train.add_argument(
        "--source", help="mnist (default), stacked, stacked:BASE, drawn or folder:PATH"
    )
    train.add_argument(
        "--size", type=_size, help="images: 600, or a share: 1%% (default 600; of stacked 128,000)"
    )
    train.add_argument("--budget", choices=BUDGETS, help="default updates")
    train.add_argument("--epochs", type=int, help="passes over the data (default 20)")
    train.add_argument("--updates", type=int, help="optimizer steps (default 6000)")
    train.add_argument("--recipe", choices=sorted(RECIPES), help="default plain")
    train.add_argument("--loss", choices=LOSSES, help="default logistic")
    train.add_argument("--seed", type=int, help="default 0")
    train.add_argument("--data-seed", type=int, help="which images make up the subset (default 0)")
    train.add_argument(
        "--img-size",
        type=int,
        help="side in pixels, a multiple of 4 from 16 to 64; only of folder:PATH (default 28)",
    )
    train.add_argument(
        "--config",
        type=Path,
        nargs="+",
        help="a JSON file with all of these and more, instead of them; several: runs trained as one",
    )
    train.add_argument(
        "--out", type=Path, nargs="+", help="folder of each run (default runs/<name of the run>)"
    )
    train.add_argument(
        "--parent", type=_count, help="stop, and keep what was done, when that process is gone"
    )
    _device_options(train)
    train.add_argument(
        "--precision",
        choices=("auto", *trainer.PRECISIONS),
        default="auto",
        help="of the matrix products; auto: bfloat16 where the device is made for it",
    )

    score = command("evaluate", _evaluate, "Score a model of the zoo, or a model file.")
    score.add_argument("model", help="a name from `zoo list`, or a .safetensors file")
    score.add_argument("--samples", type=int, help="default 2,000; with --stacked 26,000")
    score.add_argument("--draws", type=int, help=f"default {evaluation.DRAWS}")
    score.add_argument("--copies", action="store_true", help="also the copy check; needs the data")
    score.add_argument(
        "--stacked",
        action="store_true",
        help="instead count the modes of a model of stacked digits; needs MNIST",
    )
    score.add_argument("--threads", type=_count, help="CPU threads")

    teach = command("judge", _judge, "Train the digit classifier that scores; needs MNIST.")
    teach.add_argument("--name", choices=sorted(judge.JUDGES), default="judge")
    teach.add_argument("--epochs", type=_count, default=judge.EPOCHS)
    teach.add_argument("--out", type=Path, default=judge.PRETRAINED, help="folder")
    teach.add_argument(
        "--statistics-only", action="store_true", help="keep the weights, measure the data anew"
    )
    teach.add_argument("--threads", type=_count, help="CPU threads")

    zoo_parser = command("zoo", _zoo, "List, check or rebuild the pretrained models.")
    zoo_parser.add_argument(
        "verb",
        choices=("list", "verify", "build", "score", *_CARRIES),
        help="score: measure finished runs anew, after the judge or a measure has changed; "
        "export NAME FILE: a model as one file; import FILE: into runs/",
    )
    zoo_parser.add_argument("names", nargs="*", metavar="NAME FILE", help="of export and import")
    zoo_parser.add_argument("--markdown", action="store_true", help="list as the README's table")
    zoo_parser.add_argument("--source", default="mnist")
    zoo_parser.add_argument("--sizes", type=_size, nargs="+", default=list(zoo.ZOO_SIZES))
    zoo_parser.add_argument("--budgets", choices=BUDGETS, nargs="+", default=list(BUDGETS))
    zoo_parser.add_argument(
        "--recipes", choices=sorted(RECIPES), nargs="+", default=list(zoo.ZOO_RECIPES)
    )
    zoo_parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    zoo_parser.add_argument("--updates", type=int, help="for the updates budget (default 6000)")
    zoo_parser.add_argument("--work", type=Path, default=Path("runs/zoo"), help="where runs lie")
    zoo_parser.add_argument("--out", type=Path, default=judge.PRETRAINED, help="the zoo's folder")
    zoo_parser.add_argument("--workers", type=_count, default=1, help="runs side by side")
    _device_options(zoo_parser)

    plain = command(
        "export",
        _export,
        "Write the page that needs no server: pad, wall, film and figures in a folder of plain files, for a web "
        "host or a USB stick.",
    )
    plain.add_argument("what", choices=("site",))
    plain.add_argument("folder", type=Path, metavar="DIR", help="new, or of an earlier export")
    plain.add_argument(
        "--sizes", type=_sizes, help="amounts of data to compare: 200,600,6000 (default all)"
    )
    plain.add_argument("--recipes", type=_listed, help="plain,rescue (default all)")
    plain.add_argument("--budgets", type=_listed, help="epochs,updates (default all)")
    plain.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="also a model of one's own, from `zoo list`, as a choice by itself; may be repeated",
    )

    many = command("sweep", _sweep, "Train every combination of settings in a file, and tabulate.")
    many.add_argument("file", type=Path, metavar="FILE", help="like docs/sweeps/example.toml")
    many.add_argument("--work", type=Path, help="folder (default runs/sweeps/<name>)")
    many.add_argument("--workers", type=_count, help="runs side by side (default: one a core)")
    _device_options(many)
    many.add_argument(
        "--together", type=_count, help="runs trained as one (default 1 on the CPU, else 16)"
    )
    many.add_argument("--on", choices=sweep.PLACES, default="local", help="here, or as Ray tasks")
    many.add_argument("--address", help="of a running Ray; without it one is started here")

    turn = command("work", _work, "Train a job of the app; the app itself starts this.")
    turn.add_argument("folder", type=Path, help="of the job, below runs/")
    turn.add_argument("--lock", type=int, help="descriptor that has the worker's lock already")
    _device_options(turn)

    told = command("jobs", _jobs, "List the app's trainings, or tell one what to do.")
    told.add_argument("verb", choices=("list", "pause", "stop", "remove"))
    told.add_argument("id", nargs="?", help="name of the job; not with list")

    timing = command(
        "bench",
        _bench,
        "Measure how fast the app answers, how fast its latent pad draws and how a training is watched in a real "
        "browser, training against the textbook loop, or one update.",
    )
    timing.add_argument("what", choices=("app", "pad", "watch", "train", "update"))
    timing.add_argument("--rounds", type=_count, default=5, help="what the medians are taken over")
    timing.add_argument(
        "--seconds",
        type=float,
        help="watch: how long each state is watched (default 30); pad: a drag (3)",
    )
    timing.add_argument("--updates", type=_count, default=100, help="train: updates a round")
    timing.add_argument("--no-example", action="store_true", help="train: not the 64 x 64 example")
    timing.add_argument(
        "--source",
        choices=("mnist", "drawn"),
        help="train: default what is there; watch: default drawn",
    )
    timing.add_argument("--device", default="auto", help="train, update: auto, cuda, mps or cpu")
    timing.add_argument("--precision", choices=("auto", *trainer.PRECISIONS), default="auto")
    timing.add_argument(
        "--threads", type=_count, help="train, update: CPU threads (default all cores)"
    )
    timing.add_argument(
        "--config", type=Path, help="update: a JSON file as of train (default the defaults)"
    )
    timing.add_argument("--book", type=Path, help="update: write the speed down in this file")
    return parser


def _device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--threads", type=_count, default=1, help="CPU threads a run (default 1)")


def _size(text: str) -> int:
    try:
        return data.parse_size(text)
    except GanError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _listed(text: str) -> list[str]:
    """ "plain,rescue" -> ["plain", "rescue"]."""
    return [part.strip() for part in text.split(",")]


def _sizes(text: str) -> list[int]:
    return [_size(part) for part in _listed(text)]


def _count(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


# --- train ---------------------------------------------------------------------------------


def _train(options: argparse.Namespace) -> tuple[Any, str]:
    configs, folders = _what_and_where(options)
    for folder in folders:
        if jobs.is_locked(folder / job.WORKER_LOCK):
            raise ConfigError(
                f"{folder} is being trained by the app; stop it there, or choose another folder with --out"
            )
    device = trainer.choose_device(options.device)
    how: dict[str, Any] = {"command": run.this_command(), "precision": options.precision}
    if len(configs) > 1:
        steps = run.run_together(configs, folders, device, **how)
    else:
        steps = _rows(run.noted(run.run(configs[0], folders[0], device, **how), folders[0]))
    total = sum(config.total_updates for config in configs)
    done: dict[int, int] = {}
    with (
        _polite_stop() as stop,
        contextlib.closing(steps),
        tqdm(total=total, unit="update", disable=None) as bar,
    ):
        for row in steps:
            if stop.is_set() or (options.parent and os.getppid() != options.parent):
                raise KeyboardInterrupt
            bar.update(sum(max(0, p.report.step - done.get(p.run, 0)) for p in row))
            done |= {p.run: p.report.step for p in row}
            last = row[0]
            bar.set_postfix(
                G=f"{float(last.report.g_loss[-1]):.2f}",
                D=f"{float(last.report.d_loss[-1]):.2f}",
                img_s=f"{sum(p.images_per_second for p in row):.0f}",
            )
    results, texts = zip(
        *(_trained(c, f) for c, f in zip(configs, folders, strict=True)), strict=True
    )
    if len(configs) > 1:
        return {"runs": list(results)}, "\n".join(texts)
    return results[0], texts[0]


def _rows(steps: Generator[run.Progress]) -> Generator[list[run.Progress]]:
    """Of a single run, what `run.run_together` gives of several."""
    with contextlib.closing(steps):
        for progress in steps:
            yield [progress]


def _trained(config: TrainConfig, folder: Path) -> tuple[dict[str, Any], str]:
    """What came out of a finished run."""
    cards = zoo.read_manifest(folder)
    lines = [f"{folder}: {config.total_updates:,} updates on {config.size:,} images"]
    if config.source.partition(":")[0] not in ("mnist", "stacked"):
        lines.append("judged against the handwriting of MNIST: of other pictures that says little")
    if not has_digits(config.source):
        lines.append("spread and contrast are against those of the training images")
    for card in cards:
        lines += [f"{card.snapshot} (update {card.step:,}):", *_score_lines(card.metrics)]
    result = {
        "folder": str(folder),
        "models": [
            {"name": c.name, "snapshot": c.snapshot, "evaluation": c.metrics.to_dict()}
            for c in cards
        ],
        "provenance": cards[0].provenance,
    }
    return result, "\n".join(lines)


def _what_and_where(options: argparse.Namespace) -> tuple[list[TrainConfig], list[Path]]:
    """The configurations that ``train`` was given (several only from files), and a folder for each."""
    given = {name: value for name in _SETTINGS if (value := getattr(options, name)) is not None}
    if options.config is None:
        stacks = source_channels(given.get("source", "mnist")) > 1
        size = {"size": data.STACKED_SIZE if stacks else 600}
        if "img_size" in given:
            given["model"] = {"img_size": given.pop("img_size")}
        config = recipe_config(given.pop("recipe", "plain"), **(size | given))
        configs, folders = [config], [zoo.run_folder(config, zoo.RUNS)]
    elif given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        files = " ".join(map(str, options.config))
        raise ConfigError(
            f"--config {files} is the whole configuration; leave {named} out, or change the file"
        )
    else:
        configs = [run.read_config(path) for path in options.config]
        folders = [sweep.run_folder(config, zoo.RUNS) for config in configs]
    if options.out is not None:
        folders = options.out
    if len(folders) != len(configs):
        raise ConfigError(
            f"--out names {len(folders)} folder(s) for {len(configs)} run(s); give each run one"
        )
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("two runs would share a folder; give each its own with --out")
    return configs, folders


@contextlib.contextmanager
def _polite_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a termination sets, so that the update under way is finished and kept
    instead of torn. A second Ctrl-C does not wait."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- evaluate ------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace) -> tuple[Any, str]:
    path = Path(options.model)
    if path.suffix == ".safetensors":
        config = run.model_config(path)
        generator, _ = run.load_model(path)
    else:
        card = zoo.find(options.model, zoo.list_models())
        config, generator = card.config, zoo.open_model(card).generator
    if options.stacked:
        return _evaluate_modes(options, config, generator)
    draws = evaluation.DRAWS if options.draws is None else options.draws
    training = held_out = None
    digits = has_digits(config.source)
    if options.copies or not digits:  # other pictures are measured against their training images
        side = config.model.img_size
        singles = data.load_singles(config.source, config.size, config.data_seed, side)
        training, held_out = (part.images for part in singles)
    with tqdm(total=draws, unit="draw", disable=None) as bar:
        scored = evaluation.evaluate(
            generator,
            config.model.latent_dim,
            judge.load(),
            judge.reference(test_images=run.reference_images(config)),
            samples=evaluation.SAMPLES if options.samples is None else options.samples,
            draws=draws,
            training_images=training,
            held_out_images=held_out,
            digits=digits,
            progress=lambda done, total: bar.update(done - bar.n),
        )
    result = scored.to_dict() | {"verdicts": [v.kind for v in scored.verdicts()]}
    return result, "\n".join([options.model, *_score_lines(scored)])


def _evaluate_modes(
    options: argparse.Namespace, config: TrainConfig, generator: models.Generator
) -> tuple[Any, str]:
    """The modes of stacked digits: of the model, of a perfect sampler, and as published of others."""
    if config.model.img_channels != stacked.CHANNELS:
        raise ConfigError(
            f"{options.model} was trained on {config.source}, pictures of {config.model.img_channels} "
            "channel: it has no modes to count; leave out --stacked, or name a model of --source stacked"
        )
    if options.draws is not None or options.copies:
        raise ConfigError(
            "--stacked is one draw without a copy check; leave out --draws and --copies"
        )
    samples = stacked.SAMPLES if options.samples is None else options.samples
    base, unseen = data.load_singles(config.source, seed=config.data_seed)
    assert base.labels is not None
    classifier = judge.load()
    with tqdm(total=2 * samples, unit="sample", disable=None) as bar:
        found = evaluation.evaluate_modes(
            generator,
            config.model.latent_dim,
            classifier,
            stacked.mode_probabilities(base.labels),
            samples,
            progress=lambda done, _: bar.update(done - bar.n),
        )
        real = stacked.of_real_digits(
            classifier, unseen, samples, progress=lambda done, _: bar.update(samples + done - bar.n)
        )
    accuracy = judge.provenance()["accuracy"]
    result = {
        "model": options.model,
        **asdict(found),
        "noise_floor": found.floor,
        "real": asdict(real),
        "judge_accuracy": accuracy,
        "published": [row._asdict() for row in stacked.PUBLISHED],
    }
    lines = [
        f"{options.model}: stacked digits of {config.source}, {samples:,} samples in one draw",
        f"  {'':22} modes of 1,000     KL  read with 0.9 confidence",
        f"  {'this model':22} {found.modes:14,} {found.kl:6.4f}  {found.legible:.1%}",
        f"  {'real test digits':22} {real.modes:14,} {real.kl:6.4f}  {real.legible:.1%}",
        f"  a perfect sampler's KL is about {found.floor:.4f} at this number of samples; the judge reads "
        f"{accuracy:.2%} of single test digits right",
        "published (other networks, training and classifiers: a place on the map, not a race):",
        *(f"  {r.method:22} {r.modes:14,g} {r.kl:6.3g}  {r.source}" for r in stacked.PUBLISHED),
    ]
    return result, "\n".join(lines)


def _score_lines(scored: evaluation.Evaluation) -> list[str]:
    """For people: each figure with its spread, then the verdicts in words."""
    figure = scored.figures["legible"]
    lines = [
        f"  judge {scored.judge!r} against {scored.reference}, {figure.draws} draws of {figure.n:,}",
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
            f"  modes      {modes.modes:,} of {stacked.MODES:,}, KL {modes.kl:.3f} (about {modes.floor:.4f} "
            f"of a perfect sampler) in {modes.n:,} samples; what follows is of single digits"
        )
    for verdict in diagnose(scored.measures()):
        words = verdict.words()
        lines += [f"  => {words.title}: {words.seen} {words.measured} {words.meaning}"]
    return lines


# --- judge ---------------------------------------------------------------------------------


def _judge(options: argparse.Namespace) -> tuple[Any, str]:
    training, test = data.load("mnist"), data.load_held_out("mnist")
    lent = data.load_held_out("mnist", data.FULL_SIZE + 1)  # the half that is never trained on
    assert test.labels is not None
    if options.statistics_only:
        classifier = judge.load(options.name, options.out)
        info = judge.provenance(options.name, options.out)
    else:
        classifier, info = _train_judge(options, training, test)
    references = [judge.make_reference(classifier, images) for images in (test.images, lent.images)]
    reading = judge.read(classifier, test.images)
    info |= {
        "accuracy": float((reading.digit == test.labels).double().mean()),
        "legible_real": sum(references[0].counts) / references[0].n,
        "legible_junk": judge.legible_junk(classifier, test.images, test.labels),
    }
    judge.save(classifier, references, info, options.name, options.out)
    path = options.out / f"{options.name}.safetensors"
    result = info | {"file": str(path), "bytes": path.stat().st_size}
    text = (
        f"{path}: {info['accuracy']:.2%} of 10,000 test digits right; read with 0.9 confidence: "
        f"{info['legible_real']:.1%} of them, {info['legible_junk']:.1%} of junk"
    )
    return result, text


def _train_judge(
    options: argparse.Namespace, training: data.Labelled, test: data.Labelled
) -> tuple[judge.Judge, dict[str, Any]]:
    """The classifier, rounded to what its file will hold, and where it comes from."""
    assert training.labels is not None and test.labels is not None
    width, seed = judge.JUDGES[options.name]
    started = time.monotonic()
    classifier = judge.make(width, seed)
    with tqdm(total=options.epochs, unit="epoch", disable=None) as bar:
        for progress in judge.train(
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
        "device": trainer.describe_device(torch.device("cpu")),
        "command": " ".join(run.this_command()),
        "torch": torch.__version__,
    }
    return judge.rounded(classifier), info


# --- zoo -----------------------------------------------------------------------------------


def _zoo(options: argparse.Namespace) -> tuple[Any, str]:
    taken = _CARRIES.get(options.verb, ())
    if len(options.names) != len(taken):
        raise ConfigError(
            f"zoo {options.verb} takes {' and '.join(taken) or 'no name and no file'}, not "
            f"{' '.join(options.names) or 'nothing'}; write: "
            f"python -m gan zoo {' '.join((options.verb, *taken))}"
        )
    if options.verb == "export":
        return _zoo_export(options)
    if options.verb == "import":
        card = bundle.install(bundle.read_file(Path(options.names[0])), zoo.RUNS)
        folder = str(card.path.parent)
        result = {**_card_row(card), "folder": folder}
        told = (
            f"{card.provenance['imported_name']} is in {folder}; its figures are what the file says"
        )
        return result, f"{told}\n{_card_line(card)}"
    if options.verb == "list":
        cards = zoo.list_models(options.out)
        if options.markdown:
            table = markdown_table(zoo.read_manifest(options.out))
            return table, table
        lines = [_card_line(c) for c in cards]
        absent = [f"{recipe} {size:,} {budget}" for recipe, size, budget in zoo.missing(cards)]
        if absent and options.out.resolve() == judge.PRETRAINED:
            lines.append(f"not trained: {', '.join(absent)}")
        return [_card_row(c) for c in cards], "\n".join(lines)
    if options.verb == "verify":
        complaints = zoo.verify(options.out)
        return {"failed": len(complaints), "complaints": complaints}, (
            "\n".join(complaints) or "every model is what the manifest says"
        )
    configs = zoo.plan(
        options.sizes,
        options.budgets,
        options.recipes,
        options.seeds,
        options.source,
        options.updates,
    )
    if options.verb == "score":
        scored = 0
        with tqdm(unit="run", disable=None) as bar:
            for built in zoo.score(configs, options.work, options.out):
                scored, bar.total = built.done, built.total
                bar.update(1)
        return {"scored": scored}, f"{scored} runs were scored anew into {options.out}"
    failed = []
    total = sum(config.total_updates for config in configs)
    with tqdm(total=total, unit="update", disable=None) as bar:
        for built in zoo.build(
            configs,
            options.work,
            options.out,
            options.workers,
            options.threads,
            options.device,
            on_progress=lambda done: bar.update(done - bar.n),
        ):
            bar.set_postfix_str(f"{built.done} of {built.total} runs, {built.name}")
            if built.error:
                failed.append(f"{built.name}: {built.error}")
                tqdm.write(failed[-1], file=sys.stderr)
    done = len(configs) - len(failed)
    text = f"{done} of {len(configs)} runs are in {options.out}"
    return {"done": done, "total": len(configs), "failed": failed}, "\n".join([text, *failed])


def _zoo_export(options: argparse.Namespace) -> tuple[Any, str]:
    name, path = options.names[0], Path(options.names[1])
    content = bundle.pack(zoo.find(name, zoo.list_models(options.out)))
    if path.exists() and (not path.is_file() or bundle.read_file(path) != content):
        raise ConfigError(f"{path} is there and is something else; name another file, or remove it")
    checkpoint.write_atomically(path, content)
    result = {"name": name, "file": str(path), "bytes": len(content)}
    return result, f"{name} is in {path}, {len(content):,} bytes"


def _card_row(card: zoo.ModelCard) -> dict[str, Any]:
    figures = {name: figure.value for name, figure in card.metrics.figures.items()}
    modes = card.metrics.modes
    return {
        "name": card.name,
        "size": card.size,
        "budget": card.budget,
        "recipe": card.recipe,
        "snapshot": card.snapshot,
        "step": card.step,
        "seed": card.seed,
        "seeds": card.seeds,
        "imported": zoo.is_imported(card),
        "verdicts": [v.kind for v in card.metrics.verdicts()],
        **figures,
        **({} if modes is None else {"modes": modes.modes, "kl": modes.kl}),
    }


def _card_line(card: zoo.ModelCard) -> str:
    row = _card_row(card)
    modes = f"modes {row['modes']}, KL {row['kl']:.3f}  " if "modes" in row else ""
    return (
        f"{card.name:38} update {card.step:6,}  {card.seeds} seed(s)  FD {row['fd']:7.2f}  "
        f"legible {row['legible']:6.1%}  coverage {row['coverage']:.2f}  {modes}{', '.join(row['verdicts'])}"
        f"{'  (imported)' if row['imported'] else ''}"
    )


def markdown_table(cards: Sequence[zoo.ModelCard]) -> str:
    """A table for each recipe, sizes by budgets, as the README shows them: legible share and FD over
    the seeds, verdict. A dash stands for a cell that was not trained."""
    shown = [c for c in cards if (c.source, c.snapshot) == ("mnist", "final")]
    tables = []
    for recipe in RECIPES:
        cells = {(c.size, c.budget): c for c in shown if c.recipe == recipe}
        if cells:
            tables.append(f"**{recipe}**\n\n{_markdown_sizes(cells)}")
    return "\n\n".join(tables)


def _markdown_sizes(cells: Mapping[tuple[int, Budget], zoo.ModelCard]) -> str:
    head = "| images | 20 epochs: updates | legible | FD | verdict "
    head += "| equal updates: legible | FD | verdict |"
    lines = [head, "|" + "---|" * 8]
    for size in sorted({size for size, _ in cells}, reverse=True):
        row = [f"{size:,} ({100 * size / data.FULL_SIZE:.3g} %)"]
        for budget in BUDGETS:
            card = cells.get((size, budget))
            if budget == "epochs":
                row.append(f"{card.step:,}" if card else "–")
            row += _markdown_cell(card) if card else ["–"] * 3
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def _markdown_cell(card: zoo.ModelCard) -> list[str]:
    legible = [row["legible"] for row in card.seed_rows]
    distance = [row["fd"] for row in card.seed_rows]
    titles = " + ".join(v.words().title.partition(" (")[0] for v in card.metrics.verdicts())
    return [_range(legible, "{:.1%}"), _range(distance, "{:.1f}"), titles.lower()]


def _range(values: Sequence[float], form: str) -> str:
    """ "84.1%" of one seed, "82.0% to 84.1% (n = 3)" of several, "0.0% (n = 3)" where they agree."""
    low, high = form.format(min(values)), form.format(max(values))
    shown = low if low == high else f"{low} to {high}"
    return shown if len(values) == 1 else f"{shown} (n = {len(values)})"


# --- export --------------------------------------------------------------------------------


def _export(options: argparse.Namespace) -> tuple[Any, str]:
    cards = site.select(zoo.list_models(runs=None), options.sizes, options.recipes, options.budgets)
    everything = zoo.list_models() if options.model else []
    own = [zoo.find(name, everything) for name in dict.fromkeys(options.model)]
    with tqdm(total=len(cards) + len(own), unit="model", disable=None) as bar:
        done = site.export(
            options.folder, cards, own, on_progress=lambda models, _: bar.update(models - bar.n)
        )
    index = (options.folder / site.INDEX).resolve()
    result = {"folder": str(options.folder), "index": str(index), **asdict(done)}
    text = (
        f"{options.folder}: {done.models} models, {done.files} files, {done.bytes / 1e6:.1f} MB "
        f"({done.written} written now)\n"
        f"open {index} in a browser, or put the whole folder on a web host or a stick"
    )
    return result, text


# --- sweep ---------------------------------------------------------------------------------


def _work(options: argparse.Namespace) -> tuple[Any, str]:
    code = worker.work(options.folder, options.device, options.threads, held=options.lock)
    if code:
        status = job.read_status(options.folder)
        raise TrainingError(status.message or f"{options.folder} could not be trained")
    state = job.read_status(options.folder).state
    return {"folder": str(options.folder), "state": state}, f"{options.folder}: {state}"


def _jobs(options: argparse.Namespace) -> tuple[Any, str]:
    """Of whoever runs the machine, who may tell every job what to do."""
    opened = studio.open_studio(zoo.RUNS, os.environ)
    if options.verb == "list":
        if options.id is not None:
            raise ConfigError(f"jobs list takes no name, got {options.id!r}; leave it out")
        rows = [
            {"id": v.job.id, "owner": v.job.owner, "ahead": v.ahead, **asdict(v.status)}
            for v in opened.views()
        ]
        lines = [
            f"{row['state']:9} {row['step']:>7,} of {row['total']:>7,}  {row['id']}  {row['message']}"
            for row in rows
        ]
        return rows, "\n".join(lines) or "no trainings"
    if options.id is None:
        raise ConfigError(f"jobs {options.verb} needs the name of a job; see: jobs list")
    getattr(opened, options.verb)(options.id, None)
    deadline = time.monotonic() + _ORDER_SECONDS
    done = {"pause": ("paused",), "stop": ("stopped",)}.get(options.verb, ())
    view = opened.view(options.id)
    while view is not None and view.status.active and done and view.status.state not in done:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
        view = opened.view(options.id)
    state = "removed" if view is None else view.status.state
    return {"id": options.id, "state": state}, f"{options.id}: {state}"


def _sweep(options: argparse.Namespace) -> tuple[Any, str]:
    plan = sweep.read(options.file)
    folder = options.work or zoo.RUNS / "sweeps" / plan.name
    failed = []
    total = sum(config.total_updates for config in plan.configs)
    with tqdm(total=total, unit="update", disable=None) as bar:
        ended = sweep.start(
            plan.configs,
            folder,
            options.workers,
            options.threads,
            options.device,
            options.on,
            options.address,
            options.together,
            on_progress=lambda updates: bar.update(updates - bar.n),
        )
        for built in ended:
            bar.set_postfix_str(f"{built.done} of {built.total} runs, {built.name}")
            if built.error:
                failed.append(f"{built.name}: {built.error}")
                tqdm.write(failed[-1], file=sys.stderr)
    done = len(plan.configs) - len(failed)
    results = folder / sweep.RESULTS
    text = f"{done} of {len(plan.configs)} runs are in {folder}, tabulated in {results.name}"
    result = {
        "name": plan.name,
        "folder": str(folder),
        "results": str(results),
        "done": done,
        "total": len(plan.configs),
        "failed": failed,
    }
    return result, "\n".join([text, *failed])


# --- bench ---------------------------------------------------------------------------------


def _bench(options: argparse.Namespace) -> tuple[Any, str]:
    if options.what == "train":
        device = trainer.choose_device(options.device)
        speeds = speed.train(
            device,
            options.precision,
            options.rounds,
            options.updates,
            0 if options.no_example else 3,
            options.source,
        )
        return speeds, speed.describe(speeds)
    if options.what == "update":
        return _bench_update(options)
    if options.what == "watch":
        seconds = 30.0 if options.seconds is None else options.seconds
        watched = bench_watch.watch(seconds, options.source or "drawn", options.rounds)
        return watched, bench_watch.describe(watched)
    if options.what == "pad":
        dragged = bench_pad.pad(options.rounds, 3.0 if options.seconds is None else options.seconds)
        return dragged, bench_pad.describe(dragged)
    result = bench.app(options.rounds)
    return result, bench.describe(result)


def _bench_update(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """What one update takes on a device, written down where a book is named."""
    config = TrainConfig() if options.config is None else run.read_config(options.config)
    device = trainer.choose_device(options.device)
    key = estimate.device_key(device, options.precision)
    seconds = estimate.measure(config, device, options.precision)
    if options.book is not None:
        estimate.record(options.book, key, config, seconds)
    result = {
        "seconds_per_update": seconds,
        "device": key,
        "batch": config.effective_batch,
        "operations_per_update": speed.operations_per_update(config),
        "book": None if options.book is None else str(options.book),
    }
    return result, f"{key}: {seconds * 1e3:.2f} ms an update of {config.effective_batch} images"
