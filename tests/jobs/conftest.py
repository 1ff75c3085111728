"""For tests of the command line: an empty folder to work in."""

import pytest


@pytest.fixture
def here(monkeypatch, tmp_path):
    """An empty folder, in which commands are run."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"
