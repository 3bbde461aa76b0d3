// Small helpers for HTML and SVG elements.

/**
 * Makes an element: `element("button", {class: "x", onclick: f, "aria-label": "y"}, "text", child)`.
 * Properties that begin with "on" are listeners; `false` and `null` omit an attribute, `true` sets an empty one. Strings
 * become text, never markup.
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

/** Makes `nodes` the children of `parent`. Does nothing if they are already, so that an element keeps the focus. */
export function placeChildren(parent, nodes) {
  const there = [...parent.children];
  if (there.length !== nodes.length || nodes.some((node, i) => node !== there[i])) parent.replaceChildren(...nodes);
}

/** A listener for keys: Streamlit has its own and must not take these. */
export function keepKey(event) {
  event.stopPropagation();
}

/**
 * Calls `draw` once before the next frame, however often `ask()` is called. Returned: `ask()`, `now()` (draws at once if
 * a call is pending), `stop()`.
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
