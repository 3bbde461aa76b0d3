// The real images nearest to the large one. The server finds them.

import { element } from "../shared/dom.js";

/**
 * `makeNear(say)` -> `{node, number(), clear(), show(found)}`. `number()` identifies the current large image;
 * `show({number, training, unseen, words})` shows what was found for that image and ignores results for others; `clear()`:
 * the large image has changed.
 */
export function makeNear(say) {
  const node = element("div", { class: "row near", "aria-live": "polite" });
  let number = Date.now(); // differs from those of an earlier mount

  const figure = (address, key) =>
    element("figure", {}, element("img", { src: address, alt: say(key) }), element("figcaption", { class: "quiet" }, say(key)));

  return {
    node,
    number: () => number,
    clear() {
      number += 1;
      if (node.firstChild) node.replaceChildren();
    },
    show(found) {
      if (found?.number !== number) return;
      const images = found.training ? [figure(found.training, "near_training"), figure(found.unseen, "near_unseen")] : [];
      node.replaceChildren(...images, element("p", { class: "quiet" }, found.words));
    },
  };
}
