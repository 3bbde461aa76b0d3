// An animation as a GIF file, which every mail program and slide show plays.
//
// CompuServe, Graphics Interchange Format version 89a (1990): https://www.w3.org/Graphics/GIF/spec-gif89a.txt; section numbers
// below refer to it. The loop is Netscape's extension, which all programs support.

const COLOR_BITS = 8; // of the palette and of a pixel's index into it
const CLEAR_CODE = 1 << COLOR_BITS; // appendix F: the two codes behind the colours
const END_CODE = CLEAR_CODE + 1;
const MAX_CODE_BITS = 12;
const MAX_CODES = 1 << MAX_CODE_BITS;
const SUB_BLOCK = 255; // bytes, section 15
const CUBE = 6; // levels of red, green and blue each: 216 colours fit a palette of 256
const CUBE_STEP = 255 / (CUBE - 1);

/**
 * An animated GIF of images of one size, played forever: a Blob, the content of a file.
 *
 * frames: a Uint8Array each, rows from the top, all grey [height * width] or all red, green, blue
 * [height * width * 3]. Greys are exact; colours become the nearest of 6 x 6 x 6. delay: time of a frame in hundredths of a
 * second, 2 or more (programs play less as 10). scale: every pixel becomes scale x scale; at most 65535 pixels a side.
 */
export function encodeGif({ width, height, frames, delay, scale = 1 }) {
  const colored = frames[0].length === 3 * width * height;
  const size = [...word(width * scale), ...word(height * scale)];
  const parts = [
    Uint8Array.of(...ascii("GIF89a"), ...size, 0xf0 | (COLOR_BITS - 1), 0, 0), // section 18: a global palette of 256 colours
    palette(colored),
    Uint8Array.of(0x21, 0xff, 11, ...ascii("NETSCAPE2.0"), 3, 1, 0, 0, 0), // section 26: forever
  ];
  for (const frame of frames) {
    const pixels = enlarged(colored ? cubeIndices(frame) : frame, width, height, scale);
    parts.push(
      Uint8Array.of(0x21, 0xf9, 4, 1 << 2, ...word(delay), 0, 0), // section 23; the frame is left in place
      Uint8Array.of(0x2c, 0, 0, 0, 0, ...size, 0, COLOR_BITS), // section 20
      ...subBlocks(compressed(pixels)),
    );
  }
  return new Blob([...parts, Uint8Array.of(0x3b)], { type: "image/gif" }); // section 27
}

const word = (value) => [value & 0xff, value >> 8];
const ascii = (letters) => Array.from(letters, (letter) => letter.charCodeAt(0));

/** 256 times red, green, blue: section 19. */
function palette(colored) {
  return Uint8Array.from({ length: 3 * 256 }, (_, i) => {
    const [index, channel] = [Math.floor(i / 3), i % 3];
    return colored ? (Math.floor(index / CUBE ** (2 - channel)) % CUBE) * CUBE_STEP : index;
  });
}

/** The index of each pixel's nearest colour in the palette of the cube. */
function cubeIndices(colors) {
  const level = (value) => Math.round(value / CUBE_STEP);
  const indices = new Uint8Array(colors.length / 3);
  for (let i = 0; i < indices.length; i++) {
    const [red, green, blue] = [level(colors[3 * i]), level(colors[3 * i + 1]), level(colors[3 * i + 2])];
    indices[i] = (red * CUBE + green) * CUBE + blue;
  }
  return indices;
}

/** Every pixel becomes scale x scale pixels. */
function enlarged(pixels, width, height, scale) {
  const across = width * scale;
  const large = new Uint8Array(across * height * scale);
  for (let i = 0; i < large.length; i++) {
    large[i] = pixels[Math.floor(i / (across * scale)) * width + Math.floor((i % across) / scale)];
  }
  return large;
}

/**
 * Pixels as image data: Lempel-Ziv-Welch codes of growing width, their lowest bits first, appendix F. Every string of pixels
 * met before has a code, known by (code of the string without its last pixel, last pixel).
 */
function compressed(indices) {
  const bytes = [];
  const known = new Map();
  let width = COLOR_BITS + 1; // of a code, in bits
  let next = 0; // the code that the next new string gets
  let bits = 0;
  let waiting = 0; // number of bits in `bits` that are not in `bytes` yet
  const put = (code) => {
    bits |= code << waiting;
    for (waiting += width; waiting >= 8; waiting -= 8) {
      bytes.push(bits & 0xff);
      bits >>>= 8;
    }
  };
  const restart = () => {
    put(CLEAR_CODE);
    known.clear();
    width = COLOR_BITS + 1;
    next = END_CODE + 1;
  };

  restart();
  let code = indices[0];
  for (let i = 1; i < indices.length; i++) {
    const key = (code << COLOR_BITS) | indices[i];
    const longer = known.get(key);
    if (longer === undefined) {
      put(code);
      code = indices[i];
      if (next === MAX_CODES) restart();
      else {
        if (next === 1 << width) width++;
        known.set(key, next++);
      }
    } else code = longer;
  }
  put(code);
  if (next === 1 << width && width < MAX_CODE_BITS) width++; // the decoder has one more string by now
  put(END_CODE);
  if (waiting) bytes.push(bits);
  return bytes;
}

/** Bytes in blocks of at most 255, each after its length, and an empty one at the end: section 15. */
function subBlocks(bytes) {
  const blocks = [];
  for (let start = 0; start < bytes.length; start += SUB_BLOCK) {
    const block = bytes.slice(start, start + SUB_BLOCK);
    blocks.push(Uint8Array.of(block.length, ...block));
  }
  return [...blocks, Uint8Array.of(0)];
}
