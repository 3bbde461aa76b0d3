// The models of the page: fetched, built once, and the most recent ones kept.

import { makeLatents } from "./latents.js";
import { readGenerator } from "./networks.js";
import { LoadError } from "./weights.js";

const KEPT_MODELS = 12; // besides those on the wall; the least recently used one is dropped first

/**
 * `makeModels(assets, rows)` -> `{arrival(cell, wanted), opened(cell)}`. A model is `{generator, latents, z, pixels, images}`:
 * the network, its latents (latents.js), room for `rows` latents and for the pixels of their images, and these one by one.
 *
 * `arrival`: a promise of a cell's model, rejected with a LoadError; after a failure, another call tries again. `wanted`:
 * the shown cells, whose models are not dropped. `opened`: the model, null if it has not arrived.
 */
export function makeModels(assets, rows) {
  const waiting = new Map(); // by the id of the weights: promises
  const built = new Map(); // by the same; the most recently used one is last

  async function arrival(cell, wanted) {
    const id = cell.weights.id;
    if (!built.has(id)) {
      if (!waiting.has(id)) waiting.set(id, build(cell).finally(() => waiting.delete(id)));
      built.set(id, await waiting.get(id));
    }
    const model = built.get(id);
    built.delete(id);
    built.set(id, model);
    const spare = [...built.keys()].filter((other) => !wanted.some(({ weights }) => weights.id === other));
    for (const other of spare.slice(0, Math.max(0, spare.length - KEPT_MODELS))) built.delete(other);
    return model;
  }

  async function build({ weights, side, channels }) {
    const bytes = await assets.bytes(weights);
    let generator;
    try {
      generator = readGenerator(bytes);
    } catch (error) {
      assets.forget(weights); // complete, but bad: do not keep it
      throw error;
    }
    const { latentDim, directions } = generator;
    if (generator.side !== side || generator.channels !== channels) {
      throw new LoadError("other", `images of ${generator.side} x ${generator.side} x ${generator.channels}`);
    }
    const pixels = new Float32Array(rows * side * side * channels);
    const latents = makeLatents(latentDim, directions);
    return { generator, latents, z: new Float32Array(rows * latentDim), pixels, images: imagesOf(pixels, rows) };
  }

  return { arrival, opened: (cell) => built.get(cell?.weights.id) ?? null };
}

/** The pixels of each of `count` images. */
export function imagesOf(pixels, count) {
  const size = pixels.length / count;
  return Array.from({ length: count }, (_, i) => pixels.subarray(i * size, (i + 1) * size));
}

/** A latent request without the directions and components that a model of `latentDim` components lacks. */
export function fitting(request, latentDim) {
  return { ...request, shifts: request.shifts.slice(0, latentDim), axes: request.axes.filter(([axis]) => axis < latentDim) };
}
