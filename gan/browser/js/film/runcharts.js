// The training curves of a run: the one place that decides which charts there are. The film, the pages of the app and
// the page without a server all use it.

import { element } from "../shared/dom.js";
import { COLOURS, lineChart } from "./charts.js";

/**
 * Losses, outputs of the discriminator and, for digits, the distance to real digits:
 * `makeRunCharts(say)` -> `{node, show(run), mark(step), destroy()}`.
 *
 * run: as `gan.browser.payload.chart_payload` describes it, and optionally `described` (see `lineChart`) and `notes`, one
 * text below each chart. Another run may be shown at any time; charts are kept, so that a run under way does not flicker.
 */
export function makeRunCharts(say) {
  const node = element("div", { class: "run-charts" });
  let charts = [];
  let layout = ""; // what the charts were made for

  function destroy() {
    charts.forEach(({ chart }) => chart.destroy());
  }

  return {
    node,
    destroy,
    show(run) {
      const wanted = JSON.stringify([run.digits, run.notes]);
      if (wanted !== layout) {
        destroy();
        charts = makeCharts(say, run);
        node.replaceChildren(...charts.map(({ chart }) => chart.node));
        layout = wanted;
      }
      const { total: end, described } = run;
      for (const { chart, dataOf } of charts) chart.show({ ...dataOf(run), end, described });
    },
    mark: (step) => charts.forEach(({ chart }) => chart.mark(step)),
  };
}

/** [{chart, dataOf(run) -> {series, rule}}] */
function makeCharts(say, { digits, notes = [] }) {
  const line = (key, colour, name = key) => ({ key, colour: COLOURS[colour], label: say(`chart_${name}`) });
  const kind = digits ? "" : "_other";
  const losses = [line("g_loss", "generated"), line("d_loss", "discriminator")];
  const outputs = [
    line("prob_real", "real", `prob_real${kind}`),
    line("prob_held_out", "unseen", `prob_held_out${kind}`),
    line("prob_fake", "generated"),
  ];
  const seriesOf = (lines) => (run) => ({ series: lines.map((one) => ({ ...one, x: run.curves.step, y: run.curves[one.key] })) });
  const make = (name, options, dataOf, index) => {
    const [title, yLabel] = [say(`chart_${name}`), say(`chart_${name}_axis`)];
    return { chart: lineChart(say, { title, yLabel, xLabel: say("chart_step_axis"), note: notes[index], ...options }), dataOf };
  };
  const charts = [make("loss", {}, seriesOf(losses), 0), make("prob", { range: [0, 1] }, seriesOf(outputs), 1)];
  if (digits) charts.push(make("fd", { log: true, dots: true }, (run) => distanceOf(say, run), 2));
  return charts;
}

function distanceOf(say, { moments, real_fd }) {
  const [x, y] = ["step", "fd"].map((name) => moments.map((moment) => moment[name]));
  return {
    series: [{ label: say("chart_prob_fake"), colour: COLOURS.generated, x, y }],
    rule: real_fd === null ? null : { value: real_fd, label: say("chart_real") },
  };
}
