"""For tests of the store: one of each kind, one on disk, and a run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.store import RunFolder
from pipeline.store.store import Store


@pytest.fixture
def store(store_uri: str) -> Store:
    return Store(store_uri)


@pytest.fixture
def folder(store: Store) -> RunFolder:
    return RunFolder(store)


@pytest.fixture
def disk(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))
