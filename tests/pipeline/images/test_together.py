"""Images in files with others: their bytes alone and together, by few requests, from threads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ImageError
from pipeline.images import Together, image_bytes
from pipeline.images.packed import PIECE
from pipeline.manifest.manifest import Manifest
from pipeline.members import Member, file_of, name_in
from pipeline.paths import namer, redacted, resolver
from tests.packed import image_table, picture, shard, tar_bytes, written_parquet, written_tar


def uris(manifest: str) -> list[str]:
    return [ref.image for ref in Manifest(manifest)]


def packed(tmp_path: Path, kind: str, count: int) -> list[str]:
    if kind == "tar":
        return uris(written_tar(tmp_path / "a.tar", shard(0, count)))
    return uris(written_parquet(tmp_path / "a.parquet", image_table(0, count), 40))


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_from_threads_as_alone(tmp_path: Path, kind: str) -> None:
    found = packed(tmp_path, kind, 150)
    picked = [*found[20:140:3], found[5], found[20], *found[141:]]
    plain = tmp_path / "plain.png"
    plain.write_bytes(picture(9))
    picked.insert(7, str(plain))
    read = Together(picked)
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(read, picked))
    assert together == [image_bytes(uri) for uri in picked]
    assert together[0] == picture(20) and together[7] == picture(9)
    assert read(found[20]) == picture(20)  # again, alone


def test_neighbours_come_with_one_request(s3_url: str, s3_server: Any) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    fs.pipe_file(f"{s3_url}/a.tar", tar_bytes(shard(0, 300)))
    found = uris(f"{s3_url}/a.tar")
    s3_server.sent = sent = []
    twice = [uri for uri in found for _ in range(2)]  # as for two classes of an image
    read = Together(twice)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, twice)) == [picture(n // 2) for n in range(600)]
    assert len(sent) == 1
    sent.clear()
    assert image_bytes(found[17]) == picture(17)
    assert sent == [("GET", 512 + len(picture(17)))]


def test_what_lies_far_apart_is_not_read(s3_url: str, s3_server: Any) -> None:
    import s3fs

    members = {f"{n}.png": picture(n).ljust(400_000, b"\0") for n in range(60)}
    s3fs.S3FileSystem().pipe_file(f"{s3_url}/a.tar", tar_bytes(members))
    found = uris(f"{s3_url}/a.tar")
    s3_server.sent = sent = []
    read = Together(found[::10])
    assert [read(uri) for uri in found[::10]] == [members[f"{n}.png"] for n in range(0, 60, 10)]
    assert len(sent) == 6 and sum(size for _, size in sent) == 6 * (400_000 + 512)
    sent.clear()
    read = Together(found)
    assert [read(uri) for uri in found] == list(members.values())
    assert len(sent) == 3 and max(size for _, size in sent) < (8 << 20) + 400_000


def test_row_groups_are_read_once_and_only_those_asked_for(s3_url: str, s3_server: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import s3fs

    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": bytes([n]) * 20_000, "path": None} for n in range(100)]
    table = pa.table({"image": pa.array(cells, kind), "label": list(range(100))})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=25, compression="none", use_dictionary=False)
    s3fs.S3FileSystem().pipe_file(f"{s3_url}/a.parquet", sink.getvalue().to_pybytes())
    found = uris(f"{s3_url}/a.parquet")
    s3_server.sent = sent = []
    read = Together(found[25:75])
    with ThreadPoolExecutor(8) as pool:
        data = list(pool.map(read, found[25:75]))
    assert [one[0] for one in data] == list(range(25, 75))
    assert sum(size for _, size in sent) < 50 * 20_000 + 70_000 + 10_000  # and the footer
    assert len(sent) <= 10
    sent.clear()
    assert [image_bytes(uri)[0] for uri in found[30:50]] == list(range(30, 50))  # one by one
    assert sum(size for _, size in sent) < 25 * 20_000 + 70_000 + 10_000
    assert PIECE > 25 * 20_000


# What is wrong


def test_an_archive_that_has_changed_is_noticed(tmp_path: Path) -> None:
    found = packed(tmp_path, "tar", 4)
    written_tar(tmp_path / "a.tar", shard(1, 4))
    read = Together(found)
    for uri in found:
        with pytest.raises(ImageError, match="another one than when it was listed"):
            read(uri)
    (tmp_path / "a.tar").write_bytes(b"short")
    with pytest.raises(ImageError, match="another one than when it was listed"):
        image_bytes(found[2])
    (tmp_path / "a.tar").unlink()
    with pytest.raises(ImageError, match="no such file"):
        Together(found)(found[0])


def test_rows_without_an_image_fail_alone(tmp_path: Path) -> None:
    import pyarrow as pa

    cells = [{"bytes": None if n % 3 == 1 else picture(n), "path": None} for n in range(9)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    found = uris(
        written_parquet(tmp_path / "a.parquet", pa.table({"image": pa.array(cells, kind)}), 4)
    )
    for read in (Together(found), image_bytes):
        for number, uri in enumerate(found):
            if number % 3 == 1:
                with pytest.raises(ImageError, match=f"row {number} holds no image"):
                    read(uri)
            else:
                assert read(uri) == picture(number)
    with pytest.raises(ImageError, match="there is no row 9, only 9"):
        image_bytes(found[0].replace("image/0", "image/9"))


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_too_large_ones_fail_alone(tmp_path: Path, kind: str) -> None:
    found = packed(tmp_path, kind, 6)
    sizes = [len(picture(n)) for n in range(6)]
    most = sorted(sizes)[2]
    read = Together(found, most)
    for number, uri in enumerate(found):
        if sizes[number] > most:
            with pytest.raises(ImageError, match=f"more than {most} bytes"):
                read(uri)
        else:
            assert read(uri) == picture(number)


# URIs


@pytest.mark.parametrize(
    ("uri", "file", "name"),
    [
        ("tar://d/a.jpg::s3://b/0.tar#512+77", "s3://b/0.tar", "a.jpg"),
        ("tar://a%40b.jpg::/x/0 1.tar#512+77", "/x/0 1.tar", "a@b.jpg"),
        ("parquet://image/17::/x/train-0.parquet", "/x/train-0.parquet", "train-0-17"),
        ("parquet://a/0::https://h/t.parquet?x=1", "https://h/t.parquet?x=1", "t-0"),
        ("s3://b/c.jpg", "s3://b/c.jpg", "c.jpg"),
        ("/x/c::d.jpg", "/x/c::d.jpg", "c::d.jpg"),
    ],
)
def test_uris(uri: str, file: str, name: str) -> None:
    assert (file_of(uri), name_in(uri)) == (file, name)
    member = Member.of(uri)
    assert member is None or str(member) == uri
    assert redacted(uri) == uri


def test_paths_of_members_are_those_of_their_files(tmp_path: Path) -> None:
    resolve: Callable[[str], str] = resolver("/data")
    assert resolve("tar://a.jpg::s/0.tar#512+9") == "tar://a.jpg::/data/s/0.tar#512+9"
    assert resolve("tar://a.jpg::s3://b/0.tar#5+9") == "tar://a.jpg::s3://b/0.tar#5+9"
    assert namer("/data")("tar://a.jpg::/data/s/0.tar#512+9") == "s/0.tar/a.jpg"
    assert namer("s3://b/data")("parquet://image/3::s3://b/data/0.parquet") == "0.parquet/image/3"
    secret = "tar://a.jpg::https://me:word@h/0.tar?X-Amz-Signature=abc#512+9"
    assert redacted(secret) == "tar://a.jpg::https://h/0.tar#512+9"
    found = packed(tmp_path, "tar", 1)
    shutil.copy(tmp_path / "a.tar", tmp_path / "b.tar")
    moved = str(Member.of(found[0]).in_file(str(tmp_path / "b.tar")))  # type: ignore[union-attr]
    assert image_bytes(moved) == picture(0)
