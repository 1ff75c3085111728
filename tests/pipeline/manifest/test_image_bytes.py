"""Parquet with images' bytes as manifests: no bytes are read, and each row says where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.images import image_bytes
from pipeline.manifest.manifest import Manifest
from tests.manifests import extras, refs, refusal, standing
from tests.packed import image_table, picture, tar_bytes, written_parquet, written_tar

TAIL = 1 << 16  # bytes at the end of a file that are read first: its footer is among them


def test_rows_say_where_their_bytes_are(tmp_path: Path) -> None:
    table = image_table(0, 25, id=[f"i{n}" for n in range(25)], target=[n % 3 for n in range(25)])
    uri = written_parquet(tmp_path / "a.parquet", table)
    found = refs(uri)
    assert [ref.image for ref in found] == [f"parquet://image/{n}::{uri}" for n in range(25)]
    assert [ref.id for ref in found] == [f"i{n}" for n in range(25)]
    assert [ref.target for ref in found] == [n % 3 for n in range(25)]
    for n in (24, 0, 13, 9, 10):
        assert image_bytes(found[n].image) == picture(n)
    assert found[7].stands == standing("a.parquet/image/7", 1)
    assert refs(uri, limit=2) == found[:2]


def test_a_folder_that_datasets_has_written(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "target": datasets.ClassLabel(names=["cat", "dog"]),
            "caption": datasets.Value("string"),
        }
    )
    for number in range(3):
        rows = {
            "image": [{"bytes": picture(10 * number + n), "path": None} for n in range(4)],
            "label": [n % 2 if n else -1 for n in range(4)],
            "target": [n % 2 for n in range(4)],
            "caption": [f"no. {n}" for n in range(4)],
        }
        dataset = datasets.Dataset.from_dict(rows, features=features)
        dataset.to_parquet(tmp_path / f"train-{number:05d}-of-00003.parquet")
    for uri in (f"{tmp_path}/*.parquet", f"{tmp_path}/train-{{00000..00002}}-of-00003.parquet"):
        found = refs(uri)
        wanted = [picture(10 * number + n) for number in range(3) for n in range(4)]
        assert [image_bytes(ref.image) for ref in found] == wanted
        assert [ref.target for ref in found] == [0, 1, 0, 1] * 3
        assert [ref.extra["label"] for ref in found] == [None, "dog", "cat", "dog"] * 3
        assert [ref.extra["caption"] for ref in found][:2] == ["no. 0", "no. 1"]
        assert len({ref.id for ref in found}) == 12
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in tmp_path.glob("*.parquet"):
        file.rename(moved / file.name)
    assert [ref.id for ref in refs(f"{moved}/*.parquet")] == [ref.id for ref in found]


@pytest.mark.parametrize("name", ["image", "jpg", "img"])
def test_plain_bytes_and_what_else_is_there(tmp_path: Path, name: str) -> None:
    table = pa.table(
        {
            "url": ["http://nowhere/a.jpg", "http://nowhere/b.jpg"],
            name: [picture(0), picture(1)],
            "width": [40, 41],
            "mask": [picture(5), picture(6)],
        }
    )
    uri = written_parquet(tmp_path / "a.parquet", table)
    found = refs(uri)
    assert [image_bytes(ref.image) for ref in found] == [picture(0), picture(1)]
    assert [image_bytes(ref.extra["mask"]) for ref in found] == [picture(5), picture(6)]
    cells = extras(uri)
    assert cells["url"][1] == ["http://nowhere/a.jpg", "http://nowhere/b.jpg"]
    assert cells["manifest_width"] == (pa.int64(), [40, 41])


def test_a_file_of_images_alone(tmp_path: Path) -> None:
    uri = written_parquet(tmp_path / "a.parquet", image_table(0, 12))
    found = refs(uri)
    assert len(found) == 12 and all(ref.extra == {} and ref.target is None for ref in found)
    assert image_bytes(found[11].image) == picture(11)


def test_a_column_of_paths_stays_one(tmp_path: Path) -> None:
    thumbnails = [{"bytes": picture(n), "path": None} for n in range(2)]
    table = pa.table({"image": ["a.jpg", "b.jpg"], "thumbnail": thumbnails})
    found = refs(written_parquet(tmp_path / "a.parquet", table))
    assert [ref.image for ref in found] == [f"{tmp_path}/a.jpg", f"{tmp_path}/b.jpg"]


def test_what_is_no_data_set(tmp_path: Path) -> None:
    one = image_table(0, 2)
    written_parquet(tmp_path / "d/0.parquet", one)
    written_parquet(tmp_path / "d/1.parquet", one.append_column("more", pa.array([1, 2])))
    said = refusal(f"{tmp_path}/d/*.parquet")
    assert "1.parquet: has other columns or types (image, more) than the first file" in said
    two = pa.table({"left": one["image"], "right": one["image"]})
    said = refusal(written_parquet(tmp_path / "two.parquet", two))
    assert "`left`, `right` may all hold images; name the one to explain `image`" in said
    kind = one.schema.field("image").type
    empty = pa.table({"image": pa.array([{"bytes": None, "path": "a.png"}] * 2, kind)})
    said = refusal(written_parquet(tmp_path / "e.parquet", empty))
    assert "`image` holds no bytes, only paths; embed the images" in said
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "d/0.parquet").read_bytes()[:-20])
    assert "cannot be read" in refusal(str(tmp_path / "cut.parquet"))
    assert "no rows" in refusal(written_parquet(tmp_path / "none.parquet", one.slice(0, 0)))


def test_metadata_of_others_is_passed_over(tmp_path: Path) -> None:
    for about in (b"{", b"[1]", json.dumps({"info": {"features": {"label": {}}}}).encode()):
        table = image_table(0, 1, label=[3]).replace_schema_metadata({"huggingface": about})
        assert extras(written_parquet(tmp_path / "a.parquet", table))["label"] == (pa.int64(), [3])


def test_listing_reads_no_images(s3_url: str, s3_server: Any) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    for number in range(3):
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        cells = [{"bytes": bytes([n]) * 100_000, "path": None} for n in range(30)]
        table = pa.table({"image": pa.array(cells, kind), "label": list(range(30))})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=10, compression="none", use_dictionary=False)
        fs.pipe_file(f"{s3_url}/d/{number}.parquet", sink.getvalue().to_pybytes())
    s3_server.sent = sent = []
    manifest = Manifest(f"{s3_url}/d/*.parquet")
    assert manifest.check().images == 90
    listing = list(sent)
    assert len(list(manifest)) == 90
    assert sum(size for method, size in listing if method == "GET") < 4 * TAIL + 20_000
    assert len(listing) < 30
    assert sum(size for _, size in sent[len(listing) :]) < TAIL + 20_000


def test_the_same_images_in_tar_and_in_parquet_are_read_alike(tmp_path: Path) -> None:
    uri = written_tar(tmp_path / "a.tar", {f"{n:02d}.png": picture(n) for n in range(12)})
    assert len(tar_bytes({})) > 0
    one = [image_bytes(ref.image) for ref in refs(uri)]
    two = [
        image_bytes(ref.image)
        for ref in refs(written_parquet(tmp_path / "a.parquet", image_table(0, 12)))
    ]
    assert one == two
