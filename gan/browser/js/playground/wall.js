// The wall: a row per latent, a column per amount of data.

import { element, placeChildren } from "../shared/dom.js";
import { makePicture } from "./picture.js";

export const ROWS_SHOWN = 4;

/**
 * `makeWall(say, {onFocus, onColumns})` -> `{node, show({cells, chosen, shown}), column(name), focus(name, row)}`.
 *
 * cells: [{name, title, count, side, channels}], by amount of data. `onFocus(name, row)`: the visitor chose an image;
 * `onColumns(names)`: the visitor chose columns. `column(name)`: `{pictures, ready(), message(text), read(row, words)}` of a
 * shown column.
 */
export function makeWall(say, { onFocus, onColumns }) {
  const chips = element("div", { class: "row wall-chips", role: "group", "aria-label": say("wall_columns") });
  const strip = element("div", { class: "wall-strip", role: "region", tabindex: "0", "aria-label": say("wall_title") });
  const node = element("div", { class: "wall" }, chips, strip);
  const columns = new Map(); // the shown ones by name
  const caption = element("span", { class: "quiet" }, say("wall_columns"));
  const chipByName = new Map();
  let cells = [];

  function show({ cells: all, chosen, shown }) {
    cells = all;
    placeChildren(chips, [caption, ...all.map(chipOf)]);
    for (const { name } of all) {
      chipByName.get(name).setAttribute("aria-pressed", String(shown.includes(name)));
      chipByName.get(name).disabled = name === chosen;
    }
    chips.hidden = all.length < 2;
    for (const name of columns.keys()) if (!shown.includes(name)) columns.delete(name);
    for (const cell of all) if (shown.includes(cell.name) && !columns.has(cell.name)) columns.set(cell.name, makeColumn(cell));
    placeChildren(strip, all.filter((cell) => columns.has(cell.name)).map((cell) => columns.get(cell.name).node));
    for (const [name, column] of columns) column.mark(name === chosen);
  }

  /** The chip of a cell, made once, so that it keeps the focus when pressed. */
  function chipOf({ name, title }) {
    if (!chipByName.has(name)) {
      const button = element("button", { type: "button", class: "chip", onclick: () => toggle(name) }, title.split("\n")[0]);
      chipByName.set(name, button);
    }
    return chipByName.get(name);
  }

  function toggle(name) {
    const shown = cells.map((cell) => cell.name).filter((other) => columns.has(other) !== (other === name));
    onColumns(shown);
  }

  function makeColumn({ name, title, count, side, channels }) {
    const problem = element("div", { class: "quiet" }, say("wall_loading"));
    const made = Array.from({ length: ROWS_SHOWN }, (_, row) => {
      const label = say("wall_cell", { count, row: row + 1 });
      const picture = makePicture(side, channels);
      const button = element("button", { type: "button", class: "wall-cell", "aria-label": label, onclick: () => onFocus(name, row) }, picture.canvas);
      return { button, picture, label };
    });
    const [pictures, buttons] = [made.map(({ picture }) => picture), made.map(({ button }) => button)];
    const waiting = { class: "wall-column column wall-waiting", "aria-busy": "true" };
    const column = element("figure", waiting, element("figcaption", {}, title), ...buttons, problem);
    return {
      node: column,
      pictures,
      buttons,
      ready() {
        column.classList.remove("wall-waiting");
        column.removeAttribute("aria-busy");
        problem.remove();
      },
      message(text) {
        problem.textContent = text;
        column.removeAttribute("aria-busy");
      },
      read(row, words) {
        made[row].button.setAttribute("aria-label", words ? `${made[row].label}: ${words}` : made[row].label);
        made[row].button.title = words;
      },
      mark: (current) => column.setAttribute("aria-current", String(current)),
    };
  }

  function focus(name, row) {
    for (const [other, column] of columns) {
      column.buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(other === name && i === row)));
    }
  }

  return { node, show, focus, column: (name) => columns.get(name), columns };
}
