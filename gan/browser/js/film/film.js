// The film: data size by training step. One scrubber moves the images of every data size, the measurements and the
// mark on the training curves together.

import { element, placeChildren } from "../shared/dom.js";
import { makeColumn, makeFilmDetail, momentAt, verdictTitles } from "./moments.js";
import { makePlayer } from "./player.js";

const PLAY_SECONDS = 10;
const QUIET_SECONDS = 0.7; // without movement before a screen reader announces the moment
const NEAR = "400px"; // distance to the visible part of the page at which loading begins

/**
 * `show(wanted)` takes {chosen: name, cells: [{name, size, title, side, latents, film, payload}], start}, with at least one
 * cell, the smallest size first. `film` is the ref of a PNG sheet with one row per moment and `latents` images of side x side
 * per row; `payload` is the ref of a payload of gan/browser/payload.py. `start`, 0..1 or null for the end, is where the film
 * stands first; it applies again whenever it changes.
 *
 * The scrubber moves between the moments of the chosen run. Every column shows its latest moment within the same share
 * of its own updates.
 */
export function makeFilm(say, { assets }) {
  const strip = element("ol", { class: "film-strip", role: "list", "aria-label": say("film_strip") });
  const toggle = () => player.toggle();
  const button = element("button", { type: "button", class: "film-play", onclick: toggle }, say("film_play"));
  const scrubber = element("input", { type: "range", min: 0, max: 1, step: 1, "aria-label": say("film_scrubber") });
  const place = element("output", { class: "film-place" });
  const controls = element("div", { class: "row film-controls" }, button, scrubber, place);
  const spoken = element("p", { class: "film-spoken unseen", "aria-live": "polite" });
  const detail = makeFilmDetail(say);
  const note = element("p", { class: "quiet" }, say("film_note"));
  const node = element("section", { class: "film", "aria-label": say("film_label") });
  node.append(strip, controls, detail.node, note, spoken);

  const player = makePlayer({ seconds: PLAY_SECONDS, onPosition: follow });
  let columns = []; // {cell, view, loading, run: {film, payload} once loaded, error of the last attempt}
  let chosen = null;
  let share = 1; // of the updates of each run
  let chosenSeen = null; // what the page chose last
  let start = null; // a position to apply when the chosen run has loaded
  let startSeen = null;
  let near = false;
  let gone = false;
  let speaking = 0;
  let wasPlaying = false;

  /** The column whose moments the scrubber counts: the chosen one or, until it has loaded, the first that has. */
  function leader() {
    return chosen?.run ? chosen : columns.find((column) => column.run);
  }

  /** Called by the player: shows the moment at that position. */
  function follow(position, playing) {
    button.textContent = say(playing ? "film_pause" : "film_play");
    if (wasPlaying && !playing) speakSoon();
    wasPlaying = playing;
    const leading = leader();
    if (!leading) return;
    const { payload } = leading.run;
    const index = indexAt(position, payload);
    // keep the share while the moment is the same: it may come from another run and lie between two moments of this one
    if (index !== momentAt(payload, share)) share = payload.moments[index].step / payload.total;
    render();
  }

  function render() {
    for (const { view, run } of columns) if (run) view.showMoment(run, momentAt(run.payload, share));
    const leading = leader();
    scrubber.disabled = button.disabled = !leading;
    if (!leading) return;
    const { payload } = leading.run;
    const index = momentAt(payload, share);
    const words = say("film_position", { step: payload.moments[index].step, total: payload.total });
    scrubber.max = payload.moments.length - 1;
    scrubber.value = index;
    scrubber.setAttribute("aria-valuetext", words);
    place.textContent = words;
    if (leading === chosen) detail.showMoment(index);
  }

  /** Moves the player to the moment of the leading run. */
  function align() {
    const leading = leader();
    if (leading) player.seek(positionOf(momentAt(leading.run.payload, share), leading.run.payload));
  }

  function speakSoon() {
    clearTimeout(speaking);
    speaking = setTimeout(() => {
      if (!player.playing && leader()) spoken.textContent = summary(say, leader(), share);
    }, QUIET_SECONDS * 1000);
  }

  scrubber.addEventListener("input", () => {
    const wanted = Number(scrubber.value); // pausing moves the scrubber back to the film's position
    player.pause();
    const leading = leader();
    if (leading) player.seek(positionOf(wanted, leading.run.payload));
    speakSoon();
  });

  async function load(column) {
    if (column.loading || column.run) return;
    column.loading = true;
    column.error = null;
    column.view.showWaiting();
    if (column === chosen) detail.showWaiting(column.cell);
    try {
      const [film, payload] = await Promise.all([assets.image(column.cell.film), assets.json(column.cell.payload)]);
      checkSheet(say, column.cell, film, payload);
      column.run = { film, payload };
    } catch (error) {
      column.error = error;
    }
    column.loading = false;
    if (gone || !columns.includes(column)) return;
    if (column.error) column.view.showError(column.error);
    if (column === chosen) showChosen();
    else if (column === leader()) align();
    render();
  }

  function showChosen() {
    columns.forEach((column) => column.view.choose(column === chosen));
    if (chosen.run) {
      detail.showRun(chosen.cell, chosen.run);
      if (start !== null) {
        const { payload } = chosen.run;
        share = payload.moments[indexAt(start, payload)].step / payload.total;
        start = null;
      }
    } else if (chosen.error) detail.showError(chosen.error);
    else detail.showWaiting(chosen.cell);
    align();
  }

  async function loadAll() {
    await load(chosen); // first what the visitor sees first
    columns.forEach((column) => load(column));
  }

  function pick(column) {
    chosen = column;
    load(column);
    showChosen();
    render();
  }

  const watch = new IntersectionObserver(
    (entries) => {
      if (near || !entries.some((entry) => entry.isIntersecting)) return;
      near = true;
      watch.disconnect();
      if (chosen) loadAll();
    },
    { rootMargin: NEAR },
  );

  return {
    node,
    show(wanted) {
      const before = new Map(columns.map((column) => [identity(column.cell), column]));
      columns = wanted.cells.map((cell) => before.get(identity(cell)) ?? newColumn(cell));
      placeChildren(strip, columns.map((column) => column.view.node));
      // the visitor's choice stays until the page makes another
      const name = wanted.chosen === chosenSeen ? chosen?.cell.name : wanted.chosen;
      const next = columns.find((column) => column.cell.name === name) ?? columns[0];
      if (wanted.start !== startSeen) start = wanted.start;
      if (next !== chosen || start !== null) {
        chosen = next;
        showChosen();
      }
      startSeen = wanted.start;
      chosenSeen = wanted.chosen;
      render();
      intoView(strip, chosen.view.node);
      if (near) loadAll();
      else watch.observe(node);
    },
    destroy() {
      gone = true;
      clearTimeout(speaking);
      watch.disconnect();
      player.destroy();
      detail.destroy();
    },
  };

  function newColumn(cell) {
    const column = { cell, loading: false, run: null, error: null };
    column.view = makeColumn(say, cell, () => pick(column));
    return column;
  }
}

/** A cell with the same identity as before is not loaded again. */
function identity(cell) {
  return JSON.stringify([cell.name, cell.title, cell.film.id, cell.payload.id]);
}

function indexAt(position, payload) {
  return Math.floor(position * (payload.moments.length - 1) + 1e-6);
}

function positionOf(index, payload) {
  return payload.moments.length > 1 ? index / (payload.moments.length - 1) : 1;
}

function checkSheet(say, cell, film, payload) {
  const expected = `${cell.latents * cell.side} × ${payload.moments.length * cell.side}`;
  const found = `${film.naturalWidth} × ${film.naturalHeight}`;
  if (found !== expected) throw new Error(say("film_mismatch", { found, expected }));
}

/** Centres a column that is not fully visible, by scrolling the strip and not the page. */
function intoView(strip, column) {
  const [outer, inner] = [strip.getBoundingClientRect(), column.getBoundingClientRect()];
  if (inner.left >= outer.left && inner.right <= outer.right) return;
  strip.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
}

/** The moment of a column in one sentence. */
function summary(say, column, share) {
  const { payload } = column.run;
  const moment = payload.moments[momentAt(payload, share)];
  const legible = payload.digits
    ? say("film_summary_legible", { share: say.percent(moment.legible), kinds: moment.kinds })
    : "";
  const title = column.cell.title.replace(/\s+/g, " ");
  return say("film_summary", { title, step: moment.step, legible, verdict: verdictTitles(say, moment) });
}
