// The latent pad, the wall and what belongs to them: one request of the latents, drawn by every model that is shown.

import { element, onFrame } from "../shared/dom.js";
import { makeGallery } from "./gallery.js";
import { fitting, makeModels } from "../nn/models.js";
import { makeNear } from "./near.js";
import { readClassifier } from "../nn/networks.js";
import { makePad } from "./pad.js";
import { SURE, makeReading } from "./reading.js";
import { makeRows } from "./rows.js";
import { makeSaving } from "./saving.js";
import { makeWall, ROWS_SHOWN } from "./wall.js";

const IDLE_MILLISECONDS = 150; // without a move, until every picture of the wall is read

/**
 * `makePlayground(say, {assets, onRelease, onFocus, onFail, simd})` -> `{node, show(exhibit), destroy()}`; `node.stats`: how often everything
 * was drawn, the milliseconds that took together, and whether with SIMD.
 *
 * exhibit: {chosen (name), cells: [{name, title, count, side, channels, digits, weights (ref)}] by amount of data, classifier
 * (ref or null), columns (names shown in the wall until the visitor chooses), start: {id, request, focus: {name, row} or null}, still (address of
 * the picture the server drew, or null), neighbours: null | {asked, training, unseen, words}}.
 *
 * The visitor's request is kept when `show` comes again, until it comes with another `start.id`. `onRelease(request)`: something was
 * let go; `onFocus({name, row, request, asked})`: a picture was chosen; `onFail(kind)`: the chosen model cannot be shown, with a
 * kind of LoadError; null when it can. `failedBefore`: what was said last, by an earlier mount.
 */
export function makePlayground(say, { assets, onRelease, onFocus, onFail, failedBefore = null, simd = true }) {
  const stats = { draws: 0, milliseconds: 0, simd: null };
  const models = makeModels(assets, ROWS_SHOWN, simd);
  let exhibit = null;
  let request = null;
  let focus = null; // {name, row}
  let amounts = null; // of data that the visitor wants in the wall, whatever the models of them are called; null: the exhibit's columns
  let failed = failedBefore;
  const problems = { chosen: "", classifier: "" }; // in words
  let classifier = null;
  let idle = 0;
  let gone = false;

  // --- parts
  const reading = makeReading(say);
  const pad = makePad(say, {
    onMove: (moved) => move(moved),
    onRelease: release,
  });
  const wall = makeWall(say, {
    onFocus: choose,
    onColumns(names) {
      amounts = new Set(names.map((name) => cellOf(name).count));
      arrange();
    },
  });
  const rows = makeRows(say, {
    onMove: (wanted) => move({ rows: wanted }),
    onRelease: release,
    draw: (seed) => drawSeeds([seed])?.subarray(0),
  });
  const gallery = makeGallery(say, {
    look(seeds) {
      if (!opened()) return null;
      const { generator } = opened();
      const pixels = drawSeeds(seeds);
      const size = pixels.length / seeds.length;
      return seeds.map((_, i) => {
        const part = pixels.slice(i * size, (i + 1) * size);
        const found = readings(part, generator);
        return { pixels: part, reading: found?.length === 1 ? found[0] : null };
      });
    },
    onPick: (seed) => rows.put(seed),
    onFour(seeds) {
      const wanted = { kind: "list", seeds };
      rows.show(wanted);
      move({ rows: wanted });
      release();
    },
  });
  const near = makeNear(say);
  const saving = makeSaving(say, () => ({
    cell: cellOf(focus.name),
    row: focus.row,
    request,
    chosen: opened(),
    directionsOf: exhibit.chosen,
    focused: opened(focus.name),
    large: reading.prepare(cellOf(focus.name)),
    wall: Array.from({ length: ROWS_SHOWN }, (_, row) => drawnColumns().map((column) => column.pictures[row])),
  }));
  const again = element("button", { type: "button", onclick: () => arrange() }, say("load_again"));
  const node = element(
    "div",
    { class: "playground" },
    element("div", { class: "playground-top" }, reading.node, pad.node),
    element("div", { class: "playground-middle" }, rows.node, wall.node),
    saving.node,
    element("details", { class: "playground-gallery", open: true }, element("summary", {}, say("gallery_title")), element("p", { class: "quiet" }, say("gallery_note")), gallery.node),
  );
  node.stats = stats; // for whoever measures the page
  pad.side.append(near.node); // where there is room for it
  const drawing = onFrame(draw);

  // --- what is shown
  function show(wanted) {
    const fresh = exhibit?.start.id !== wanted.start.id;
    const another = exhibit && exhibit.chosen !== wanted.chosen;
    if (another) focus = { name: wanted.chosen, row: focus.row }; // what is chosen is seen large
    if (another || fresh) near.clear();
    exhibit = wanted;
    if (fresh) {
      ({ request, focus } = wanted.start);
      rows.show(request.rows);
    }
    arrange();
    near.show(exhibit.neighbours);
  }

  /** Everything as the exhibit, the request and the columns say; what has to be loaded comes when it is there. */
  function arrange() {
    arranged().catch((error) => {
      console.error(error); // a fault of ours: the server draws
      fail("unknown");
    });
  }

  async function arranged() {
    const { cells, chosen } = exhibit;
    const wanted = (cell) => cell.name === chosen || (amounts ? amounts.has(cell.count) : exhibit.columns.includes(cell.name));
    const shown = cells.filter(wanted).map((cell) => cell.name);
    if (!shown.includes(focus?.name)) {
      focus = { name: chosen, row: focus?.row ?? 0 };
      near.clear();
    }
    wall.show({ cells, chosen, shown });
    wall.focus(focus.name, focus.row);
    const cell = cellOf(focus.name);
    reading.prepare({ ...cell, still: exhibit.still });
    for (const part of Object.keys(problems)) report(part, "");
    drawing.ask(); // what is there; without the chosen model nothing can be saved
    await Promise.all([chosenArrived(cellOf(chosen)), classifierArrived()]);
    for (const name of shown) {
      if (gone || !exhibit.cells.some((other) => other.name === name)) return;
      if (name !== chosen) await columnArrived(cellOf(name)); // one after the other: what is drawn first is there first
    }
  }

  async function chosenArrived(cell) {
    try {
      const { generator } = await models.arrival(cell, exhibit.cells);
      if (gone || cell.name !== exhibit.chosen) return;
      stats.simd = generator.simd;
      fail(null);
      pad.show({ ...request, strengths: generator.strengths, latentDim: generator.latentDim });
      rows.redraw(generator.side, generator.channels);
      gallery.show({ name: cell.name, side: generator.side, channels: generator.channels, digits: cell.digits && generator.channels === 1 });
      reading.live();
      wall.column(cell.name)?.ready();
      drawing.ask();
    } catch (error) {
      if (gone || cell.name !== exhibit.chosen) return;
      report("chosen", reason(error));
      wall.column(cell.name)?.message(reason(error));
      fail(error.kind ?? "unknown");
    }
  }

  async function columnArrived(cell) {
    try {
      await models.arrival(cell, exhibit.cells);
      wall.column(cell.name)?.ready();
      drawing.ask();
    } catch (error) {
      wall.column(cell.name)?.message(reason(error));
    }
  }

  async function classifierArrived() {
    if (classifier || !exhibit.classifier) return;
    try {
      classifier = readClassifier(await assets.bytes(exhibit.classifier), { simd });
      drawing.ask();
    } catch (error) {
      report("classifier", `${say("reading_no_classifier")} ${reason(error)}`);
    }
  }

  /** What is wrong with a part; both may be, and both can be tried again. */
  function report(part, text) {
    problems[part] = text;
    const words = Object.values(problems).filter(Boolean);
    reading.message(words.join(" "), ...(words.length ? [again] : []));
  }

  function reason(error) {
    const detail = error.detail ?? error.message;
    return say(`load_${error.kind ?? "unknown"}`) + (detail ? ` (${detail})` : "");
  }

  function fail(kind) {
    if (kind !== failed) onFail(kind);
    failed = kind;
  }

  function cellOf(name) {
    return exhibit.cells.find((cell) => cell.name === name);
  }

  /** The model of that name where it is there by now, else null. */
  function opened(name = exhibit.chosen) {
    return models.opened(cellOf(name));
  }

  /** The columns of the wall whose models are there, by amount of data. */
  function drawnColumns() {
    return exhibit.cells.filter(({ name }) => opened(name) && wall.column(name)).map(({ name }) => wall.column(name));
  }

  // --- drawing
  function move(changes) {
    request = { ...request, ...changes };
    near.clear();
    drawing.ask();
  }

  function release() {
    drawing.now();
    reading.speak();
    onRelease(request);
  }

  function draw() {
    const chosen = opened();
    saving.enable({ model: chosen !== null, walk: request.rows.kind === "walk" });
    if (!chosen) return;
    const started = performance.now();
    // the latents are the chosen model's, moved along its directions; the others draw the very same
    const z = chosen.latents.rows(fitting(request, chosen.generator.latentDim), ROWS_SHOWN, chosen.z);
    for (const [name, column] of wall.columns) {
      const model = opened(name);
      if (!model || model.generator.latentDim !== chosen.generator.latentDim) continue;
      const { generator, pixels } = model;
      generator.generate(z, ROWS_SHOWN, pixels);
      const size = pixels.length / ROWS_SHOWN;
      column.pictures.forEach((picture, row) => picture.paint(pixels, row * size));
    }
    drawFocus();
    stats.draws += 1;
    stats.milliseconds += performance.now() - started;
    clearTimeout(idle);
    idle = setTimeout(readAll, IDLE_MILLISECONDS);
  }

  function drawFocus() {
    const model = opened(focus.name);
    if (!model) return;
    const cell = cellOf(focus.name);
    const picture = reading.prepare(cell);
    reading.name(say("wall_cell", { count: cell.count, row: focus.row + 1 }));
    const size = picture.values.length;
    picture.paint(model.pixels, focus.row * size);
    reading.show(readings(picture.values, model.generator));
  }

  /** What the classifier says of each channel of one picture; null where there is none for such pictures. */
  function readings(pixels, { side, channels }) {
    if (!classifier || side !== classifier.side || !cellOf(focus.name).digits) return null;
    if (channels === 1) return classifier.read(pixels, 1);
    return Array.from({ length: channels }, (_, c) => classifier.read(pixels.filter((_, i) => i % channels === c), 1)[0]);
  }

  function readAll() {
    for (const [name, column] of wall.columns) {
      const model = opened(name);
      if (!model) continue;
      const size = model.pixels.length / ROWS_SHOWN;
      for (let row = 0; row < ROWS_SHOWN; row++) {
        const found = readings(model.pixels.slice(row * size, (row + 1) * size), model.generator);
        column.read(row, found ? found.map(words).join(" · ") : "");
      }
    }
  }

  function words({ digit, confidence }) {
    return confidence >= SURE ? say("gallery_read", { digit }) : say("gallery_unread");
  }

  /** Pictures of seeds as the request's truncation has them, not moved: [seeds][side][side][channels], null without a model. */
  function drawSeeds(seeds) {
    const model = opened();
    if (!model) return null;
    const still = { rows: { kind: "list", seeds }, truncation: request.truncation, shifts: [], axes: [] };
    return model.generator.generate(model.latents.rows(still, seeds.length), seeds.length);
  }

  // --- one picture, large
  function choose(name, row) {
    focus = { name, row };
    wall.focus(name, row);
    reading.prepare(cellOf(name));
    reading.live();
    drawFocus();
    reading.speak();
    if (request.rows.kind === "seeds" || request.rows.kind === "list") rows.activate(row);
    near.clear();
    onFocus({ name, row, request, asked: near.ask() });
  }

  return {
    node,
    show,
    destroy() {
      gone = true;
      drawing.stop();
      clearTimeout(idle);
      for (const part of [pad, rows, gallery]) part.destroy();
    },
  };
}
