// The latent pad, the wall (a row per latent, a column per amount of data) and the parts around them: every model shown
// draws the same latent request.

import { element, onFrame } from "../shared/dom.js";
import { makeGallery } from "./gallery.js";
import { fitting, imagesOf, makeModels } from "../nn/models.js";
import { readClassifier } from "../nn/networks.js";
import { makePad } from "./pad.js";
import { makeNear, makeReading, readingWords } from "./reading.js";
import { makeRows } from "./rows.js";
import { makeSaving } from "./saving.js";
import { makeWall, ROWS_SHOWN } from "./wall.js";

const IDLE_MILLISECONDS = 150; // without a move, before every image of the wall is read

/**
 * `makePlayground(say, {assets, onRelease, onFocus, onFail, failedBefore})` -> `{node, show(payload), destroy()}`;
 * `node.stats`: how often everything was drawn, the milliseconds of all draws, and whether SIMD was used.
 *
 * payload: {chosen (name), cells: [{name, title, count, side, channels, digits, weights (ref)}] by amount of data, classifier
 * (ref or null), columns (amounts of data shown in the wall until the visitor chooses), start: {id, request}, still (address of the image that the server drew, or null), nearest: null | {number, training, unseen, words}}.
 * request: a latent request as gan/networks/latent_request.py writes it.
 *
 * The visitor's request stays until `show` comes with another `start.id`. `onRelease(request)`: the visitor let a control
 * go; `onFocus({name, row, request, number})`: the visitor chose an image, `number` as in `makeNear`; `onFail(kind)`: the
 * chosen model cannot be shown, with a kind of LoadError, null when it can; `failedBefore`: the last kind of an earlier mount.
 */
export function makePlayground(say, { assets, onRelease, onFocus, onFail, failedBefore = null }) {
  const stats = { draws: 0, milliseconds: 0, simd: null };
  const models = makeModels(assets, ROWS_SHOWN);
  let payload = null;
  let request = null;
  let focus = null; // {name, row}
  let amounts = null; // of data, chosen by the visitor for the wall, for any recipe; null: the columns of the payload
  let failed = failedBefore;
  const problems = { chosen: "", classifier: "" }; // as text
  let classifier = null;
  let idle = 0;
  let gone = false;

  // --- parts
  const reading = makeReading(say);
  const pad = makePad(say, { onMove: move, onRelease: release });
  const wall = makeWall(say, {
    onFocus: choose,
    onColumns(names) {
      amounts = names.map((name) => cellOf(name).count);
      arrange();
    },
  });
  const rows = makeRows(say, {
    onMove: (wanted) => move({ rows: wanted }),
    onRelease: release,
    draw: (seed) => drawSeeds([seed])?.[0],
  });
  const gallery = makeGallery(say, {
    draw: (seeds) =>
      drawSeeds(seeds)?.map((pixels) => {
        const found = readings(pixels, opened().generator);
        return { pixels, reading: found?.length === 1 ? found[0] : null };
      }),
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
    directionsOf: payload.chosen,
    focused: opened(focus.name),
    large: reading.prepare(cellOf(focus.name)),
    wall: Array.from({ length: ROWS_SHOWN }, (_, row) => drawnColumns().map((column) => column.pictures[row])),
  }));
  const again = element("button", { type: "button", onclick: () => arrange() }, say("load_again"));
  const top = element("div", { class: "playground-top" }, reading.node, pad.node);
  const middle = element("div", { class: "playground-middle" }, rows.node, wall.node);
  const galleryNote = element("p", { class: "quiet" }, say("gallery_note"));
  const bottom = element("details", { open: true }, element("summary", {}, say("gallery_title")), galleryNote, gallery.node);
  const node = element("div", { class: "playground" }, top, middle, saving.node, bottom);
  node.stats = stats; // for benchmarks
  pad.side.append(near.node); // there is room for it
  const drawing = onFrame(draw);

  // --- what is shown
  function show(wanted) {
    const fresh = payload?.start.id !== wanted.start.id;
    const another = payload && payload.chosen !== wanted.chosen;
    if (another) focus = { name: wanted.chosen, row: focus.row }; // the chosen model is the large one
    if (another || fresh) near.clear();
    payload = wanted;
    if (fresh) {
      request = wanted.start.request;
      focus = { name: wanted.chosen, row: 0 };
      rows.show(request.rows);
    }
    arrange();
    near.show(payload.nearest);
  }

  /** Shows everything in the payload; models that have to be loaded appear when they arrive. */
  function arrange() {
    arranged().catch((error) => {
      console.error(error); // a bug: the server draws instead
      fail("unknown");
    });
  }

  async function arranged() {
    const { cells, chosen } = payload;
    const wanted = (cell) => cell.name === chosen || (amounts ?? payload.columns).includes(cell.count);
    const shown = cells.filter(wanted).map((cell) => cell.name);
    if (!shown.includes(focus.name)) {
      focus = { name: chosen, row: focus.row };
      near.clear();
    }
    wall.show({ cells, chosen, shown });
    wall.focus(focus.name, focus.row);
    const cell = cellOf(focus.name);
    reading.prepare({ ...cell, still: payload.still });
    for (const part of Object.keys(problems)) report(part, "");
    drawing.ask(); // the models that have arrived; also disables saving while the chosen one has not
    await Promise.all([modelArrived(cellOf(chosen)), classifierArrived()]);
    for (const name of shown) {
      if (gone || !payload.cells.some((other) => other.name === name)) return;
      if (name !== chosen) await modelArrived(cellOf(name)); // one after the other, so that columns appear in order
    }
  }

  async function modelArrived(cell) {
    const isChosen = () => cell.name === payload.chosen; // maybe no longer
    try {
      const { generator } = await models.arrival(cell, payload.cells);
      if (gone) return;
      if (isChosen()) showChosen(cell, generator);
      wall.column(cell.name)?.ready();
      drawing.ask();
    } catch (error) {
      if (gone) return;
      wall.column(cell.name)?.message(reason(error));
      if (!isChosen()) return;
      report("chosen", reason(error));
      fail(error.kind ?? "unknown");
    }
  }

  function showChosen({ name, digits }, { simd, strengths, latentDim, side, channels }) {
    stats.simd = simd;
    fail(null);
    pad.show({ ...request, strengths, latentDim });
    rows.redraw(side, channels);
    gallery.show({ name, side, channels, digits: digits && channels === 1 });
    reading.live();
  }

  async function classifierArrived() {
    if (classifier || !payload.classifier) return;
    try {
      classifier = readClassifier(await assets.bytes(payload.classifier));
      drawing.ask();
    } catch (error) {
      report("classifier", `${say("reading_no_classifier")} ${reason(error)}`);
    }
  }

  /** Shows or clears the problem of a part, and a button to try again. Both parts can have one. */
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
    return payload.cells.find((cell) => cell.name === name);
  }

  /** The model of that name, null if it has not arrived. */
  function opened(name = payload.chosen) {
    return models.opened(cellOf(name));
  }

  /** The columns of the wall whose models have arrived, by amount of data. */
  function drawnColumns() {
    return payload.cells.filter(({ name }) => opened(name) && wall.column(name)).map(({ name }) => wall.column(name));
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
    // latents moved along the chosen model's directions; the other models draw the same ones
    const z = chosen.latents.rows(fitting(request, chosen.generator.latentDim), ROWS_SHOWN, chosen.z);
    for (const [name, column] of wall.columns) {
      const model = opened(name);
      if (!model || model.generator.latentDim !== chosen.generator.latentDim) continue;
      model.generator.generate(z, ROWS_SHOWN, model.pixels);
      column.pictures.forEach((picture, row) => picture.paint(model.images[row]));
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
    picture.paint(model.images[focus.row]);
    reading.show(readings(picture.values, model.generator));
  }

  /** The classifier's reading of each channel of one image; null if it cannot read such images. */
  function readings(pixels, { side, channels }) {
    if (!classifier || side !== classifier.side || !cellOf(focus.name).digits) return null;
    if (channels === 1) return [classifier.read(pixels)];
    return Array.from({ length: channels }, (_, c) => classifier.read(pixels.filter((_, i) => i % channels === c)));
  }

  function readAll() {
    for (const [name, column] of wall.columns) {
      const model = opened(name);
      if (!model) continue;
      model.images.forEach((image, row) => {
        const found = readings(image, model.generator) ?? [];
        column.read(row, found.map((one) => readingWords(say, one)).join(" · "));
      });
    }
  }

  /** The pixels of each seed with the request's truncation, not moved: [side][side][channels]; null without a model. */
  function drawSeeds(seeds) {
    const model = opened();
    if (!model) return null;
    const still = { rows: { kind: "list", seeds }, truncation: request.truncation, shifts: [], axes: [] };
    return imagesOf(model.generator.generate(model.latents.rows(still, seeds.length), seeds.length), seeds.length);
  }

  // --- the large image
  function choose(name, row) {
    focus = { name, row };
    wall.focus(name, row);
    reading.prepare(cellOf(name));
    reading.live();
    drawFocus();
    reading.speak();
    if (request.rows.kind === "seeds" || request.rows.kind === "list") rows.activate(row);
    near.clear();
    onFocus({ name, row, request, number: near.number() });
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
