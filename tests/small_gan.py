"""The command line with the small scores that conftest gives to the tests' own process: for tests
that start it as a process, or as tasks. ``SMALL_GAN_JUDGES`` names the folder of its judges."""

import os
import sys
from functools import partial
from pathlib import Path


def shrink():
    from gan import data, evaluation, judge, run, worker

    if isinstance(run.evaluate, partial):  # a worker has a second task
        return
    judges = Path(os.environ["SMALL_GAN_JUDGES"])
    load, reference = judge.load, judge.reference
    data._DRAWN_HELD_OUT = 500  # looked at, never trained on
    run.MONITOR_SAMPLES = 100
    run.evaluate = partial(evaluation.evaluate, samples=200, draws=2)
    run.run = partial(run.run, judges=judges)
    run.run_together = partial(run.run_together, judges=judges)
    worker.work = partial(worker.work, judges=judges)
    judge.load = lambda name="judge", root=judges: load(name, root)
    judge.reference = lambda name="judge", test_images=10_000, root=judges: reference(
        name, test_images, root
    )


def train_run(*arguments):
    shrink()
    from gan import cluster

    return cluster.train_run(*arguments)


if __name__ == "__main__":
    from gan import cli, cluster, jobs

    shrink()
    jobs.gan_command = lambda *arguments: [sys.executable, __file__, *arguments]
    cluster.train_run = train_run
    sys.exit(cli.main())
