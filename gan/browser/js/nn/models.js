// The networks of the page: fetched, built once, and the last few kept.

import { makeLatents } from "./latents.js";
import { readGenerator } from "./networks.js";
import { LoadError } from "./weights.js";

const KEPT_MODELS = 12; // besides those on the wall; the one used longest ago goes first

/**
 * `makeModels(assets, rows, simd)` -> `{arrival(cell, wanted), opened(cell)}`. A model is `{generator, latents, z, pixels}`: the network, its
 * latents (latents.js), and room for `rows` latents and their pictures.
 *
 * `arrival`: a promise of the model behind a cell, rejected with a LoadError; who asks again after a failure tries
 * again. `wanted`: the cells that are shown, whose models are not dropped. `opened`: the model if it is there by now, else null.
 */
export function makeModels(assets, rows, simd) {
  const waiting = new Map(); // by the id of the weights: promises
  const built = new Map(); // by the same; the one used last is the last

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
      generator = readGenerator(bytes, { simd });
    } catch (error) {
      assets.forget(weights); // it came whole, as far as could be told, and is bad all the same
      throw error;
    }
    const { latentDim, directions } = generator;
    if (generator.side !== side || generator.channels !== channels) {
      throw new LoadError("other", `pictures of ${generator.side} x ${generator.side} x ${generator.channels}`);
    }
    return {
      generator,
      latents: makeLatents(latentDim, directions),
      z: new Float32Array(rows * latentDim),
      pixels: new Float32Array(rows * side * side * channels),
    };
  }

  return { arrival, opened: (cell) => built.get(cell?.weights.id) ?? null };
}

/** A request without what a model of `latentDim` components has not got. */
export function fitting(request, latentDim) {
  return { ...request, shifts: request.shifts.slice(0, latentDim), axes: request.axes.filter(([axis]) => axis < latentDim) };
}
