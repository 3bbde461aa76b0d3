"""The app's trainings, as the pages and the command line use them.

A `Service` keeps nothing that is not on the disk (`gan.jobs.folder`). So a reload, another tab, a cleared cache,
a hot reload and a restarted server find every job as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan.data import uploads
from gan.errors import ConfigError
from gan.jobs.limits import UPLOADS, Limits, limits_from
from gan.jobs.orders import Orders
from gan.jobs.queries import Queries
from gan.jobs.ray_runner import RayRunner
from gan.jobs.runner import LocalRunner, Runner
from gan.jobs.storage import Storage
from gan.jobs.supervisor import Supervisor
from gan.zoo import bundle, cards


def open_service(runs: Path, environment: Mapping[str, str]) -> Service:
    """The service that the environment describes: limits as `limits_from` reads them, and with
    ``GAN_RUNNER=ray`` (default ``local``) workers on a Ray cluster (`gan.jobs.ray_runner`)."""
    runner = environment.get("GAN_RUNNER", "").strip().lower() or "local"
    if runner not in ("local", "ray"):
        raise ConfigError(f"GAN_RUNNER={runner!r} must be local or ray")
    limits = limits_from(environment)
    if runner == "local":
        return Service(runs, limits)
    return Service(runs, limits, RayRunner(environment.get("RAY_ADDRESS") or None, limits.slots))


class Service:
    """All jobs below the folder ``runs``: ``queries`` about them, and ``orders`` to them."""

    def __init__(
        self,
        runs: Path = cards.RUNS,
        limits: Limits | None = None,
        runner: Runner | None = None,
    ) -> None:
        self.runs = Path(runs)
        self.limits = limits or Limits()
        self.runner = runner or LocalRunner()
        self._supervisor = Supervisor(self.runs, self.limits, self.runner)
        self._storage = Storage(self.runs, self.limits, self._supervisor.table)
        shared = (self.runs, self.limits, self.runner, self._supervisor)
        self.queries = Queries(*shared)
        self.orders = Orders(*shared, self._storage, self.queries)
        self._importing = threading.Lock()  # one at a time: decoding images takes memory

    def attach(self, every: float = 0.0) -> int:
        """Supervises every job that needs it and has no supervisor; returns how many. Call it when a server
        starts and then now and again, because other servers may end. Does nothing if the last call was less
        than ``every`` seconds ago."""
        return self._supervisor.attach(every)

    def save_upload(self, files: Sequence[tuple[str, bytes]]) -> uploads.Kept:
        """Stores a visitor's images (`gan.data.uploads.keep`)."""
        with self._importing:
            limits = uploads.Limits()
            self._storage.make_room_for_uploads(limits.root_bytes - limits.uploaded_bytes)
            return uploads.keep(files, self.runs / UPLOADS, limits)

    def import_model(self, content: bytes) -> cards.ModelCard:
        """Installs a model that was exported elsewhere (`gan.zoo.bundle.install`)."""
        with self._importing:
            self._storage.make_room_for_imports()
            return bundle.install(content, self.runs)
