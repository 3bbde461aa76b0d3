"""The command line: ``python -m gan train | evaluate | classifier | zoo | export | sweep | jobs | bench``.

Results go to standard output (as one JSON value with ``--json``), progress and errors to standard
error. Exit code 0: done; 1: a `GanError`, told in one line; 130: interrupted, nothing lost.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from gan.cli import jobs, measure, zoo
from gan.cli import train as train_command
from gan.cli.options import count, device_options, listed, size, sizes
from gan.cli.score import classifier as train_classifier
from gan.cli.score import evaluate
from gan.cli.sweep import sweep
from gan.cli.train import work
from gan.config import BUDGETS, LOSSES, RECIPES
from gan.errors import GanError
from gan.evaluation import classifier
from gan.evaluation import evaluate as evaluation
from gan.sweeps import sweep as sweeping
from gan.system import devices
from gan.system.files import without_nan as _without_nan
from gan.zoo import compare


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

    train = command(
        "train", train_command.train, "Train one GAN, or go on with an interrupted run."
    )
    train.add_argument(
        "--source", help="mnist (default), stacked, stacked:BASE, drawn or folder:PATH"
    )
    train.add_argument(
        "--size", type=size, help="images: 600, or a share: 1%% (default 600; of stacked 128,000)"
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
        "--parent", type=count, help="stop, and keep what was done, when that process is gone"
    )
    device_options(train)
    train.add_argument(
        "--precision",
        choices=("auto", *devices.PRECISIONS),
        default="auto",
        help="of the matrix products; auto: bfloat16 where the device is made for it",
    )

    score = command("evaluate", evaluate, "Score a model of the zoo, or a model file.")
    score.add_argument("model", help="a name from `zoo list`, or a .safetensors file")
    score.add_argument("--samples", type=int, help="default 2,000; with --stacked 26,000")
    score.add_argument("--draws", type=int, help=f"default {evaluation.DRAWS}")
    score.add_argument("--copies", action="store_true", help="also the copy check; needs the data")
    score.add_argument(
        "--stacked",
        action="store_true",
        help="instead count the modes of a model of stacked digits; needs MNIST",
    )
    score.add_argument("--threads", type=count, help="CPU threads")

    teach = command(
        "classifier", train_classifier, "Train the digit classifier that scores; needs MNIST."
    )
    teach.add_argument("--name", choices=sorted(classifier.CLASSIFIERS), default="classifier")
    teach.add_argument("--epochs", type=count, default=classifier.EPOCHS)
    teach.add_argument("--out", type=Path, default=classifier.PRETRAINED, help="folder")
    teach.add_argument(
        "--statistics-only", action="store_true", help="keep the weights, measure the data anew"
    )
    teach.add_argument("--threads", type=count, help="CPU threads")

    zoo_parser = command("zoo", zoo.zoo, "List, check or rebuild the pretrained models.")
    zoo_parser.add_argument(
        "verb",
        choices=("list", "verify", "build", "score", *zoo.CARRIES),
        help="score: measure finished runs anew, after the classifier or a measure has changed; "
        "export NAME FILE: a model as one file; import FILE: into runs/",
    )
    zoo_parser.add_argument("names", nargs="*", metavar="NAME FILE", help="of export and import")
    zoo_parser.add_argument("--markdown", action="store_true", help="list as the README's table")
    zoo_parser.add_argument("--source", default="mnist")
    zoo_parser.add_argument("--sizes", type=size, nargs="+", default=list(compare.ZOO_SIZES))
    zoo_parser.add_argument("--budgets", choices=BUDGETS, nargs="+", default=list(BUDGETS))
    zoo_parser.add_argument(
        "--recipes", choices=sorted(RECIPES), nargs="+", default=list(compare.ZOO_RECIPES)
    )
    zoo_parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    zoo_parser.add_argument("--updates", type=int, help="for the updates budget (default 6000)")
    zoo_parser.add_argument("--work", type=Path, default=Path("runs/zoo"), help="where runs lie")
    zoo_parser.add_argument(
        "--out", type=Path, default=classifier.PRETRAINED, help="the zoo's folder"
    )
    zoo_parser.add_argument("--workers", type=count, default=1, help="runs side by side")
    device_options(zoo_parser)

    plain = command(
        "export",
        zoo.export,
        "Write the page that needs no server: pad, wall, film and figures in a folder of plain files, for a web "
        "host or a USB stick.",
    )
    plain.add_argument("what", choices=("site",))
    plain.add_argument("folder", type=Path, metavar="DIR", help="new, or of an earlier export")
    plain.add_argument(
        "--sizes", type=sizes, help="amounts of data to compare: 200,600,6000 (default all)"
    )
    plain.add_argument("--recipes", type=listed, help="plain,rescue (default all)")
    plain.add_argument("--budgets", type=listed, help="epochs,updates (default all)")
    plain.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="also a model of one's own, from `zoo list`, as a choice by itself; may be repeated",
    )

    many = command("sweep", sweep, "Train every combination of settings in a file, and tabulate.")
    many.add_argument("file", type=Path, metavar="FILE", help="like docs/sweeps/example.toml")
    many.add_argument("--work", type=Path, help="folder (default runs/sweeps/<name>)")
    many.add_argument("--workers", type=count, help="runs side by side (default: one a core)")
    device_options(many)
    many.add_argument(
        "--together", type=count, help="runs trained as one (default 1 on the CPU, else 16)"
    )
    many.add_argument(
        "--on", choices=sweeping.PLACES, default="local", help="here, or as Ray tasks"
    )
    many.add_argument("--address", help="of a running Ray; without it one is started here")

    turn = command("work", work, "Train a job of the app; the app itself starts this.")
    turn.add_argument("folder", type=Path, help="of the job, below runs/")
    turn.add_argument("--lock", type=int, help="descriptor that has the worker's lock already")
    device_options(turn)

    told = command("jobs", jobs.jobs, "List the app's trainings, or tell one what to do.")
    told.add_argument("verb", choices=("list", "pause", "stop", "remove"))
    told.add_argument("id", nargs="?", help="name of the job; not with list")

    timing = command(
        "bench",
        measure.bench,
        "Measure how fast the app answers, how fast its latent pad draws and how a training is watched in a real "
        "browser, training against the textbook loop, or one update.",
    )
    timing.add_argument("what", choices=("app", "pad", "watch", "train", "update"))
    timing.add_argument("--rounds", type=count, default=5, help="what the medians are taken over")
    timing.add_argument(
        "--seconds",
        type=float,
        help="watch: how long each state is watched (default 30); pad: a drag (3)",
    )
    timing.add_argument("--updates", type=count, default=100, help="train: updates a round")
    timing.add_argument("--no-example", action="store_true", help="train: not the 64 x 64 example")
    timing.add_argument(
        "--source",
        choices=("mnist", "drawn"),
        help="train: default what is there; watch: default drawn",
    )
    timing.add_argument("--device", default="auto", help="train, update: auto, cuda, mps or cpu")
    timing.add_argument("--precision", choices=("auto", *devices.PRECISIONS), default="auto")
    timing.add_argument(
        "--threads", type=count, help="train, update: CPU threads (default all cores)"
    )
    timing.add_argument(
        "--config", type=Path, help="update: a JSON file as of train (default the defaults)"
    )
    timing.add_argument("--book", type=Path, help="update: write the speed down in this file")
    return parser
