// The Streamlit component of the latent pad, the wall and the gallery.

import { fetchingAssets } from "../shared/loading.js";
import { mountPart } from "../shared/mount.js";
import { makePlayground } from "./playground.js";

// A module outlives the components made of it: what was loaded, and where the visitor was, stays when Streamlit
// moves or hides a component and mounts it anew.
const assets = fetchingAssets();
const remembered = new Map(); // start id -> request
const said = { failed: null }; // to the server, last

/** States: "request", set when something is let go, and "failed", a kind of LoadError or ""; trigger: "focus". */
export default function component(given) {
  const start = given.data.payload.start;
  const request = remembered.get(start.id) ?? start.request;
  const payload = { ...given.data.payload, start: { ...start, request } };
  return mountPart({ ...given, data: { ...given.data, payload } }, (say, mounted) =>
    makePlayground(say, {
      assets,
      onRelease(released) {
        remembered.set(mounted.payload.start.id, released);
        mounted.setStateValue("request", released);
      },
      onFocus: (focus) => mounted.setTriggerValue("focus", focus),
      failedBefore: said.failed,
      onFail(kind) {
        said.failed = kind;
        mounted.setStateValue("failed", kind ?? "");
      },
    }),
  );
}
