"""Where the browser's files come from: a server whose answers go wrong, a storage that does, and a page on a disk."""

import base64
import hashlib
import http.server
import json
import re
import threading
import time

import pytest

from gan.browser import scripts
from gan.networks import images

pytestmark = pytest.mark.browser
EMPTY = b"<!doctype html><link rel=icon href=data:,>"
CONTENT = bytes(range(256)) * 40
KEPT = int(re.search(r"KEPT_FILES = (\d+)", scripts.read("loading.js"))[1])
IN_PAGE = """
globalThis.assets = fetchingAssets();
globalThis.tried = async (kind, ref) => {
  try {
    const found = await assets[kind](ref);
    if (kind === "bytes") return { bytes: [...new Uint8Array(found).slice(0, 4)], length: found.byteLength };
    if (kind === "image") return { width: found.naturalWidth };
    return { value: found };
  } catch (error) {
    return { failed: error instanceof LoadError ? error.kind : `${error.name}: ${error.message}` };
  }
};
/** How many files the browser's storage holds, once nothing has changed for a while. */
globalThis.kept = async () => {
  const count = () => new Promise((resolve, reject) => {
    const request = indexedDB.open("gan", 1);
    request.onerror = reject;
    request.onupgradeneeded = () => request.result.createObjectStore("files", { keyPath: "id" });
    request.onsuccess = () => {
      const counted = request.result.transaction("files").objectStore("files").count();
      counted.onerror = reject;
      counted.onsuccess = () => resolve(counted.result);
      request.result.close();
    };
  });
  for (let before = -1, now = 0; ; before = now) {
    now = await count();
    if (now === before) return now;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
"""


class Server:
    """Answers as ``answers`` says: path -> (status, headers, body, bytes that are announced)."""

    def __init__(self):
        self.answers, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/":
                    status, headers, body, announced = (
                        200,
                        {"Content-Type": "text/html"},
                        EMPTY,
                        len(EMPTY),
                    )
                else:
                    outer.asked.append(self.path)
                    status, headers, body, announced = outer.answers[self.path]
                self.send_response(status)
                for name, value in {"Content-Length": str(announced), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def puts(self, body, path="/file", status=200, announced=None, promise=None, **headers):
        """Puts ``body`` under ``path``; returns the ref of ``promise``, else of the body itself."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {
            "Content-Type": "application/octet-stream",
            "Cache-Control": "no-store",
        } | headers
        length = len(body) if announced is None else announced
        self.answers[path] = (status, headers, body, length)
        return reference(body if promise is None else promise, path)


def reference(content, url):
    return {"id": hashlib.sha256(content).hexdigest(), "url": url, "size": len(content)}


@pytest.fixture(scope="module")
def context(chromium):
    """One for all pages: what one of them kept, the next finds."""
    return chromium.new_context()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def page(context, server):
    """An empty page of the server, of which the browser has kept nothing: its port is a new one."""
    opened = context.new_page()
    load(opened, server)
    yield opened
    opened.close()


def load(page, server, before=""):
    page.goto(server.url)
    page.add_script_tag(
        content=f"{before}\n{scripts.bundle_script('loading')}\n{IN_PAGE}", type="module"
    )
    page.wait_for_function("globalThis.kept !== undefined")


def tried(page, ref, kind="bytes"):
    return page.evaluate("([kind, ref]) => tried(kind, ref)", [kind, ref])


WHOLE = {"bytes": [0, 1, 2, 3], "length": len(CONTENT)}


def test_a_file_travels_once(page, server):
    ref = server.puts(CONTENT)
    assert tried(page, ref) == WHOLE
    assert tried(page, ref) == WHOLE
    assert page.evaluate("ref => assets.bytes(ref) === assets.bytes(ref)", ref)
    assert page.evaluate("kept()") == 1
    load(page, server)  # another page of this visitor, or this one tomorrow
    assert tried(page, ref) == WHOLE
    assert server.asked == ["/file"]


def test_what_turned_out_to_be_bad_is_forgotten_and_fetched_past_the_cache(page, server):
    ref = server.puts(CONTENT)
    assert tried(page, ref) == WHOLE
    page.evaluate("ref => assets.forget(ref)", ref)
    assert tried(page, ref) == WHOLE
    assert server.asked == ["/file", "/file"]


def test_two_who_ask_at_once_are_served_together(page, server):
    ref = server.puts(CONTENT)
    both = "ref => Promise.all([tried('bytes', ref), tried('bytes', ref)])"
    assert page.evaluate(both, ref) == [WHOLE, WHOLE]
    assert server.asked == ["/file"]


def test_values_and_pictures(page, server):
    value = {"losses": [1.5, None], "words": "数字"}
    ref = server.puts(json.dumps(value).encode(), "/value")
    assert tried(page, ref, "json") == {"value": value}
    assert (
        tried(page, ref)["length"] == ref["size"]
    )  # the same content, asked for as something else
    picture = images.to_png(images.grid(images.np.zeros((1, 3, 5, 1), "uint8"), 1, gap=0))
    assert tried(page, server.puts(picture, "/picture"), "image") == {"width": 5}


@pytest.mark.parametrize("kind", ["json", "image"])
def test_what_is_neither_value_nor_picture(page, server, kind):
    assert tried(page, server.puts(CONTENT), kind) == {"failed": "damaged"}


def test_addresses_are_those_of_the_page_even_below_a_folder(page, server):
    ref = server.puts(CONTENT, "/app/static/file")
    page.evaluate(
        "document.head.append(Object.assign(document.createElement('base'), {href: '/app/'}))"
    )
    assert tried(page, {**ref, "url": "static/file"}) == WHOLE


def test_only_so_many_files_are_kept_and_the_oldest_go(page, server):
    refs = [server.puts(b"%d" % i, f"/{i}") for i in range(KEPT + 5)]
    page.evaluate("{ let now = 0; Date.now = () => (now += 1); }")
    page.evaluate("async (refs) => { for (const ref of refs) await assets.bytes(ref); }", refs)
    assert page.evaluate("kept()") == KEPT
    server.asked.clear()
    load(page, server)
    for ref in (refs[-1], refs[5], refs[4], refs[0]):
        tried(page, ref)
    assert server.asked == ["/4", "/0"]


def _spoilt(server):
    """A way in which an answer can be wrong -> the ref that was asked for, and the kind of failure."""
    html = {"Content_Type": "text/html; charset=utf-8"}
    other = bytes(reversed(CONTENT))
    return {
        "altered": (server.puts(other, "/altered", promise=CONTENT), "damaged"),
        "shorter": (server.puts(CONTENT[:-1], "/shorter", promise=CONTENT), "truncated"),
        "empty": (server.puts(b"", "/empty", promise=CONTENT), "truncated"),
        "longer": (server.puts(CONTENT + b"!", "/longer", promise=CONTENT), "damaged"),
        "page": (server.puts(b"<html>", "/page", promise=CONTENT, **html), "page"),
        "missing": (server.puts(b"<html>", "/no", status=404, promise=CONTENT, **html), "missing"),
        "error": (server.puts(CONTENT, "/error", status=500), "missing"),
        "cut": (
            server.puts(CONTENT[:9], "/cut", announced=len(CONTENT), promise=CONTENT),
            "network",
        ),
    }


def test_every_wrong_answer_has_its_kind_and_is_not_kept(page, server):
    cases = _spoilt(server)
    found = {name: tried(page, ref) for name, (ref, _) in cases.items()}
    assert found == {name: {"failed": kind} for name, (_, kind) in cases.items()}
    assert page.evaluate("kept()") == 0
    server.asked.clear()
    for ref, _ in cases.values():
        tried(page, ref)
    assert set(server.asked) == {ref["url"] for ref, _ in cases.values()}  # tried anew
    ref = server.puts(CONTENT)
    assert tried(page, ref) == WHOLE and page.evaluate("kept()") == 1


def test_a_server_that_is_gone_and_comes_back(page, server):
    gone = Server()
    gone.close()
    ref = reference(CONTENT, f"{gone.url}file")
    assert tried(page, ref) == {"failed": "network"}
    assert tried(page, {**ref, "url": "http://["}) == {"failed": "network"}
    server.puts(CONTENT)
    assert tried(page, {**ref, "url": "/file"}) == WHOLE


def test_a_wrong_answer_does_not_come_back_from_the_cache_of_the_browser(page, server):
    for_an_hour = {"Cache_Control": "max-age=3600"}
    ref = server.puts(CONTENT[:-1], promise=CONTENT, **for_an_hour)
    assert tried(page, ref) == {"failed": "truncated"}
    server.puts(CONTENT, **for_an_hour)
    assert tried(page, ref) == WHOLE


def test_without_sha256_the_size_is_still_checked(page, server):
    # as over http from another machine, where browsers have no crypto.subtle
    load(page, server, "Object.defineProperty(crypto, 'subtle', { value: undefined });")
    cases = _spoilt(server)
    del cases["altered"]
    for ref, kind in cases.values():
        assert tried(page, ref) == {"failed": kind}
    assert tried(page, server.puts(CONTENT)) == WHOLE


@pytest.mark.parametrize(
    "broken",
    [
        "Object.defineProperty(globalThis, 'indexedDB', { value: undefined });",
        "delete globalThis.indexedDB; Object.defineProperty(globalThis, 'indexedDB', "
        "{ get() { throw new DOMException('no', 'SecurityError'); } });",
        "IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); };",
        "IDBFactory.prototype.open = () => { const made = {}; setTimeout(() => made.onerror()); return made; };",
        "IDBDatabase.prototype.transaction = () => { throw new DOMException('no', 'NotFoundError'); };",
        "IDBObjectStore.prototype.put = () => { throw new DOMException('no', 'QuotaExceededError'); };",
        "IDBObjectStore.prototype.count = () => { throw new DOMException('no', 'UnknownError'); };",
    ],
)
def test_a_storage_that_fails_changes_nothing_for_who_asks(page, server, broken):
    problems = []
    page.on("pageerror", lambda error: problems.append(error))
    load(page, server, broken)
    assert tried(page, server.puts(CONTENT)) == WHOLE
    assert problems == []


def test_a_storage_that_never_answers_is_waited_for_once(page, server):
    load(page, server, "IDBFactory.prototype.open = () => ({});")
    begun = time.monotonic()
    assert tried(page, server.puts(CONTENT)) == WHOLE
    assert time.monotonic() - begun < 4
    begun = time.monotonic()
    assert tried(page, server.puts(CONTENT[1:], "/next"))["length"] == len(CONTENT) - 1
    assert time.monotonic() - begun < 1


def test_a_file_that_was_looked_at_long_ago_leaves_the_memory_but_not_the_storage(page, server):
    refs = [server.puts(b"%d" % i, f"/{i}") for i in range(40)]
    first, *rest = refs
    same = "async ([first, rest]) => { const one = await assets.bytes(first);" + (
        "for (const ref of rest) await assets.bytes(ref); return one === (await assets.bytes(first)); }"
    )
    assert page.evaluate(same, [first, rest[:5]])
    assert not page.evaluate(same, [first, rest])
    assert len(server.asked) == 40


@pytest.fixture
def disk(context, tmp_path):
    """A page opened from a folder, whose scripts the test writes with ``puts``."""
    code = f"{scripts.bundle_script('loading')}\n{IN_PAGE}\nassets = scriptAssets();"
    (tmp_path / "page.html").write_text(
        f"<!doctype html><script type=module>{code}</script>", "utf-8"
    )
    opened = context.new_page()
    opened.goto((tmp_path / "page.html").as_uri())
    opened.wait_for_function("globalThis.kept !== undefined")
    yield opened
    opened.close()


def puts(folder, text, content=CONTENT, name="file.js"):
    (folder / name).write_text(text, "utf-8")
    return reference(content, name)


def call(ref_id, value):
    return f"ganFile({json.dumps(ref_id)}, {json.dumps(value)});"


IDENTITY = hashlib.sha256(CONTENT).hexdigest()
ENCODED = base64.b64encode(CONTENT).decode()


def test_a_page_on_a_disk_reads_the_scripts_beside_it(disk, tmp_path):
    ref = puts(tmp_path, call(IDENTITY, ENCODED))
    assert tried(disk, ref) == WHOLE
    assert tried(disk, ref) == WHOLE
    assert disk.evaluate("document.head.querySelector('script[src]')") is None
    value = {"a": [1, "数"], "b": None}
    other = puts(tmp_path, call("other", value), name="value.js")
    assert tried(disk, {**other, "id": "other"}, "json") == {"value": value}


def test_a_picture_beside_a_page_on_a_disk(disk, tmp_path):
    picture = images.to_png(images.grid(images.np.zeros((1, 3, 5, 1), "uint8"), 1, gap=0))
    (tmp_path / "picture.png").write_bytes(picture)
    assert tried(disk, reference(picture, "picture.png"), "image") == {"width": 5}
    (tmp_path / "picture.png").write_bytes(picture[:20])
    assert tried(disk, reference(picture, "nowhere.png"), "image") == {"failed": "missing"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "damaged"),
        ("// nothing is said here", "damaged"),
        (call("another", ENCODED), "damaged"),
        (call(IDENTITY, ENCODED)[:-20], "damaged"),  # cut: no longer a script
        (call(IDENTITY, "no base64!"), "damaged"),
        (call(IDENTITY, {"not": "text"}), "damaged"),
        (call(IDENTITY, None), "damaged"),
        (call(IDENTITY, ENCODED[:-8]), "truncated"),
        (call(IDENTITY, ENCODED[:-1]), "damaged"),
        (call(IDENTITY, base64.b64encode(CONTENT + b"!!!").decode()), "damaged"),
        ("throw new Error('no');", "damaged"),
    ],
)
def test_scripts_that_do_not_say_what_they_should(disk, tmp_path, text, kind):
    ref = puts(tmp_path, text)
    assert tried(disk, ref) == {"failed": kind}
    puts(tmp_path, call(IDENTITY, ENCODED), name="better.js")
    assert tried(disk, {**ref, "url": "better.js"}) == WHOLE  # tried anew


def test_a_script_that_is_not_there(disk, tmp_path):
    ref = reference(CONTENT, "nowhere.js")
    assert tried(disk, ref) == {"failed": "missing"}
    puts(tmp_path, call(IDENTITY, ENCODED), name="nowhere.js")
    assert tried(disk, ref) == WHOLE


def test_asked_as_two_kinds_at_once_nobody_waits_for_ever(disk, tmp_path):
    ref = puts(tmp_path, call(IDENTITY, ENCODED))
    both = "ref => Promise.all([tried('bytes', ref), tried('json', ref)])"
    assert all(disk.evaluate(both, ref))
