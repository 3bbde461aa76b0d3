"""What the pages hand to the browser as files."""

import json
import tomllib
from pathlib import Path

from gan.browser import payload, static_files
from gan.system import files
from gan.zoo.cards import list_models
from views.shared import cache

SERVED = static_files.STATIC  # before a test has a folder of its own


def test_a_file_is_told_by_its_digest_its_address_and_its_size(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    digest = files.sha256(path)
    ref = cache.asset(path, digest)
    assert ref == {"id": digest, "url": f"app/static/{digest}.safetensors", "size": 7}
    assert (static_files.STATIC / f"{digest}.safetensors").read_bytes() == b"weights"


def test_a_file_that_was_tidied_away_is_there_again_when_the_page_runs_again():
    card = list_models(runs=None)[0]
    ref = cache.run_payload(card)
    path = static_files.STATIC / Path(ref["url"]).name
    content = path.read_bytes()
    path.unlink()
    assert cache.run_payload(card) == ref
    assert path.read_bytes() == content


def test_the_payload_of_a_run_is_a_file_with_null_for_what_is_no_number(monkeypatch):
    found = {"読めず": [1, float("nan"), None]}
    monkeypatch.setattr(payload, "film_payload", lambda card, evidence: found)
    cache._run_payload.clear()
    ref = cache.run_payload(list_models(runs=None)[0])
    cache._run_payload.clear()
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
