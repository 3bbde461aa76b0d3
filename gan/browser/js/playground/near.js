// The real pictures that the large one is nearest to, as the server found them.

import { element } from "../shared/dom.js";

/**
 * `makeNear(say)` -> `{node, ask(), clear(), show(found)}`. Questions are numbered: `ask()` gives the number of the one for the
 * picture that is seen now; `show({asked, training, unseen, words})` shows the answer to it and ignores others; `clear()`: the
 * picture is another one.
 */
export function makeNear(say) {
  const node = element("div", { class: "near", "aria-live": "polite" });
  let asked = Date.now(); // none of an earlier mount has the same

  const figure = (address, key) =>
    element("figure", {}, element("img", { src: address, alt: say(key) }), element("figcaption", { class: "quiet" }, say(key)));

  return {
    node,
    ask: () => asked,
    clear() {
      asked += 1;
      if (node.firstChild) node.replaceChildren();
    },
    show(found) {
      if (found?.asked !== asked) return;
      const pictures = found.training ? [figure(found.training, "near_training"), figure(found.unseen, "near_unseen")] : [];
      node.replaceChildren(...pictures, element("p", { class: "quiet" }, found.words));
    },
  };
}
