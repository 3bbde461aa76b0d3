// The Streamlit component of the film.

import { makeFilm } from "./film.js";
import { fetchingAssets } from "../shared/loading.js";
import { mountPart } from "../shared/mount.js";

const assets = fetchingAssets();

/** State: "failed". The visitor's choice of a run stays in the browser; the page's own choice does not change. */
export default function component(given) {
  return mountPart(given, (say) => makeFilm(say, { assets }));
}
