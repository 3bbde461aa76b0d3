// An animation as a GIF file, which every mail program and slide show plays.
//
// CompuServe, Graphics Interchange Format version 89a (1990): https://www.w3.org/Graphics/GIF/spec-gif89a.txt; section numbers
// below refer to it. The loop is Netscape's extension, which all programs support.

const COLOR_BITS = 8; // of the palette and of a pixel's index into it
const CLEAR_CODE = 1 << COLOR_BITS; // appendix F: the two codes behind the colours
const END_CODE = CLEAR_CODE + 1;
const MAX_CODE_BITS = 12;
const MAX_CODES = 1 << MAX_CODE_BITS;
const SLOT_BITS = 14; // of the hash table of known strings: four slots per code
const SUB_BLOCK = 255; // bytes, section 15
const CUBE = 6; // levels of red, green and blue each: 216 colours fit a palette of 256
const CUBE_STEP = 255 / (CUBE - 1);

/**
 * An animated GIF of images of one size: Uint8Array, the content of a file.
 *
 * frames: a Uint8Array each, rows from the top, all grey [height * width] or all red, green, blue
 * [height * width * 3]. Greys are exact; colours become the nearest of 6 x 6 x 6. delay: time of a frame in hundredths of a
 * second, 2 or more (programs play less as 10). scale: every pixel becomes scale x scale. loop: forever, else once.
 * RangeError for a size, a delay or a number of bytes that is not possible.
 */
export function encodeGif({ width, height, frames, delay, scale = 1, loop = true }) {
  checkGif({ width, height, frames, delay, scale });
  const colored = frames[0].length === 3 * width * height;
  const [across, down] = [width * scale, height * scale];
  const file = byteSink();
  file.text("GIF89a");
  file.words(across, down);
  file.bytes(0xf0 | (COLOR_BITS - 1), 0, 0); // section 18: a global palette of 256 colours
  file.bytes(...(colored ? cubePalette() : greyPalette()));
  if (loop) {
    file.bytes(0x21, 0xff, 11); // section 26
    file.text("NETSCAPE2.0");
    file.bytes(3, 1, 0, 0, 0); // forever
  }
  const compress = makeCompressor();
  for (const frame of frames) {
    file.bytes(0x21, 0xf9, 4, 1 << 2); // section 23; the frame is left in place
    file.words(delay);
    file.bytes(0, 0);
    file.bytes(0x2c); // section 20
    file.words(0, 0, across, down);
    file.bytes(0, COLOR_BITS);
    compress(enlargePixels(colored ? cubeIndices(frame) : frame, width, height, scale), file);
  }
  file.bytes(0x3b); // section 27
  return file.content();
}

function checkGif({ width, height, frames, delay, scale }) {
  const whole = (value, low, high) => Number.isInteger(value) && low <= value && value <= high;
  if (!whole(scale, 1, 0xffff)) throw new RangeError(`scale ${scale} must be a whole number from 1`);
  for (const side of [width, height]) {
    if (!whole(side, 1, 0xffff) || side * scale > 0xffff) {
      throw new RangeError(`an image of ${width} x ${height} at scale ${scale} does not fit a GIF`);
    }
  }
  if (!whole(delay, 2, 0xffff)) throw new RangeError(`delay ${delay} must be a whole number from 2 to 65535`);
  if (!frames.length) throw new RangeError("a GIF needs a frame");
  const pixels = width * height;
  const { length } = frames[0];
  if ((length !== pixels && length !== 3 * pixels) || frames.some((frame) => frame.length !== length)) {
    throw new RangeError(`every frame must have ${pixels} bytes (grey), or every one ${3 * pixels} (colour)`);
  }
}

// 256 times red, green, blue: section 19.
function greyPalette() {
  return Uint8Array.from({ length: 3 * 256 }, (_, i) => Math.floor(i / 3));
}

function cubePalette() {
  const palette = new Uint8Array(3 * 256); // the colours from 216 on are black and not used
  for (let i = 0; i < CUBE ** 3; i++) {
    const levels = [Math.floor(i / CUBE ** 2), Math.floor(i / CUBE) % CUBE, i % CUBE];
    palette.set(levels.map((level) => level * CUBE_STEP), 3 * i);
  }
  return palette;
}

// The index of each pixel's nearest colour in the palette of the cube.
function cubeIndices(colors) {
  const level = (value) => Math.round(value / CUBE_STEP);
  const indices = new Uint8Array(colors.length / 3);
  for (let i = 0; i < indices.length; i++) {
    const [red, green, blue] = [level(colors[3 * i]), level(colors[3 * i + 1]), level(colors[3 * i + 2])];
    indices[i] = (red * CUBE + green) * CUBE + blue;
  }
  return indices;
}

// Every pixel becomes scale x scale pixels.
function enlargePixels(pixels, width, height, scale) {
  if (scale === 1) return pixels;
  const across = width * scale;
  const large = new Uint8Array(across * height * scale);
  for (let y = 0; y < height; y++) {
    const start = y * scale * across;
    for (let x = 0; x < width; x++) {
      large.fill(pixels[y * width + x], start + x * scale, start + (x + 1) * scale);
    }
    for (let copy = 1; copy < scale; copy++) large.copyWithin(start + copy * across, start, start + across);
  }
  return large;
}

/**
 * A function (indices, file) that writes pixels as image data: Lempel-Ziv-Welch codes of growing width, appendix F. Every
 * string of pixels met before has a code. A hash table with open addressing finds it by (code of the string without its
 * last pixel, last pixel). All frames share the tables.
 */
function makeCompressor() {
  const slots = 1 << SLOT_BITS;
  const keys = new Int32Array(slots); // (code << 8 | pixel) + 1; 0 is an empty slot
  const codes = new Uint16Array(slots);

  return (indices, file) => {
    const output = codeWriter(file);
    let width = COLOR_BITS + 1;
    let next = END_CODE + 1; // the code that the next new string gets
    keys.fill(0);
    output.put(CLEAR_CODE, width);
    let code = indices[0];
    for (let i = 1; i < indices.length; i++) {
      const key = ((code << COLOR_BITS) | indices[i]) + 1;
      let slot = Math.imul(key, 0x9e3779b1) >>> (32 - SLOT_BITS); // Knuth's multiplicative hash
      while (keys[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) & (slots - 1);
      if (keys[slot] === key) {
        code = codes[slot];
        continue;
      }
      output.put(code, width);
      code = indices[i];
      if (next < MAX_CODES) {
        if (next === 1 << width) width++;
        keys[slot] = key;
        codes[slot] = next++;
      } else {
        output.put(CLEAR_CODE, width);
        keys.fill(0);
        width = COLOR_BITS + 1;
        next = END_CODE + 1;
      }
    }
    output.put(code, width);
    if (next === 1 << width && width < MAX_CODE_BITS) width++; // the decoder has one more string by now
    output.put(END_CODE, width);
    output.close();
  };
}

// Codes as bits, lowest first, in sub-blocks of at most 255 bytes, each after its length (section 15).
function codeWriter(file) {
  const block = new Uint8Array(SUB_BLOCK);
  let filled = 0;
  let bits = 0;
  let waiting = 0; // number of bits in `bits` that are not in the block yet
  const flush = () => {
    if (!filled) return;
    file.bytes(filled);
    file.append(block.subarray(0, filled));
    filled = 0;
  };
  const putByte = () => {
    block[filled++] = bits & 0xff;
    if (filled === SUB_BLOCK) flush();
    bits >>>= 8;
    waiting -= 8;
  };
  return {
    put(code, width) {
      bits |= code << waiting;
      waiting += width;
      while (waiting >= 8) putByte();
    },
    close() {
      if (waiting > 0) putByte();
      flush();
      file.bytes(0);
    },
  };
}

// A growing array of bytes.
function byteSink() {
  let space = new Uint8Array(1 << 16);
  let used = 0;
  const append = (bytes) => {
    if (used + bytes.length > space.length) {
      const larger = new Uint8Array(2 * (used + bytes.length));
      larger.set(space.subarray(0, used));
      space = larger;
    }
    space.set(bytes, used);
    used += bytes.length;
  };
  return {
    append,
    bytes: (...values) => append(values),
    words: (...values) => append(values.flatMap((value) => [value & 0xff, value >> 8])),
    text: (letters) => append(Array.from(letters, (letter) => letter.charCodeAt(0))),
    content: () => space.slice(0, used),
  };
}
