"""The errors a user can meet.

Every message says what happened, names the value, and says what to try. ``assert`` is for
our own mistakes; these are for everything a user can cause or mend.
"""


class GanError(Exception):
    """Anything this package reports to its user."""


class ConfigError(GanError):
    """A setting, a name or a command line that cannot work."""


class DataError(GanError):
    """A data set that is missing, damaged, or smaller than asked for."""


class CheckpointError(GanError):
    """A weight file or checkpoint that is missing, altered, or belongs to something else."""


class TrainingError(GanError):
    """A training run that cannot go on, for example because a loss is no longer a number."""
