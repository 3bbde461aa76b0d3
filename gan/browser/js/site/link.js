// The address of what is shown: the words of the app's own links (views/explore/state.py), behind the # of the page.

import { LAST_SEED } from "../nn/latents.js";
import { MAX_AXES, MAX_SHIFT, MAX_TRUNCATION } from "../playground/pad.js";

const MAX_SEED = 999999; // of the grid in the app
const MAX_LISTED = 24;
const LAST_AXIS = 4095; // as gan/networks/latent_request.py allows
const CHOICES = ["lang", "model", "size", "budget", "recipe", "moment"];

/**
 * What a link asks for: `{lang, model, size, budget, recipe, moment, request}`, the `defaults` where it says nothing, or nothing
 * that is on offer. `offered`: for each of these but the request the values there are; sizes are numbers.
 */
export function readLink(text, offered, defaults) {
  const asked = new URLSearchParams(text.replace(/^#/, ""));
  const found = { ...defaults };
  for (const name of CHOICES) {
    const value = offered[name].find((one) => String(one) === asked.get(name));
    if (value !== undefined) found[name] = value;
  }
  found.request = linkedRequest(asked, defaults.request);
  return found;
}

/** The link of a state: what differs from `defaults`, and the language. */
export function writeLink(state, defaults) {
  const { request } = state;
  const parts = CHOICES.filter((name) => name === "lang" || state[name] !== defaults[name]).map((name) => [name, state[name]]);
  if (request.rows.kind !== "seeds") parts.push(["rows", rowsText(request.rows)]);
  else if (request.rows.first !== 0) parts.push(["seed", request.rows.first]);
  if (request.shifts.some((shift) => shift !== 0)) parts.push(["move", request.shifts.map(short).join(",")]);
  if (request.axes.length) parts.push(["z", request.axes.map(([axis, value]) => `${axis}:${short(value)}`).join(",")]);
  if (request.truncation !== 1) parts.push(["psi", short(request.truncation)]);
  return parts.map(([name, value]) => `${name}=${encodeURIComponent(value).replace(/%2C/g, ",").replace(/%3A/g, ":")}`).join("&");
}

function short(value) {
  return String(Number(value.toFixed(4)));
}

function rowsText(rows) {
  if (rows.kind === "list") return `list:${rows.seeds.join(",")}`;
  if (rows.kind === "walk") return `walk:${rows.start},${rows.end},${short(rows.t)}`;
  return `sum:${rows.plus},${rows.minus},${rows.other}`;
}

function linkedRequest(asked, request) {
  const first = whole(asked.get("seed") ?? "", MAX_SEED);
  const shifts = (asked.get("move") ?? "").split(",").map((text) => number(text, MAX_SHIFT));
  const truncation = number(asked.get("psi") ?? "", MAX_TRUNCATION);
  return {
    rows: linkedRows(asked.get("rows") ?? "") ?? (first === null ? request.rows : { kind: "seeds", first }),
    shifts: shifts.includes(null) ? request.shifts : request.shifts.map((_, i) => shifts[i] ?? 0),
    truncation: truncation === null || truncation < 0 ? request.truncation : truncation,
    axes: linkedAxes(asked.get("z") ?? "") ?? request.axes,
  };
}

/** "walk:0,64,0.5" as gan/networks/latent_request.py has it; null where any part does not fit. */
function linkedRows(text) {
  const [kind, numbers = ""] = text.split(":");
  const parts = numbers.split(",");
  const t = kind === "walk" ? number(parts.pop(), 1) : 0;
  const seeds = parts.map((part) => whole(part, LAST_SEED));
  if (seeds.includes(null) || t === null || t < 0) return null;
  const [a, b, c] = seeds;
  if (kind === "seeds" && seeds.length === 1) return { kind, first: a };
  if (kind === "list" && seeds.length <= MAX_LISTED) return { kind, seeds };
  if (kind === "walk" && seeds.length === 2) return { kind, start: a, end: b, t };
  if (kind === "sum" && seeds.length === 3) return { kind, plus: a, minus: b, other: c };
  return null;
}

/** "3:1.5,10:-2" -> [[3, 1.5], [10, -2]]; null where any part does not fit. */
function linkedAxes(text) {
  const pairs = text.split(",").map((part) => {
    const [axis, value] = part.split(":");
    return [whole(axis, LAST_AXIS), number(value ?? "", MAX_SHIFT)];
  });
  const axes = pairs.map(([axis]) => axis);
  const fits = pairs.every(([axis, value]) => axis !== null && value !== null);
  return fits && axes.length <= MAX_AXES && new Set(axes).size === axes.length ? pairs.sort((one, other) => one[0] - other[0]) : null;
}

function whole(text, most) {
  return /^\d{1,10}$/.test(text) && Number(text) <= most ? Number(text) : null;
}

function number(text, most) {
  return /^-?\d{1,3}(\.\d{1,6})?$/.test(text) && Math.abs(Number(text)) <= most ? Number(text) : null;
}
