"""Charts of a training under way: Vega-Lite as it is; no streamlit here.

Built by hand, not by Altair: a page that polls draws them every second, and building one there costs
more than all the rest of its answer (docs/LOG.md). Of one run the specification never changes; only the
rows do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gan.evaluation.verdict import Verdict
from views.shared.charts import D_BLUE, FAKE, REAL, UNSEEN

WORDS = (
    "g_loss",
    "d_loss",
    "prob_real",
    "prob_held_out",
    "prob_fake",
    "step_axis",
    "loss_axis",
    "prob_axis",
    "fd_axis",
)
_SERIES = {
    "loss": (("g_loss", FAKE), ("d_loss", D_BLUE)),
    "prob": (("prob_real", REAL), ("prob_held_out", UNSEEN), ("prob_fake", FAKE)),
}
_DASHES = ([1, 0], [7, 4], [2, 2])  # told apart by more than colour
_HEIGHT = 280
_PADDING = {"left": 0, "top": 0, "right": 14, "bottom": 0}  # the last label of the axis
_AT_FIRST = ("noise", "one_picture", "few_kinds")


def curves(
    columns: Mapping[str, Sequence[float | None]], name: str, words: Mapping[str, str], total: int
) -> tuple[pa.Table, dict[str, Any]]:
    """columns as `gan.jobs.history.curves` has them; name: "loss" or "prob"; total: updates of the whole run -> rows
    and specification."""
    series = _SERIES[name]
    count = len(columns["step"])
    labels = [words[key] for key, _ in series]
    which = pa.array([n for n in range(len(series)) for _ in range(count)], pa.int8())
    frame = pa.table(  # small types: it goes to everybody who watches, every second
        {
            "step": pa.array(list(columns["step"]) * len(series), pa.int32()),
            "value": pa.array([v for key, _ in series for v in columns[key]], pa.float32()),
            "series": pa.DictionaryArray.from_arrays(which, pa.array(labels)),
        }
    ).drop_null()
    legend = {"title": None, "orient": "top", "columns": 2, "symbolSize": 300}
    y: dict[str, Any] = {"field": "value", "type": "quantitative", "title": words[f"{name}_axis"]}
    if name == "prob":
        y["scale"] = {"domain": [0, 1]}
    return frame, {
        "height": _HEIGHT,
        "padding": _PADDING,
        "mark": {"type": "line", "strokeWidth": 1.8, "clip": True},
        "encoding": {
            "x": _step_axis(words, total),
            "y": y,
            "color": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": labels, "range": [colour for _, colour in series]},
                "legend": legend,
            },
            "strokeDash": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": labels, "range": _DASHES[: len(series)]},
                "legend": legend,
            },
        },
    }


def distance(
    looks: Sequence[Mapping[str, Any]], words: Mapping[str, str], total: int
) -> tuple[pa.Table, dict[str, Any]]:
    """The monitor's distance at each of its looks, on a logarithmic axis."""
    frame = pa.table(
        {
            "step": pa.array([look["step"] for look in looks], pa.int32()),
            "fd": pa.array([max(look["fd"], 1e-3) for look in looks], pa.float32()),
        }
    )
    return frame, {
        "height": _HEIGHT,
        "padding": _PADDING,
        "mark": {"type": "line", "point": {"color": FAKE}, "color": FAKE, "strokeWidth": 1.8},
        "encoding": {
            "x": _step_axis(words, total),
            "y": {
                "field": "fd",
                "type": "quantitative",
                "title": words["fd_axis"],
                "scale": {"type": "log"},
            },
        },
    }


def series(name: str, words: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(column, label, colour) of the lines of "loss" or "prob"."""
    return [(key, words[key], colour) for key, colour in _SERIES[name]]


def first_verdict(total: int) -> int:
    """The update from which a run of ``total`` may be said to have failed: a tenth of it, 500 at most."""
    return min(-(-total // 10), 500)


def hardly_begun(step: int, total: int, verdicts: Sequence[Verdict]) -> bool:
    """Whether what is said of a run after ``step`` updates is only that every run begins so."""
    return step < first_verdict(total) and any(v.kind in _AT_FIRST for v in verdicts)


def _step_axis(words: Mapping[str, str], total: int) -> dict[str, Any]:
    """From 0 to the end of the run, from the first moment on: a chart that fills, and keeps its axis."""
    return {
        "field": "step",
        "type": "quantitative",
        "title": words["step_axis"],
        "axis": {"format": "~s", "tickCount": 4},
        "scale": {"domain": [0, total], "nice": False},
    }
