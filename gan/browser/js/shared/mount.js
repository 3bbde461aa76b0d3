// Mounts one of our browser parts as a Streamlit component.

import { element } from "./dom.js";
import { speaker } from "./words.js";

/**
 * The body of a component's default export. `makePart(say, mounted)` -> `{node, show(payload), destroy()}`.
 *
 * `data`: {language, words, payload}. Streamlit calls a component again, without cleanup, whenever its data or the theme
 * changes. So the part is made once per language, and every later call shows the new payload. `mounted` always has the
 * newest `setStateValue`, `setTriggerValue` and `payload`. If the part throws, the state "failed" is set, and the server
 * draws instead.
 */
export function mountPart({ parentElement, data, setStateValue, setTriggerValue }, makePart) {
  const mounted = (parentElement.gan ??= {});
  Object.assign(mounted, { setStateValue, setTriggerValue, payload: data.payload });
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
    mounted.part.show(mounted.payload);
  } catch (error) {
    console.error(error);
    setStateValue("failed", "unknown");
  }
  return () => {
    mounted.unmount?.();
    delete parentElement.gan;
  };
}
