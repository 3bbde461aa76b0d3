// Weight files in the browser: safetensors (https://github.com/huggingface/safetensors), the same files that the library
// loads, read as strictly.

/**
 * Why something could not be loaded. `kind`: "network", "missing", "page" (an HTML page came instead), "truncated", "damaged"
 * or "other" (a file of another kind or architecture); the text for each is `load_<kind>`.
 */
export class LoadError extends Error {
  constructor(kind, detail = "") {
    super(detail ? `${kind}: ${detail}` : kind);
    this.kind = kind;
    this.detail = detail;
  }
}

const WIDTHS = new Map([["F32", 4], ["F16", 2]]); // bytes per number
const LONGEST_HEADER = 100_000_000; // bytes, as in the format's own library

/**
 * A safetensors file -> `{info, tensor(name, shape), unread()}`. `info`: what the library wrote into it (kind and
 * configuration); `tensor`: a Float32Array, LoadError "other" if it does not have that shape; `unread`: the names not read so
 * far. Half precision is widened; every value must be finite.
 */
export function readTensors(buffer) {
  if (buffer.byteLength < 8) throw new LoadError("truncated", `${buffer.byteLength} bytes`);
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  if (length < 2 || length > LONGEST_HEADER) throw new LoadError("damaged", "no header");
  if (8 + length > buffer.byteLength) throw new LoadError("truncated", `${buffer.byteLength} bytes`);
  const { entries, info } = readHeader(new Uint8Array(buffer, 8, length));
  const data = buffer.slice(8 + length);
  checkPlaces([...entries.values()], data.byteLength);
  const unread = new Set(entries.keys());

  function tensor(name, shape) {
    unread.delete(name);
    const entry = entries.get(name);
    if (!entry || String(entry.shape) !== String(shape)) {
      throw new LoadError("other", `${name} is ${entry ? entry.shape : "missing"}, expected ${shape}`);
    }
    const count = shape.reduce((product, side) => product * side, 1);
    const [from, to] = entry.data_offsets;
    const bytes = WIDTHS.get(entry.dtype);
    if (!bytes) throw new LoadError("other", `${name} is ${entry.dtype}`);
    if (to - from !== count * bytes) throw new LoadError("damaged", `${name} has ${to - from} bytes`);
    const part = data.slice(from, to);
    const values = bytes === 4 ? new Float32Array(part) : widened(new Uint16Array(part));
    if (!values.every(Number.isFinite)) throw new LoadError("damaged", `${name} is not finite`);
    return values;
  }
  return { info, tensor, unread: () => [...unread] };
}

/** The header's JSON -> the description of each tensor by name, and the library's `info`. */
function readHeader(bytes) {
  try {
    const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    const entries = new Map(Object.entries(header));
    entries.delete("__metadata__");
    const info = JSON.parse(header.__metadata__?.gan ?? "{}");
    return { entries, info: Object(info) };
  } catch {
    throw new LoadError("damaged", "unreadable header");
  }
}

/** The format requires tensors to follow each other and fill the file, which reveals files that were cut or altered. */
function checkPlaces(entries, length) {
  const places = entries.map((entry) => (Array.isArray(entry?.data_offsets) ? entry.data_offsets : []));
  let end = 0;
  for (const [from, to] of places.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    if (from !== end || !Number.isInteger(to) || to < from) throw new LoadError("damaged", "tensors out of place");
    end = to;
  }
  if (length < end) throw new LoadError("truncated", `${length} of ${end} bytes`);
  if (length > end) throw new LoadError("damaged", `${length} bytes instead of ${end}`);
}

/** IEEE 754 half precision as Float32Array: its bits at the places of single precision, whose exponent is larger by 112. */
function widened(halves) {
  const bits = Uint32Array.from(halves, (half) => ((half & 0x8000) << 16) | ((half & 0x7fff) << 13));
  const finite = (half) => (half & 0x7c00) !== 0x7c00;
  return new Float32Array(bits.buffer).map((value, i) => (finite(halves[i]) ? value * 2 ** 112 : NaN));
}
