// The latents of the rows: seeds, a walk (interpolation) between two, or one minus another plus a third.

import { element, keepKey } from "../shared/dom.js";
import { makePicture } from "./picture.js";
import { makePlayer } from "../film/player.js";
import { ROWS_SHOWN } from "./wall.js";

const WALK_SECONDS = 4;
const LAST_FIRST = 999999; // of the seeds in sequence, as in the app
const KINDS = {
  list: ["rows_row", "rows_row", "rows_row", "rows_row"],
  walk: ["rows_from", "rows_to"],
  sum: ["rows_plus", "rows_minus", "rows_other"],
};

/**
 * `makeRows(say, {onMove, onRelease, draw})` -> `{node, show(rows), redraw(side, channels), put(seed), activate(i), destroy()}`.
 *
 * `rows` as gan/networks/latent_request.py writes them: {kind: "seeds" | "list" | "walk" | "sum", ...}. `onMove(rows)` comes
 * while they change, `onRelease()` at the end of a change. `draw(seed)` -> pixels of one latent, null without a model.
 * `put(seed)` puts a seed into the active slot, `activate(i)` makes slot i the active one.
 */
export function makeRows(say, { onMove, onRelease, draw }) {
  let rows = { kind: "seeds", first: 0 };
  const seeds = { list: [0, 1, 2, 3], walk: [0, 1], sum: [0, 1, 2] };
  let [side, channels, active] = [28, 1, 0];
  let pictures = [];

  const tabs = Object.keys(KINDS).map((kind) => {
    const tab = element("button", { type: "button", onclick: () => choose(kind) }, say(`rows_${kind}`));
    return { kind, tab };
  });
  const kinds = element("div", { class: "row", role: "group", "aria-label": say("rows_title") }, ...tabs.map(({ tab }) => tab));
  const range = { type: "number", min: 0, max: LAST_FIRST, step: 1 };
  const first = element("input", { ...range, "aria-label": say("rows_seed"), onchange: takeFirst, onkeydown: keepKey });
  const shuffle = () => change({ kind: "seeds", first: Math.floor(Math.random() * LAST_FIRST) });
  const dice = element("button", { type: "button", onclick: shuffle }, say("rows_random"));
  const slots = element("div", { class: "row rows-places" });
  const shares = { type: "range", min: 0, max: 1, step: 0.01 };
  const listeners = { oninput: takeShare, onchange: onRelease, onkeydown: keepKey };
  const share = element("input", { ...shares, "aria-label": say("rows_share"), ...listeners });
  const play = element("button", { type: "button", onclick: () => player.toggle() }, say("rows_play"));
  const walk = element("div", { class: "row rows-walk" }, play, share);
  const note = element("p", { class: "quiet" });
  const seedRow = element("label", { class: "row" }, say("rows_seed"), first, dice);
  const node = element("div", { class: "rows" }, kinds, seedRow, slots, walk, note);

  const player = makePlayer({
    seconds: WALK_SECONDS,
    bounce: true,
    onPosition(position, playing) {
      if (rows.kind !== "walk") return;
      rows = { ...rows, t: position };
      render();
      onMove(rows);
      if (!playing) onRelease();
    },
  });

  function takeFirst() {
    change({ kind: "seeds", first: Math.min(LAST_FIRST, Math.max(0, Math.round(Number(first.value)) || 0)) });
  }

  function takeShare() {
    rows = { ...rows, t: Number(share.value) };
    player.rest(rows.t);
    render();
    onMove(rows);
  }

  function kindShown() {
    return rows.kind === "seeds" ? "list" : rows.kind;
  }

  function choose(kind) {
    if (kind === kindShown()) return;
    active = 0;
    change(rowsOf(kind));
  }

  /** The rows of a kind, from the seeds in its slots. */
  function rowsOf(kind) {
    const [a, b, c] = seeds[kind];
    if (kind === "walk") return { kind, start: a, end: b, t: player.position };
    if (kind === "sum") return { kind, plus: a, minus: b, other: c };
    return { kind, seeds: [...seeds.list] };
  }

  function change(wanted) {
    player.rest();
    rows = wanted;
    remember();
    paint();
    onMove(rows);
    onRelease();
  }

  function remember() {
    if (rows.kind === "seeds") seeds.list = Array.from({ length: ROWS_SHOWN }, (_, i) => rows.first + i);
    if (rows.kind === "list") seeds.list = Array.from({ length: ROWS_SHOWN }, (_, i) => rows.seeds[i % rows.seeds.length]);
    if (rows.kind === "walk") seeds.walk = [rows.start, rows.end];
    if (rows.kind === "sum") seeds.sum = [rows.plus, rows.minus, rows.other];
  }

  function put(seed) {
    const kind = kindShown();
    seeds[kind] = seeds[kind].map((old, i) => (i === active ? seed : old));
    active = (active + 1) % seeds[kind].length;
    change(rowsOf(kind));
  }

  function activate(i) {
    active = i;
    render();
  }

  function paint() {
    const kind = kindShown();
    pictures = seeds[kind].map((seed, i) => {
      const picture = makePicture(side, channels);
      const pixels = draw(seed);
      if (pixels) picture.paint(pixels);
      const label = `${say(KINDS[kind][i], { row: i + 1 })}: ${say("gallery_seed", { seed: String(seed) })}`;
      const button = element("button", { type: "button", class: "wall-cell rows-place", "aria-label": label, title: label, onclick: () => activate(i) }, picture.canvas);
      return { button, caption: element("span", { class: "quiet" }, say(KINDS[kind][i], { row: i + 1 })) };
    });
    slots.replaceChildren(...pictures.map(({ button, caption }) => element("div", { class: "rows-slot" }, button, caption)));
    render();
  }

  function render() {
    const kind = kindShown();
    for (const { kind: other, tab } of tabs) tab.setAttribute("aria-pressed", String(other === kind));
    seedRow.hidden = kind !== "list";
    walk.hidden = kind !== "walk";
    note.textContent = say(`rows_note_${kind}`);
    first.value = seeds.list[0];
    if (rows.kind === "walk") {
      share.value = rows.t;
      share.setAttribute("aria-valuetext", say("rows_share_at", { share: say.percent(rows.t) }));
    }
    play.textContent = say(player.playing ? "rows_pause" : "rows_play");
    pictures.forEach(({ button }, i) => button.setAttribute("aria-pressed", String(i === active)));
  }

  return {
    node,
    show(wanted) {
      rows = wanted;
      player.rest(rows.kind === "walk" ? rows.t : 0);
      remember();
      paint();
    },
    redraw(newSide, newChannels) {
      [side, channels] = [newSide, newChannels];
      const focused = pictures.findIndex(({ button }) => button === slots.getRootNode().activeElement);
      paint();
      pictures[focused]?.button.focus({ preventScroll: true });
    },
    put,
    activate,
    destroy: player.destroy,
  };
}
