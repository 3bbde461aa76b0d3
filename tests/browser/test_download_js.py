"""Files that a page of the browser makes, on a page that was opened from a disk."""

import pytest

from gan.browser import scripts

pytestmark = pytest.mark.browser
# a button inside a shadow root, as in a component
PAGE = """<!doctype html><meta charset="utf-8"><title>A page</title><div id="host"></div>
<script type="module">
%s
const root = document.getElementById("host").attachShadow({ mode: "open" });
root.innerHTML = "<button>Save</button>";
root.querySelector("button").onclick = () => globalThis.save();
Object.assign(globalThis, { saveFile });
</script>"""


@pytest.fixture
def page(chromium, tmp_path):
    (tmp_path / "page.html").write_text(PAGE % scripts.bundle_script("saving"), encoding="utf-8")
    opened = chromium.new_page()
    opened.goto((tmp_path / "page.html").as_uri())
    opened.wait_for_function("globalThis.saveFile !== undefined")
    yield opened
    opened.close()


def saved(page, script):
    """The name and bytes of the file that a click on the button gives."""
    page.evaluate(f"() => {{ globalThis.save = {script}; }}")
    with page.expect_download() as waited:
        page.get_by_role("button", name="Save").click()
    return waited.value.suggested_filename, waited.value.path().read_bytes()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("new Uint8Array([0, 1, 254, 255])", b"\x00\x01\xfe\xff"),
        ("new Uint8Array([9, 8, 7, 6]).subarray(1, 3)", b"\x08\x07"),
        ("new Uint8Array([3, 4]).buffer", b"\x03\x04"),
        ("'seed,z\\n\u6570\\n'", "seed,z\n数\n".encode()),
        ("new Blob(['as it is'])", b"as it is"),
    ],
)
def test_a_click_saves_a_file_with_this_name_and_content(page, content, expected):
    script = f"() => saveFile('digits 1.bin', 'application/octet-stream', {content})"
    assert saved(page, script) == ("digits 1.bin", expected)


def test_nothing_stays_on_the_page_and_the_object_is_given_up_later(page):
    page.evaluate(
        """() => {
            globalThis.later = [];
            globalThis.revoked = [];
            globalThis.setTimeout = (call, wait) => later.push([call, wait]);
            URL.revokeObjectURL = (address) => revoked.push(address);
        }"""
    )
    saved(page, "() => saveFile('a.txt', 'text/plain', 'a')")
    assert page.locator("a").count() == 0
    assert page.evaluate("revoked.length") == 0
    waits = page.evaluate("later.map(([call, wait]) => { call(); return wait; })")
    assert len(waits) == 1 and waits[0] >= 40_000
    assert page.evaluate("revoked.length === 1 && revoked[0].startsWith('blob:')")
