// Latent vectors from seeds, between each other and along directions, as in gan/networks/latents.py and
// gan/networks/latent_request.py.
//
// One seed is the same latent in Python, in the app and on an exported page. This is therefore the random generator of
// `torch.randn(dim, generator=torch.Generator().manual_seed(seed))` on a CPU: the same random bits, and the same normal
// numbers except for the last bit of a float (logarithm and cosine round differently).

export const LAST_SEED = 2 ** 31 - 1 - 400; // as in gan/networks/latent_request.py

const STATE_WORDS = 624;
const STATE_SHIFT = 397;
const NORMAL_BLOCK = 16; // ATen draws 16 or more normal numbers in blocks of 16
const SHORTEST_VECTOR = 1e-8; // below it a vector has no direction
const TWO_PI_FLOAT = Math.fround(2 * Math.PI);
const REMEMBERED_SEEDS = 2048; // a walk of 400 needs 800; half a megabyte at 64 components

/**
 * The Mersenne Twister MT19937 (Matsumoto & Nishimura 1998), seeded as their `init_genrand`: a function that
 * returns the next 32 random bits as a whole number. It renews a word of the state only when it is needed, so that few
 * numbers cost little.
 */
export function mersenneTwister(seed) {
  const state = new Uint32Array(STATE_WORDS);
  state[0] = seed;
  for (let i = 1; i < STATE_WORDS; i++) {
    const previous = state[i - 1] ^ (state[i - 1] >>> 30);
    state[i] = Math.imul(1812433253, previous) + i;
  }
  let place = 0;
  return () => {
    const next = place + 1 < STATE_WORDS ? place + 1 : 0;
    const far = place + STATE_SHIFT < STATE_WORDS ? place + STATE_SHIFT : place + STATE_SHIFT - STATE_WORDS;
    const mixed = (state[place] & 0x80000000) | (state[next] & 0x7fffffff);
    let bits = state[far] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    state[place] = bits;
    place = next;
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return (bits ^ (bits >>> 18)) >>> 0;
  };
}

/** The latent of a seed (0 .. 2^32 - 1): Float32Array of `dim` standard normal numbers. */
export function seedLatent(seed, dim) {
  const random = mersenneTwister(seed);
  return dim < NORMAL_BLOCK ? fewNormals(random, dim) : manyNormals(random, dim);
}

// ATen, native/cpu/DistributionTemplates.h, normal_fill: uniform numbers first, then pairs of them, eight
// apart, become normal (Box & Muller 1958). If the last block is incomplete, the last 16 numbers are drawn again.
function manyNormals(random, dim) {
  const values = new Float32Array(dim);
  fillUniform(random, values, 0);
  for (let start = 0; start + NORMAL_BLOCK <= dim; start += NORMAL_BLOCK) makeNormal(values, start);
  if (dim % NORMAL_BLOCK) {
    fillUniform(random, values, dim - NORMAL_BLOCK);
    makeNormal(values, dim - NORMAL_BLOCK);
  }
  return values;
}

function fillUniform(random, values, start) {
  for (let i = start; i < values.length; i++) values[i] = (random() & 0xffffff) / 0x1000000;
}

function makeNormal(values, start) {
  for (let i = start; i < start + NORMAL_BLOCK / 2; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - values[i]));
    const angle = Math.fround(TWO_PI_FLOAT * values[i + NORMAL_BLOCK / 2]); // also a float in ATen
    values[i] = radius * Math.cos(angle);
    values[i + NORMAL_BLOCK / 2] = radius * Math.sin(angle);
  }
}

// ATen, core/DistributionsHelper.h, normal_distribution<double>: pairs from 53 random bits each, in sequence.
function fewNormals(random, dim) {
  const values = new Float32Array(dim);
  const uniform = () => {
    const high = random() & 0x1fffff;
    return (high * 0x100000000 + random()) / 0x20000000000000;
  };
  for (let i = 0; i < dim; i += 2) {
    const angle = 2 * Math.PI * uniform();
    const radius = Math.sqrt(-2 * Math.log1p(-uniform()));
    values[i] = radius * Math.cos(angle);
    if (i + 1 < dim) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/**
 * The vector the share `t`, 0..1, of the way from `a` to `b` along the great circle (Shoemake 1985), lengths
 * interpolated linearly; all Float32Array. A straight line if a and b are nearly parallel, opposite or zero.
 */
export function slerp(a, b, t) {
  const [shareA, shareB] = arcShares(a, b, t) ?? [1 - t, t];
  return a.map((value, i) => shareA * value + shareB * b[i]);
}

// The weights of a and b at t on the arc between them, null if no arc is defined.
function arcShares(a, b, t) {
  const lengthA = vectorLength(a);
  const lengthB = vectorLength(b);
  if (lengthA < SHORTEST_VECTOR || lengthB < SHORTEST_VECTOR) return null;
  let cosine = 0;
  for (let i = 0; i < a.length; i++) cosine += (a[i] / lengthA) * (b[i] / lengthB);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  if (sine < 1e-4) return null;
  const reach = ((1 - t) * lengthA + t * lengthB) / sine;
  return [(reach * Math.sin((1 - t) * angle)) / lengthA, (reach * Math.sin(t * angle)) / lengthB];
}

function vectorLength(vector) {
  let squares = 0;
  for (const value of vector) squares += value * value;
  return Math.sqrt(squares);
}

/**
 * The latents of one model of `dim` components; `directions`: its principal directions (Float32Array [dim * dim], one per
 * row). `rows(request, count, out)` fills and returns `out` (Float32Array [count * dim], made if not given) with the first
 * `count` latents of a request, as `LatentRequest.to_dict` in gan/networks/latent_request.py writes it; RangeError for
 * directions or components that the model lacks. `seed(n)`: the latent of a seed, read-only. Both keep the latents of recent
 * seeds, so that a request can be drawn 60 times a second.
 */
export function makeLatents(dim, directions) {
  const remembered = new Map(); // oldest first

  const seed = (number) => {
    let latent = remembered.get(number);
    if (latent) return latent;
    latent = seedLatent(number, dim);
    if (remembered.size >= REMEMBERED_SEEDS) remembered.delete(remembered.keys().next().value);
    remembered.set(number, latent);
    return latent;
  };

  const rows = (request, count, out = new Float32Array(count * dim)) => {
    const offset = offsetOf(request, dim, directions);
    for (let row = 0; row < count; row++) {
      const latent = baseLatent(request.rows, row, seed);
      for (let i = 0; i < dim; i++) out[row * dim + i] = latent[i] * request.truncation + offset[i];
    }
    return out;
  };

  return { rows, seed };
}

// Row `row` of a request before truncation and shifts, for the kinds of gan/networks/latent_request.py.
function baseLatent(rows, row, seed) {
  switch (rows.kind) {
    case "seeds":
      return seed(rows.first + row);
    case "list":
      return seed(rows.seeds[row % rows.seeds.length]);
    case "walk":
      return slerp(seed(rows.start + row), seed(rows.end + row), rows.t);
    case "sum":
      return latentSum(seed(rows.plus + row), seed(rows.minus + row), seed(rows.other + row));
    default:
      throw new RangeError(`rows of the unknown kind ${rows.kind}`);
  }
}

// plus - minus + other, scaled to the mean length of the three; gan/networks/latent_request.py explains why.
function latentSum(plus, minus, other) {
  const total = plus.map((value, i) => value - minus[i] + other[i]);
  const wanted = (vectorLength(plus) + vectorLength(minus) + vectorLength(other)) / 3;
  const factor = wanted / Math.max(vectorLength(total), SHORTEST_VECTOR);
  return total.map((value) => value * factor);
}

// The sum of all shifts, for every latent: along principal directions and of single components. Float64Array [dim].
function offsetOf({ shifts, axes }, dim, directions) {
  if (shifts.length > dim) throw new RangeError(`${shifts.length} shifts for ${dim} directions`);
  const offset = new Float64Array(dim);
  shifts.forEach((shift, k) => {
    if (shift) for (let i = 0; i < dim; i++) offset[i] += shift * directions[k * dim + i];
  });
  for (const [axis, value] of axes) {
    if (!(axis in offset)) throw new RangeError(`axis ${axis} must be from 0 to ${dim - 1}`);
    offset[axis] += value;
  }
  return offset;
}
