"""Altair charts of digits and data sizes; no streamlit here. Training curves are in `views.shared.run_charts`.

Colours as in GAN Lab: real is green, generated purple, the discriminator blue. They differ in lightness too, and
every series has a label. Colour never means good or bad.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from views.shared.i18n import text

REAL, FAKE, D_BLUE, UNSEEN = "#2E9E5B", "#A33EBD", "#447CE4", "#E0A100"
_HEIGHT = 220


def digit_histogram(
    lang: str, generated: Sequence[int], samples: int, real: Sequence[int], real_n: int
) -> alt.Chart:
    """Counts of the digits 0-9 read among ``samples`` and ``real_n`` -> bars of their shares."""
    order = [*map(str, range(10)), text(lang, "none")]
    kinds = [text(lang, "real"), text(lang, "generated")]
    rows = []
    for kind, counts, n in zip(kinds, (real, generated), (real_n, samples), strict=True):
        shares = [c / n for c in counts] + [1 - sum(counts) / n]
        rows += [
            {"digit": digit, "share": share, "kind": kind}
            for digit, share in zip(order, shares, strict=True)
        ]
    return (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(
            x=alt.X(
                "digit:N", sort=order, title=None, axis=alt.Axis(labelAngle=0, labelOverlap=False)
            ),
            xOffset=alt.XOffset("kind:N", sort=kinds),
            y=alt.Y("share:Q", title=text(lang, "share_axis"), axis=alt.Axis(format="%")),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=kinds, range=[REAL, FAKE]),
                legend=alt.Legend(title=None, orient="top", columns=2),
            ),
            tooltip=["digit:N", "kind:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=_HEIGHT)
    )


def amounts_curve(
    lang: str,
    rows: Sequence[Mapping[str, Any]],
    real: float,
    names: Sequence[str],
    marked_size: int,
) -> alt.LayerChart:
    """One line per recipe with logarithmic axes, a bar for the range of the seeds, a vertical line at ``marked_size``
    and a dashed line at ``real``. rows: size, recipe (one of ``names``), fd, low and high."""
    frame = pd.DataFrame(rows)
    x = alt.X(
        "size:Q",
        title=text(lang, "amounts_axis"),
        scale=alt.Scale(type="log"),
        axis=alt.Axis(format="~s", values=[50, 100, 200, 500, 1000, 6000, 10000, 30000, 60000]),
    )
    colour = alt.Color(
        "recipe:N",
        sort=list(names),
        scale=alt.Scale(domain=list(names), range=[FAKE, D_BLUE, UNSEEN][: len(names)]),
        legend=alt.Legend(title=None, orient="top", columns=3),
    )
    base = alt.Chart(frame).encode(x=x, color=colour).properties(height=300)
    tooltip = [
        "recipe:N",
        alt.Tooltip("size:Q", format=","),
        *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("fd", "low", "high")),
    ]
    scale = alt.Scale(type="log")
    lines = base.mark_line(point=True, strokeWidth=1.8).encode(
        y=alt.Y("fd:Q", title=text(lang, "fd"), scale=scale), tooltip=tooltip
    )
    bars = base.mark_rule(strokeWidth=2.5, opacity=0.6).encode(y="low:Q", y2="high:Q")
    floor = (
        alt.Chart(pd.DataFrame([{"real": real}]))
        .mark_rule(strokeDash=[5, 4], color=REAL)
        .encode(y="real:Q")
    )
    place = (
        alt.Chart(pd.DataFrame([{"size": marked_size}]))
        .mark_rule(color="#888888", strokeWidth=1.2)
        .encode(x="size:Q")
    )
    return alt.layer(place, floor, bars, lines)


def crossing(one: Mapping[int, float], other: Mapping[int, float]) -> tuple[int, int] | None:
    """one, other: size -> distance. The largest size up to which ``other`` is always smaller, and the next common size,
    from which ``one`` always is; None if there is no such crossing."""
    sizes = sorted(one.keys() & other.keys())
    ahead = [other[size] < one[size] for size in sizes]
    turn = sum(ahead)
    if turn in (0, len(sizes)) or not all(ahead[:turn]):
        return None
    return sizes[turn - 1], sizes[turn]
