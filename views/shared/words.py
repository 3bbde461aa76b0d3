"""Facts of trainings in words; no streamlit here."""

from __future__ import annotations

from gan.config import TrainConfig
from gan.jobs.folder import Job
from gan.zoo import cards
from views.shared.i18n import text
from views.train.settings import friendly_seconds


def about(lang: str, seconds: float) -> str:
    """ "40 s", "3 min"."""
    key, n = friendly_seconds(seconds)
    return text(lang, key, n=n)


def queue_words(lang: str, ahead: int, wait: float | None) -> str:
    """How many come before, and how long that takes, None where nobody can tell."""
    if not ahead:
        return text(lang, "queue_free")
    if wait is None:
        return text(lang, "queue_unknown", ahead=ahead)
    return text(lang, "queue_wait", ahead=ahead, time=about(lang, wait))


def source_name(lang: str, source: str) -> str:
    return text(lang, f"source_name_{source.partition(':')[0]}")


def job_title(lang: str, asked: Job) -> str:
    """What a job trains, in a line."""
    facts = {
        "count": f"{asked.config.size:,}",
        "source": source_name(lang, asked.config.source),
        "updates": f"{asked.config.total_updates:,}",
        "seed": asked.config.seed,
    }
    if asked.parent is not None:
        return text(lang, "job_title_rewound", from_step=f"{asked.parent.step:,}", **facts)
    return text(lang, "job_title", recipe=text(lang, f"recipe_{asked.config.recipe}"), **facts)


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
    """A model in a list: what it was trained on, and its name, which no other has."""
    lead = model_lead(lang, card.config, card.step)
    key = "own_imported" if cards.is_imported(card) else "own_model"
    return text(lang, key, lead=lead, name=card.name)


def reason(lang: str, error: Exception) -> str:
    """A message of the library, which is in English, without what Markdown would make of it."""
    return str(error).replace("`", "'").replace("*", "\\*").replace("_", "\\_").replace("$", "\\$")
