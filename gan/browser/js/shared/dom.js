// Small helpers for building and wiring HTML.

/**
 * An element: `element("button", {class: "x", onclick: f, "aria-label": "y"}, "text", child)`.
 * Properties that begin with "on" are listeners, `false` and `null` leave an attribute out, `true` sets an
 * empty one. Text is always text, never markup.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** An SVG element with these attributes. */
export function svgElement(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Makes `nodes` the children of `parent`, without touching them where they are that already: what has the focus keeps it. */
export function placeChildren(parent, nodes) {
  const there = [...parent.children];
  if (there.length !== nodes.length || nodes.some((node, i) => node !== there[i])) parent.replaceChildren(...nodes);
}

/** Whether the visitor asked the system for less motion. */
export function reducedMotion() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/**
 * Calls `draw` once before the next frame, however often it is asked to. Returned: `ask()`, `now()` (draws at once
 * what was asked for), `stop()`.
 */
export function onFrame(draw) {
  let waiting = 0;
  const run = () => {
    waiting = 0;
    draw();
  };
  return {
    ask() {
      if (!waiting) waiting = requestAnimationFrame(run);
    },
    now() {
      if (!waiting) return;
      cancelAnimationFrame(waiting);
      run();
    },
    stop() {
      cancelAnimationFrame(waiting);
      waiting = 0;
    },
  };
}
