"""The table of a sweep: one JSON line per finished run."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from gan.errors import CheckpointError
from gan.runs import manifest as run_manifest
from gan.system import files
from gan.zoo.cards import ModelCard, read_manifest

RESULTS = "results.jsonl"


class Results:
    """``results.jsonl`` in the folder of a sweep: one line of JSON for every finished run below it.

    A row has ``folder`` (the name of the run's folder, which is unique), ``config``, ``final`` and ``best``
    (null if the best moment was not clearly better than the end), ``seconds`` of training and
    ``provenance``. ``final`` and ``best`` have their ``step``, ``figures`` ({name: {value, spread, n, draws}}),
    ``verdicts``, and the protocol of the measurement.

    Opening the table updates it: torn lines are dropped, and every finished run whose row is missing or
    differs from its manifest gets a new one. Only one process may have it open.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESULTS
        self._rows: dict[str, dict[str, Any]] = {}
        try:
            found = self._path.read_bytes() if self._path.exists() else b""
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be read ({error}); remove it") from error
        for line in found.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # torn, or not a row
                row = json.loads(line)
                self._rows[str(row["folder"])] = row
        if found != self._content():
            files.write_atomically(self._path, self._content())
        for manifest in sorted(folder.glob(f"*/{run_manifest.MANIFEST}")):
            try:
                row = make_row(manifest.parent)
            except CheckpointError:
                continue  # not of a run; the sweep itself reports one of its plan
            self.add(row)

    def _content(self) -> bytes:
        return "".join(f"{json.dumps(row)}\n" for row in self._rows.values()).encode()

    def add(self, row: dict[str, Any]) -> None:
        """Writes a row unless it is there already; it replaces an older row of the same run."""
        before = self._rows.get(row["folder"])
        if before == row:
            return
        if before is None:  # remembered only when it is on disk
            files.append_line(self._path, json.dumps(row))
        self._rows[row["folder"]] = row
        if before is not None:
            files.write_atomically(self._path, self._content())


def make_row(folder: Path) -> dict[str, Any]:
    """The row of a finished run, from its manifest. CheckpointError if that cannot be read."""
    cards = {card.snapshot: card for card in read_manifest(folder)}
    if "final" not in cards:
        raise CheckpointError(
            f"{folder / run_manifest.MANIFEST} has no final model; train the run again"
        )
    final, best = cards["final"], cards.get("best")
    row = {
        "folder": folder.name,
        "config": final.config.to_dict(),
        "final": _scores(final),
        "best": None if best is None else _scores(best),
        "seconds": final.seed_rows[0]["seconds"],
        "provenance": final.provenance,
    }
    # as it will be read again: lists instead of tuples, null for what was not measured
    return json.loads(json.dumps(files.without_nan(row)))


def _scores(card: ModelCard) -> dict[str, Any]:
    verdicts = [verdict.kind for verdict in card.metrics.verdicts()]
    return {"step": card.step, "verdicts": verdicts, **card.metrics.to_dict()}
