"""The command line with small scores, as conftest.py makes them in the process of the tests. For tests that start
it as a process or as Ray tasks. ``SMALL_GAN_CLASSIFIERS`` is the folder of its classifiers."""

import os
import sys
from functools import partial
from pathlib import Path

from gan.cli import main
from gan.data import drawn
from gan.evaluation import classifier, evaluate
from gan.runs import manifest, monitor, run
from gan.sweeps import on_ray
from gan.system import processes


def shrink():
    if isinstance(manifest.evaluate, partial):  # done already: a Ray worker has a second task
        return
    classifiers = Path(os.environ["SMALL_GAN_CLASSIFIERS"])
    load, reference = classifier.load_classifier, classifier.load_reference
    drawn.DRAWN_HELD_OUT = 500  # for measures only, never trained on
    monitor.MONITOR_SAMPLES = 100
    manifest.evaluate = partial(evaluate.evaluate, samples=200, draws=2)
    run.run = partial(run.run, classifiers=classifiers)
    run.run_together = partial(run.run_together, classifiers=classifiers)
    classifier.load_classifier = lambda name="classifier", root=classifiers: load(name, root)
    classifier.load_reference = lambda name="classifier", test_images=10_000, root=classifiers: (
        reference(name, test_images, root)
    )


def train_run(*arguments):
    shrink()
    return on_ray.train_run(*arguments)


if __name__ == "__main__":
    shrink()
    processes.gan_command = lambda *arguments: [sys.executable, __file__, *arguments]
    on_ray.train_run = train_run
    sys.exit(main.main())
