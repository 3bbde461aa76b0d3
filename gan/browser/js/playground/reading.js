// The large image, the classifier's reading of it, and the real images nearest to it.

import { element } from "../shared/dom.js";
import { makePicture } from "./picture.js";

const SURE = 0.9; // confidence from which an image counts as read, as in gan/evaluation/classifier.py

/**
 * `makeReading(say)` -> `{node, picture, prepare({side, channels, still}), live(), name(text), show(readings), speak(),
 * message(text)}`.
 *
 * `still`: the address of an image that the server drew, shown until `live()`. `readings`: the classifier's reading of each
 * channel, null if it cannot read such images. `speak()` announces the reading to screen readers.
 */
export function makeReading(say) {
  const frame = element("div", { class: "reading-frame" });
  const caption = element("p", { class: "quiet" });
  const words = element("p", { class: "reading-words" });
  const spoken = element("p", { class: "unseen", "aria-live": "polite" });
  const bars = Array.from({ length: 10 }, () => element("div", { class: "reading-bar" }));
  const columns = bars.map((bar, digit) => element("div", { class: "reading-column" }, bar, element("span", {}, digit)));
  const chart = element("div", { class: "reading-bars", "aria-hidden": "true" }, ...columns);
  const problem = element("div", { class: "message", role: "alert", hidden: true });
  const node = element("div", { class: "reading" }, frame, caption, words, chart, problem, spoken);
  let picture = null;

  function prepare({ side, channels, still }) {
    if (picture?.canvas.width !== side || picture.channels !== channels) {
      picture = { ...makePicture(side, channels, say("reading_picture")), channels };
      if (still) frame.replaceChildren(element("img", { src: still, alt: say("reading_still") }));
      else frame.replaceChildren(picture.canvas);
    }
    return picture;
  }

  function live() {
    if (picture && picture.canvas.parentNode !== frame) frame.replaceChildren(picture.canvas);
  }

  function show(readings) {
    chart.hidden = readings?.length !== 1;
    if (!readings) words.textContent = "";
    else if (readings.length > 1) words.textContent = say("reading_several", { digits: readings.map(digitName).join(" · ") });
    else {
      const [{ digit, confidence, probabilities }] = readings;
      const sure = isSure(readings[0]);
      words.textContent = say(sure ? "reading_sure" : "reading_unsure", { digit, confidence: say.percent(confidence) });
      bars.forEach((bar, i) => {
        bar.style.height = `${100 * probabilities[i]}%`;
        bar.classList.toggle("reading-first", i === digit && sure);
      });
    }
    picture?.canvas.setAttribute("aria-label", `${say("reading_picture")} ${caption.textContent}. ${words.textContent}`);
  }

  return {
    node,
    prepare,
    live,
    show,
    /** The caption: which model and row. */
    name: (text) => (caption.textContent = text),
    speak: () => (spoken.textContent = words.textContent),
    /** A problem, "" for none. */
    message(text, ...children) {
      problem.hidden = !text;
      problem.replaceChildren(text, " ", ...children);
    },
  };
}

/** What is read, in words; without a reading: nothing. */
export function readingWords(say, reading) {
  return isSure(reading) ? say("gallery_read", { digit: reading.digit }) : say("gallery_unread");
}

/** Whether an image counts as read. */
export function isSure(reading) {
  return reading !== null && reading.confidence >= SURE;
}

function digitName(reading) {
  return isSure(reading) ? String(reading.digit) : "?";
}

/**
 * The real images nearest to the large one, which the server finds: `makeNear(say)` -> `{node, number(), clear(), show(found)}`.
 * `number()` identifies the current large image; `show({number, training, unseen, words})` shows what was found for that image
 * and ignores results for others; `clear()`: the large image has changed.
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
