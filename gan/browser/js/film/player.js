// A playback position from 0 to 1.

// With reduced motion the position jumps between a few places and rests at each.
const PLACES = 12;
const PLACE_SECONDS = 0.9;
// Upper limit of the time between two frames, in seconds, so that a tab that was hidden continues where it was.
const LONGEST_FRAME = 0.25;

/**
 * Moves a position from 0 to 1 while it plays.
 *
 * `seconds`: the least time from 0 to 1. `onPosition(position, playing)` is called on every change, also on those made
 * by the methods, except `rest(p)`, which stops there. `seek(p)` does not stop the player. `bounce`: the position moves
 * back and forth; otherwise it stops at 1, and `play()` then restarts at 0.
 *
 * With reduced motion the position takes twelve places one after the other instead of moving continuously.
 */
export function makePlayer({ seconds, onPosition, bounce = false }) {
  let position = 0;
  let playing = false;
  let clock = 0; // the continuous position; with reduced motion `position` follows it in jumps
  let direction = 1;
  let frame = 0;
  let before = null; // time of the previous frame, in milliseconds
  let jumps = false;

  const report = () => onPosition(position, playing);

  function advance(now) {
    frame = requestAnimationFrame(advance);
    const passed = before === null ? 0 : Math.min((now - before) / 1000, LONGEST_FRAME);
    before = now;
    clock += (direction * passed) / (jumps ? Math.max(seconds, PLACES * PLACE_SECONDS) : seconds);
    if (clock > 1 || clock < 0) turn();
    const next = jumps ? Math.round(clock * PLACES) / PLACES : clock;
    if (next === position && playing) return;
    position = next;
    report();
  }

  /** At either end: turns round or stops. */
  function turn() {
    if (bounce) {
      clock = clock > 1 ? Math.max(0, 2 - clock) : Math.min(1, -clock);
      direction = -direction;
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
      jumps = matchMedia("(prefers-reduced-motion: reduce)").matches;
      before = null;
      if (position >= 1 && bounce) direction = -1;
      else if (position >= 1) position = clock = 0;
      frame = requestAnimationFrame(advance);
      report();
    },
    pause() {
      if (!playing) return;
      halt();
      report();
    },
    toggle() {
      if (playing) this.pause();
      else this.play();
    },
    seek(p) {
      position = clock = Math.min(1, Math.max(0, p));
      report();
    },
    rest(p = position) {
      halt();
      position = clock = p;
    },
    destroy: halt,
  };
}
