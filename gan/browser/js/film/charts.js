// Small line charts with a movable mark.

import { element, svgElement } from "../shared/dom.js";

export const COLOURS = { real: "#2E9E5B", generated: "#A33EBD", discriminator: "#447CE4", unseen: "#E0A100" };

const HEIGHT = 190; // of the drawing, in pixels
const MARGIN = { top: 8, right: 12, bottom: 36, left: 46 }; // room for ticks and axis labels
const FIRST_WIDTH = 320; // until the real width is known
// Lines differ not only in colour but also in dashes: solid, dashed, dotted.
const DASHES = ["none", "7 3", "2 2.5"];
const RULE = { stroke: COLOURS.real, "stroke-width": 1.5, "stroke-dasharray": "5 4" };
const LINE_HEIGHT = 13; // of the values beside the mark, in pixels

/**
 * A line chart whose words come from `say` and whose colours come from the theme.
 *
 * `range`: [lowest, highest] of the y axis; by default what the lines span, from 0 unless `log`. `log`, `logX`:
 * logarithmic axes; on a logarithmic y axis a value that is not positive breaks the line. `dots`: a dot on every point.
 * `note`: a caption below the drawing.
 *
 * Returned: `node`; `show({series, rule, end, described})`, which may be called again with new data; `mark(x)`, which
 * draws a vertical line at x with the values there (null removes it); `destroy()`. While the pointer is over the
 * drawing, the mark follows it.
 *
 * `series`: [{label, colour, x: [ascending numbers], y: [numbers; null breaks the line]}]. `rule`: {value, label}, a
 * dashed horizontal line. `end`: end of a linear x axis, by default the last x. `described`: whether the text
 * alternative contains the data or, because the data changes all the time, only the title.
 */
export function lineChart(say, { title, xLabel, yLabel, log = false, logX = false, dots = false, range = null, note = "" }) {
  const drawing = svgElement("svg", { class: "chart-drawing", role: "img", height: HEIGHT });
  const legend = element("div", { class: "chart-legend", "aria-hidden": "true" });
  const node = element("figure", { class: "chart" }, element("figcaption", {}, title), legend, drawing);
  if (note) node.append(element("p", { class: "quiet" }, note));
  let shown = null; // {lines, rule, described, xRange, yRange}
  let layers = null; // {x, y: scales, mark: the group of the mark}
  let marked = null;
  let pointed = null; // x under the pointer
  let width = FIRST_WIDTH;

  function draw() {
    const { lines, rule, xRange, yRange } = shown;
    const x = scale(xRange, [MARGIN.left, width - MARGIN.right], logX);
    const y = scale(yRange, [HEIGHT - MARGIN.bottom, MARGIN.top], log);
    layers = { x, y, mark: svgElement("g", { class: "chart-mark" }) };
    drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    drawing.replaceChildren(
      ...axes(x, y, xRange, yRange, { xLabel, yLabel, log, logX, width }),
      ...(rule ? [across(y(rule.value), width, RULE)] : []),
      ...lines.map((line, index) => curve(line, x, y, DASHES[index % DASHES.length])),
      ...(dots ? lines.flatMap((line) => pointDots(line, x, y)) : []),
      layers.mark,
    );
    drawMark();
  }

  function drawMark() {
    const at = pointed ?? marked;
    layers.mark.replaceChildren(...(at === null ? [] : markParts(valuesAt(shown.lines, at), at, layers, width, say)));
    if (pointed !== null) layers.mark.append(pointedNumber(layers.x(pointed), pointed, say));
  }

  function describe() {
    drawing.setAttribute("aria-label", shown.described ? description(say, { ...shown, title, marked }) : title);
  }

  /** Moves the mark to the point nearest to the pointer. */
  function point(event) {
    const box = drawing.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * width;
    const xs = shown?.lines.flatMap((line) => line.x) ?? [];
    if (!xs.length) return;
    const distance = (x) => Math.abs(layers.x(x) - place);
    pointed = xs.reduce((best, x) => (distance(x) < distance(best) ? x : best));
    drawMark();
  }

  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerleave", () => {
    pointed = null;
    if (shown) drawMark();
  });
  const watch = new ResizeObserver(() => {
    const room = Math.round(drawing.getBoundingClientRect().width);
    if (!room || room === width) return;
    width = room;
    if (shown) draw();
  });
  watch.observe(drawing);

  return {
    node,
    show({ series, rule = null, end = null, described = true }) {
      const lines = series.map((line) => ({ ...line, y: line.y.map((value) => usable(value, log)) }));
      const xs = lines.flatMap((line) => line.x);
      const xRange = logX ? span(xs, true) : [0, end ?? Math.max(1, ...xs)];
      const yRange = range ?? span([...lines.flatMap((line) => line.y), rule?.value ?? null], log);
      shown = { lines, rule, described, xRange, yRange };
      const entries = series.map((line, index) => legendEntry(line.label, line.colour, DASHES[index % DASHES.length]));
      legend.replaceChildren(...entries, ...(rule ? [legendEntry(rule.label, COLOURS.real, RULE["stroke-dasharray"])] : []));
      draw();
      describe();
    },
    mark(x) {
      if (x === marked) return;
      marked = x;
      drawMark();
      describe();
    },
    destroy: () => watch.disconnect(),
  };
}

function usable(value, log) {
  return Number.isFinite(value) && (!log || value > 0) ? value : null;
}

/**
 * The lines, each with its `value` at x: that of its first point from x on, because a point is the mean of the updates
 * before it.
 */
function valuesAt(lines, x) {
  return lines.map((line) => {
    const place = line.x.findIndex((at) => at >= x);
    return { ...line, value: line.y[place < 0 ? line.y.length - 1 : place] ?? null };
  });
}

/** The range that contains all values. */
function span(values, log) {
  const known = values.filter((value) => value !== null);
  if (!known.length) return log ? [1, 10] : [0, 1];
  const highest = known.reduce((a, b) => Math.max(a, b));
  const lowest = known.reduce((a, b) => Math.min(a, b));
  if (log) return [lowest / 1.3, highest * 1.3];
  const [from, to] = [Math.min(0, lowest), Math.max(0, highest)];
  return from === to ? [0, 1] : [from, to + (to - from) * 0.05];
}

function scale([from, to], [start, end], log) {
  const place = log ? (value) => Math.log(value / from) / Math.log(to / from) : (value) => (value - from) / (to - from);
  return (value) => start + Math.min(1, Math.max(0, place(value))) * (end - start);
}

/** About `count` round numbers within a range. */
export function ticks([from, to], count, log = false) {
  if (log) return logarithmicTicks(from, to);
  const rough = (to - from) / count;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * ([1, 2, 5].find((factor) => factor * magnitude >= rough * 0.999) ?? 10);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** Powers of ten and, if there are fewer than three, also numbers between them. */
function logarithmicTicks(from, to) {
  const lowest = Math.floor(Math.log10(from));
  const powers = Array.from({ length: Math.ceil(Math.log10(to)) - lowest + 1 }, (_, index) => lowest + index);
  const within = (factors) =>
    powers
      .flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`)))
      .filter((value) => value >= from && value <= to);
  return [[1], [1, 3], [1, 2, 5]].map(within).find((values) => values.length >= 3) ?? within([1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

/** A number on an axis: 0.5, 200, 1k, 2.5k, 20k, 1M. */
export function shortNumber(value) {
  const size = Math.abs(value);
  const [unit, letter] = size >= 1e6 ? [1e6, "M"] : size >= 1e3 ? [1e3, "k"] : [1, ""];
  return `${Number((value / unit).toPrecision(3))}${letter}`;
}

/** A value with three significant digits, as the language writes it; null is "not measured". */
export function readable(say, value) {
  if (value === null) return say("chart_none");
  return new Intl.NumberFormat(say.language, { maximumSignificantDigits: 3 }).format(value);
}

function axes(x, y, xRange, yRange, { xLabel, yLabel, log, logX, width }) {
  const bottom = HEIGHT - MARGIN.bottom;
  const middle = { "text-anchor": "middle" };
  const rows = ticks(yRange, 4, log).flatMap((value) => [
    across(y(value), width, { class: "chart-grid" }),
    svgElement("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, shortNumber(value)),
  ]);
  const columns = ticks(xRange, Math.max(2, Math.floor(width / 90)), logX).flatMap((value) => [
    svgElement("line", { x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4, class: "chart-axis" }),
    svgElement("text", { x: x(value), y: bottom + 16, ...middle }, shortNumber(value)),
  ]);
  const labels = [
    svgElement("text", { x: (MARGIN.left + width) / 2, y: HEIGHT - 4, ...middle }, xLabel),
    svgElement("text", { transform: `translate(11 ${(MARGIN.top + bottom) / 2}) rotate(-90)`, ...middle }, yLabel),
  ];
  return [...rows, ...columns, across(bottom, width, { class: "chart-axis" }), ...labels];
}

/** A horizontal line at this height. */
function across(height, width, attributes) {
  return svgElement("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: height, y2: height, ...attributes });
}

function curve(line, x, y, dashes) {
  let path = "";
  let pen = "M"; // lifted
  line.y.forEach((value, index) => {
    if (value !== null) path += `${pen}${x(line.x[index]).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = value === null ? "M" : "L";
  });
  return svgElement("path", { d: path, class: "chart-line", stroke: line.colour, "stroke-dasharray": dashes });
}

function pointDots(line, x, y) {
  const known = line.x.flatMap((at, index) => (line.y[index] === null ? [] : [[at, line.y[index]]]));
  return known.map(([at, value]) => svgElement("circle", { cx: x(at), cy: y(value), r: 2.5, fill: line.colour }));
}

/** The mark, a dot on every line, and the values beside it: on the side with more room, without overlap. */
function markParts(found, at, { x, y }, width, say) {
  const place = x(at);
  const toTheLeft = place > (MARGIN.left + width - MARGIN.right) / 2;
  const known = found.filter((line) => line.value !== null).map((line) => ({ ...line, height: y(line.value) }));
  const heights = apart(known.map((line) => line.height));
  const beside = toTheLeft ? { x: place - 8, "text-anchor": "end" } : { x: place + 8, "text-anchor": "start" };
  const text = (value, height) => svgElement("text", { ...beside, y: height + 4, class: "chart-value" }, readable(say, value));
  return [
    svgElement("line", { x1: place, x2: place, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, class: "chart-rule" }),
    ...known.map((line) => svgElement("circle", { cx: place, cy: line.height, r: 3.5, fill: line.colour })),
    ...known.map((line, index) => text(line.value, heights[index])),
  ];
}

/** The number below the mark that follows the pointer. */
function pointedNumber(place, x, say) {
  const number = new Intl.NumberFormat(say.language).format(x);
  const anchor = { x: place, y: HEIGHT - MARGIN.bottom + 16, "text-anchor": "middle" };
  return svgElement("text", { ...anchor, class: "chart-value" }, number);
}

/** The heights, moved so that they are at least a line apart and stay within the drawing, in the same order. */
function apart(heights) {
  const order = heights.map((_, index) => index).sort((a, b) => heights[a] - heights[b]);
  const moved = [...heights];
  order.forEach((index, rank) => {
    const least = rank ? moved[order[rank - 1]] + LINE_HEIGHT : MARGIN.top + 4;
    moved[index] = Math.max(moved[index], least);
  });
  let most = HEIGHT - MARGIN.bottom - 5;
  for (const index of order.reverse()) {
    moved[index] = Math.min(moved[index], most);
    most = moved[index] - LINE_HEIGHT;
  }
  return moved;
}

function legendEntry(label, colour, dashes) {
  const ends = { x1: 0, x2: 24, y1: 5, y2: 5 };
  const sample = svgElement("line", { ...ends, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dashes });
  return element("span", {}, svgElement("svg", { width: 24, height: 10 }, sample), label);
}

/** The chart in words: the first, last and lowest value of each line, and the values at the mark. */
function description(say, { title, lines, rule, marked }) {
  const parts = [`${title}.`];
  for (const line of lines) {
    const values = line.y.filter((value) => value !== null);
    if (!values.length) continue;
    const lowest = readable(say, values.reduce((a, b) => Math.min(a, b)));
    const [first, last] = [values[0], values[values.length - 1]].map((value) => readable(say, value));
    parts.push(say("chart_line", { label: line.label, first, last, lowest }));
  }
  if (rule) parts.push(say("chart_rule", { label: rule.label, value: readable(say, rule.value) }));
  if (marked !== null) {
    const values = valuesAt(lines, marked).map((line) => `${line.label} ${readable(say, line.value)}`).join(", ");
    parts.push(say("chart_mark", { x: marked, values }));
  }
  return parts.join(" ");
}
