// Images of one model by seed: all, or only those that the classifier reads as one digit.

import { element, keepKey } from "../shared/dom.js";
import { LAST_SEED } from "../nn/latents.js";
import { makePicture } from "./picture.js";
import { isSure, readingWords } from "./reading.js";

const MATCHES = 24;
const SEARCH_BATCH = 16; // seeds per frame
const MOST_TRIED = 3000; // seeds per search; 30 of them show a digit that is one in a hundred

/**
 * `makeGallery(say, {draw, onPick, onFour})` -> `{node, show({name, side, channels, digits}), destroy()}`.
 *
 * `digits`: whether the images are single digits, which can be searched for. `draw(seeds)` -> [{pixels, reading}], null
 * without a model: draws and reads the latents of these seeds. `onPick(seed)`: the visitor chose an image;
 * `onFour(seeds)`: the first four become the rows. A search runs one batch per frame and can be stopped.
 */
export function makeGallery(say, { draw, onPick, onFour }) {
  const digits = Array.from({ length: 10 }, (_, digit) => element("option", { value: digit }, say("gallery_only", { digit })));
  const any = element("option", { value: "" }, say("gallery_any"));
  const digit = element("select", { "aria-label": say("gallery_digit"), onchange: begin, onkeydown: keepKey }, any, ...digits);
  const range = { type: "number", min: 0, max: LAST_SEED, step: 1, value: 0 };
  const from = element("input", { ...range, "aria-label": say("gallery_from"), onkeydown: keepKey });
  const find = element("button", { type: "button", onclick: () => (search ? stop() : begin()) }, say("gallery_find"));
  const useFour = () => onFour(seeds.slice(0, 4));
  const four = element("button", { type: "button", disabled: true, onclick: useFour }, say("gallery_four"));
  const found = element("div", { class: "gallery-grid" });
  const status = element("p", { class: "quiet", role: "status" });
  const controls = element("div", { class: "row" }, digit, element("label", { class: "row" }, say("gallery_from"), from), find, four);
  const node = element("div", { class: "gallery" }, controls, status, found);
  let facts = null;
  let search = null;
  let seeds = [];

  function begin() {
    stop();
    if (!facts) return;
    seeds = [];
    found.replaceChildren();
    four.disabled = true;
    find.textContent = say("gallery_stop");
    const first = Math.min(LAST_SEED - MOST_TRIED, Math.max(0, Math.round(Number(from.value)) || 0));
    search = { next: first, first, wanted: digit.value === "" ? null : Number(digit.value) };
    search.frame = requestAnimationFrame(step);
  }

  function step() {
    const { next, first, wanted } = search;
    const tried = Array.from({ length: SEARCH_BATCH }, (_, i) => next + i);
    const drawn = draw(tried);
    if (!drawn) {
      stop();
      facts = null; // so that the next model starts a new search
      return;
    }
    drawn.forEach(({ pixels, reading }, i) => {
      if (seeds.length >= MATCHES) return;
      search.next = tried[i] + 1;
      const fits = wanted === null || (isSure(reading) && reading.digit === wanted);
      if (fits) add(tried[i], pixels, reading);
    });
    const count = search.next - first;
    four.disabled = seeds.length < 4;
    status.textContent = wanted === null ? "" : say("gallery_count", { found: seeds.length, tried: count, digit: wanted });
    if (seeds.length >= MATCHES || count >= MOST_TRIED) stop();
    else search.frame = requestAnimationFrame(step);
  }

  function add(seed, pixels, reading) {
    seeds.push(seed);
    const picture = makePicture(facts.side, facts.channels);
    picture.paint(pixels);
    const name = say("gallery_seed", { seed: String(seed) });
    const label = facts.digits ? `${name}: ${readingWords(say, reading)}` : name;
    found.append(element("button", { type: "button", class: "wall-cell", "aria-label": label, title: label, onclick: () => onPick(seed) }, picture.canvas));
  }

  function stop() {
    if (search) cancelAnimationFrame(search.frame);
    search = null;
    find.textContent = say("gallery_find");
  }

  /** `name` of the model: another model starts a new search. */
  function show(wanted) {
    digit.hidden = !wanted.digits;
    const changed = facts?.name !== wanted.name;
    facts = wanted;
    if (changed) begin();
  }

  return { node, show, destroy: stop };
}
