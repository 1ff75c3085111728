"""Writing a manifest: whole, or not at all."""

import os

import pytest

from pipeline.datasets.writer import Source, write_manifest
from pipeline.errors import RequestError


def test_an_error_on_the_way_leaves_the_old_manifest(tmp_path):
    def rows():
        yield {"image": "/a.jpg"}
        raise RequestError("broken")

    path = tmp_path / "m.csv"
    path.write_text("old")
    with pytest.raises(RequestError, match="broken"):
        write_manifest(Source(columns=("image",), rows=rows()), str(path), overwrite=True)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["m.csv"]
