"""The script of the Explore page."""

from __future__ import annotations

import streamlit as st

from gan.browser import payload
from gan.errors import GanError
from gan.evaluation import classifier
from gan.networks import images
from gan.networks.latent_request import LatentRequest, Seeds
from gan.zoo import compare
from gan.zoo.cards import Model, ModelCard, is_imported
from views.explore import controls, latents, size_comparison, training
from views.shared import cache, charts, session, widgets
from views.shared.i18n import text
from views.shared.pictures import image_tag
from views.shared.words import model_lead, model_name

GRID_COLUMNS = 8
GRID_COUNT = 64
_ICONS = {
    "one_picture": ":material/filter_1:",
    "noise": ":material/blur_on:",
    "few_kinds": ":material/grid_off:",
    "copies": ":material/content_copy:",
    "rough": ":material/texture:",
    "healthy": ":material/check_circle:",
    "unsure": ":material/help:",
    "not_digits": ":material/image:",
}


def page(lang: str) -> None:
    """Draws the page from top to bottom."""
    cache.prepare()
    session.head(lang, "title", other="train")
    try:
        everything = cache.cards()
    except GanError as error:
        st.error(f"{text(lang, 'no_zoo')} {error}", icon=":material/error:")
        return
    cards = compare.comparable(everything)
    own = {c.name: c for c in everything if c.path.parent != classifier.PRETRAINED}
    sizes = sorted({c.size for c in cards})
    if not sizes:
        st.error(text(lang, "no_zoo"), icon=":material/error:")
        return
    tables = compare.tables(cards)
    best = {
        (size, budget, recipe)
        for recipe, table in tables.items()
        for size, budget, snapshot in table
        if snapshot == "best"
    }
    controls.begin(sizes, tables, best, lang, own)
    if not controls.state().model:
        st.markdown(text(lang, "lead"))
    if own:
        newest = sorted(own.values(), key=_finished, reverse=True)
        controls.model_choice(lang, {c.name: model_name(lang, c) for c in newest})
    if controls.state().model:
        _own_model(lang, own[controls.state().model])
        return

    left, right = st.columns([3, 2])
    with left:
        widgets.size_slider(lang, "size", sizes, key="size")
    with right:
        controls.budget_switch(lang)
    if len(tables) > 1:
        widgets.segments(lang, "recipe", list(tables), "recipe_help", wrap=True)
    table = tables[controls.state().recipe]
    card = _chosen(table, lang)
    if card is None:
        st.info(text(lang, "not_trained"), icon=":material/info:")
        controls.write_link(lang, "final")
        return
    _images_and_verdict(lang, card, table)
    size_comparison.amounts(lang, tables, card)
    size_comparison.articles(lang, tables.get("plain", {}), card.size)
    training.training(lang, card, table)
    _details(lang, card)
    controls.write_link(lang, card.snapshot)


def _images_and_verdict(lang: str, card: ModelCard, table: compare.Table) -> None:
    try:
        model = cache.model(card)
    except GanError as error:
        model = None
        st.error(f"{text(lang, 'broken_model')} {error}", icon=":material/error:")
    left, right = st.columns([1, 1], gap="large")
    with left:
        if model is not None:
            _grid(lang, model)
    with right:
        _verdicts(lang, card)
        if card.metrics.digits:
            _figures(lang, card)
            _histogram(lang, card)
        else:
            st.caption(text(lang, "own_no_digits"))
    if model is not None:
        st.header(text(lang, "latents_title"), anchor=False)
        latents.latents(lang, model, table)


def _own_model(lang: str, card: ModelCard) -> None:
    """The page of one model that was trained or imported here."""
    st.markdown(model_lead(lang, card))
    continued = card.provenance.get("continued_from")
    if continued:
        st.caption(text(lang, "own_rewound", step=continued[-1]["step"]))
    if is_imported(card):
        st.info(text(lang, "imported_note"), icon=":material/info:")
    alone = {(card.size, controls.state().budget, "final"): card}
    _images_and_verdict(lang, card, alone)
    training.training(lang, card, alone)
    _details(lang, card)
    controls.write_link(lang, "final")


def _finished(card: ModelCard) -> str:
    """When a model was trained or imported here, as text that sorts by time."""
    return str(card.provenance.get("imported") or card.provenance.get("finished", ""))


def _chosen(table: compare.Table, lang: str) -> ModelCard | None:
    """The card of the chosen size, budget and moment; the final one if a run has no better moment."""
    state = controls.state()
    final = table.get((state.size, state.budget, "final"))
    best = table.get((state.size, state.budget, "best"))
    if best is None or final is None:
        return final
    controls.moment_switch(lang, {"final": final.step, "best": best.step})
    return best if controls.state().moment == "best" else final


def _grid(lang: str, model: Model) -> None:
    state = controls.state()
    pixels = cache.generated(model, LatentRequest(Seeds(state.seed)), GRID_COUNT)
    sheet = images.grid(pixels, GRID_COLUMNS, gap=1, background=40)
    count = model.card.size
    with st.container(key="grid"):
        alt = "grid_alt" if model.card.metrics.digits else "own_grid_alt"
        st.html(image_tag(sheet, text(lang, alt, n=GRID_COUNT, count=count)))
    st.caption(text(lang, "updates_done", updates=model.card.step, count=count))
    seed, download = st.columns(2, vertical_alignment="bottom")
    with seed:
        controls.seed_input(lang)
    download.download_button(
        text(lang, "download"),
        data=images.to_png(sheet, scale=4),
        file_name=f"{model.card.name}-seed{state.seed}.png",
        mime="image/png",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
    )


def _verdicts(lang: str, card: ModelCard) -> None:
    for verdict in card.metrics.verdicts():
        words = verdict.words(lang)
        with st.container(border=True, key=f"verdict_{verdict.kind}"):
            st.header(f"{_ICONS[verdict.kind]} {words.title}", anchor=False)
            st.markdown(f"**{words.seen}** {words.measured}")
            st.caption(words.meaning)


def _figures(lang: str, card: ModelCard) -> None:
    """Three figures, each with the value that real digits get under the same protocol."""
    reference = cache.reference(test_images=card.metrics.test_images)
    for found, place in zip(payload.figures(card, reference), st.columns(3), strict=True):
        place.metric(
            text(lang, found["name"]),
            found["value"],
            f"± {found['spread']} · {text(lang, 'real_is', value=found['real'])}",
            delta_color="off",
            delta_arrow="off",
            help=text(lang, f"{found['name']}_help", n=reference.n),
        )
    how = payload.protocol(card, reference)
    seeds = text(lang, "one_seed" if card.seeds < 2 else "many_seeds", **how)
    st.caption(text(lang, "protocol", draws=how["draws"], n=how["n"], seeds=seeds))


def _histogram(lang: str, card: ModelCard) -> None:
    real, samples = cache.reference(test_images=card.metrics.test_images), card.metrics.samples
    chart = charts.digit_histogram(lang, card.metrics.counts, samples, real.counts, real.n)
    st.header(text(lang, "histogram"), anchor=False)
    st.altair_chart(chart, key="histogram", alt=text(lang, "histogram_alt"))
    st.caption(text(lang, "histogram_note", n=samples, real_n=real.n))


def _details(lang: str, card: ModelCard) -> None:
    with st.expander(text(lang, "details")):
        st.markdown(text(lang, "method_link"))
        st.json(
            {
                "name": card.name,
                "sha256": card.sha256,
                "snapshot": card.snapshot,
                "update": card.step,
                **card.provenance,
                "config": card.config.to_dict(),
            },
            expanded=True,
        )
        st.markdown(f"**{text(lang, 'seed_table')}**")
        st.dataframe(
            [{**row, "verdicts": ", ".join(row["verdicts"])} for row in card.seed_rows],
            hide_index=True,
        )


page(session.language())
