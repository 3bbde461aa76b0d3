// Weight files in the browser: safetensors (https://github.com/huggingface/safetensors), the very files that
// the library loads, read as strictly.

/**
 * Why something could not be loaded. `kind` is one of "network", "missing", "page" (an HTML page came instead), "truncated",
 * "damaged", "other" (a file of another kind or architecture); words for each are under `load_<kind>`.
 */
export class LoadError extends Error {
  constructor(kind, detail = "") {
    super(detail ? `${kind}: ${detail}` : kind);
    this.kind = kind;
    this.detail = detail;
  }
}

/**
 * A safetensors file -> `{info, tensor(name, shape)}`: `info` is what the library wrote into it (kind and
 * configuration), `tensor` a Float32Array, with the LoadError "other" unless it has that shape. Half precision
 * is widened; every value must be finite.
 */
export function readTensors(buffer) {
  if (looksLikePage(buffer)) throw new LoadError("page");
  if (buffer.byteLength < 8) throw new LoadError("truncated", `${buffer.byteLength} bytes`);
  const view = new DataView(buffer);
  const length = view.getUint32(0, true);
  if (view.getUint32(4, true) !== 0 || length < 2) throw new LoadError("damaged", "no header");
  if (8 + length > buffer.byteLength) throw new LoadError("truncated", `${buffer.byteLength} bytes`);
  let header;
  let info;
  try {
    header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
    info = JSON.parse(header.__metadata__?.gan ?? "{}");
  } catch {
    throw new LoadError("damaged", "unreadable header");
  }
  const data = buffer.slice(8 + length);
  const needed = Math.max(...Object.values(header).map((entry) => entry.data_offsets?.[1] ?? 0));
  if (data.byteLength < needed) throw new LoadError("truncated", `${data.byteLength} of ${needed} bytes`);

  function tensor(name, shape) {
    const entry = header[name];
    if (!entry || String(entry.shape) !== String(shape)) {
      throw new LoadError("other", `${name} is ${entry ? entry.shape : "missing"}, expected ${shape}`);
    }
    const count = shape.reduce((product, side) => product * side, 1);
    const [from, to] = entry.data_offsets;
    const bytes = { F32: 4, F16: 2 }[entry.dtype];
    if (!bytes || to - from !== count * bytes) throw new LoadError("damaged", `${name} is ${entry.dtype}`);
    const part = data.slice(from, to);
    const values = bytes === 4 ? new Float32Array(part) : widened(new Uint16Array(part));
    if (!values.every(Number.isFinite)) throw new LoadError("damaged", `${name} is not finite`);
    return values;
  }
  return { info, tensor };
}

function looksLikePage(buffer) {
  const start = new TextDecoder("latin1").decode(new Uint8Array(buffer, 0, Math.min(64, buffer.byteLength)));
  return /^\s*<(!doctype|html|\?xml)/i.test(start);
}

const halves = { table: null };

/** IEEE 754 half precision as Float32Array. */
function widened(bits) {
  halves.table ??= Float32Array.from({ length: 65536 }, (_, code) => {
    const sign = code & 0x8000 ? -1 : 1;
    const exponent = (code >> 10) & 31;
    const fraction = code & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -14 * (fraction / 1024);
  });
  const { table } = halves;
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]];
  return values;
}
