"""Tar archives as manifests: which samples they have, where these are, and what is wrong."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.images import image_bytes
from pipeline.manifest.manifest import Manifest
from pipeline.manifest.tar import WINDOW
from pipeline.members import Member
from tests.manifests import numbers, refs, refusal, standing
from tests.packed import picture, shard, tar_bytes, written_tar

SAMPLES = {
    "a/x.jpg": picture(1, "JPEG"),
    "a/x.cls": "3\n",
    "a/x.txt": " a caption, with a comma ",
    "a/x.mask.png": picture(2),
    "y.json": '{"target": 2, "weight": 0.5, "width": 640, "id": 7}',
    "y.PNG": picture(3),
    "y.npy": b"nothing for a table",
    "z.input.webp": picture(4, "WEBP"),
    ".hidden.png": picture(5),
    "._y.png": b"of a Mac",
    "README": "no sample",
}


def plain(uri: str) -> dict[str, bytes]:
    """Names and contents of an archive, as the library reads them."""
    with tarfile.open(uri) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]


def test_samples_are_those_of_webdataset(tmp_path: Path) -> None:
    uri = written_tar(tmp_path / "000.tar", SAMPLES)
    found = {ref.id: ref for ref in refs(uri)}
    assert list(found) == ["a/x", "y", "z"]
    assert [ref.target for ref in found.values()] == [3, 2, None]
    names = {"a/x": "a/x.jpg", "y": "y.PNG", "z": "z.input.webp"}
    for key, ref in found.items():
        assert image_bytes(ref.image) == plain(uri)[names[key]]
        assert ref.image.startswith(f"tar://{names[key]}::{uri}#")
        assert ref.stands == standing(f"000.tar/{names[key]}", ref.target)
    extra = found["a/x"].extra
    assert extra["txt"] == "a caption, with a comma"
    assert image_bytes(extra["mask"]) == plain(uri)["a/x.mask.png"]
    assert found["y"].extra == {
        **dict.fromkeys(extra),
        "weight": 0.5,
        "manifest_width": 640,
        "manifest_id": 7,
    }


def test_the_class_is_that_of_cls_whatever_json_says(tmp_path: Path) -> None:
    for order in (("cls", "json"), ("json", "cls")):
        content = {"cls": "4", "json": '{"target": 2, "split": "val"}'}
        members = {"a.png": picture(0), **{f"a.{end}": content[end] for end in order}}
        (ref,) = refs(written_tar(tmp_path / "t.tar", members))
        assert (ref.target, ref.extra) == (4, {"split": "val"})


def test_several_archives_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        written_tar(tmp_path / f"s/{number:03d}.tar", shard(10 * number, 3))
    monkeypatch.chdir(tmp_path)
    keys = [f"k{10 * n + m:04d}" for n in range(12) for m in range(3)]
    for pattern in ("s/*.tar", "s/{000..011}.tar", f"{tmp_path}/s/0{{00..11}}.tar", "s/???.tar"):
        found = refs(pattern)
        assert [ref.id for ref in found] == keys
        names = [f"{int(ref.id[1:4]):03d}.tar/{ref.id}.png" for ref in found]
        wanted = [standing(name, r.target) for name, r in zip(names, found, strict=True)]
        assert [ref.stands for ref in found] == wanted
    assert [ref.id for ref in refs("s/{002,000}.tar")] == keys[6:9] + keys[:3]
    assert [r.id for r in refs("s/*.tar", limit=4)] == keys[:4]
    assert [r.id for r in refs("s/*.tar", select={"number": "111"})] == ["k0111"]
    assert refs("s/*.tar")[0].extra == {"number": 0}


def test_names_of_every_kind(tmp_path: Path) -> None:
    long = "d/" * 60 + "n" * 90
    names = [f"{long}.png", "ü/ñ 1.png", "./dot.png", "at@b:c#d?e%f.png", "a" * 99 + ".png"]
    members = {name: picture(n) for n, name in enumerate(names)}
    for format_ in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        sink = io.BytesIO()
        with tarfile.open(fileobj=sink, mode="w", format=format_) as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        (tmp_path / "n.tar").write_bytes(sink.getvalue())
        found = refs(str(tmp_path / "n.tar"))
        assert [ref.id for ref in found] == [n.removeprefix("./").partition(".")[0] for n in names]
        assert [image_bytes(ref.image) for ref in found] == list(members.values())
        assert all(str(Member.of(ref.image)) == ref.image for ref in found)


# What is wrong


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.cls": "1", "b.png": b""}, r"sample 1: .*no image of the key 'a' \(a.cls\)"),
        ({"a.png": b"", "a.jpg": b""}, r"more than one image of the key 'a' \(a.png, a.jpg\)"),
        ({"a.png": b"", "a.json": "[1]"}, r"a.json: JSON list, expected an object"),
        ({"a.png": b"", "a.json": "{"}, r"a.json: not JSON \("),
        ({"a.png": b"", "a.txt": b"\xff"}, r"a.txt: is not UTF-8"),
        ({"a.png": b"", "a.cls": "cat"}, r"target 'cat' is no class index"),
        ({}, r"no images in this archive; expected members such as KEY.jpg"),
        ({"a": b"", ".b.png": b""}, r"no images in this archive"),
    ],
)
def test_samples_that_are_none(tmp_path: Path, members: Any, message: str) -> None:
    said = refusal(written_tar(tmp_path / "t.tar", members))
    assert re.search(message, said) and "t.tar" in said
    assert len(said.splitlines()) == 1


def test_keys_have_to_be_unique(tmp_path: Path) -> None:
    written_tar(tmp_path / "0.tar", shard(0, 3))
    written_tar(tmp_path / "1.tar", shard(2, 2))
    said = refusal(f"{tmp_path}/*.tar")
    one, two = tmp_path / "0.tar", tmp_path / "1.tar"
    assert f"the key 'k0002' is in {one} and in {two}; keys have to be unique" in said
    assert numbers(said, "sample") == [4]
    apart = [("a.png", picture(0)), ("b.png", picture(1)), ("a.png", picture(2))]
    said = refusal(written_tar(tmp_path / "t.tar", apart))
    assert f"the key 'a' is twice in {tmp_path}/t.tar; members of one key" in said


def test_broken_archives(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    whole = tar_bytes(shard(0, 4))
    for cut in (100, 700, 2000, len(whole) // 2, 512 * 5, 512 * 6 + 100):
        path.write_bytes(whole[:cut])
        said = refusal(str(path))
        assert said.startswith(f"{path}: is no complete tar archive without compression: "), cut
    start = whole.index(b"k0002.png")
    path.write_bytes(whole[:start] + b"garbage!" * 64 + whole[start + 512 :])
    assert "is no complete tar archive" in refusal(str(path))
    path.write_bytes(gzip.compress(whole))
    assert "is no complete tar archive without compression" in refusal(str(path))
    path.write_bytes(b"")
    assert "is no complete tar archive" in refusal(str(path))
    assert "no such file" in refusal(str(tmp_path / "{0..3}.tar"))
    assert "matches no file" in refusal(str(tmp_path / "none*.tar"))
    assert refusal(str(tmp_path)).endswith(f"; for what lies in archives give {tmp_path}/*.tar")
    for name in ("t.tar.gz", "t.tgz", "t.tar.zst"):
        (tmp_path / name).write_bytes(gzip.compress(whole))
        assert "compressed archive cannot be read one by one; decompress" in refusal(
            str(tmp_path / name)
        )


# Far away


def test_listing_reads_what_is_between_large_members_once(
    s3_url: str, s3_server: Any, tmp_path: Path
) -> None:
    """For a check and an iteration, and whether samples lie in one window or far apart."""
    import s3fs

    large = {f"l{n}.png": bytes(3_000_000) for n in range(4)}
    small = shard(0, 200)
    fs = s3fs.S3FileSystem()
    for number, members in enumerate([large, small, {"m.png": picture(0)}]):
        fs.pipe_file(f"{s3_url}/s/{number}.tar", tar_bytes(members))
    sent = s3_server.sent = []
    manifest = Manifest(f"{s3_url}/s/{{0..2}}.tar")
    assert manifest.check().images == 205
    listing = list(sent)
    found = list(manifest)
    assert len(sent) <= len(listing) + 2  # the second pass asks what the pattern stands for
    sizes = [size for method, size in listing if method == "GET" and size]
    assert len(sizes) <= 4 + 1 + 1 + 2 and sum(sizes) < 6_000_000, listing
    headers = len(tar_bytes(large)) - 4 * 3_000_000  # and what is read with them
    assert sum(sizes) <= headers + 4 * WINDOW + len(tar_bytes(small)) + 20_000
    assert [ref.id for ref in found][:5] == ["l0", "l1", "l2", "l3", "k0000"]
    assert image_bytes(found[4].image) == picture(0)
    assert image_bytes(found[-1].image) == picture(0)
    assert found[4].stands == standing("1.tar/k0000.png", 0)


def test_few_rows_of_many_archives_take_few_requests(s3_url: str, s3_server: Any) -> None:
    import s3fs

    for number in range(20):
        s3fs.S3FileSystem().pipe_file(f"{s3_url}/{number:02d}.tar", tar_bytes(shard(number, 1)))
    before = s3_server.requests
    assert Manifest(f"{s3_url}/{{00..19}}.tar", limit=1).check().images == 1
    assert s3_server.requests - before <= 5
    assert [ref.id for ref in refs(f"{s3_url}/*.tar")] == [f"k{n:04d}" for n in range(20)]


def test_what_is_wrong_far_away_names_the_archive(s3_url: str) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    for number in range(3):
        data = tar_bytes(shard(10 * number, 3))
        fs.pipe_file(f"{s3_url}/{number}.tar", data[: len(data) - number * 2000])
    assert f"{s3_url}/1.tar: is no complete tar archive" in refusal(f"{s3_url}/{{0..2}}.tar")
    assert f"{s3_url}/9.tar: there is no such file" in refusal(f"{s3_url}/{{0,9}}.tar")
