"""What the pages hand to the browser as files."""

import json
import tomllib
from pathlib import Path

from gan.browser import static_files
from gan.system import files
from views.shared import cache

SERVED = static_files.STATIC  # before a test has a folder of its own


def test_a_file_is_told_by_its_digest_its_address_and_its_size(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    digest = files.sha256(path)
    ref = cache.asset(path, digest, ".safetensors")
    assert ref == {"id": digest, "url": f"app/static/{digest}.safetensors", "size": 7}
    assert (static_files.STATIC / f"{digest}.safetensors").read_bytes() == b"weights"


def test_a_file_that_was_tidied_away_is_there_again_when_the_page_runs_again():
    ref = cache.asset_of_bytes(b"picture", ".png")
    path = static_files.STATIC / Path(ref["url"]).name
    path.unlink()
    assert cache.asset_of_bytes(b"picture", ".png") == ref
    assert path.read_bytes() == b"picture"


def test_what_json_can_say_is_a_file_too():
    ref = cache.asset_of_bytes(cache._json({"読めず": [1, float("nan"), None]}), ".json")
    content = (static_files.STATIC / Path(ref["url"]).name).read_bytes()
    assert json.loads(content) == {"読めず": [1, None, None]}
    assert ref["size"] == len(content) and ref["url"].endswith(f"{ref['id']}.json")


def test_the_server_looks_for_files_where_they_are_published(root):
    settings = tomllib.loads((root / ".streamlit" / "config.toml").read_text())
    assert settings["server"]["enableStaticServing"] is True
    # beside the script, and there from the start: without it the server warns
    assert (root / "streamlit_app.py").is_file()
    assert root / "static" == SERVED and SERVED.is_dir()


def test_no_test_writes_where_the_server_looks(tmp_path):
    assert static_files.STATIC.is_relative_to(tmp_path)
