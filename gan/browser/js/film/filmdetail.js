// The chosen amount of data in the film: its pictures enlarged, what was measured, and the curves with their mark.

import { COLOURS, lineChart } from "./charts.js";
import { element } from "../shared/dom.js";
import { drawTile, tileCanvas } from "./filmstrip.js";

/** All findings of a moment by their titles. */
export function verdictTitles(say, moment) {
  const kinds = moment.verdict.length ? moment.verdict : ["unknown"];
  return kinds.map((kind) => say(`film_verdict_${kind}`)).join(" · ");
}

/**
 * Returned: `node`; `showRun(cell, run)` with run {film, story}; `showMoment(index)` of that run; `showWaiting(cell)`;
 * `showError(error)`; `destroy()`.
 */
export function makeFilmDetail(say) {
  const heading = element("p", { class: "film-heading" });
  const tile = element("div", { class: "film-large" });
  const facts = element("dl", { class: "film-indicators" });
  const problem = element("p", { class: "message", role: "alert", hidden: true });
  const charts = element("div", { class: "film-charts" });
  const contrast = element("p", { class: "quiet", hidden: true }, say("film_note_contrast"));
  const moment = element("div", { class: "film-moment" }, tile, element("div", {}, heading, facts));
  const node = element("div", { class: "film-detail" }, problem, moment, charts, contrast);
  let shown = null; // {cell, run, canvas, charts, index}

  function clear() {
    shown?.charts.forEach((chart) => chart.destroy());
    shown = null;
    charts.replaceChildren();
    facts.replaceChildren();
    tile.replaceChildren();
    problem.hidden = true;
    moment.hidden = false;
    contrast.hidden = true;
  }

  function showWaiting(cell) {
    clear();
    tile.append(tileCanvas(cell, { "aria-hidden": "true" }));
    heading.textContent = say("film_waiting");
  }

  return {
    node,
    showWaiting,
    showRun(cell, run) {
      clear();
      const canvas = tileCanvas(cell, { role: "img" });
      tile.append(canvas);
      contrast.hidden = !run.story.contrast_from_film;
      shown = { cell, run, canvas, charts: runCharts(say, run.story), index: null };
      charts.append(...shown.charts.map((chart) => chart.node));
    },
    showMoment(index) {
      if (!shown || shown.index === index) return;
      shown.index = index;
      const { cell, run, canvas } = shown;
      const { story } = run;
      const { step } = story.moments[index];
      drawTile(canvas, cell, run.film, index);
      canvas.setAttribute("aria-label", say("film_tile", { count: cell.size, step }));
      heading.textContent = say("film_heading", { count: cell.size, step, total: story.total });
      facts.replaceChildren(...indicators(say, story, story.moments[index]));
      shown.charts.forEach((chart) => chart.mark(step));
    },
    showError(error) {
      clear();
      moment.hidden = true;
      problem.textContent = say("film_failed", { reason: error.message });
      problem.hidden = false;
    },
    destroy: clear,
  };
}

/** What was measured at a moment, in words: pairs of dt and dd. */
function indicators(say, story, moment) {
  const rows = [["film_verdict_label", element("strong", {}, verdictTitles(say, moment))]];
  if (story.digits) {
    const share = say.percent(moment.legible);
    rows.push(
      ["film_legible_label", say("film_legible_value", { share, samples: story.samples })],
      ["film_kinds_label", kindsInWords(say, moment), digitRow(say, story, moment)],
      ["film_fd_label", say("film_fd_value", { fd: figure(say, moment.fd), real: figure(say, story.real_fd) })],
    );
  }
  const spread = figure(say, moment.spread);
  rows.push(["film_spread_label", say(story.digits ? "film_spread_value" : "film_spread_other", { spread })]);
  return rows.flatMap(([key, ...content]) => [element("dt", {}, say(key)), element("dd", {}, ...content)]);
}

function kindsInWords(say, moment) {
  const kinds = say("film_kinds_value", { kinds: moment.kinds });
  const absent = moment.counts.map((_, digit) => digit).filter((digit) => !moment.present.includes(digit));
  return absent.length && moment.kinds ? `${kinds} · ${say("film_absent", { digits: absent.join(", ") })}` : kinds;
}

/** How often each digit was read. One that is not present is struck through and dashed: more than a colour. */
function digitRow(say, story, moment) {
  const label = say("film_counts", { samples: story.samples, counts: moment.counts.join(", ") });
  const digits = moment.counts.map((count, digit) =>
    element(
      "span",
      { class: moment.present.includes(digit) ? null : "film-absent" },
      element("b", {}, String(digit)),
      element("span", {}, String(count)),
    ),
  );
  return element("div", { class: "film-digits", role: "img", "aria-label": label }, ...digits);
}

function figure(say, value) {
  if (value === null) return say("chart_none");
  return new Intl.NumberFormat(say.language, { maximumSignificantDigits: 3 }).format(value);
}

/** The charts of a run: losses, what D believes and, of digits, the distance to real ones. */
function runCharts(say, story) {
  const { curves, moments } = story;
  const line = (key, label, colour) => ({ label: say(`film_${label}`), colour, x: curves.step, y: curves[key] });
  const other = story.digits ? "" : "_other";
  const xLabel = say("film_step_axis");
  const losses = lineChart(say, {
    title: say("film_loss_chart"),
    series: [
      line("g_loss", "g_loss", COLOURS.generated),
      line("d_loss", "d_loss", COLOURS.discriminator),
    ],
    xLabel,
    yLabel: say("film_loss_axis"),
  });
  const belief = lineChart(say, {
    title: say("film_belief_chart"),
    series: [
      line("prob_real", `prob_real${other}`, COLOURS.real),
      line("prob_held_out", `prob_held_out${other}`, COLOURS.unseen),
      line("prob_fake", "prob_fake", COLOURS.generated),
    ],
    xLabel,
    yLabel: say("film_belief_axis"),
    range: [0, 1],
  });
  if (!story.digits) return [losses, belief];
  const x = moments.map((moment) => moment.step);
  const distance = lineChart(say, {
    title: say("film_fd_chart"),
    series: [
      { label: say("film_prob_fake"), colour: COLOURS.generated, x, y: moments.map((moment) => moment.fd) },
    ],
    xLabel,
    yLabel: say("film_fd_axis"),
    log: true,
    rule: { value: story.real_fd, label: say("film_real") },
  });
  return [losses, belief, distance];
}
