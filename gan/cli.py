"""The command line: ``python -m gan train | evaluate | judge | zoo | sweep | bench``.

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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from tqdm import tqdm

from gan import bench, data, evaluation, judge, run, speed, sweep, trainer, zoo
from gan.checkpoint import without_nan as _without_nan
from gan.collapse import diagnose
from gan.config import BUDGETS, RECIPES, TrainConfig, recipe_config
from gan.errors import ConfigError, GanError

#: The options of ``train`` that make up a configuration.
_SETTINGS = ("source", "size", "budget", "epochs", "updates", "recipe", "seed", "data_seed")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
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
    train.add_argument("--source", help="mnist (default), drawn or folder:PATH")
    train.add_argument("--size", type=_size, help="images: 600 (default), or a share: 1%%")
    train.add_argument("--budget", choices=BUDGETS, help="default updates")
    train.add_argument("--epochs", type=int, help="passes over the data (default 20)")
    train.add_argument("--updates", type=int, help="optimizer steps (default 6000)")
    train.add_argument("--recipe", choices=sorted(RECIPES), help="default plain")
    train.add_argument("--seed", type=int, help="default 0")
    train.add_argument("--data-seed", type=int, help="which images make up the subset (default 0)")
    train.add_argument(
        "--config", type=Path, help="a JSON file with all of these and more, instead of them"
    )
    train.add_argument("--out", type=Path, help="folder (default runs/<name of the run>)")
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
    score.add_argument("--samples", type=int, default=evaluation.SAMPLES)
    score.add_argument("--draws", type=int, default=evaluation.DRAWS)
    score.add_argument("--copies", action="store_true", help="also the copy check; needs the data")
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
        choices=("list", "verify", "build", "score"),
        help="score: measure finished runs anew, after the judge or a measure has changed",
    )
    zoo_parser.add_argument("--markdown", action="store_true", help="list as the README's table")
    zoo_parser.add_argument("--source", default="mnist")
    zoo_parser.add_argument("--sizes", type=_size, nargs="+", default=list(zoo.ZOO_SIZES))
    zoo_parser.add_argument("--budgets", choices=BUDGETS, nargs="+", default=list(BUDGETS))
    zoo_parser.add_argument("--recipes", choices=sorted(RECIPES), nargs="+", default=["plain"])
    zoo_parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    zoo_parser.add_argument("--updates", type=int, help="for the updates budget (default 6000)")
    zoo_parser.add_argument("--work", type=Path, default=Path("runs/zoo"), help="where runs lie")
    zoo_parser.add_argument("--out", type=Path, default=judge.PRETRAINED, help="the zoo's folder")
    zoo_parser.add_argument("--workers", type=_count, default=1, help="runs side by side")
    _device_options(zoo_parser)

    many = command("sweep", _sweep, "Train every combination of settings in a file, and tabulate.")
    many.add_argument("file", type=Path, metavar="FILE", help="like docs/sweeps/example.toml")
    many.add_argument("--work", type=Path, help="folder (default runs/sweeps/<name>)")
    many.add_argument("--workers", type=_count, help="runs side by side (default: one a core)")
    _device_options(many)
    many.add_argument("--on", choices=sweep.PLACES, default="local", help="here, or as Ray tasks")
    many.add_argument("--address", help="of a running Ray; without it one is started here")

    timing = command(
        "bench",
        _bench,
        "Measure how fast the app answers in a real browser, or training against the textbook loop.",
    )
    timing.add_argument("what", choices=("app", "train"))
    timing.add_argument("--rounds", type=_count, default=5, help="what the medians are taken over")
    timing.add_argument("--updates", type=_count, default=100, help="train: updates a round")
    timing.add_argument("--no-example", action="store_true", help="train: not the 64 x 64 example")
    timing.add_argument("--source", choices=("mnist", "drawn"), help="train: default what is there")
    timing.add_argument("--device", default="auto", help="train: auto, cuda, mps or cpu")
    timing.add_argument("--precision", choices=("auto", *trainer.PRECISIONS), default="auto")
    timing.add_argument("--threads", type=_count, help="train: CPU threads (default all cores)")
    return parser


def _device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--threads", type=_count, default=1, help="CPU threads a run (default 1)")


def _size(text: str) -> int:
    try:
        return data.parse_size(text)
    except GanError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


# --- train ---------------------------------------------------------------------------------


def _train(options: argparse.Namespace) -> tuple[Any, str]:
    config, folder = _what_and_where(options)
    device = trainer.choose_device(options.device)
    steps = run.run(config, folder, device, command=run.this_command(), precision=options.precision)
    steps = run.noted(steps, folder)
    with (
        _polite_stop() as stop,
        contextlib.closing(steps),
        tqdm(total=config.total_updates, unit="update", disable=None) as bar,
    ):
        for progress in steps:
            if stop.is_set() or (options.parent and os.getppid() != options.parent):
                raise KeyboardInterrupt
            report = progress.report
            bar.update(report.step - bar.n)
            bar.set_postfix(
                G=f"{float(report.g_loss[-1]):.2f}",
                D=f"{float(report.d_loss[-1]):.2f}",
                img_s=f"{progress.images_per_second:.0f}",
            )
    cards = zoo.read_manifest(folder)
    lines = [f"{folder}: {config.total_updates:,} updates on {config.size:,} images"]
    if config.source != "mnist":
        lines.append("judged against the handwriting of MNIST: of other pictures that says little")
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


def _what_and_where(options: argparse.Namespace) -> tuple[TrainConfig, Path]:
    """The configuration that ``train`` was given, and the folder of its run."""
    given = {name: value for name in _SETTINGS if (value := getattr(options, name)) is not None}
    if options.config is None:
        config = recipe_config(given.pop("recipe", "plain"), **{"size": 600, **given})
        return config, options.out or zoo.run_folder(config, zoo.RUNS)
    if given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(
            f"--config {options.config} is the whole configuration; leave {named} out, or change the file"
        )
    config = run.read_config(options.config)
    return config, options.out or sweep.run_folder(config, zoo.RUNS)


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
    training = held_out = None
    if options.copies:
        training = data.load(config.source, config.size, config.data_seed).images
        held_out = data.load_held_out(config.source, config.size, config.data_seed).images
    with tqdm(total=options.draws, unit="draw", disable=None) as bar:
        scored = evaluation.evaluate(
            generator,
            config.model.latent_dim,
            judge.load(),
            judge.reference(test_images=run.reference_images(config)),
            samples=options.samples,
            draws=options.draws,
            training_images=training,
            held_out_images=held_out,
            progress=lambda done, total: bar.update(done - bar.n),
        )
    result = scored.to_dict() | {"verdicts": [v.kind for v in scored.verdicts()]}
    return result, "\n".join([options.model, *_score_lines(scored)])


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
    if options.verb == "list":
        cards = zoo.list_models(options.out)
        if options.markdown:
            table = markdown_table(zoo.read_manifest(options.out))
            return table, table
        return [_card_row(c) for c in cards], "\n".join(_card_line(c) for c in cards)
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


def _card_row(card: zoo.ModelCard) -> dict[str, Any]:
    figures = {name: figure.value for name, figure in card.metrics.figures.items()}
    return {
        "name": card.name,
        "size": card.size,
        "budget": card.budget,
        "recipe": card.recipe,
        "snapshot": card.snapshot,
        "step": card.step,
        "seed": card.seed,
        "seeds": card.seeds,
        "verdicts": [v.kind for v in card.metrics.verdicts()],
        **figures,
    }


def _card_line(card: zoo.ModelCard) -> str:
    row = _card_row(card)
    return (
        f"{card.name:38} update {card.step:6,}  {card.seeds} seed(s)  FD {row['fd']:7.2f}  "
        f"legible {row['legible']:6.1%}  coverage {row['coverage']:.2f}  {', '.join(row['verdicts'])}"
    )


def markdown_table(cards: Sequence[zoo.ModelCard]) -> str:
    """Sizes by budgets, as the README shows them: legible share and FD over the seeds, verdict."""
    shown = [c for c in cards if (c.source, c.recipe, c.snapshot) == ("mnist", "plain", "final")]
    cells = {(c.size, c.budget): c for c in shown}
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


# --- sweep ---------------------------------------------------------------------------------


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
        blocks = max(1, round(options.updates / trainer.BLOCK))
        speeds = speed.train(
            device,
            options.precision,
            options.rounds,
            blocks * trainer.BLOCK,
            0 if options.no_example else 3,
            options.source,
        )
        return speeds, speed.describe(speeds)
    result = bench.app(options.rounds)
    return result, bench.describe(result)
