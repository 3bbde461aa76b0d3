// The results of a model, and the comparison of all data sizes.

import { COLOURS, lineChart } from "../film/charts.js";
import { element } from "../shared/dom.js";

const SCALES = { fd: { log: true }, legible: { range: [0, 1] } };
const RECIPE_COLOURS = [COLOURS.generated, COLOURS.discriminator, COLOURS.unseen];

/** The verdicts and scores of a model: `makeFindings(say)` -> `{node, show(model)}`; for models see gan/browser/site.py. */
export function makeFindings(say) {
  const verdicts = element("div", { class: "site-verdicts" });
  const figures = element("dl", { class: "site-figures" });
  const protocol = element("p", { class: "quiet" });
  const numbers = element("div", { class: "site-numbers" }, figures, protocol);
  const node = element("section", { class: "site-findings", "aria-label": say("site_findings") }, verdicts, numbers);

  function show(model) {
    verdicts.replaceChildren(...model.verdicts.map((verdict) => verdictCard(verdict[say.language])));
    figures.replaceChildren(...model.figures.map((figure) => figureTile(say, figure, model.protocol)));
    protocol.textContent = model.protocol ? say("site_protocol", { ...model.protocol, seeds: seedWords(say, model.protocol) }) : say("site_no_digits");
  }

  return { node, show };
}

function verdictCard({ title, seen, measured, meaning }) {
  const words = element("p", {}, element("strong", {}, seen), " ", measured);
  return element("article", { class: "site-verdict" }, element("h2", {}, title), words, element("p", { class: "quiet" }, meaning));
}

function figureTile(say, { name, value, spread, real }, { tests }) {
  const term = element("dt", {}, say(`site_${name}`));
  const notes = [`± ${spread}`, say("site_real_is", { real })].map((note) => element("dd", { class: "quiet" }, note));
  const title = say(`site_${name}_help`, { tests });
  return element("div", { title }, term, element("dd", { class: "site-value" }, value), ...notes);
}

function seedWords(say, { seeds, low, high }) {
  return seeds < 2 ? say("site_one_seed") : say("site_seeds", { seeds, low, high });
}

/**
 * The comparison of data sizes, one line per recipe: `makeAmounts(say)` -> `{node, show(lines, chosen), destroy()}`.
 * lines: [{label, models}], the final models in ascending order of size; chosen: the chosen model.
 */
export function makeAmounts(say) {
  const charts = Object.entries(SCALES).map(([name, scale]) => ({ name, ...amountsChart(say, name, scale) }));
  const drawings = element("div", { class: "site-charts run-charts" }, ...charts.map((chart) => chart.node));
  const note = element("p", { class: "quiet" }, say("site_amounts_note"));
  const table = element("div", { class: "site-table", role: "region", tabindex: 0, "aria-label": say("site_table") });
  const details = element("details", {}, element("summary", {}, say("site_table")), table);
  const node = element("section", {}, element("h2", {}, say("site_amounts_title")), drawings, note, details);
  let shown = "";

  function show(lines, chosen) {
    const sizes = [...new Set(lines.flatMap(({ models }) => models.map((model) => model.size)))].sort((one, other) => one - other);
    node.hidden = sizes.length < 2;
    if (node.hidden) return;
    const real = Object.fromEntries(chosen.figures.map((figure) => [figure.name, figure.real_number]));
    const wanted = JSON.stringify([real, lines.map(({ models }) => models.map((model) => model.name))]);
    if (wanted !== shown) {
      shown = wanted;
      for (const { name, show: draw } of charts) draw(amountsData(say, name, lines, real[name]));
      table.replaceChildren(amountsTable(say, sizes, lines));
    }
    for (const chart of charts) chart.mark(chosen.size);
  }

  return { node, show, destroy: () => charts.forEach((chart) => chart.destroy()) };
}

function amountsChart(say, name, scale) {
  const words = { title: say(`site_${name}`), xLabel: say("site_size"), yLabel: say(`site_${name}_axis`) };
  return lineChart(say, { ...words, logX: true, dots: true, ...scale });
}

function amountsData(say, name, lines, real) {
  return {
    series: lines.map(({ label, models }, i) => ({
      label,
      colour: RECIPE_COLOURS[i % RECIPE_COLOURS.length],
      x: models.map((model) => model.size),
      y: models.map((model) => figureOf(model, name).number),
    })),
    rule: { value: real, label: say("site_real") },
  };
}

function amountsTable(say, sizes, lines) {
  const columns = lines.flatMap(({ label, models }) => ["legible", "fd"].map((name) => ({ label, models, name })));
  const head = element("tr", {}, element("th", { scope: "col" }, say("site_size")));
  head.append(...columns.map(({ label, name }) => element("th", { scope: "col" }, `${label}: ${say(`site_${name}`)}`)));
  const rows = sizes.map((size) => {
    const cells = columns.map(({ models, name }) => {
      const model = models.find((one) => one.size === size);
      return element("td", {}, model ? figureOf(model, name).value : "–");
    });
    return element("tr", {}, element("th", { scope: "row" }, size.toLocaleString(say.language)), ...cells);
  });
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
}

function figureOf(model, name) {
  return model.figures.find((figure) => figure.name === name);
}
