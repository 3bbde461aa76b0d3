"""How the scripts of the components reach the browser."""

from gan.browser import static_files
from gan.errors import CheckpointError
from views.shared import run_charts


def test_browsers_fetch_a_script_once_unless_static_files_cannot_be_written(monkeypatch):
    registered = {}

    def register(name, js, css):
        registered[name] = js
        return lambda **options: (name, options)

    monkeypatch.setattr(run_charts.st.components.v2, "component", register)
    mount = run_charts.component("charts", "charts")
    name, options = mount(key="k", data={"payload": 1})
    assert (name, options["data"]["payload"]) == ("gan_charts", 1)
    script = static_files.STATIC / options["data"]["script"].removeprefix("app/static/")
    assert script.read_text() == registered["gan_charts_whole"]
    assert len(registered["gan_charts"]) < 1_500 < 10_000 < len(registered["gan_charts_whole"])

    def refuse(*arguments):
        raise CheckpointError("no space")

    monkeypatch.setattr(static_files, "publish_bytes", refuse)
    assert mount(key="k", data={"payload": 1}) == (
        "gan_charts_whole",
        {"key": "k", "data": {"payload": 1}},
    )
