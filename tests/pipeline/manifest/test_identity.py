"""Ids and what they stand for: the same wherever the data is mounted and by whatever address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.manifest import Manifest
from pipeline.paths import namer

ROWS = "image,target\ncats/a.jpg,1\n./cats/b.jpg,\n../out/c.jpg,2\n"


def known(uri: str, **options: Any) -> list[tuple[str, int]]:
    return [(ref.id, ref.stands) for ref in Manifest(uri, classes=10, **options)]


def test_data_that_is_mounted_elsewhere_has_the_same_ids(tmp_path: Path) -> None:
    for place in ("one", "two/deep"):
        (tmp_path / place / "data").mkdir(parents=True)
        (tmp_path / place / "data" / "m.csv").write_text(ROWS)
    one, two = (str(tmp_path / place / "data" / "m.csv") for place in ("one", "two/deep"))
    assert known(one) == known(two)
    assert len({id_ for id_, _ in known(one)}) == 3
    for root in ("/mnt/data", "s3://bucket/data", "s3a://bucket/data/", "https://host/data"):
        assert known(one, root=root) == known(two)


def test_whole_paths_below_the_root_are_relative_to_it(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("image\na.jpg\nsub/b.jpg\n")
    plain = known(str(manifest), root="/mnt/one")
    for root in ("/mnt/two", "s3://bucket/key", "gs://bucket/key"):
        other = root.replace("s3://", "s3a://")
        whole = tmp_path / "whole.csv"
        whole.write_text(f"image\n{other}/a.jpg\n{other}/sub/b.jpg\n")
        assert known(str(whole), root=root) == plain


def test_a_folder_a_glob_and_a_manifest_in_it_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jpg"):
        (photos / name).write_bytes(b"")
    (photos / "m.csv").write_text("image\na.jpg\nsub/b.jpg\n")
    wanted = known(str(photos / "m.csv"))
    for uri in (str(photos), f"{photos}/", f"{photos}/**/*.jpg"):
        assert known(uri) == wanted
    monkeypatch.chdir(tmp_path)
    assert known("photos") == known("photos/**/*.jpg") == wanted
    memory = fsspec.filesystem("memory")
    for name in ("a.jpg", "sub/b.jpg"):
        memory.pipe_file(f"/ids/photos/{name}", b"")
    assert known("memory://ids/photos") == known("memory://ids/photos/**/*.jpg") == wanted


def test_an_id_stands_for_an_image_and_its_target(tmp_path: Path) -> None:
    def stands(image: str, target: str) -> int:
        (tmp_path / "m.csv").write_text(f"id,image,target\nx,{image},{target}\n")
        classes = ["ant", "bee", "cat"]
        ((ref),) = Manifest(str(tmp_path / "m.csv"), classes=classes)
        return ref.stands

    assert stands("a.jpg", "2") == stands("./a.jpg", "cat") == stands(f"{tmp_path}/a.jpg", "2.0")
    assert len({stands("a.jpg", "2"), stands("a.jpg", ""), stands("b.jpg", "2")}) == 3


def test_no_secret_is_in_a_name() -> None:
    name = namer("/data")
    assert name("https://me:word@host/a.jpg") == name("http://host/a.jpg") == "host/a.jpg"
    for signed in (
        "?X-Amz-Signature=1f&X-Amz-Date=2&x-amz-credential=3",
        "?sv=1&sig=2&se=3&sp=r",
        "?access_token=1",
        "?Expires=1&Signature=2&AWSAccessKeyId=3",
    ):
        assert name(f"https://host/a.jpg{signed}") == "host/a.jpg"
    assert name("https://host/get?id=1&token=2") == "host/get?id=1"
    assert name("https://host/get?se=1&id=2") == "host/get?se=1&id=2"
    assert name("s3://bucket/a?b=1") == "bucket/a?b=1"
    assert name("abfs://one@account/a.jpg") != name("abfs://two@account/a.jpg")
    assert name("zip://a.jpg::s3://bucket/x.zip") != name("zip://b.jpg::s3://bucket/x.zip")
