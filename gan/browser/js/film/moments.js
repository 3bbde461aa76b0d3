// What shows the moments of runs: one column of the film for each data size, and the chosen run in detail (its images
// enlarged, the measurements, and the training curves with a mark).

import { element } from "../shared/dom.js";
import { readable } from "./charts.js";
import { makeRunCharts } from "./runcharts.js";

const GAP = 1; // pixels between the images of a tile
const GAP_COLOUR = "#282828";

/** Index of the latest moment of a payload at or before `share` (0..1) of its updates; 0 if there is none. */
export function momentAt(payload, share) {
  const last = payload.moments.findLastIndex((moment) => moment.step / payload.total <= share + 1e-9);
  return Math.max(0, last);
}

/** An empty canvas for the images of a cell, in a grid as close to a square as possible. */
function tileCanvas(cell, properties) {
  const columns = Math.ceil(Math.sqrt(cell.latents));
  const rows = Math.ceil(cell.latents / columns);
  const pixels = (count) => count * (cell.side + GAP) - GAP;
  return element("canvas", { width: pixels(columns), height: pixels(rows), ...properties });
}

/** Draws the images of a moment: row `index` of the film, a sheet with one row per moment. */
function drawTile(canvas, cell, film, index) {
  const { side, latents } = cell;
  const columns = Math.ceil(Math.sqrt(latents));
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.fillStyle = GAP_COLOUR;
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (let latent = 0; latent < latents; latent++) {
    const left = (latent % columns) * (side + GAP);
    const top = Math.floor(latent / columns) * (side + GAP);
    context.drawImage(film, latent * side, index * side, side, side, left, top, side, side);
  }
}

/**
 * A column of the strip: a button with the heading, the tile and three lines about the moment.
 *
 * `cell`: see `makeFilm`. Returned: `node`; `showMoment(run, index)` with run {film, payload}; `showError(error)`;
 * `showWaiting()`; `choose(yes)`.
 */
export function makeColumn(say, cell, onPick) {
  const canvas = tileCanvas(cell, { "aria-hidden": "true" });
  const problem = element("span", { class: "film-problem", hidden: true });
  const tile = element("span", { class: "film-tile" }, canvas, problem);
  const facts = element("span", { class: "film-facts" });
  const heading = element("span", {}, cell.title);
  const button = element("button", { type: "button", class: "film-column column", onclick: onPick }, heading, tile, facts);
  let shown = null;

  function write(...lines) {
    facts.replaceChildren(...lines.map((line) => element("span", {}, line)));
  }

  function showWaiting() {
    shown = null;
    problem.hidden = true;
    write(say("film_waiting"));
  }

  showWaiting();
  return {
    node: element("li", {}, button),
    showWaiting,
    showMoment(run, index) {
      if (shown === index) return;
      shown = index;
      const moment = run.payload.moments[index];
      drawTile(canvas, cell, run.film, index);
      write(say("film_update", { step: moment.step }), ...readings(say, run.payload, moment), verdictShort(say, moment));
    },
    showError(error) {
      problem.textContent = say("film_failed", { reason: error.message });
      problem.hidden = false;
      write(say("film_failed_short"));
    },
    choose: (yes) => button.setAttribute("aria-current", String(yes)),
  };
}

function readings(say, payload, moment) {
  if (!payload.digits) return [];
  return [say("film_legible", { share: say.percent(moment.legible) }), say("film_kinds", { kinds: moment.kinds })];
}

/** The most serious finding in one or two words. */
function verdictShort(say, moment) {
  return say(`film_short_${moment.verdict[0] ?? "unknown"}`);
}

// --- the chosen run ------------------------------------------------------------------------------------

/** The titles of all findings at a moment. */
export function verdictTitles(say, moment) {
  const kinds = moment.verdict.length ? moment.verdict : ["unknown"];
  return kinds.map((kind) => say(`film_verdict_${kind}`)).join(" · ");
}

/**
 * Returned: `node`; `showRun(cell, run)` with run {film, payload}; `showMoment(index)` of that run; `showWaiting(cell)`;
 * `showError(error)`; `destroy()`.
 */
export function makeFilmDetail(say) {
  const heading = element("p", { class: "film-heading" });
  const tile = element("div", { class: "film-large" });
  const facts = element("dl", { class: "film-indicators" });
  const problem = element("p", { class: "message", role: "alert", hidden: true });
  const charts = makeRunCharts(say);
  const contrast = element("p", { class: "quiet" }, say("film_note_contrast"));
  const moment = element("div", { class: "film-moment" }, tile, element("div", {}, heading, facts));
  const node = element("div", { class: "film-detail" }, problem, moment, charts.node, contrast);
  let shown = null; // {cell, run, canvas, index}

  function clear() {
    shown = null;
    facts.replaceChildren();
    tile.replaceChildren();
    problem.hidden = true;
    moment.hidden = false;
    charts.node.hidden = contrast.hidden = true;
  }

  clear();

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
      contrast.hidden = !run.payload.contrast_from_film;
      shown = { cell, run, canvas, index: null };
      charts.show(run.payload);
      charts.node.hidden = false;
    },
    showMoment(index) {
      if (!shown || shown.index === index) return;
      shown.index = index;
      const { cell, run, canvas } = shown;
      const { payload } = run;
      const { step } = payload.moments[index];
      drawTile(canvas, cell, run.film, index);
      canvas.setAttribute("aria-label", say("film_tile", { count: cell.size, step }));
      heading.textContent = say("film_heading", { count: cell.size, step, total: payload.total });
      facts.replaceChildren(...indicators(say, payload, payload.moments[index]));
      charts.mark(step);
    },
    showError(error) {
      clear();
      moment.hidden = true;
      problem.textContent = say("film_failed", { reason: error.message });
      problem.hidden = false;
    },
    destroy: charts.destroy,
  };
}

/** The measurements at a moment: pairs of dt and dd. */
function indicators(say, payload, moment) {
  const rows = [["film_verdict_label", element("strong", {}, verdictTitles(say, moment))]];
  if (payload.digits) {
    const share = say.percent(moment.legible);
    rows.push(
      ["film_legible_label", say("film_legible_value", { share, samples: payload.samples })],
      ["film_kinds_label", kindsInWords(say, moment), digitRow(say, payload, moment)],
      ["film_fd_label", say("film_fd_value", { fd: readable(say, moment.fd), real: readable(say, payload.real_fd) })],
    );
  }
  const spread = readable(say, moment.spread);
  rows.push(["film_spread_label", say(payload.digits ? "film_spread_value" : "film_spread_other", { spread })]);
  return rows.flatMap(([key, ...content]) => [element("dt", {}, say(key)), element("dd", {}, ...content)]);
}

function kindsInWords(say, moment) {
  const kinds = say("film_kinds_value", { kinds: moment.kinds });
  const absent = moment.counts.map((_, digit) => digit).filter((digit) => !moment.present.includes(digit));
  return absent.length && moment.kinds ? `${kinds} · ${say("film_absent", { digits: absent.join(", ") })}` : kinds;
}

/** How often the classifier read each digit. A missing digit is struck through and dashed, not only paler. */
function digitRow(say, payload, moment) {
  const label = say("film_counts", { samples: payload.samples, counts: moment.counts.join(", ") });
  const digits = moment.counts.map((count, digit) => {
    const kind = moment.present.includes(digit) ? null : "film-absent";
    return element("span", { class: kind }, element("b", {}, digit), element("span", {}, count));
  });
  return element("div", { class: "film-digits", role: "img", "aria-label": label }, ...digits);
}
