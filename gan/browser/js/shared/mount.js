// What a Streamlit component does with a part of ours, whichever it is.

import { element } from "./dom.js";
import { speaker } from "./words.js";

/**
 * The default export of a component, given how its part is made: `makePart(say, mounted)` -> `{node, show(exhibit), destroy()}`.
 *
 * `data`: {language, words, exhibit}. Streamlit calls a component again, without its cleanup, whenever data or theme change; so
 * the part is made once and shown the new exhibit. `mounted` has the newest `setStateValue` and `setTriggerValue`,
 * and the `exhibit`. Where the part throws, the state "failed" says so, and the server draws instead.
 */
export function mountPart({ parentElement, data, setStateValue, setTriggerValue }, makePart) {
  const mounted = (parentElement.gan ??= {});
  Object.assign(mounted, { setStateValue, setTriggerValue, exhibit: data.exhibit }); // always the newest
  try {
    if (mounted.language !== data.language) {
      mounted.unmount?.();
      const part = makePart(speaker(data.words, data.language), mounted);
      const frame = element("div", { class: "gan" }, part.node);
      parentElement.append(frame);
      mounted.unmount = () => {
        part.destroy();
        frame.remove();
      };
      Object.assign(mounted, { part, language: data.language });
    }
    mounted.part.show(mounted.exhibit);
  } catch (error) {
    console.error(error);
    setStateValue("failed", "unknown");
  }
  return () => {
    mounted.unmount?.();
    delete parentElement.gan;
  };
}
