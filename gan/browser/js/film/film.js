// The film: data size by training step. One scrubber moves the pictures of every amount of data, the indicators and
// the mark on the curves together.

import { element, placeChildren } from "../shared/dom.js";
import { makeFilmDetail, verdictTitles } from "./filmdetail.js";
import { makeColumn, momentAt } from "./filmstrip.js";
import { makePlayer } from "./player.js";

const PLAY_SECONDS = 10;
const QUIET_SECONDS = 0.7; // without a move until the moment is spoken
const NEAR = "400px"; // from the visible part of the page: nothing is fetched before

/**
 * The exhibit, of at least one cell: {chosen: name, cells: [{name, size, title, side, channels, latents, film, story}, the smallest first],
 * start: null or {position: 0..1}}. `film` is the ref of a PNG sheet with a row a moment and `latents` pictures of
 * side x side in it, `story` the ref of what gan/browser/film_payload.py tells. `start` is where the film stands at first (at its end
 * where there is none) and again whenever it changes; otherwise the place is kept.
 *
 * The scrubber goes from moment to moment of the chosen run. Its share of that run's updates is what the columns have
 * in common: each shows its latest moment within that share of its own updates.
 *
 * `onChoose(name)` is told when the visitor chooses another amount of data.
 */
export function makeFilm(say, { assets, onChoose = () => {} }) {
  const strip = element("ol", { class: "film-strip", role: "list", "aria-label": say("film_strip") });
  const toggle = () => player.toggle();
  const button = element("button", { type: "button", class: "film-play", onclick: toggle }, say("film_play"));
  const scrubber = element("input", { type: "range", min: 0, max: 1, step: 1, "aria-label": say("film_scrubber") });
  const place = element("output", { class: "film-place" });
  const controls = element("div", { class: "film-controls" }, button, scrubber, place);
  const spoken = element("p", { class: "film-spoken", "aria-live": "polite" });
  const detail = makeFilmDetail(say);
  const note = element("p", { class: "quiet" }, say("film_note"));
  const node = element("section", { class: "film", "aria-label": say("film_label") });
  node.append(strip, controls, detail.node, note, spoken);

  const player = makePlayer({ seconds: PLAY_SECONDS, onPosition: follow });
  let columns = []; // {cell, view, state: "waiting" | "loading" | "ready" | "failed", run, error}
  let chosen = null;
  let share = 1; // of the updates of each run
  let chosenSeen = null; // what the page chose last
  let start = null; // a position that waits for the chosen run
  let startSeen = "";
  let near = false;
  let gone = false;
  let speaking = 0;
  let wasPlaying = false;

  /** The run whose moments the scrubber counts: the chosen one, or the first there is until that is there. */
  function leader() {
    return chosen?.run ? chosen : columns.find((column) => column.run);
  }

  /** What the player says: to the moment at that position, and the button as it plays. */
  function follow(position, playing) {
    button.textContent = say(playing ? "film_pause" : "film_play");
    if (wasPlaying && !playing) speakSoon();
    wasPlaying = playing;
    const leading = leader();
    if (!leading) return;
    const { story } = leading.run;
    const index = Math.floor(position * (story.moments.length - 1) + 1e-6);
    // the share stays while the moment does: it may be that of a run chosen before, between two moments of this one
    if (index !== momentAt(story, share)) share = story.moments[index].step / story.total;
    render();
  }

  function render() {
    for (const { view, run } of columns) if (run) view.showMoment(run, momentAt(run.story, share));
    const leading = leader();
    scrubber.disabled = button.disabled = !leading;
    if (!leading) return;
    const { story } = leading.run;
    const index = momentAt(story, share);
    const words = say("film_position", { step: story.moments[index].step, total: story.total });
    scrubber.max = story.moments.length - 1;
    scrubber.value = index;
    scrubber.setAttribute("aria-valuetext", words);
    place.textContent = words;
    if (leading === chosen) detail.showMoment(index);
  }

  /** Brings the player to where the leading run stands. */
  function align() {
    const leading = leader();
    if (leading) player.seek(positionOf(momentAt(leading.run.story, share), leading.run.story));
  }

  function speakSoon() {
    clearTimeout(speaking);
    speaking = setTimeout(() => {
      if (!player.playing && leader()) spoken.textContent = summary(say, leader(), share);
    }, QUIET_SECONDS * 1000);
  }

  scrubber.addEventListener("input", () => {
    const wanted = Number(scrubber.value); // pausing puts the scrubber back to where the film is
    player.pause();
    const leading = leader();
    if (leading) player.seek(positionOf(wanted, leading.run.story));
    speakSoon();
  });

  async function load(column) {
    if (column.state === "loading" || column.state === "ready") return;
    column.state = "loading";
    column.view.showWaiting();
    if (column === chosen) detail.showWaiting(column.cell);
    try {
      const [film, story] = await Promise.all([assets.image(column.cell.film), assets.json(column.cell.story)]);
      checkSheet(say, column.cell, film, story);
      column.run = { film, story };
      column.state = "ready";
    } catch (error) {
      column.error = error;
      column.state = "failed";
    }
    if (!gone && columns.includes(column)) settled(column);
  }

  /** A column has come, or has not. */
  function settled(column) {
    if (column.error && !column.run) column.view.showError(column.error);
    if (column === chosen) showChosen();
    else if (column === leader()) align();
    render();
  }

  function showChosen() {
    columns.forEach((column) => column.view.choose(column === chosen));
    if (chosen.run) {
      detail.showRun(chosen.cell, chosen.run);
      if (start !== null) {
        const { story } = chosen.run;
        const index = Math.floor(start * (story.moments.length - 1) + 1e-6);
        share = story.moments[index].step / story.total;
        start = null;
      }
    } else if (chosen.state === "failed") detail.showError(chosen.error);
    else detail.showWaiting(chosen.cell);
    align();
  }

  async function loadAll() {
    await load(chosen); // what is looked at first comes first
    for (const column of columns) load(column);
  }

  function pick(column) {
    if (column.state === "failed") {
      column.error = null;
      column.state = "waiting";
    }
    const changed = column !== chosen;
    chosen = column;
    showChosen();
    load(column);
    render();
    if (changed) onChoose(column.cell.name);
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
    show(exhibit) {
      const before = new Map(columns.map((column) => [identity(column.cell), column]));
      columns = exhibit.cells.map((cell) => before.get(identity(cell)) ?? newColumn(cell));
      placeChildren(strip, columns.map((column) => column.view.node));
      // the visitor's choice stays until the page makes another
      const name = exhibit.chosen === chosenSeen ? chosen?.cell.name : exhibit.chosen;
      const wanted = columns.find((column) => column.cell.name === name) ?? columns[0];
      const startNow = JSON.stringify(exhibit.start ?? null);
      if (startNow !== startSeen) start = exhibit.start?.position ?? null;
      if (wanted !== chosen || start !== null) {
        chosen = wanted;
        showChosen();
      }
      startSeen = startNow;
      chosenSeen = exhibit.chosen;
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
    const column = { cell, state: "waiting", run: null, error: null };
    column.view = makeColumn(say, cell, () => pick(column));
    return column;
  }
}

/** A cell that is shown again with the same pictures need not be loaded again. */
function identity(cell) {
  return JSON.stringify([cell.name, cell.title, cell.film.id, cell.story.id]);
}

function positionOf(index, story) {
  return story.moments.length > 1 ? index / (story.moments.length - 1) : 1;
}

function checkSheet(say, cell, film, story) {
  const expected = `${cell.latents * cell.side} × ${story.moments.length * cell.side}`;
  const found = `${film.naturalWidth} × ${film.naturalHeight}`;
  if (found !== expected) throw new Error(say("film_mismatch", { found, expected }));
}

/** Scrolls the strip, and nothing else, so that a column that is not wholly seen stands in its middle. */
function intoView(strip, column) {
  const [outer, inner] = [strip.getBoundingClientRect(), column.getBoundingClientRect()];
  if (inner.left >= outer.left && inner.right <= outer.right) return;
  strip.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
}

/** The moment of a column in a sentence. */
function summary(say, column, share) {
  const { story } = column.run;
  const moment = story.moments[momentAt(story, share)];
  const legible = story.digits
    ? say("film_summary_legible", { share: say.percent(moment.legible), kinds: moment.kinds })
    : "";
  const title = column.cell.title.replace(/\s+/g, " ");
  return say("film_summary", { title, step: moment.step, legible, verdict: verdictTitles(say, moment) });
}
