// Matrix products: a WebAssembly SIMD function assembled here, instruction by instruction, or plain JavaScript if the
// browser or a policy forbids WebAssembly. Both compute:
//
//   y[row][column] = sum over k of weights[k][column] * x[row][k]
//
// x and y are stored row by row. The weights are stored in panels of PANEL columns, so that consecutive multiplications
// read consecutive memory: weights[k][column] is at panelIndex(k, column, depth). The number of columns is a multiple of
// PANEL, that of rows a multiple of ROWS; callers pad with zeros.

const PANEL = 8;
export const ROWS = 4;

/** `count`, rounded up to a multiple of `unit`. */
export function padded(count, unit = PANEL) {
  return Math.ceil(count / unit) * unit;
}

/** The index of the weight from input `k` of `depth` to output `column`. */
export function panelIndex(k, column, depth) {
  return (column - (column % PANEL)) * depth + k * PANEL + (column % PANEL);
}

/**
 * Float arrays of the given sizes, and their product: `makeWorkspace({x: 64, y: 32})` ->
 * `{arrays: {x, y}, multiply(weights, x, y, columns, depth, rows), simd}`. x may be a part of an array. Arrays start with
 * zeros and have some room after them, which padding rows may read and write.
 */
export function makeWorkspace(sizes, wantSimd = true) {
  const bytes = Object.values(sizes).reduce((sum, count) => sum + padded(count, 4) * 4, 0);
  const memory = wantSimd ? sharedMemory(bytes) : null;
  const buffer = memory ? memory.buffer : new ArrayBuffer(bytes);
  const arrays = {};
  let place = 0;
  for (const [name, count] of Object.entries(sizes)) {
    arrays[name] = new Float32Array(buffer, place, count);
    place += padded(count, 4) * 4;
  }
  if (!memory) return { arrays, multiply: multiplyPlainly, simd: false };
  const { multiply } = new WebAssembly.Instance(kernelModule(), { web: { memory } }).exports;
  return {
    arrays,
    multiply: (weights, x, y, columns, depth, rows) =>
      multiply(weights.byteOffset, x.byteOffset, y.byteOffset, columns, depth, rows),
    simd: true,
  };
}

/** WebAssembly memory, null if the kernel cannot run: no WebAssembly, no SIMD, or a policy that forbids it. */
function sharedMemory(bytes) {
  try {
    kernelModule();
    return new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) + 1 });
  } catch {
    return null;
  }
}

const compiled = { module: null };

function kernelModule() {
  compiled.module ??= new WebAssembly.Module(kernelBytes());
  return compiled.module;
}

function multiplyPlainly(weights, x, y, columns, depth, rows) {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column += PANEL) {
      let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0];
      let at = column * depth;
      const end = (row + 1) * depth;
      for (let k = row * depth; k < end; k++, at += PANEL) {
        const value = x[k];
        a += weights[at] * value;
        b += weights[at + 1] * value;
        c += weights[at + 2] * value;
        d += weights[at + 3] * value;
        e += weights[at + 4] * value;
        f += weights[at + 5] * value;
        g += weights[at + 6] * value;
        h += weights[at + 7] * value;
      }
      const out = row * columns + column;
      y[out] = a;
      y[out + 1] = b;
      y[out + 2] = c;
      y[out + 3] = d;
      y[out + 4] = e;
      y[out + 5] = f;
      y[out + 6] = g;
      y[out + 7] = h;
    }
  }
}

// --- the kernel as WebAssembly (https://webassembly.github.io/spec/core/binary/) -----------------------------

/** Unsigned LEB128. */
function leb128(value) {
  const bytes = [];
  do {
    const low = value & 127;
    value >>>= 7;
    bytes.push(value ? low | 128 : low);
  } while (value);
  return bytes;
}

const wasmList = (...items) => [...leb128(items.length), ...items.flat()];
const wasmSection = (id, content) => [id, ...leb128(content.length), ...content];
const wasmName = (text) => [text.length, ...[...text].map((letter) => letter.charCodeAt(0))];

/**
 * The module: `multiply(weights, x, y, columns, depth, rows)`, the first three as byte offsets in the memory
 * "web.memory". It multiplies four rows of x with one panel of eight columns at a time: eight sums of four numbers each
 * stay in registers while k runs.
 */
function kernelBytes() {
  const parameters = ["weights", "x", "y", "columns", "depth", "rows"];
  const numbers = ["panel", "x0", "x1", "x2", "x3", "column", "row", "end", "out", "depthBytes", "rowBytes"];
  const vectors = ["sum0", "sum1", "sum2", "sum3", "sum4", "sum5", "sum6", "sum7", "left", "right", "value"];
  const index = Object.fromEntries([...parameters, ...numbers, ...vectors].map((local, i) => [local, i]));
  const [i32, v128, none] = [0x7f, 0x7b, 0x40];

  const get = (local) => [0x20, index[local]];
  const set = (local, ...value) => [...value.flat(), 0x21, index[local]];
  const constant = (value) => [0x41, value]; // one byte of signed LEB128: 0 to 63
  const add = (a, b) => [...a, ...b, 0x6a];
  const times = (a, b) => [...a, ...b, 0x6c];
  const inBytes = (count) => [...count, ...constant(2), 0x74]; // shifted left by two: four bytes per number
  const step = (local, by) => set(local, add(get(local), constant(by)));
  const simd = (code, ...immediate) => [0xfd, ...leb128(code), ...immediate];
  const load = (place, offset) => [...place, ...simd(0, 2, offset)];
  const loadEverywhere = (place) => [...place, ...simd(9, 2, 0)]; // one number, four times
  const store = (place, value, offset) => [...place, ...value, ...simd(11, 2, offset)];
  const zeros = simd(12, ...Array(16).fill(0));
  const plus = (a, b) => [...a, ...b, ...simd(0xe4)];
  const product = (a, b) => [...a, ...b, ...simd(0xe6)];
  const repeatWhileBelow = (local, limit, ...body) => [
    ...[0x03, none], // loop
    ...body.flat(),
    ...get(local),
    ...get(limit),
    0x49, // less than, unsigned
    ...[0x0d, 0], // if so, again
    0x0b, // end
  ];

  const four = [0, 1, 2, 3];
  const multiplyAndAdd = four.map((row) => [
    ...set("value", loadEverywhere(get(`x${row}`))),
    ...set(`sum${2 * row}`, plus(get(`sum${2 * row}`), product(get("left"), get("value")))),
    ...set(`sum${2 * row + 1}`, plus(get(`sum${2 * row + 1}`), product(get("right"), get("value")))),
  ]);
  const code = [
    set("depthBytes", inBytes(get("depth"))),
    set("rowBytes", inBytes(get("columns"))),
    repeatWhileBelow(
      "row",
      "rows",
      set("column", constant(0)),
      set("panel", get("weights")),
      repeatWhileBelow(
        "column",
        "columns",
        set("x0", add(get("x"), times(get("row"), get("depthBytes")))),
        ...[1, 2, 3].map((row) => set(`x${row}`, add(get(`x${row - 1}`), get("depthBytes")))),
        set("end", get("x1")),
        ...Array.from({ length: 8 }, (_, i) => set(`sum${i}`, zeros)),
        repeatWhileBelow(
          "x0",
          "end",
          set("left", load(get("panel"), 0)),
          set("right", load(get("panel"), 16)),
          ...multiplyAndAdd,
          step("panel", 32),
          ...four.map((row) => step(`x${row}`, 4)),
        ),
        set("out", add(get("y"), inBytes(add(times(get("row"), get("columns")), get("column"))))),
        ...four.map((row) => [
          ...store(get("out"), get(`sum${2 * row}`), 0),
          ...store(get("out"), get(`sum${2 * row + 1}`), 16),
          ...set("out", add(get("out"), get("rowBytes"))),
        ]),
        step("column", PANEL),
      ),
      step("row", ROWS),
    ),
    [0x0b],
  ].flat(1);

  const locals = wasmList([...leb128(numbers.length), i32], [...leb128(vectors.length), v128]);
  const body = [...locals, ...code.flat()];
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
    ...wasmSection(1, wasmList([0x60, ...wasmList(...parameters.map(() => i32)), 0])), // types: one function, no result
    ...wasmSection(2, wasmList([...wasmName("web"), ...wasmName("memory"), 2, 0, 1])), // imports: a memory of a page or more
    ...wasmSection(3, wasmList(0)), // functions: one, of type 0
    ...wasmSection(7, wasmList([...wasmName("multiply"), 0, 0])), // exports: function 0
    ...wasmSection(10, wasmList([...leb128(body.length), ...body])),
  ]);
}
