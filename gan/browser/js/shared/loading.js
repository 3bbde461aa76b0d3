// Loads files: two loaders with the same functions. `bytes(ref)`, `json(ref)` and `image(ref)` load the file of a ref `{id,
// url, size}`, where id is the sha256 of the content and size its bytes. `forget(ref)` drops content found to be bad.

import { LoadError } from "../nn/weights.js";

const STORE = "files";
const KEPT_FILES = 160; // in the browser's storage, more than are shipped; the oldest is removed first
const REMEMBERED = 32; // in memory; the least recently used is removed first
const STORE_PATIENCE = 2000; // milliseconds; in some browsers storage requests are never answered

/**
 * The app's loader: fetches files by URL, verifies them, and stores them in the browser (IndexedDB) by id, so that a file
 * is fetched once. If the storage fails (a private window, a full disk), the file is fetched again.
 */
export function fetchingAssets() {
  const store = makeStore();

  async function keptOrFetched(ref) {
    const kept = await store.get(ref.id);
    if (kept) return kept;
    const bytes = await fetched(ref);
    store.put(ref.id, bytes);
    return bytes;
  }

  const loader = remembering({
    bytes: keptOrFetched,
    json: async (ref) => parsed(await keptOrFetched(ref)),
    image: async (ref) => imageOf(await keptOrFetched(ref)),
  });
  return {
    ...loader,
    forget(ref) {
      loader.forget(ref);
      store.remove(ref.id);
    },
  };
}

/** A loader from `{bytes, json, image}`, functions of a ref: their promises are shared by later calls unless they failed. */
function remembering(loads) {
  const recent = new Map(); // kind and id -> promise, the most recently used last
  const once = (kind, ref) => {
    const key = `${kind} ${ref.id}`;
    const known = recent.get(key);
    const asked = known ?? loads[kind](ref);
    recent.delete(key);
    recent.set(key, asked);
    for (const old of [...recent.keys()].slice(0, -REMEMBERED)) recent.delete(old);
    if (!known) asked.catch(() => recent.get(key) === asked && recent.delete(key));
    return asked;
  };
  return {
    bytes: (ref) => once("bytes", ref),
    json: (ref) => once("json", ref),
    image: (ref) => once("image", ref),
    forget({ id }) {
      for (const kind of Object.keys(loads)) recent.delete(`${kind} ${id}`);
    },
  };
}

async function fetched({ id, url, size }) {
  let answer;
  let bytes;
  try {
    // the browser's HTTP cache may hold a wrong answer: ask the server whether it is still valid
    answer = await fetch(new URL(url, document.baseURI), { cache: "no-cache" });
    bytes = await answer.arrayBuffer();
  } catch (error) {
    throw new LoadError("network", error.message);
  }
  if (!answer.ok) throw new LoadError("missing", `HTTP ${answer.status}`);
  // without static serving, the server answers every address with the app's page
  if (answer.headers.get("content-type")?.startsWith("text/html")) throw new LoadError("page");
  return verified(bytes, { id, size });
}

/** The content, if it matches its ref; `size` may be unknown. */
async function verified(bytes, { id, size }) {
  const { byteLength } = bytes;
  if (byteLength < size) throw new LoadError("truncated", `${byteLength} of ${size} bytes`);
  if (byteLength > size) throw new LoadError("damaged", `${byteLength} bytes instead of ${size}`);
  if (await differs(bytes, id)) throw new LoadError("damaged", `${byteLength} bytes, of another sha256`);
  return bytes;
}

/** Whether the content does not match its id. Outside a secure context browsers offer no sha256. */
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
    throw new LoadError("damaged", "not an image");
  }
  return image;
}

// --- the browser's storage -----------------------------------------------------------------------------

/** `get(id)` -> bytes or null, `put(id, bytes)` and `remove(id)`: none of them fails or takes long. */
function makeStore() {
  let answers = true;

  async function get(id) {
    if (!answers) return null;
    const silence = new Promise((resolve) => setTimeout(resolve, STORE_PATIENCE, "silence"));
    const found = inStore("readonly", (files) => finished(files.get(id))).catch(() => null);
    const file = await Promise.race([found, silence]);
    if (file === "silence") answers = false; // do not use it again
    return file?.bytes ?? null;
  }

  async function put(id, bytes) {
    if (!answers) return;
    const stored = inStore("readwrite", async (files) => {
      files.put({ id, bytes, used: Date.now() });
      const surplus = (await finished(files.count())) - KEPT_FILES;
      if (surplus <= 0) return;
      for (const old of await finished(files.index("used").getAllKeys(null, surplus))) files.delete(old);
    });
    await stored.catch(() => null); // it will be fetched again
  }

  async function remove(id) {
    if (answers) await inStore("readwrite", async (files) => files.delete(id)).catch(() => null);
  }

  return { get, put, remove };
}

async function inStore(mode, use) {
  const base = await opened();
  try {
    return await use(base.transaction(STORE, mode).objectStore(STORE));
  } finally {
    base.close();
  }
}

function opened() {
  const request = indexedDB.open("gan", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" }).createIndex("used", "used");
  return finished(request);
}

function finished(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// --- from files beside the page --------------------------------------------------------------------------

/**
 * The loader of the page without a server: a page from a disk cannot fetch the files beside it, but it can run them as
 * scripts. So each file except images is a script that calls `ganFile(id, value)`, with bytes as base64.
 */
export function scriptAssets() {
  const values = new Map(); // by id, while a script runs
  globalThis.ganFile = (id, value) => values.set(id, value);
  const loader = remembering({
    bytes: async (ref) => verified(fromBase64(await scripted(ref, values)), ref),
    json: (ref) => scripted(ref, values),
  });
  return { ...loader, image: (ref) => decodedImage(ref.url).catch(() => Promise.reject(new LoadError("missing", ref.url))) };
}

async function scripted({ id, url }, values) {
  const script = document.createElement("script");
  script.src = url;
  document.head.append(script);
  const ran = await new Promise((resolve) => {
    script.onload = () => resolve(true);
    script.onerror = () => resolve(false);
  });
  script.remove();
  if (!ran) throw new LoadError("missing", url);
  if (!values.has(id)) throw new LoadError("damaged", url);
  const value = values.get(id);
  values.delete(id);
  return value;
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
