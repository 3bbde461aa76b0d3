// The state of the page in its address, behind the #, with the parameters of the app's links (views/explore/state.py).

import { LAST_SEED } from "../nn/latents.js";
import { MAX_AXES, MAX_SHIFT, MAX_TRUNCATION } from "../playground/pad.js";

const MAX_SEED = 999999; // of the grid in the app
const MAX_LISTED = 24;
const LAST_AXIS = 4095; // as gan/networks/latent_request.py allows
const CHOICES = ["lang", "model", "size", "budget", "recipe", "moment"];

/**
 * The state in a link: `{lang, model, size, budget, recipe, moment, request}`. `offered`: the possible values of each except
 * the request; sizes are numbers. `defaults`: used for values that are missing or not offered.
 */
export function readLink(text, offered, defaults) {
  const given = new URLSearchParams(text.replace(/^#/, ""));
  const found = { ...defaults };
  for (const name of CHOICES) {
    const value = offered[name].find((one) => String(one) === given.get(name));
    if (value !== undefined) found[name] = value;
  }
  found.request = linkedRequest(given, defaults.request);
  return found;
}

/** The link to a state: the language and everything that differs from `defaults`. */
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

function linkedRequest(given, request) {
  const first = whole(given.get("seed") ?? "", MAX_SEED);
  const shifts = (given.get("move") ?? "").split(",").map((text) => number(text, MAX_SHIFT));
  const truncation = number(given.get("psi") ?? "", MAX_TRUNCATION);
  return {
    rows: linkedRows(given.get("rows") ?? "") ?? (first === null ? request.rows : { kind: "seeds", first }),
    shifts: shifts.includes(null) ? request.shifts : request.shifts.map((_, i) => shifts[i] ?? 0),
    truncation: truncation === null || truncation < 0 ? request.truncation : truncation,
    axes: linkedAxes(given.get("z") ?? "") ?? request.axes,
  };
}

/** "walk:0,64,0.5" as in gan/networks/latent_request.py; null if any part is invalid. */
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

/** "3:1.5,10:-2" -> [[3, 1.5], [10, -2]]; null if any part is invalid. */
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
