// The generator and the classifier, from the files that the library loads. Activations are channels-last
// ([pixel][channel], channels padded to whole panels with zeros); every layer is one matrix product. BatchNorm in eval mode
// is a scale and a shift per channel: reading a file multiplies the scale into the weights.

import { ROWS, makeWorkspace, padded, panelIndex } from "./matmul.js";
import { LoadError, readTensors } from "./weights.js";

const EPSILON = 1e-5; // torch's BatchNorm
const DENSE_BATCH = 16; // images per product of the dense layers
const LARGEST = 4096; // of any width, as gan/config.py allows
const LARGEST_SIDE = 256; // pixels; more would be too slow and need too much memory

// --- generator -----------------------------------------------------------------------------------------

/**
 * A model file -> `{latentDim, side, channels, directions, strengths, simd, generate}`, see gan/networks/dcgan.py.
 *
 * `generate(z, count, out)`: z Float32Array [count * latentDim] -> out Float32Array [count * side * side * channels] in
 * [-1, 1], channels last. `directions` [latentDim * latentDim], one per row, the strongest first; `strengths` [latentDim].
 * LoadError if the file is not a model of this kind.
 */
export function readGenerator(buffer, { simd = true } = {}) {
  const { info, tensor, unread } = readTensors(buffer);
  const config = info.config?.model;
  if (info.kind !== "generator" || !config) throw new LoadError("other", `a file of kind ${info.kind}`);
  const { latent_dim: latentDim, hidden_units: hiddenUnits, base_channels: base, img_channels: channels } = config;
  const side = config.img_size;
  const quarter = side / 4;
  const inner = 2 * base * quarter * quarter;
  const warp = WARPS.get(config.latent ?? "normal");
  const squash = SQUASHES.get(config.pixels ?? "symmetric");
  const widths = [latentDim, hiddenUnits, base, channels, quarter];
  if (!widths.every((n) => Number.isInteger(n) && n > 0 && n <= LARGEST) || side > LARGEST_SIDE) {
    throw new LoadError("other", "a network of unknown sizes");
  }
  if (!warp || !squash) throw new LoadError("other", `a network with ${config.latent}, ${config.pixels}`);

  const hidden = readLinear(tensor, "generator.hidden", "generator.hidden_norm", latentDim, hiddenUnits);
  const expand = readLinear(tensor, "generator.expand", "generator.expand_norm", hiddenUnits, inner);
  const up = { weight: tensor("generator.up.weight", [2 * base, base, 4, 4]), ...readNorm(tensor, "generator.up_norm", base) };
  const toImage = readBiased(tensor, "generator.to_image", [base, channels, 4, 4], channels);
  const directions = tensor("directions", [latentDim, latentDim]);
  const strengths = tensor("strengths", [latentDim]);
  requireAllRead(unread());

  const [hiddenPad, innerPad, basePad] = [padded(hiddenUnits), padded(inner), padded(base)];
  const [upColumns, imageColumns] = [padded(16 * base), padded(16 * channels)];
  const [pixels, pixels2, pixels4] = [quarter ** 2, 4 * quarter ** 2, side ** 2];
  const room = ROWS * padded(2 * base); // padding rows of the last image
  const { arrays, multiply, simd: fast } = makeWorkspace(
    {
      hidden: latentDim * hiddenPad,
      expand: hiddenPad * innerPad,
      up: 2 * base * upColumns,
      toImage: basePad * imageColumns,
      z: DENSE_BATCH * latentDim,
      h: DENSE_BATCH * hiddenPad,
      x1: DENSE_BATCH * innerPad + room,
      y1: padded(pixels, ROWS) * upColumns,
      x2: padded(pixels2, ROWS) * basePad,
      y2: padded(pixels2, ROWS) * imageColumns,
    },
    simd,
  );
  // the dense layer's outputs are channel by channel; here the channels of a pixel are adjacent
  const lastChannels = (o) => (o % pixels) * 2 * base + Math.floor(o / pixels);
  placeLinear(arrays.hidden, hidden, latentDim, hiddenUnits, latentDim);
  placeLinear(arrays.expand, expand, hiddenPad, inner, hiddenUnits, lastChannels);
  placeTransposed(arrays.up, up, 2 * base, 2 * base, base);
  placeTransposed(arrays.toImage, toImage, basePad, base, channels);
  const hiddenShift = shiftOf(hidden, hiddenPad);
  const expandShift = shiftOf(expand, innerPad, lastChannels);

  function generate(z, count, out = new Float32Array(count * pixels4 * channels)) {
    for (let start = 0; start < count; start += DENSE_BATCH) {
      const now = Math.min(DENSE_BATCH, count - start);
      for (let i = 0; i < now * latentDim; i++) arrays.z[i] = warp(z[start * latentDim + i]);
      const rows = padded(now, ROWS);
      multiply(arrays.hidden, arrays.z, arrays.h, hiddenPad, latentDim, rows);
      shiftAndRelu(arrays.h, hiddenShift, now);
      multiply(arrays.expand, arrays.h, arrays.x1, innerPad, hiddenPad, rows);
      shiftAndRelu(arrays.x1, expandShift, now);
      for (let i = 0; i < now; i++) drawOne(i, out, (start + i) * pixels4 * channels);
    }
    return out;
  }

  function drawOne(i, out, offset) {
    const x1 = arrays.x1.subarray(i * innerPad);
    multiply(arrays.up, x1, arrays.y1, upColumns, 2 * base, padded(pixels, ROWS));
    addPatches(arrays.y1, quarter, base, upColumns, up.shift, arrays.x2, 0, basePad);
    for (let k = 0; k < arrays.x2.length; k++) if (arrays.x2[k] < 0) arrays.x2[k] = 0;
    multiply(arrays.toImage, arrays.x2, arrays.y2, imageColumns, basePad, padded(pixels2, ROWS));
    addPatches(arrays.y2, 2 * quarter, channels, imageColumns, toImage.shift, out, offset, channels);
    for (let k = offset; k < offset + pixels4 * channels; k++) out[k] = squash(out[k]);
  }

  return { latentDim, side, channels, directions, strengths, simd: fast, generate };
}

const WARPS = new Map([
  ["normal", (z) => z],
  ["uniform", (z) => erf(z / Math.SQRT2)],
]);
const SQUASHES = new Map([
  ["symmetric", Math.tanh],
  ["unit", (x) => 2 / (1 + Math.exp(-x)) - 1],
]);

/** Weights [depth in, columns out] of a transposed convolution (kernel 4) into panels; column = tap * out + c. */
function placeTransposed(panels, { weight, scale }, depth, inputs, outputs) {
  for (let i = 0; i < inputs; i++) {
    for (let c = 0; c < outputs; c++) {
      for (let tap = 0; tap < 16; tap++) {
        panels[panelIndex(i, tap * outputs + c, depth)] = weight[(i * outputs + c) * 16 + tap] * scale[c];
      }
    }
  }
}

/**
 * The second half of a transposed convolution (kernel 4, stride 2, padding 1): each pixel's 4 x 4 patch in
 * `patches` [side * side][columns] is added to `out` [2 side * 2 side][stride], which starts as `shift`.
 */
function addPatches(patches, side, channels, columns, shift, out, offset, stride) {
  const wide = 2 * side;
  for (let pixel = 0; pixel < wide * wide; pixel++) {
    for (let c = 0; c < channels; c++) out[offset + pixel * stride + c] = shift[c];
  }
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const patch = (row * side + column) * columns;
      for (let tap = 0; tap < 16; tap++) {
        const y = 2 * row - 1 + (tap >> 2);
        const x = 2 * column - 1 + (tap & 3);
        if (y < 0 || y >= wide || x < 0 || x >= wide) continue;
        const to = offset + (y * wide + x) * stride;
        const from = patch + tap * channels;
        for (let c = 0; c < channels; c++) out[to + c] += patches[from + c];
      }
    }
  }
}

// --- classifier ---------------------------------------------------------------------------------------------

const CLASSIFIER_KIND = "judge"; // as gan/evaluation/classifier.py writes it, since version 0.1

/**
 * A classifier's file -> `{side, simd, read}`, see gan/evaluation/classifier.py. `read(image)`: Float32Array [28 * 28] in
 * [-1, 1] -> {digit, confidence, probabilities: Float32Array [10]}.
 */
export function readClassifier(buffer, { simd = true } = {}) {
  const { info, tensor, unread } = readTensors(buffer);
  const width = info.width;
  if (info.kind !== CLASSIFIER_KIND || !Number.isInteger(width) || width < 1 || width > 256) {
    throw new LoadError("other", `a file of kind ${info.kind}`);
  }
  const side = 28;
  const layers = [
    { name: 1, inputs: 1, outputs: width, side: 28, stride: 1, pool: true },
    { name: 2, inputs: width, outputs: 2 * width, side: 14, stride: 1, pool: true },
    { name: 3, inputs: 2 * width, outputs: 2 * width, side: 7, stride: 2, pool: false },
  ];
  const sizes = {};
  for (const layer of layers) {
    layer.inputsPad = layer.name === 1 ? 1 : padded(layer.inputs); // as the previous layer writes them
    layer.outputsPad = padded(layer.outputs);
    layer.depth = 9 * layer.inputsPad;
    layer.out = Math.ceil(layer.side / layer.stride);
    sizes[`weights${layer.name}`] = layer.depth * layer.outputsPad;
    sizes[`patches${layer.name}`] = padded(layer.out ** 2, ROWS) * layer.depth;
    sizes[`y${layer.name}`] = padded(layer.out ** 2, ROWS) * layer.outputsPad;
    sizes[`pooled${layer.name}`] = layer.pool ? (layer.out / 2) ** 2 * layer.outputsPad : 0;
  }
  const [features, mapPad] = [4 * width, layers[2].outputsPad];
  const featuresPad = padded(features);
  const { arrays, multiply, simd: fast } = makeWorkspace(
    {
      ...sizes,
      dense: 16 * mapPad * featuresPad,
      logits: featuresPad * padded(10),
      map: ROWS * 16 * mapPad,
      f: ROWS * featuresPad,
      l: ROWS * padded(10),
    },
    simd,
  );
  for (const layer of layers) {
    const { name, inputs, outputs } = layer;
    const weight = tensor(`conv${name}.weight`, [outputs, inputs, 3, 3]);
    const kernel = { weight, ...readNorm(tensor, `norm${name}`, outputs) };
    const place = (k) => (k % 9) * layer.inputsPad + Math.floor(k / 9); // all inputs of a tap are adjacent
    placeLinear(arrays[`weights${name}`], kernel, layer.depth, outputs, 9 * inputs, (o) => o, place);
    layer.shift = shiftOf(kernel, layer.outputsPad);
  }
  const dense = readLinear(tensor, "dense", "norm4", 16 * 2 * width, features);
  // torch flattens channel by channel
  placeLinear(arrays.dense, dense, 16 * mapPad, features, 16 * 2 * width, (o) => o, (k) => (k % 16) * mapPad + Math.floor(k / 16));
  const toLogits = readBiased(tensor, "to_logits", [10, features], 10);
  placeLinear(arrays.logits, toLogits, featuresPad, 10, features);
  const denseShift = shiftOf(dense, featuresPad);
  requireAllRead(unread());

  function read(image) {
    let x = image;
    for (const layer of layers) {
      const { name, outputsPad } = layer;
      const y = arrays[`y${name}`];
      gatherPatches(x, layer, arrays[`patches${name}`]);
      multiply(arrays[`weights${name}`], arrays[`patches${name}`], y, outputsPad, layer.depth, padded(layer.out ** 2, ROWS));
      shiftAndRelu(y, layer.shift, layer.out ** 2);
      x = layer.pool ? maxPool(y, layer.out, outputsPad, arrays[`pooled${name}`]) : y;
    }
    arrays.map.set(x.subarray(0, 16 * mapPad));
    multiply(arrays.dense, arrays.map, arrays.f, featuresPad, 16 * mapPad, ROWS);
    shiftAndRelu(arrays.f, denseShift, 1);
    multiply(arrays.logits, arrays.f, arrays.l, padded(10), featuresPad, ROWS);
    return reading(Float32Array.from({ length: 10 }, (_, digit) => arrays.l[digit] + toLogits.shift[digit]));
  }

  return { side, simd: fast, read };
}

function reading(logits) {
  const highest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const probabilities = weights.map((weight) => weight / total);
  const digit = probabilities.indexOf(Math.max(...probabilities));
  return { digit, confidence: probabilities[digit], probabilities };
}

/** The 3 x 3 surroundings of every output pixel, zeros outside: x [side * side][inputsPad] -> [out * out][depth]. */
function gatherPatches(x, { side, stride, out, inputsPad }, patches) {
  let to = 0;
  for (let row = 0; row < out; row++) {
    for (let column = 0; column < out; column++) {
      for (let tap = 0; tap < 9; tap++, to += inputsPad) {
        const y = row * stride - 1 + Math.floor(tap / 3);
        const x0 = column * stride - 1 + (tap % 3);
        const inside = y >= 0 && y < side && x0 >= 0 && x0 < side;
        const from = (y * side + x0) * inputsPad;
        for (let c = 0; c < inputsPad; c++) patches[to + c] = inside ? x[from + c] : 0;
      }
    }
  }
}

/** 2 x 2 maxima: x [side * side][channels] -> [side / 2 * side / 2][channels]. */
function maxPool(x, side, channels, pooled) {
  const half = side / 2;
  for (let row = 0; row < half; row++) {
    for (let column = 0; column < half; column++) {
      const from = (2 * row * side + 2 * column) * channels;
      const to = (row * half + column) * channels;
      for (let c = from; c < from + channels; c++) {
        const below = c + side * channels;
        pooled[to + c - from] = Math.max(x[c], x[c + channels], x[below], x[below + channels]);
      }
    }
  }
  return pooled;
}

// --- both ----------------------------------------------------------------------------------------------

/** LoadError if the file has more layers than this network. BatchNorm's count of batches is not used. */
function requireAllRead(names) {
  const strange = names.find((name) => !name.endsWith(".num_batches_tracked"));
  if (strange !== undefined) throw new LoadError("other", `${strange} has no place in this network`);
}

/** BatchNorm of `count` channels as y = scale * x + shift. */
function readNorm(tensor, name, count) {
  const [weight, bias] = [tensor(`${name}.weight`, [count]), tensor(`${name}.bias`, [count])];
  const [mean, variance] = [tensor(`${name}.running_mean`, [count]), tensor(`${name}.running_var`, [count])];
  const scale = weight.map((w, i) => w / Math.sqrt(variance[i] + EPSILON));
  if (!scale.every(Number.isFinite)) throw new LoadError("damaged", `${name} has a negative variance`);
  return { scale, shift: bias.map((b, i) => b - mean[i] * scale[i]) };
}

/** A dense layer without bias, and the BatchNorm after it. */
function readLinear(tensor, name, norm, inputs, outputs) {
  return { weight: tensor(`${name}.weight`, [outputs, inputs]), ...readNorm(tensor, norm, outputs) };
}

/** A layer with a bias, without BatchNorm. */
function readBiased(tensor, name, shape, outputs) {
  const scale = new Float32Array(outputs).fill(1);
  return { weight: tensor(`${name}.weight`, shape), scale, shift: tensor(`${name}.bias`, [outputs]) };
}

/** Weights [outputs, inputs] into panels of `depth` inputs, in the order that `output` and `input` map to. */
function placeLinear(panels, { weight, scale }, depth, outputs, inputs, output = (o) => o, input = (k) => k) {
  for (let o = 0; o < outputs; o++) {
    const column = output(o);
    for (let k = 0; k < inputs; k++) panels[panelIndex(input(k), column, depth)] = weight[o * inputs + k] * scale[o];
  }
}

/** The shifts of a layer in the order that `order` maps to, with zeros up to `length`. */
function shiftOf({ shift }, length, order = (o) => o) {
  const moved = new Float32Array(length);
  shift.forEach((value, o) => (moved[order(o)] = value));
  return moved;
}

/** max(0, x + shift), in place; x [rows][shift.length]. */
function shiftAndRelu(x, shift, rows) {
  const columns = shift.length;
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, i++) {
      const value = x[i] + shift[column];
      x[i] = value > 0 ? value : 0;
    }
  }
}

/** The error function within 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}
