// Downloads of files made in the browser.

const REVOKE_AFTER = 60_000; // milliseconds; Safari reads the object a while after the click

/**
 * Downloads a file. `content`: a Blob, a string, an ArrayBuffer or a view of one; `mime`: its media type, such as
 * "image/gif". Works in a shadow root and on a page opened from a disk. Call it during or soon after a click, or the
 * browser may ask the visitor for permission.
 */
export function saveFile(name, mime, content) {
  const address = URL.createObjectURL(new Blob([content], { type: mime }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.hidden = true;
  document.body.append(link); // some browsers ignore a link outside the document
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), REVOKE_AFTER);
}
