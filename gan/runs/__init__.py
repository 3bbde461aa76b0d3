"""One training run as a folder on disk."""

from gan.runs.entries import Evidence, Manifest, ManifestEntry
from gan.runs.manifest import is_finished
from gan.runs.monitor import Moment
from gan.runs.names import run_name
from gan.runs.run import Progress, run_folder, run_together

__all__ = [
    "Evidence",
    "Manifest",
    "ManifestEntry",
    "Moment",
    "Progress",
    "is_finished",
    "run_folder",
    "run_name",
    "run_together",
]
