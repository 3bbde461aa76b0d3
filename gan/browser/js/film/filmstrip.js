// One column of the film, a data size: its images at a moment and the measurements of that moment.

import { element } from "../shared/dom.js";

const GAP = 1; // pixels between the images of a tile
const GAP_COLOUR = "#282828";

/** Index of the latest moment of a payload at or before `share` (0..1) of its updates; 0 if there is none. */
export function momentAt(payload, share) {
  const last = payload.moments.findLastIndex((moment) => moment.step / payload.total <= share + 1e-9);
  return Math.max(0, last);
}

/** An empty canvas for the images of a cell, in a grid as close to a square as possible. */
export function tileCanvas(cell, properties) {
  const columns = Math.ceil(Math.sqrt(cell.latents));
  const rows = Math.ceil(cell.latents / columns);
  const pixels = (count) => count * (cell.side + GAP) - GAP;
  return element("canvas", { width: pixels(columns), height: pixels(rows), ...properties });
}

/** Draws the images of a moment: row `index` of the film, a sheet with one row per moment. */
export function drawTile(canvas, cell, film, index) {
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
