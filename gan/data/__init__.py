"""Sources of training images."""

from gan.data.labelled import Labelled
from gan.data.sources import load, load_held_out

__all__ = ["Labelled", "load", "load_held_out"]
