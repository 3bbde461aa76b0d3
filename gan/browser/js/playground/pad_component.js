// The Streamlit component of the latent pad, the wall and the gallery.

import { fetchingAssets } from "../shared/loading.js";
import { mountPart } from "../shared/mount.js";
import { makePlayground } from "./playground.js";

// A module outlives its components: loaded files and the visitor's latents stay when Streamlit moves or hides a component
// and mounts it again.
const assets = fetchingAssets();
const remembered = new Map(); // start id -> request
const sent = { failed: null }; // to the server, last

/** States: "request", set when the visitor lets a control go, and "failed", a kind of LoadError or ""; trigger: "focus". */
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
      failedBefore: sent.failed,
      onFail(kind) {
        sent.failed = kind;
        mounted.setStateValue("failed", kind ?? "");
      },
    }),
  );
}
