// What Streamlit mounts: the playground or the film, fed with `data`, answering through states and triggers.

import { element } from "./dom.js";
import { fetchingAssets } from "./loading.js";
import { makeFilm } from "./film.js";
import { makePlayground } from "./playground.js";
import { speaker } from "./words.js";

// Modules outlive the components in them: what was loaded, and where the visitor was, stays when Streamlit
// moves or hides a component and mounts it anew.
const assets = fetchingAssets();
const remembered = new Map(); // start id -> pose

/**
 * `data`: {part: "playground" | "film", language, words, exhibit}. States: "pose" (set when something is let go) and "failed" (a kind
 * of LoadError, or ""); trigger: "focus". Streamlit calls this again, without the cleanup, whenever data or theme change.
 */
export default function component({ parentElement, data, setStateValue, setTriggerValue }) {
  const mounted = (parentElement.gan ??= {});
  Object.assign(mounted, { setStateValue, setTriggerValue }); // always the newest
  try {
    if (mounted.language !== data.language) {
      mounted.unmount?.();
      const part = (data.part === "film" ? film : playground)(speaker(data.words, data.language), mounted);
      const frame = element("div", { class: "gan" }, part.node);
      parentElement.append(frame);
      mounted.unmount = () => {
        part.destroy();
        frame.remove();
      };
      Object.assign(mounted, { part, language: data.language });
    }
    mounted.start = data.exhibit.start?.id;
    mounted.part.show(withMemory(data.exhibit));
  } catch (error) {
    console.error(error);
    setStateValue("failed", "unknown");
  }
  return () => {
    mounted.unmount?.();
    delete parentElement.gan;
  };
}

/** The exhibit, begun where the visitor left it rather than where the server does. */
function withMemory(exhibit) {
  const pose = remembered.get(exhibit.start?.id);
  return pose ? { ...exhibit, start: { ...exhibit.start, pose } } : exhibit;
}

function playground(say, mounted) {
  return makePlayground(say, {
    assets,
    onRelease(pose) {
      remembered.set(mounted.start, pose);
      mounted.setStateValue("pose", pose);
    },
    onFocus: (chosen) => mounted.setTriggerValue("focus", chosen),
    onFail: (kind) => mounted.setStateValue("failed", kind ?? ""),
  });
}

function film(say) {
  return makeFilm(say, { assets, onChoose: () => {} }); // the page's own choice stays as it is
}
