"""The comparison of data sizes on the Explore page, and the articles' claims."""

from __future__ import annotations

import streamlit as st

from gan.evaluation.verdict import Verdict, verdict_words
from gan.zoo import cards, compare
from views.explore.articles import CLAIMS
from views.shared import cache, charts
from views.shared.i18n import text


def amounts(lang: str, tables: dict[str, compare.Table], card: cards.ModelCard) -> None:
    """The final distance of every amount of data under this budget, a line for each recipe."""
    st.header(text(lang, "amounts_title"), anchor=False)
    names = {recipe: text(lang, f"recipe_{recipe}") for recipe in tables}
    rows = []
    for recipe, table in tables.items():
        for (size, budget, snapshot), found in sorted(table.items()):
            if (budget, snapshot) == (card.budget, "final"):
                distances = [row["fd"] for row in found.seed_rows]
                low, high = min(distances), max(distances)
                fd = found.metrics.figures["fd"].value
                rows.append(
                    {"size": size, "recipe": names[recipe], "fd": fd, "low": low, "high": high}
                )
    real = cache.reference(card.metrics.test_images).real_score(card.metrics.figures["fd"].n).fd
    chart = charts.amounts_curve(
        rows, real, list(names.values()), text(lang, "amounts_axis"), text(lang, "fd"), card.size
    )
    words = []
    for name in names.values():
        distances = {row["size"]: row["fd"] for row in rows if row["recipe"] == name}
        if distances:
            listed = ", ".join(f"{size:,}: {fd:.1f}" for size, fd in distances.items())
            words.append(f"{name}: {listed}.")
    st.altair_chart(chart, key="amounts", alt=" ".join([text(lang, "amounts_alt") + ".", *words]))
    plain, rescue = (
        {row["size"]: row["fd"] for row in rows if row["recipe"] == names.get(recipe)}
        for recipe in ("plain", "rescue")
    )
    crossing = charts.crossing(plain, rescue)
    if crossing is not None:
        low, high = (f"{size:,}" for size in crossing)
        ahead = {"better": names["rescue"], "other": names["plain"]}
        st.markdown(text(lang, "crossing", low=low, high=high, **ahead))
    absent: dict[str, list[str]] = {}
    for recipe, size, missing_budget in compare.missing(
        [c for t in tables.values() for c in t.values()]
    ):
        if missing_budget == card.budget:
            absent.setdefault(text(lang, f"recipe_{recipe}"), []).append(f"{size:,}")
    if absent:
        cells = "; ".join(f"{name}: {', '.join(sizes)}" for name, sizes in absent.items())
        st.caption(text(lang, "amounts_missing", cells=cells))
    budget = text(lang, f"amounts_word_{card.budget}")
    st.caption(text(lang, "amounts_note", budget=budget))


def articles(lang: str, table: compare.Table, size: int) -> None:
    """``table``: of the plain recipe, which is what the articles trained."""
    st.header(text(lang, "articles_title"), anchor=False)
    claims = CLAIMS.get(size, ())
    said, epochs, updates = st.columns(3)
    with said, st.container(border=True, height="stretch"):
        for claim in claims:
            st.caption(f"{text(lang, 'article')}: [{claim.article}]({claim.url})")
            st.markdown(f"**{claim.says[lang]}**")
        if not claims:
            st.markdown(text(lang, "nothing_claimed"))
    for place, budget in ((epochs, "epochs"), (updates, "updates")):
        with place, st.container(border=True, height="stretch"):
            st.caption(text(lang, f"measured_{budget}"))
            card = table.get((size, budget, "final"))
            if card is None:
                st.markdown(text(lang, "not_trained"))
                continue
            verdict = _titles(lang, card.metrics.verdicts())
            st.markdown(text(lang, "measured_cell", verdict=verdict, **_legible_fd(card)))
            best = table.get((size, budget, "best"))
            if best is not None:
                step = f"{best.step:,}"
                st.markdown(text(lang, "measured_best", step=step, **_legible_fd(best)))
    st.caption(text(lang, "articles_note"))


def _legible_fd(card: cards.ModelCard) -> dict[str, float]:
    return {name: card.metrics.figures[name].value for name in ("legible", "fd")}


def _titles(lang: str, verdicts: list[Verdict]) -> str:
    return " · ".join(f"**{verdict_words(lang, v).title}**" for v in verdicts)
