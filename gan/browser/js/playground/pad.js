// The controls that move latents: a plane of the two strongest directions, a slider for each direction (the first two
// repeat the plane, for visitors who cannot drag), truncation, and single components of z.

import { element, keepKey, onFrame } from "../shared/dom.js";

const SHIFTS = 8; // sliders along principal directions
export const MAX_SHIFT = 4; // standard deviations of z, as gan/networks/latent_request.py allows
const STEP = 0.1;
export const MAX_TRUNCATION = 1.5;
export const MAX_AXES = 64; // single components moved at once

/**
 * `makePad(say, {onMove, onRelease})` -> `{node, side, show({shifts, truncation, axes, strengths, latentDim}), destroy()}`; `side`
 * is the column of the sliders.
 *
 * `onMove({shifts, truncation, axes})` comes at most once per frame during a drag, `onRelease()` at its end. shifts [SHIFTS]
 * and the values of axes [[index, value], ...] lie within +-4, truncation in 0..1.5.
 */
export function makePad(say, { onMove, onRelease }) {
  const state = { shifts: Array(SHIFTS).fill(0), truncation: 1, axes: [] };
  let latentDim = 0;
  const moving = onFrame(() => {
    render();
    onMove(structuredClone(state));
  });
  const release = () => {
    moving.now();
    onRelease();
  };
  let pointer = null; // the one that drags the plane; a second finger is ignored
  let keyed = false; // moved by keys that are not released yet

  // --- the plane
  const dot = element("div", { class: "pad-dot" });
  const range = { "aria-valuemin": -MAX_SHIFT, "aria-valuemax": MAX_SHIFT };
  const plane = element("div", { class: "pad-plane", tabindex: 0, role: "slider", "aria-label": say("pad_plane"), ...range }, dot);
  plane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || pointer !== null) return;
    pointer = event.pointerId;
    plane.setPointerCapture(pointer);
    plane.focus({ preventScroll: true });
    toPointer(event);
  });
  plane.addEventListener("pointermove", (event) => {
    if (event.pointerId === pointer) toPointer(event);
  });
  plane.addEventListener("lostpointercapture", () => {
    pointer = null;
    release(); // however the drag ends
  });
  plane.addEventListener("keydown", (event) => {
    const by = event.shiftKey ? 10 * STEP : STEP;
    const moves = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, by], ArrowDown: [0, -by] };
    if (event.key === "Home") set(0, 0);
    else if (moves[event.key]) set(state.shifts[0] + moves[event.key][0], state.shifts[1] + moves[event.key][1]);
    else return;
    keyed = true;
    event.preventDefault(); // the page must not scroll
    keepKey(event);
  });
  for (const end of ["keyup", "blur"]) {
    plane.addEventListener(end, () => {
      if (keyed) release();
      keyed = false;
    });
  }

  function toPointer(event) {
    const box = plane.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const down = (event.clientY - box.top) / box.height;
    set((2 * across - 1) * MAX_SHIFT, (1 - 2 * down) * MAX_SHIFT);
  }

  function set(x, y) {
    state.shifts[0] = clamped(x);
    state.shifts[1] = clamped(y);
    moving.ask();
  }

  // --- sliders
  /** A slider of the number `target[key]`. */
  function slider(label, min, max, target, key, extra = null) {
    const value = element("output", { class: "pad-value" });
    const input = element("input", { type: "range", min, max, step: STEP, "aria-label": label, onchange: release, onkeydown: keepKey });
    input.addEventListener("input", () => {
      target[key] = Number(input.value);
      moving.ask();
    });
    const node = element("div", { class: "row pad-slider" }, element("span", { class: "pad-label" }, label), input, value, extra);
    const show = () => {
      input.value = target[key];
      value.textContent = target[key].toFixed(1);
    };
    return { node, input, show };
  }

  const directions = state.shifts.map((_, k) => slider(say("pad_direction", { k: k + 1 }), -MAX_SHIFT, MAX_SHIFT, state.shifts, k));
  const truncation = slider(say("pad_truncation"), 0, MAX_TRUNCATION, state, "truncation");
  truncation.input.title = say("pad_truncation_help");
  const reset = element("button", { type: "button", onclick: back }, say("pad_reset"));

  function back() {
    state.shifts.fill(0);
    state.truncation = 1;
    state.axes = [];
    showAxes();
    moving.ask();
    release();
  }

  // --- raw components
  const axesList = element("div", { class: "pad-sliders" });
  const which = element("input", { type: "number", min: 0, step: 1, value: 0, "aria-label": say("pad_axis_which") });
  const more = element("button", { type: "button", onclick: addAxis }, say("pad_axis_add"));
  const rawNote = element("p", { class: "quiet" }, say("pad_raw_note"));
  const addition = element("div", { class: "row" }, which, more);
  const raw = element("details", { class: "pad-raw" }, element("summary", {}, say("pad_raw")), rawNote, addition, axesList);
  which.addEventListener("keydown", (event) => {
    keepKey(event);
    if (event.key === "Enter") addAxis();
  });
  let axisSliders = [];

  function addAxis() {
    const axis = Math.round(Number(which.value));
    if (!(axis >= 0 && axis < latentDim) || state.axes.length >= MAX_AXES || state.axes.some(([known]) => known === axis)) return;
    state.axes = [...state.axes, [axis, 0]].sort(([a], [b]) => a - b);
    which.value = Math.min(axis + 1, latentDim - 1);
    showAxes();
    release();
  }

  function showAxes() {
    axisSliders = state.axes.map((pair) => {
      const remove = () => {
        state.axes = state.axes.filter((other) => other !== pair);
        showAxes();
        moving.ask();
        release();
      };
      const label = say("pad_axis_remove", { axis: pair[0] });
      const button = element("button", { type: "button", "aria-label": label, onclick: remove }, "×");
      return slider(`z[${pair[0]}]`, -MAX_SHIFT, MAX_SHIFT, pair, 1, button);
    });
    axesList.replaceChildren(...axisSliders.map((made) => made.node));
    axisSliders.forEach((made) => made.show());
  }

  // --- together
  const sliders = element("div", { class: "pad-sliders" }, ...directions.map((made) => made.node), truncation.node);
  const side = element("div", { class: "pad-side" }, sliders, element("div", { class: "row" }, reset), raw);
  const node = element("div", { class: "pad" }, plane, side);

  function render() {
    const [x, y] = state.shifts;
    dot.style.left = `${50 + (50 * x) / MAX_SHIFT}%`;
    dot.style.top = `${50 - (50 * y) / MAX_SHIFT}%`;
    plane.setAttribute("aria-valuenow", x.toFixed(1));
    plane.setAttribute("aria-valuetext", say("pad_at", { x: x.toFixed(1), y: y.toFixed(1) }));
    for (const made of [...directions, truncation, ...axisSliders]) made.show();
  }

  function show({ shifts, truncation: psi, axes, strengths, latentDim: size }) {
    state.shifts.forEach((_, k) => (state.shifts[k] = shifts[k] ?? 0));
    state.truncation = psi;
    const same = JSON.stringify(axes) === JSON.stringify(state.axes); // keep their sliders then: one may be in use
    if (!same) state.axes = structuredClone(axes);
    latentDim = size;
    which.max = size - 1;
    directions.forEach((made, k) => {
      made.node.hidden = k >= size;
      made.input.title = k < size ? say("pad_direction_help", { strength: strengths[k].toFixed(2) }) : "";
    });
    if (!same) showAxes();
    render();
  }

  return { node, side, show, destroy: moving.stop };
}

function clamped(value) {
  return Math.round(Math.min(MAX_SHIFT, Math.max(-MAX_SHIFT, value)) * 100) / 100;
}
