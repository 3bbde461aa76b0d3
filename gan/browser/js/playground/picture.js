// The pixels of a network on a canvas.

import { element } from "../shared/dom.js";

/**
 * A canvas of `side` x `side` pixels, hidden from screen readers if it has no label, and `paint(pixels)`: values in [-1, 1], [side][side][channels],
 * -1 black; `channels` 1 or 3. `values` has the pixels painted last.
 */
export function makePicture(side, channels, label = null) {
  const hidden = label === null ? "true" : null;
  const canvas = element("canvas", { width: side, height: side, role: "img", "aria-label": label, "aria-hidden": hidden });
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  const values = new Float32Array(side * side * channels).fill(-1);
  image.data.fill(255);

  function paint(pixels) {
    values.set(pixels);
    for (let i = 0, from = 0; i < image.data.length; i += 4, from += channels) {
      for (let c = 0; c < 3; c++) image.data[i + c] = grey(values[channels === 3 ? from + c : from]);
    }
    context.putImageData(image, 0, 0);
  }

  return { canvas, values, paint };
}

/** A value in [-1, 1] as one of 0 to 255, as in gan/networks/images.py: single precision, halves to even. */
export function grey(value) {
  const scaled = Math.fround(Math.fround(Math.min(1, Math.max(-1, value)) + 1) * 127.5);
  return scaled + 2 ** 52 - 2 ** 52; // a double this large has no fraction: IEEE 754 rounds it, halves to even
}

/** Pictures of `makePicture` [rows][columns] on one OffscreenCanvas with gaps, each pixel `scale` wide. */
export function sheet(pictures, scale, gap = 2) {
  const side = pictures[0][0].canvas.width * scale;
  const canvas = new OffscreenCanvas(pictures[0].length * (side + gap) + gap, pictures.length * (side + gap) + gap);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.fillStyle = "#282828";
  context.fillRect(0, 0, canvas.width, canvas.height);
  pictures.forEach((row, y) =>
    row.forEach((picture, x) => {
      context.drawImage(picture.canvas, gap + x * (side + gap), gap + y * (side + gap), side, side);
    }),
  );
  return canvas;
}
