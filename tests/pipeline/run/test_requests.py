"""What a run asks of its store: for each commit the same, however many there are before it."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest

from pipeline.run import Workers, driver
from pipeline.store.cloud import Cloud
from pipeline.store.store import Store
from tests.puppets import Quick, SmallRequest


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Requests by kind and folder."""
    found: Counter[tuple[str, str]] = Counter()
    for kind in ("write", "create", "read", "files", "remove", "has"):
        call = getattr(Cloud, kind)

        def count(self: Cloud, name: str, *more: Any, call: Any = call, kind: str = kind) -> Any:
            found[kind, name if kind == "files" else name.rpartition("/")[0]] += 1
            return call(self, name, *more)

        monkeypatch.setattr(Cloud, kind, count)
    return found


def explain(uri: str, images: int, size: int = 1) -> None:
    workers = Workers(make=lambda name: Quick(), count=0, device="cpu")
    driver.run(SmallRequest(Store(uri), images, shard_size=size), lambda progress: None, workers)


def test_listings_do_not_grow_with_the_commits(asked: Counter[tuple[str, str]]) -> None:
    listings = {}
    for images in (5, 60):
        asked.clear()
        explain(f"memory://{uuid.uuid4().hex}/out", images)
        assert asked["create", "_run/commits"] == images
        listings[images] = {f: n for (kind, f), n in asked.items() if kind == "files"}
    for folder in (*listings[5], *listings[60]):
        if folder == "_run/lock":  # of one file: looked at before the tables and before the marker
            assert listings[60][folder] - listings[5][folder] == 2 * (60 - 5)
        else:
            assert listings[60][folder] == listings[5][folder] <= 5


def test_a_commit_asks_for_the_same_whatever_lies_there(asked: Counter[tuple[str, str]]) -> None:
    uri, seen = f"memory://{uuid.uuid4().hex}/out", []
    for images in (30, 39, 48):  # each resumes the one before
        asked.clear()
        explain(uri, images)
        seen.append({key: n for key, n in asked.items() if key != ("read", "_run/commits")})
        assert asked["read", "_run/commits"] == images - 9 or images == 30
    assert seen[1] == seen[2]
