"""Facts of trainings in words; no streamlit here."""

from __future__ import annotations

from gan.config import TrainConfig
from gan.job import Job
from views.parts.i18n import text
from views.parts.train_form import friendly_seconds


def about(lang: str, seconds: float) -> str:
    """ "40 s", "3 min"."""
    key, n = friendly_seconds(seconds)
    return text(lang, key, n=n)


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


def reason(lang: str, error: Exception) -> str:
    """A message of the library, which is in English, without what Markdown would make of it."""
    return str(error).replace("`", "'").replace("*", "\\*").replace("_", "\\_").replace("$", "\\$")
