"""Object stores: what is said of missing packages, buckets and credentials."""

from __future__ import annotations

import importlib
import sys

import fsspec
import pytest

from pipeline.errors import RequestError, RunError
from pipeline.store.store import Store


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = importlib.import_module("fsspec.registry")
    monkeypatch.delitem(registry._registry, "gs", raising=False)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(RequestError, match=r'gs://a/b: .*pip install "xaipipe\[gcs\]"'):
        Store("gs://a/b")


def test_an_unknown_bucket_is_refused_at_first_use(s3_server: object) -> None:
    store = Store("s3://no-such-bucket/out")
    for use in (
        lambda: store.put("a", b""),
        lambda: store.put_new("a", b""),
        lambda: store.get("a"),
        lambda: store.get_many(["a"]),
        lambda: store.list("images"),
        lambda: store.exists("a"),
        lambda: store.delete(["a"]),
    ):
        with pytest.raises(RequestError, match="no-such-bucket/out: .*bucket does not exist"):
            use()


def test_missing_credentials_are_named(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    try:
        with pytest.raises(RequestError, match="credentials"):
            Store(f"{s3_url}/out").put("a", b"")
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_store_lost_during_the_run_stops_it(s3_url: str) -> None:
    store = Store(f"{s3_url}/out")
    store.put("a", b"")
    store.delete(["a"])
    fsspec.filesystem("s3").rmdir(s3_url.removeprefix("s3://"))
    with pytest.raises(RunError, match="writing b failed .*bucket does not exist.*resume"):
        store.put("b", b"")
