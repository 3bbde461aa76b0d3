"""The comparison of data sizes on the Explore page, and the articles' claims."""

from __future__ import annotations

import streamlit as st

from gan.zoo import cards, compare
from views.shared import cache, charts
from views.shared.i18n import text

_DCGAN = (
    "DCGAN×MNIST (Qiita, 2025)",
    "https://app.engr-sng.com/news/detail/dcgan-mnist-image-quality-ae7f452e",
)
_THRESHOLD = (
    "GAN, MNIST (Qiita, MomonekoView)",
    "https://qiita.com/MomonekoView/items/b1b24ae085f446d3cf4b",
)
#: The article that trained on an amount of data, and the address of it or of a summary. What it says of that amount is
#: paraphrased in the text ``claim_SIZE``.
ARTICLES = {
    **dict.fromkeys((60_000, 30_000, 6_000, 600), _DCGAN),
    **dict.fromkeys((65_000, 10_000, 1_000, 500, 200), _THRESHOLD),
}


def amounts(lang: str, tables: dict[str, compare.Table], card: cards.ModelCard) -> None:
    """The final distance for every data size with the budget of ``card``, one line per recipe."""
    st.header(text(lang, "amounts_title"), anchor=False)
    names = {recipe: text(lang, f"recipe_{recipe}") for recipe in tables}
    rows = []
    distances: dict[str, dict[int, float]] = {recipe: {} for recipe in tables}
    for recipe, table in tables.items():
        for (size, budget, snapshot), found in sorted(table.items()):
            if (budget, snapshot) == (card.budget, "final"):
                fd = distances[recipe][size] = found.metrics.figures["fd"].value
                of_seeds = [row["fd"] for row in found.seed_rows]
                seeds = {"low": min(of_seeds), "high": max(of_seeds)}
                rows.append({"size": size, "recipe": names[recipe], "fd": fd, **seeds})
    reference = cache.reference(test_images=card.metrics.test_images)
    real = reference.real_score(card.metrics.figures["fd"].n).fd
    chart = charts.amounts_curve(lang, rows, real, list(names.values()), card.size)
    alt = [text(lang, "amounts_alt") + "."]
    for recipe, of_sizes in distances.items():
        if of_sizes:
            listed = ", ".join(f"{size:,}: {fd:.1f}" for size, fd in of_sizes.items())
            alt.append(f"{names[recipe]}: {listed}.")
    st.altair_chart(chart, key="amounts", alt=" ".join(alt))
    crossing = charts.crossing(distances.get("plain", {}), distances.get("rescue", {}))
    if crossing is not None:
        low, high = crossing
        ahead = {"better": names["rescue"], "other": names["plain"]}
        st.markdown(text(lang, "crossing", low=low, high=high, **ahead))
    _missing(lang, tables, card.budget)
    budget = text(lang, f"amounts_word_{card.budget}")
    st.caption(text(lang, "amounts_note", budget=budget))


def _missing(lang: str, tables: dict[str, compare.Table], budget: str) -> None:
    """The data sizes that were not trained with this budget."""
    absent: dict[str, list[str]] = {}
    every = [found for table in tables.values() for found in table.values()]
    for recipe, size, missing_budget in compare.missing(every):
        if missing_budget == budget:
            absent.setdefault(text(lang, f"recipe_{recipe}"), []).append(f"{size:,}")
    if absent:
        cells = "; ".join(f"{name}: {', '.join(sizes)}" for name, sizes in absent.items())
        st.caption(text(lang, "amounts_missing", cells=cells))


def articles(lang: str, table: compare.Table, size: int) -> None:
    """``table``: the models of the plain recipe, which is that of the articles."""
    st.header(text(lang, "articles_title"), anchor=False)
    article, epochs, updates = st.columns(3)
    with article, st.container(border=True, height="stretch"):
        if size in ARTICLES:
            st.caption("{}: [{}]({})".format(text(lang, "article"), *ARTICLES[size]))
            st.markdown(f"**{text(lang, f'claim_{size}')}**")
        else:
            st.markdown(text(lang, "nothing_claimed"))
    for place, budget in ((epochs, "epochs"), (updates, "updates")):
        with place, st.container(border=True, height="stretch"):
            st.caption(text(lang, f"measured_{budget}"))
            card = table.get((size, budget, "final"))
            if card is None:
                st.markdown(text(lang, "not_trained"))
                continue
            titles = [f"**{v.words(lang).title}**" for v in card.metrics.verdicts()]
            verdict = " · ".join(titles)
            st.markdown(text(lang, "measured_cell", verdict=verdict, **_legible_fd(card)))
            best = table.get((size, budget, "best"))
            if best is not None:
                st.markdown(text(lang, "measured_best", step=best.step, **_legible_fd(best)))
    st.caption(text(lang, "articles_note"))


def _legible_fd(card: cards.ModelCard) -> dict[str, float]:
    return {name: card.metrics.figures[name].value for name in ("legible", "fd")}
