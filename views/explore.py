"""The Explore page: one amount of data at a time, what it draws, and what that amounts to."""

from __future__ import annotations

from typing import Any

import streamlit as st

from gan import exhibit, explorer, images, judge, zoo
from gan.collapse import Verdict
from gan.config import TrainConfig
from gan.errors import GanError
from gan.pose import pose_z
from views.parts import cache, charts, controls, live
from views.parts.articles import CLAIMS
from views.parts.i18n import text, verdict_words
from views.parts.pictures import image_tag, strip
from views.parts.words import chart_alt, model_lead, model_name

GRID_COLUMNS = 8
GRID_COUNT = 64
FILM_COLUMNS = 8
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
    cache.prepare()
    controls.head(lang, "title", other="train")
    try:
        everything = cache.cards()
    except GanError as error:
        st.error(f"{text(lang, 'no_zoo')} {error}", icon=":material/error:")
        return
    cards = zoo.comparable(everything)
    own = {c.name: c for c in everything if c.path.parent != judge.PRETRAINED}
    sizes = sorted({c.size for c in cards})
    if not sizes:
        st.error(text(lang, "no_zoo"), icon=":material/error:")
        return
    tables = zoo.tables(cards)
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
        controls.size_slider(lang, sizes)
    with right:
        controls.budget_switch(lang, TrainConfig().updates)
    if len(tables) > 1:
        controls.recipe_switch(lang, list(tables))
    table = tables[controls.state().recipe]
    card = _chosen(table, lang)
    if card is None:
        st.info(text(lang, "not_trained"), icon=":material/info:")
        controls.write_link(lang, "final")
        return
    _drawn_and_judged(lang, card, table)
    _amounts(lang, tables, card)
    _articles(lang, tables.get("plain", {}), card.size)
    _training(lang, card, table)
    _details(lang, card)
    controls.write_link(lang, card.snapshot)


def _drawn_and_judged(lang: str, card: zoo.ModelCard, table: zoo.Table) -> None:
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
        else:
            st.caption(text(lang, "own_no_digits"))
    if card.metrics.digits:
        _histogram(lang, card, right)
    if model is not None:
        st.header(text(lang, "latents_title"), anchor=False)
        _latents(lang, model, table)


def _own_model(lang: str, card: zoo.ModelCard) -> None:
    """A model that was trained or imported here, by itself."""
    st.markdown(model_lead(lang, card.config, card.step))
    continued = card.provenance.get("continued_from")
    if continued:
        st.caption(text(lang, "own_rewound", step=f"{continued[-1]['step']:,}"))
    if zoo.is_imported(card):
        st.info(text(lang, "imported_note"), icon=":material/info:")
    alone = {(card.size, controls.state().budget, "final"): card}
    _drawn_and_judged(lang, card, alone)
    _training(lang, card, alone)
    _details(lang, card)
    controls.write_link(lang, "final")


def _finished(card: zoo.ModelCard) -> str:
    """When a model became one of those here, as text that can be put in order."""
    return str(card.provenance.get("imported") or card.provenance.get("finished", ""))


def _chosen(table: zoo.Table, lang: str) -> zoo.ModelCard | None:
    """The card of the chosen size, budget and moment; the end where a run has no better moment."""
    state = controls.state()
    final = table.get((state.size, state.budget, "final"))
    best = table.get((state.size, state.budget, "best"))
    if best is None or final is None:
        return final
    controls.moment_switch(lang, {"final": final.step, "best": best.step})
    return best if controls.state().moment == "best" else final


def _grid(lang: str, model: zoo.Model) -> None:
    state = controls.state()
    request = explorer.GenerateRequest(first_seed=state.seed, count=GRID_COUNT)
    result = cache.pictures(model, request)
    sheet = images.grid(result.pixels, GRID_COLUMNS, gap=1, background=40)
    count = f"{model.card.size:,}"
    with st.container(key="grid"):
        alt = "grid_alt" if model.card.metrics.digits else "own_grid_alt"
        st.html(image_tag(sheet, text(lang, alt, n=GRID_COUNT, count=count)))
    st.caption(text(lang, "updates_done", updates=f"{model.card.step:,}", count=count))
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


def _verdicts(lang: str, card: zoo.ModelCard) -> None:
    for verdict in card.metrics.verdicts():
        words = verdict_words(lang, verdict)
        with st.container(border=True, key=f"verdict_{verdict.kind}"):
            st.header(f"{_ICONS[verdict.kind]} {words.title}", anchor=False)
            st.markdown(f"**{words.seen}** {words.measured}")
            st.caption(words.meaning)


def _figures(lang: str, card: zoo.ModelCard) -> None:
    """Three numbers, each beside what real digits get under the same protocol."""
    reference = cache.reference(card.metrics.test_images)
    for found, place in zip(exhibit.figures(card, reference), st.columns(3), strict=True):
        place.metric(
            text(lang, found["name"]),
            found["value"],
            f"± {found['spread']} · {text(lang, 'real_is', value=found['real'])}",
            delta_color="off",
            delta_arrow="off",
            help=text(lang, f"{found['name']}_help", n=f"{reference.n:,}"),
        )
    how = exhibit.protocol(card, reference)
    seeds = text(lang, "one_seed" if card.seeds < 2 else "many_seeds", **how)
    st.caption(text(lang, "protocol", draws=how["draws"], n=f"{how['n']:,}", seeds=seeds))


def _histogram(lang: str, card: zoo.ModelCard, place) -> None:  # type: ignore[no-untyped-def]
    real = cache.reference(card.metrics.test_images)
    words = {key: text(lang, key) for key in ("real", "generated", "none", "share_axis")}
    chart = charts.digit_histogram(
        card.metrics.counts, card.metrics.samples, real.counts, real.n, words
    )
    with place:
        st.header(text(lang, "histogram"), anchor=False)
        st.altair_chart(chart, key="histogram", alt=text(lang, "histogram_alt"))
        st.caption(
            text(lang, "histogram_note", n=f"{card.metrics.samples:,}", real_n=f"{real.n:,}")
        )


@st.fragment
def _latents(lang: str, model: zoo.Model, table: zoo.Table) -> None:
    """The pad, and the same latents as every data size draws them. Reruns by itself."""
    note = "own_latents_note" if controls.state().model else "latents_note"
    st.markdown(text(lang, note))
    if any(v.kind == "one_picture" for v in model.card.metrics.verdicts()):
        st.info(text(lang, "collapsed_note"), icon=":material/info:")
    cards = _beside(model.card, table)
    if controls.server_draws() or not _shown_live(lang, model, cards):
        _drawn_by_the_server(lang, model, cards)
    controls.server_switch(lang)
    controls.write_link(lang, model.card.snapshot)


def _beside(chosen: zoo.ModelCard, table: zoo.Table) -> list[zoo.ModelCard]:
    """The models of all sizes at the end of the chosen budget, and ``chosen`` at its own size."""
    return [
        chosen if size == chosen.size else card
        for (size, budget, snapshot), card in sorted(table.items(), key=lambda item: item[0])
        if (budget, snapshot) == (controls.state().budget, "final")
    ]


def _shown_live(lang: str, model: zoo.Model, cards: list[zoo.ModelCard]) -> bool:
    """Whether the pad runs in the visitor's browser, as far as is known by now."""
    try:
        live.playground(lang, model, cards)
    except GanError as error:
        st.warning(f"{text(lang, 'pad_not_served')} {error}", icon=":material/warning:")
        return False
    return live.pad_works()


def _drawn_by_the_server(lang: str, model: zoo.Model, cards: list[zoo.ModelCard]) -> None:
    """What the pad shows, where it cannot run in the browser: sliders, and pictures from here."""
    st.caption(text(lang, "pad_server_note"))
    wall, sliders = st.columns([3, 2], gap="large")
    with sliders:
        controls.shift_sliders(lang, model.strengths.tolist())
        with st.expander(text(lang, "raw")):
            controls.axis_sliders(lang, model.generator.latent_dim)
    pose = controls.fitting(controls.state().pose(), model.generator.latent_dim)
    z = pose_z(pose, exhibit.WALL_ROWS, model.directions)
    columns = []
    for card in cards:
        current = card == model.card
        try:
            shown = model if current else cache.model(card)
        except GanError:
            continue  # named above when it is chosen itself
        drawn = explorer.generate_z(shown, z)
        alt = text(lang, "same_z_alt", n=exhibit.WALL_ROWS, count=f"{card.size:,}")
        sheet = images.grid(drawn.pixels, 1, gap=1, background=40)
        columns.append((exhibit.size_title(card), alt, sheet, current))
    first = explorer.generate_z(model, z[:1])
    with wall:
        st.html(strip(columns, text(lang, "latents_title")))
        if model.card.metrics.digits and first.images.shape[1] == 1:
            _first_digit(lang, first)


def _first_digit(lang: str, first: explorer.GenerateResult) -> None:
    """The first latent's picture, enlarged, and what the judge reads."""
    try:
        digit, confidence = explorer.read_one(cache.classifier(), first.images[0])
    except GanError as error:
        st.error(str(error), icon=":material/error:")
        return
    enlarged, words = st.columns([1, 3], vertical_alignment="center")
    with enlarged:
        alt = text(lang, "first_digit_alt", digit=digit)
        st.html(image_tag(first.pixels[0], alt, max_width=140))
    words.caption(text(lang, "first_digit", digit=digit, confidence=confidence))


def _amounts(lang: str, tables: dict[str, zoo.Table], card: zoo.ModelCard) -> None:
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
    for recipe, size, missing_budget in zoo.missing(
        [c for t in tables.values() for c in t.values()]
    ):
        if missing_budget == card.budget:
            absent.setdefault(text(lang, f"recipe_{recipe}"), []).append(f"{size:,}")
    if absent:
        cells = "; ".join(f"{name}: {', '.join(sizes)}" for name, sizes in absent.items())
        st.caption(text(lang, "amounts_missing", cells=cells))
    budget = text(lang, f"amounts_word_{card.budget}")
    st.caption(text(lang, "amounts_note", budget=budget))


def _articles(lang: str, table: zoo.Table, size: int) -> None:
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


def _legible_fd(card: zoo.ModelCard) -> dict[str, float]:
    return {name: card.metrics.figures[name].value for name in ("legible", "fd")}


def _titles(lang: str, verdicts: list[Verdict]) -> str:
    return " · ".join(f"**{verdict_words(lang, v).title}**" for v in verdicts)


def _training(lang: str, card: zoo.ModelCard, table: zoo.Table) -> None:
    st.header(text(lang, "curves_title"), anchor=False)
    try:
        found = cache.evidence(card)
    except GanError as error:
        st.error(f"{text(lang, 'broken_evidence')} {error}", icon=":material/error:")
        return
    note = st.empty()
    steps = [moment["step"] for moment in found["moments"]]
    if live.film(lang, card, steps, _beside(card, table)):
        note.caption(f"{text(lang, 'loss_note')} {text(lang, 'prob_note')}")
    else:
        _curves(lang, card, found["curves"], found["moments"])


def _curves(
    lang: str, card: zoo.ModelCard, curves: dict[str, Any], moments: list[dict[str, Any]]
) -> None:
    """What the film tells, where it cannot run in the browser: charts, and pictures from here."""
    marked = card.step if card.snapshot == "best" else None
    step = text(lang, "step_axis")
    # how far pictures that are no digits are from digits tells nothing
    loss, belief, *distance = st.columns(3 if card.metrics.digits else 2)
    with loss:
        st.markdown(f"**{text(lang, 'loss_chart')}**")
        series = [
            ("g_loss", text(lang, "g_loss"), charts.FAKE),
            ("d_loss", text(lang, "d_loss"), charts.D_BLUE),
        ]
        chart = charts.training_curves(
            curves, series, step, text(lang, "loss_axis"), marked_step=marked
        )
        st.altair_chart(chart, key="losses", alt=chart_alt(lang, "loss_chart", curves, series))
        st.caption(text(lang, "loss_note"))
    with belief:
        st.markdown(f"**{text(lang, 'prob_chart')}**")
        series = [
            ("prob_real", text(lang, "prob_real"), charts.REAL),
            ("prob_held_out", text(lang, "prob_held_out"), charts.UNSEEN),
            ("prob_fake", text(lang, "prob_fake"), charts.FAKE),
        ]
        chart = charts.training_curves(
            curves, series, step, text(lang, "prob_axis"), (0.0, 1.0), marked
        )
        st.altair_chart(chart, key="belief", alt=chart_alt(lang, "prob_chart", curves, series))
        st.caption(text(lang, "prob_note"))
    for place in distance:
        _distance(lang, place, card, moments, marked)
    _film(lang, card, moments)


def _distance(
    lang: str, place: Any, card: zoo.ModelCard, moments: list[dict[str, Any]], marked: int | None
) -> None:
    step = text(lang, "step_axis")
    with place:
        st.markdown(f"**{text(lang, 'fd_chart')}**")
        chart = charts.distance_curve(
            moments,
            cache.monitor_real_fd(card.metrics.test_images),
            step,
            text(lang, "fd_axis"),
            marked,
        )
        distances = {"fd": [moment["fd"] for moment in moments]}
        series = [("fd", text(lang, "fd_axis"), "")]
        st.altair_chart(chart, key="distance", alt=chart_alt(lang, "fd_chart", distances, series))
        st.caption(text(lang, "fd_chart_note"))


@st.fragment
def _film(lang: str, card: zoo.ModelCard, moments: list[dict[str, Any]]) -> None:
    """One scrubber through the run: what the same latents gave at each moment."""
    st.subheader(text(lang, "film_title"), anchor=False)
    steps = [moment["step"] for moment in moments]
    try:
        frames = cache.film(card, len(steps))
    except GanError as error:
        st.error(str(error), icon=":material/error:")
        return
    step = st.select_slider(
        text(lang, "film_step"),
        steps,
        value=card.step if card.step in steps else steps[-1],
        format_func=lambda s: f"{s:,}",
        key=f"film_{card.name}",
    )
    with st.container(key="film"):
        frame = images.grid(frames[steps.index(step)], FILM_COLUMNS, gap=1, background=40)
        alt = text(lang, "film_alt", step=f"{step:,}")
        st.html(image_tag(frame, alt, max_width=640))
    st.caption(text(lang, "film_note"))


def _details(lang: str, card: zoo.ModelCard) -> None:
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


page(controls.language())
