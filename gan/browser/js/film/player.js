// A position from 0 to 1 that moves by itself.

import { reducedMotion } from "../shared/dom.js";

// With reduced motion the position jumps: few places, and time to look at each.
const PLACES = 12;
const PLACE_SECONDS = 0.9;
// The longest time that one frame counts, in seconds: a tab that was hidden goes on where it was.
const LONGEST_FRAME = 0.25;

/**
 * What moves a position from 0 to 1 while it plays.
 *
 * `seconds`: from 0 to 1, at least. `onPosition(position, playing)` is told of every change of either, also of those
 * made by the methods. `loop`: after 1 comes 0 again; `bounce`: after 1 it goes back to 0, and so on. With neither it
 * stops at 1, from where `play()` begins anew. `seek(p)` goes on playing from there if it was playing.
 *
 * A visitor who asked for less motion gets twelve places, one after the other, instead of a continuous movement.
 */
export function makePlayer({ seconds, onPosition, loop = false, bounce = false }) {
  let position = 0;
  let playing = false;
  let clock = 0; // where the movement is; `position` follows it in jumps with reduced motion
  let direction = 1;
  let frame = 0;
  let before = null; // time of the last frame, in milliseconds
  let jumps = false;

  const tell = () => onPosition(position, playing);

  function advance(now) {
    frame = requestAnimationFrame(advance);
    const passed = before === null ? 0 : Math.min((now - before) / 1000, LONGEST_FRAME);
    before = now;
    clock += (direction * passed) / (jumps ? Math.max(seconds, PLACES * PLACE_SECONDS) : seconds);
    if (clock > 1 || clock < 0) turn();
    const next = jumps ? Math.round(clock * PLACES) / PLACES : clock;
    if (next === position && playing) return;
    position = next;
    tell();
  }

  /** What happens at an end. */
  function turn() {
    if (bounce) {
      clock = clock > 1 ? Math.max(0, 2 - clock) : Math.min(1, -clock);
      direction = -direction;
    } else if (loop) {
      clock %= 1;
    } else {
      clock = 1;
      halt();
    }
  }

  function halt() {
    cancelAnimationFrame(frame);
    playing = false;
  }

  return {
    get playing() {
      return playing;
    },
    get position() {
      return position;
    },
    play() {
      if (playing) return;
      playing = true;
      jumps = reducedMotion();
      before = null;
      if (position >= 1 && bounce) direction = -1;
      else if (position >= 1) position = clock = 0;
      frame = requestAnimationFrame(advance);
      tell();
    },
    pause() {
      if (!playing) return;
      halt();
      tell();
    },
    toggle() {
      if (playing) this.pause();
      else this.play();
    },
    seek(p) {
      position = clock = Math.min(1, Math.max(0, p));
      tell();
    },
    destroy() {
      halt();
    },
  };
}
