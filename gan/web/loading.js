// Where files come from: two loaders with the same three functions, `bytes`, `json` and `image`, each of a ref
// `{id, url, size}`: the sha256 of the content, where it lies, and its bytes.

import { LoadError } from "./weights.js";

const STORE = "files";
const KEPT_FILES = 64; // in the browser's own storage; the oldest goes first

/**
 * Of the app: by URL, verified, and kept in the browser (IndexedDB) under their id, so that a file travels once. Every
 * step of the keeping may fail (a private window, a full disk): the file is fetched then.
 */
export function fetchingAssets() {
  const known = new Map(); // id -> promise; a reload of the component needs no second copy
  const once = (ref, load) => {
    if (!known.has(ref.id)) {
      known.set(ref.id, load(ref));
      known.get(ref.id).catch(() => known.delete(ref.id)); // the next one who asks tries anew
    }
    return known.get(ref.id);
  };
  return {
    bytes: (ref) => once(ref, keptOrFetched),
    json: (ref) => once(ref, async (wanted) => parsed(await keptOrFetched(wanted))),
    image: (ref) => once(ref, async (wanted) => imageOf(await keptOrFetched(wanted))),
  };
}

async function keptOrFetched(ref) {
  const kept = await fromStore(ref.id);
  if (kept) return kept;
  const bytes = await fetched(ref);
  keep(ref.id, bytes);
  return bytes;
}

async function fetched({ id, url, size }) {
  let answer;
  let bytes;
  try {
    answer = await fetch(new URL(url, document.baseURI));
    bytes = await answer.arrayBuffer();
  } catch (error) {
    throw new LoadError("network", error.message);
  }
  if (!answer.ok) throw new LoadError("missing", `HTTP ${answer.status}`);
  // with static serving switched off, the server answers any address with its own page
  if (answer.headers.get("content-type")?.startsWith("text/html")) throw new LoadError("page");
  return verified(bytes, { id, size });
}

/** The content, if it is what its ref says. */
async function verified(bytes, { id, size }) {
  if (bytes.byteLength < size) throw new LoadError("truncated", `${bytes.byteLength} of ${size} bytes`);
  if (await differs(bytes, id)) throw new LoadError("damaged", `${bytes.byteLength} bytes, of another sha256`);
  return bytes;
}

/** Whether the content is not what its id says. Outside a secure context browsers have no sha256. */
async function differs(bytes, id) {
  if (!globalThis.crypto?.subtle) return false;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return id !== Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function parsed(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new LoadError("damaged", "unreadable");
  }
}

async function imageOf(bytes) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  try {
    return await decodedImage(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

async function decodedImage(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    throw new LoadError("damaged", "not a picture");
  }
  return image;
}

// --- the browser's storage -----------------------------------------------------------------------------

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("gan", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" }).createIndex("used", "used");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function fromStore(id) {
  try {
    const base = await opened();
    const found = await finished(base.transaction(STORE).objectStore(STORE).get(id));
    base.close();
    return found?.bytes ?? null;
  } catch {
    return null;
  }
}

async function keep(id, bytes) {
  try {
    const base = await opened();
    const store = base.transaction(STORE, "readwrite").objectStore(STORE);
    store.put({ id, bytes, used: Date.now() });
    const surplus = (await finished(store.count())) - KEPT_FILES;
    if (surplus > 0) for (const old of await finished(store.index("used").getAllKeys(null, surplus))) store.delete(old);
    base.close();
  } catch {
    // it is fetched again next time
  }
}

// --- from files beside the page --------------------------------------------------------------------------

/**
 * Of the page without a server: a page from a disk may not fetch its neighbours, but it may run them. Each file but
 * pictures is a script that calls `ganFile(id, value)`, bytes as base64.
 */
export function scriptAssets() {
  const known = new Map();
  const waiting = new Map();
  globalThis.ganFile = (id, value) => waiting.get(id)?.(value);
  const once = (ref, load) => {
    if (!known.has(ref.id)) {
      known.set(ref.id, load(ref));
      known.get(ref.id).catch(() => known.delete(ref.id));
    }
    return known.get(ref.id);
  };
  return {
    bytes: (ref) => once(ref, async (wanted) => verified(fromBase64(await scripted(wanted, waiting)), wanted)),
    json: (ref) => once(ref, (wanted) => scripted(wanted, waiting)),
    image: (ref) => decodedImage(ref.url).catch(() => Promise.reject(new LoadError("missing", ref.url))),
  };
}

function scripted({ id, url }, waiting) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const done = (settle, value) => {
      waiting.delete(id);
      script.remove();
      settle(value);
    };
    waiting.set(id, (value) => done(resolve, value));
    script.onerror = () => done(reject, new LoadError("missing", url));
    script.onload = () => {
      if (waiting.has(id)) done(reject, new LoadError("damaged", url));
    };
    script.src = url;
    document.head.append(script);
  });
}

function fromBase64(text) {
  if (typeof text !== "string") throw new LoadError("damaged", "no base64");
  let binary;
  try {
    binary = atob(text);
  } catch {
    throw new LoadError("damaged", "no base64");
  }
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}
