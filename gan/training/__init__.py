"""The training loop, in memory."""

from gan.training.state import (
    TrainState,
    continue_from,
    load_checkpoint,
    new_state,
    save_checkpoint,
)
from gan.training.trainer import Report, train

__all__ = [
    "Report",
    "TrainState",
    "continue_from",
    "load_checkpoint",
    "new_state",
    "save_checkpoint",
    "train",
]
