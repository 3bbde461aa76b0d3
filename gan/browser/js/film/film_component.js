// The Streamlit component of the film.

import { makeFilm } from "./film.js";
import { fetchingAssets } from "../shared/loading.js";
import { mountPart } from "../shared/mount.js";

const assets = fetchingAssets();

/** State: "failed". Which run is looked at closely is the visitor's; the page's own choice stays as it is. */
export default function component(given) {
  return mountPart(given, (say) => makeFilm(say, { assets, onChoose: () => {} }));
}
