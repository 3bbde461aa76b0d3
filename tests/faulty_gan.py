"""small_gan with a fault, for tests of how a job ends. ``FAULT`` is the kind, ``FAULT_STEP`` the number of
updates before it."""

import errno
import os
import sys
import time

from gan.cli import main
from gan.errors import CheckpointError
from gan.networks import losses
from gan.system import files
from gan.training import trainer


def break_it(fault, step):
    report = trainer.report

    def afterwards(state, record, held_out):
        if state.step >= step:
            at_the_step()
        return report(state, record, held_out)

    def at_the_step():
        if fault == "crash":
            raise ValueError("something nobody thought of")
        if fault == "hang":
            time.sleep(600)
        if fault == "memory":
            hold_all_memory()
        if fault == "disk":
            files.write_atomically = full
            files.append_line = full

    def full(path, *rest, **more):
        no_space = OSError(errno.ENOSPC, "No space left on device")
        raise CheckpointError(f"{path} could not be written ({no_space})") from no_space

    def hold_all_memory():
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 10_000_000, resource.RLIM_INFINITY))
        import torch

        torch.ones(100_000_000)

    if fault == "nan":
        plain, calls = losses.generator_loss, []

        def generator_loss(*args):
            calls.append(1)
            return plain(*args) * (float("nan") if len(calls) >= step else 1.0)

        losses.generator_loss = generator_loss
    else:
        trainer.report = afterwards


if __name__ == "__main__":
    from small_gan import shrink

    shrink()
    if os.environ.get("FAULT"):
        break_it(os.environ["FAULT"], int(os.environ.get("FAULT_STEP", "6")))
    sys.exit(main.main())
