"""What is known of a training, in words; no streamlit here."""

from __future__ import annotations

from gan.config import TrainConfig
from gan.jobs.folder import Job
from gan.zoo import cards
from views.shared.i18n import text


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


def source_name(lang: str, source: str) -> str:
    """A source of `gan.data.sources` by name."""
    return text(lang, f"source_name_{source.partition(':')[0]}")


def job_title(lang: str, job: Job) -> str:
    """What a job trains, in a line."""
    facts = {
        "count": f"{job.config.size:,}",
        "source": source_name(lang, job.config.source),
        "updates": f"{job.config.total_updates:,}",
        "seed": job.config.seed,
    }
    if job.parent is not None:
        return text(lang, "job_title_rewound", from_step=f"{job.parent.step:,}", **facts)
    return text(lang, "job_title", recipe=text(lang, f"recipe_{job.config.recipe}"), **facts)


def model_lead(lang: str, config: TrainConfig, step: int) -> str:
    """What a model was trained on, in a line."""
    return text(
        lang,
        "own_lead",
        count=f"{config.size:,}",
        source=source_name(lang, config.source),
        recipe=text(lang, f"recipe_{config.recipe}"),
        updates=f"{step:,}",
        seed=config.seed,
    )


def model_name(lang: str, card: cards.ModelCard) -> str:
    """A model in a list: what it was trained on, and its unique name."""
    lead = model_lead(lang, card.config, card.step)
    key = "own_imported" if cards.is_imported(card) else "own_model"
    return text(lang, key, lead=lead, name=card.name)


def reason(lang: str, error: Exception) -> str:
    """A message of the library (in English), escaped for Markdown."""
    return str(error).replace("`", "'").replace("*", "\\*").replace("_", "\\_").replace("$", "\\$")
