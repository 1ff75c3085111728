"""Files: where a manifest and its images lie; folders and globs; what is no manifest."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from tests.manifests import (
    default_id,
    parquet_bytes,
    refs,
    refusal,
    written,
)

# Where images are


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    text = "image,mask\n../a.jpg,m/a.png\n./b.jpg,\n/abs/../c.jpg,memory://m/c.png\n"
    uri = written(tmp_path / "sub/m.csv", text + "file:///d.jpg,\n")
    expected = [str(tmp_path / "a.jpg"), str(tmp_path / "sub/b.jpg"), "/c.jpg", "/d.jpg"]
    masks = [str(tmp_path / "sub/m/a.png"), None, "memory://m/c.png", None]
    monkeypatch.chdir(tmp_path)
    for name in (uri, "sub/m.csv", f"file://{uri}"):
        found = refs(name)
        assert [ref.image for ref in found] == expected
        assert [ref.extra["mask"] for ref in found] == masks
    for root in ("/root/x", "/root/x/", "/root/./x"):
        assert [r.image for r in refs(uri, root=root)][:2] == ["/root/a.jpg", "/root/x/b.jpg"]
    assert refs(uri, root="other")[1].image == str(tmp_path / "other/b.jpg")
    assert refs(uri, root="s3://b/x")[1].image == "s3://b/x/b.jpg"


def test_manifest_at_a_url() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/urls/m.csv", b"image,mask\na//b.jpg,../m/a.png\n/local.jpg,\nhttp://h/c,\n")
    found = refs("memory://urls/m.csv")
    assert [ref.image for ref in found] == ["memory://urls/a//b.jpg", "/local.jpg", "http://h/c"]
    assert found[0].extra["mask"] == "memory://m/a.png"
    assert refs("memory://urls/m.csv", root="/data")[0].image == "/data/a/b.jpg"
    memory.pipe_file("/urls/m.parquet", parquet_bytes({"image": ["a.jpg"]}))
    assert refs("memory://urls/m.parquet")[0].image == "memory://urls/a.jpg"
    memory.pipe_file("/top.csv", b"image\na.jpg\n")
    assert refs("memory://top.csv")[0].image == "memory://a.jpg"
    memory.pipe_file("/urls/m.csv.gz", gzip.compress(b"image\na.jpg\n"))
    assert refs("memory://urls/m.csv.gz")[0].image == "memory://urls/a.jpg"


# Folders and globs


def test_folder_of_images(tmp_path: Path) -> None:
    images = [
        "b.jpg",
        "a.JPEG",
        "sub/c.png",
        "sub/deep/d.WebP",
        "e.bmp",
        "f.gif",
        "g.tif",
        "h.TIFF",
    ]
    others = ["notes.txt", "m.csv", ".hidden.jpg", ".thumbnails/x.jpg", "jpg"]
    for name in images + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    expected = sorted(str(tmp_path / name) for name in images)
    for uri in (str(tmp_path), f"{tmp_path}/", f"file://{tmp_path}"):
        found = refs(uri)
        assert [ref.image for ref in found] == expected
        assert all(ref.target is None and ref.extra == {} for ref in found)
        assert [ref.id for ref in found] == [default_id(name, "") for name in sorted(images)]
    assert [ref.image for ref in refs(str(tmp_path), limit=2)] == expected[:2]


def test_folder_behind_a_link_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jpg").write_bytes(b"")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/up").symlink_to(tmp_path / "elsewhere")
    found = refs(str(tmp_path / "images"))
    assert [ref.image for ref in found] == [str(tmp_path / "images/link/a.jpg")]


def test_glob(tmp_path: Path) -> None:
    for name in ("a1.jpg", "a2.png", "b1.jpg", "a3.txt", "sub/a4.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def found(pattern: str) -> list[str]:
        return [os.path.relpath(ref.image, tmp_path) for ref in refs(str(tmp_path / pattern))]

    assert found("*") == ["a1.jpg", "a2.png", "b1.jpg"]
    assert found("a?.*") == ["a1.jpg", "a2.png"]
    assert found("[b]1.jpg") == ["b1.jpg"]
    assert found("**/*.jpg") == ["a1.jpg", "b1.jpg", "sub/a4.jpg"]
    assert "no images in this glob with 1 files" in refusal(str(tmp_path / "*.txt"))
    assert "no images in this glob without any file" in refusal(str(tmp_path / "*.webp"))


def test_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    assert len(refs(written(tmp_path / "m[1].csv", "image\na.jpg\n"))) == 1


def test_folder_and_glob_at_a_url() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("b.jpg", "a.png", "sub/c.jpg", "d.txt", ".hidden/e.jpg"):
        memory.pipe_file(f"/pictures/{name}", b"")

    def names(uri: str) -> list[str]:
        found = [ref.image for ref in refs(uri)]
        assert all(image.startswith("memory://") and memory.exists(image) for image in found)
        return [image.rpartition("/pictures/")[2] for image in found]

    assert names("memory://pictures") == ["a.png", "b.jpg", "sub/c.jpg"]
    assert names("memory://pictures/*.jpg") == ["b.jpg"]


# What is no manifest


def test_what_is_no_manifest(tmp_path: Path) -> None:
    assert "no such file" in refusal(str(tmp_path / "none.csv"))
    assert "no such file or folder" in refusal(str(tmp_path / "none"))
    assert "no such file" in refusal("memory://none.csv")
    assert "cannot be opened" in refusal("nosuchprotocol://m.csv")
    for name in ("m.json", "m.txt", "m", "m.parquet.gz"):
        message = refusal(written(tmp_path / name, "image\na.jpg\n"))
        assert message.startswith(str(tmp_path / name))
        assert "no manifest format" in message and ".jsonl" in message
    (tmp_path / "empty").mkdir()
    assert "no images in this folder without any file" in refusal(str(tmp_path / "empty"))
    assert "no images in this folder with 4 files" in refusal(str(tmp_path))
    (tmp_path / "folder.csv").mkdir()
    assert refusal(str(tmp_path / "folder.csv")).startswith(str(tmp_path / "folder.csv"))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".csv.gz"])
def test_empty_manifest(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    for data in (b"", b"\n\n"):
        path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
        assert "is empty" in refusal(str(path))


def test_manifest_without_rows(tmp_path: Path) -> None:
    assert "has no rows" in refusal(written(tmp_path / "m.csv", "image,target\n"))
    (tmp_path / "m.parquet").write_bytes(parquet_bytes({"image": pa.array([], pa.string())}))
    assert "has no rows" in refusal(str(tmp_path / "m.parquet"))


def test_damaged_files(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(written(tmp_path / "m.parquet", "image\na.jpg\n"))
    assert "cannot be read" in refusal(written(tmp_path / "m.csv.gz", "image\na.jpg\n"))
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(b"image\n" + b"".join(b"%d.jpg\n" % i for i in range(9)))[:-12])
    assert "cannot be read" in refusal(str(path))
