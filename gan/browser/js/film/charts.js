// Small line charts with a mark that moves along.

import { element, svgElement } from "../shared/dom.js";

export const COLOURS = { real: "#2E9E5B", generated: "#A33EBD", discriminator: "#447CE4", unseen: "#E0A100" };

const HEIGHT = 190; // pixels, of the drawing
const MARGIN = { top: 8, right: 12, bottom: 36, left: 46 }; // room for ticks and the names of the axes
const FIRST_WIDTH = 320; // until its place is known
// Lines are told apart by their dashes too: solid, dashed, dotted.
const DASHES = ["none", "7 3", "2 2.5"];
const LINE_HEIGHT = 13; // pixels, of the values beside the mark

/**
 * A line chart. Its words come from `say`, its colours from the theme.
 *
 * `series`: [{label, colour, x: [ascending numbers], y: [numbers, null breaks the line]}]. `range`: [lowest, highest] of
 * the y axis, else what the lines span (from 0 unless `log`). `log`: logarithmic y axis; values that are not positive
 * break the line. `rule`: {value, label}, a dashed line across. `logX`: logarithmic x axis, from the first x on instead of
 * from 0. `dots`: a dot on every point, for lines of few.
 *
 * Returned: `node`; `mark(x)`: a line at x with the values there, null takes it away; `destroy()`.
 */
export function lineChart(say, { title, series, xLabel, yLabel, log = false, logX = false, dots = false, range = null, rule = null }) {
  const picture = svgElement("svg", { class: "chart-drawing", role: "img", height: HEIGHT });
  const legend = element("div", { class: "chart-legend", "aria-hidden": "true" });
  const node = element("figure", { class: "chart" }, element("figcaption", {}, title), legend, picture);
  series.forEach((line, index) => legend.append(legendEntry(line.label, line.colour, DASHES[index % DASHES.length])));
  if (rule) legend.append(legendEntry(rule.label, COLOURS.real, "5 4"));

  const lines = series.map((line) => ({ ...line, y: line.y.map((value) => usable(value, log)) }));
  const xs = lines.flatMap((line) => line.x);
  const xRange = logX ? span(xs, true) : [0, Math.max(1, ...xs)];
  const yRange = range ?? span([...lines.flatMap((line) => line.y), rule?.value ?? null], log);
  let marked = null;
  let width = FIRST_WIDTH;
  let layers = null;

  function draw() {
    const x = scale(xRange, [MARGIN.left, width - MARGIN.right], logX);
    const y = scale(yRange, [HEIGHT - MARGIN.bottom, MARGIN.top], log);
    layers = { x, y, mark: svgElement("g", { class: "chart-mark" }) };
    picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    picture.replaceChildren(
      axes(x, y, xRange, yRange, { xLabel, yLabel, log, logX, width }),
      ...(rule ? [ruleLine(y(rule.value), width)] : []),
      ...lines.map((line, index) => curve(line, x, y, DASHES[index % DASHES.length])),
      ...(dots ? lines.flatMap((line) => pointDots(line, x, y)) : []),
      layers.mark,
    );
    drawMark();
  }

  function drawMark() {
    const found = marked === null ? [] : lines.map((line) => ({ ...line, value: valueAt(line, marked) }));
    layers.mark.replaceChildren(...(marked === null ? [] : markParts(found, marked, layers, width, say)));
    picture.setAttribute("aria-label", description(say, { title, lines, rule, marked, found }));
  }

  const watch = new ResizeObserver(() => {
    const room = Math.round(picture.getBoundingClientRect().width);
    if (!room || room === width) return;
    width = room;
    draw();
  });
  watch.observe(picture);
  draw();

  return {
    node,
    mark(x) {
      if (x === marked) return;
      marked = x;
      drawMark();
    },
    destroy() {
      watch.disconnect();
    },
  };
}

function usable(value, log) {
  return Number.isFinite(value) && (!log || value > 0) ? value : null;
}

/** The value of a line at x: of its first point from there on, for a point stands for the stretch that ends with it. */
function valueAt(line, x) {
  const place = line.x.findIndex((at) => at >= x);
  return line.y[place < 0 ? line.y.length - 1 : place] ?? null;
}

/** The range that holds all values. */
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

/** Powers of ten; where there would be fewer than three, also what lies between them. */
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
  for (const [unit, letter] of [
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (Math.abs(value) >= unit) return `${Number((value / unit).toPrecision(3))}${letter}`;
  }
  return String(Number(value.toPrecision(3)));
}

/** A value read off: three digits, as the language writes them. */
function readable(say, value) {
  if (value === null) return say("chart_none");
  return new Intl.NumberFormat(say.language, { maximumSignificantDigits: 3 }).format(value);
}

function axes(x, y, xRange, yRange, { xLabel, yLabel, log, logX, width }) {
  const group = svgElement("g", { class: "chart-axes" });
  const bottom = HEIGHT - MARGIN.bottom;
  for (const value of ticks(yRange, 4, log)) {
    group.append(
      svgElement("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value), class: "chart-grid" }),
      svgElement("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, shortNumber(value)),
    );
  }
  for (const value of ticks(xRange, Math.max(2, Math.floor(width / 90)), logX)) {
    group.append(
      svgElement("line", { x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4, class: "chart-axis" }),
      svgElement("text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, shortNumber(value)),
    );
  }
  const middle = (MARGIN.top + bottom) / 2;
  group.append(
    svgElement("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom, class: "chart-axis" }),
    svgElement("text", { x: (MARGIN.left + width) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, xLabel),
    svgElement("text", { transform: `translate(11 ${middle}) rotate(-90)`, "text-anchor": "middle" }, yLabel),
  );
  return group;
}

function ruleLine(height, width) {
  const ends = { x1: MARGIN.left, x2: width - MARGIN.right, y1: height, y2: height };
  return svgElement("line", { ...ends, stroke: COLOURS.real, "stroke-width": 1.5, "stroke-dasharray": "5 4" });
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

/** The mark, a dot on every line, and the values beside it: on the side with more room, pushed apart. */
function markParts(found, at, { x, y }, width, say) {
  const place = x(at);
  const toTheLeft = place > (MARGIN.left + width - MARGIN.right) / 2;
  const known = found.filter((line) => line.value !== null).map((line) => ({ ...line, height: y(line.value) }));
  const heights = apart(known.map((line) => line.height));
  return [
    svgElement("line", { x1: place, x2: place, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, class: "chart-rule" }),
    ...known.map((line) => svgElement("circle", { cx: place, cy: line.height, r: 3.5, fill: line.colour })),
    ...known.map((line, index) =>
      svgElement(
        "text",
        {
          x: place + (toTheLeft ? -8 : 8),
          y: heights[index] + 4,
          "text-anchor": toTheLeft ? "end" : "start",
          class: "chart-value",
        },
        readable(say, line.value),
      ),
    ),
  ];
}

/** Heights moved so that neighbours are a line apart and all stay within the drawing, in their order. */
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
  const sample = svgElement("line", { x1: 0, x2: 24, y1: 5, y2: 5, stroke: colour, "stroke-width": 2.5 });
  sample.setAttribute("stroke-dasharray", dashes);
  return element("span", {}, svgElement("svg", { width: 24, height: 10 }, sample), label);
}

/** The chart in words: where each line begins, ends and is lowest, and what stands at the mark. */
function description(say, { title, lines, rule, marked, found }) {
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
    const values = found.map((line) => `${line.label} ${readable(say, line.value)}`).join(", ");
    parts.push(say("chart_mark", { x: marked, values }));
  }
  return parts.join(" ");
}
