"""When it is too early for a verdict on a run; no streamlit here."""

from __future__ import annotations

from collections.abc import Sequence

from gan.evaluation.verdict import Verdict

_AT_FIRST = ("noise", "one_picture", "few_kinds")


def first_verdict(total: int) -> int:
    """The update from which a run of ``total`` may be called a failure: a tenth of it, 500 at most."""
    return min(-(-total // 10), 500)


def hardly_begun(step: int, total: int, verdicts: Sequence[Verdict]) -> bool:
    """Whether the verdicts after ``step`` updates only describe how every run begins."""
    return step < first_verdict(total) and any(v.kind in _AT_FIRST for v in verdicts)
