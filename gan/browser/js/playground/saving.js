// Downloads: the large image, the wall, a walk as a GIF, and the latent itself.

import { element } from "../shared/dom.js";
import { encodeGif } from "./gif.js";
import { fitting } from "../nn/models.js";
import { grey, sheet } from "./picture.js";

const GIF_STEPS = 24; // of a walk in one direction; the GIF also goes back
const GIF_DELAY = 8; // hundredths of a second
const LARGE_SCALE = 8; // pixels of the file per pixel of the image
const WALL_SCALE = 4;
const REVOKE_AFTER = 60_000; // milliseconds; Safari reads the object a while after the click

/**
 * `makeSaving(say, current)` -> `{node, enable({model, walk})}`; `enable` says whether there is a model, and whether the rows
 * are a walk. `current()` -> {cell, row, request, chosen, directionsOf, focused, large, wall}: the large image's cell, row and
 * latent request; the model whose directions move it, and that model's name; the model of the cell; the pictures of
 * picture.js, those of the wall as [row][column].
 */
export function makeSaving(say, current) {
  const makers = { png: savePicture, wall: saveWall, gif: saveWalk, json: saveLatent };
  const buttons = Object.entries(makers).map(([kind, make]) => {
    const button = element("button", { type: "button", onclick: () => make(current()) }, say(`save_${kind}`));
    return { kind, button };
  });
  const row = { class: "row", role: "group", "aria-label": say("save_title") };
  return {
    node: element("div", row, ...buttons.map(({ button }) => button)),
    enable({ model, walk }) {
      for (const { kind, button } of buttons) button.disabled = !model || (kind === "gif" && !walk);
    },
  };
}

async function savePicture({ cell, large }) {
  saveFile(`${cell.name}-z.png`, "image/png", await sheet([[large]], LARGE_SCALE, 0).convertToBlob());
}

async function saveWall({ wall }) {
  saveFile("same-z.png", "image/png", await sheet(wall, WALL_SCALE).convertToBlob());
}

/** The latent of the large image, and what made it. */
function saveLatent({ cell, row, request, chosen, directionsOf }) {
  const content = {
    model: cell.name,
    sha256: cell.weights.id,
    directions_of: directionsOf,
    request,
    row,
    z: Array.from(latentOf(chosen, request, row)),
  };
  saveFile(`${cell.name}-z.json`, "application/json", JSON.stringify(content, null, 1));
}

/** The walk of the focused row, there and back. */
function saveWalk({ cell, row, request, chosen, focused }) {
  const there = Array.from({ length: GIF_STEPS }, (_, i) => i / (GIF_STEPS - 1));
  const frames = [...there, ...there.slice(1, -1).reverse()].map((t) => {
    const z = latentOf(chosen, { ...request, rows: { ...request.rows, t } }, row);
    return Uint8Array.from(focused.generator.generate(z, 1), grey);
  });
  const { side } = cell;
  const file = encodeGif({ width: side, height: side, frames, delay: GIF_DELAY, scale: LARGE_SCALE });
  saveFile(`${cell.name}-z.gif`, "image/gif", file);
}

function latentOf({ generator, latents }, request, row) {
  return latents.rows(fitting(request, generator.latentDim), row + 1).subarray(row * generator.latentDim);
}

/**
 * Downloads a file. `content`: a Blob, a string, an ArrayBuffer or a view of one; `mime`: its media type, such as
 * "image/gif". Works in a shadow root and on a page opened from a disk. Call it during or soon after a click, or the
 * browser may ask the visitor for permission.
 */
export function saveFile(name, mime, content) {
  const address = URL.createObjectURL(new Blob([content], { type: mime }));
  const link = element("a", { href: address, download: name, hidden: true });
  document.body.append(link); // some browsers ignore a link outside the document
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), REVOKE_AFTER);
}
