// The Streamlit component of the training curves.

import { mountPart } from "../shared/mount.js";
import { makeRunCharts } from "./runcharts.js";

/** The payload is what `makeRunCharts` shows, with `marked`: the step of the mark, or null. State: "failed". */
export default function component(given) {
  return mountPart(given, (say) => {
    const charts = makeRunCharts(say);
    return {
      ...charts,
      show(payload) {
        charts.show(payload);
        charts.mark(payload.marked);
      },
    };
  });
}
