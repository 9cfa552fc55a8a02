"""What is vendored is what its note says, byte for byte, with its licence."""

import hashlib
import json
from importlib.resources import files

ASSETS = files("labctl").joinpath("assets")


def test_uplot_is_the_one_that_was_released():
    folder = ASSETS.joinpath("uplot")
    note = json.loads(folder.joinpath("uplot.json").read_text(encoding="utf-8"))
    here = {item.name for item in folder.iterdir()} - {"uplot.json"}
    assert here == set(note["sha256"])
    for name, expected in note["sha256"].items():
        assert hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() == expected
    script = folder.joinpath("uPlot.iife.min.js").read_text(encoding="utf-8")
    assert f"(v{note['version']})" in script[:100]
    assert "MIT License" in folder.joinpath("LICENSE").read_text(encoding="utf-8")
