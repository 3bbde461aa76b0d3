// Files for the visitor, made in the browser.

const REVOKE_AFTER = 60_000; // milliseconds; Safari reads the object a while after the click

/**
 * Hands the visitor a file. `content`: a Blob, a text, an ArrayBuffer or a view of one; `mime`: its media type, such
 * as "image/gif". Works from a shadow root and on a page opened from a disk; must be called in answer to a click or
 * soon after one, or the browser may ask first.
 */
export function saveFile(name, mime, content) {
  const address = URL.createObjectURL(new Blob([content], { type: mime }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.hidden = true;
  document.body.append(link); // not every browser follows a link that is nowhere
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), REVOKE_AFTER);
}

/** What a canvas shows as a PNG file: a promise of a Blob. Rejects where the canvas is empty or too large. */
export function canvasPng(canvas) {
  return new Promise((resolve, reject) => {
    const refused = new Error(`no PNG of a canvas of ${canvas.width} x ${canvas.height}`);
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(refused)), "image/png");
  });
}
