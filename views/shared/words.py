"""What is known of a training, in words, and when it is too early for a verdict; no streamlit here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gan.config import TrainConfig
from gan.evaluation.verdict import Verdict
from gan.jobs.folder import Job
from gan.zoo import cards
from views.shared.i18n import text

_AT_FIRST = ("noise", "one_picture", "few_kinds")


def about(lang: str, seconds: float) -> str:
    """ "40 s", "3 min", "2 h"."""
    if seconds < 90:
        return text(lang, "time_seconds", n=max(1, round(seconds)))
    if seconds < 90 * 60:
        return text(lang, "time_minutes", n=round(seconds / 60))
    return text(lang, "time_hours", n=round(seconds / 3600))


def queue_words(lang: str, ahead: int, wait: float | None) -> str:
    """How many trainings come first, and how many seconds they take, None if that is unknown."""
    if not ahead:
        return text(lang, "queue_free")
    if wait is None:
        return text(lang, "queue_unknown", ahead=ahead)
    return text(lang, "queue_wait", ahead=ahead, time=about(lang, wait))


def job_title(lang: str, job: Job) -> str:
    """What a job trains, in a line."""
    facts = _facts(lang, job.config, job.config.total_updates)
    if job.parent is not None:
        return text(lang, "job_title_rewound", from_step=job.parent.step, **facts)
    return text(lang, "job_title", **facts)


def model_lead(lang: str, card: cards.ModelCard) -> str:
    """What a model was trained on, in a line."""
    return text(lang, "own_lead", **_facts(lang, card.config, card.step))


def _facts(lang: str, config: TrainConfig, updates: int) -> dict[str, Any]:
    return {
        "count": config.size,
        "source": text(lang, f"source_name_{config.source.partition(':')[0]}"),
        "recipe": text(lang, f"recipe_{config.recipe}"),
        "updates": updates,
        "seed": config.seed,
    }


def model_name(lang: str, card: cards.ModelCard) -> str:
    """A model in a list: what it was trained on, and its unique name."""
    key = "own_imported" if cards.is_imported(card) else "own_model"
    return text(lang, key, lead=model_lead(lang, card), name=card.name)


def escaped(message: object) -> str:
    """A message of the library (in English), escaped for Markdown."""
    return re.sub(r"([*_$])", r"\\\1", str(message).replace("`", "'"))


def first_verdict(total: int) -> int:
    """The update from which a run of ``total`` may be called a failure: a tenth of it, 500 at most."""
    return min(-(-total // 10), 500)


def hardly_begun(step: int, total: int, verdicts: Sequence[Verdict]) -> bool:
    """Whether the verdicts after ``step`` updates only describe how every run begins."""
    return step < first_verdict(total) and any(v.kind in _AT_FIRST for v in verdicts)
