from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.boxes import parse_boxes
from pipeline.errors import RequestError
from pipeline.manifest import ImageRef, Manifest

CLASSES = ["tench", "goldfish", "great white shark", "Cardigan", "cardigan", "crane", "crane"]


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8", newline="")
    return str(path)


def refs(uri: str, **options: Any) -> list[ImageRef]:
    """The images of a manifest, which has to agree with its own summary."""
    manifest = Manifest(uri, **options)
    summary = manifest.check()
    found = list(manifest)
    assert summary.images == len(found)
    assert all(list(ref.extra) == list(summary.extra_types) for ref in found)
    for name, kind in summary.extra_types.items():  # every value fits the type that was announced
        pa.array([ref.extra[name] for ref in found], type=kind)
    return found


def refusal(uri: str, **options: Any) -> str:
    with pytest.raises(RequestError) as caught:
        Manifest(uri, **options).check()
    return str(caught.value)


def extras(uri: str) -> dict[str, tuple[pa.DataType, list[Any]]]:
    types = Manifest(uri).check().extra_types
    found = refs(uri)
    return {name: (kind, [ref.extra[name] for ref in found]) for name, kind in types.items()}


# The same manifest in every format

ROWS = [
    {"id": "a", "image": "x/1.jpg", "target": 1, "split": "train", "weight": 0.5},
    {"id": "b", "image": "/data/2.jpg", "target": None, "split": "val", "weight": None},
    {"id": "c", "image": "s3://bucket/3.jpg", "target": 0, "split": None, "weight": 2.0},
]


def in_format(folder: Path, suffix: str, rows: Sequence[dict[str, Any]] = ROWS) -> str:
    path = folder / f"manifest{suffix}"
    plain = suffix.removesuffix(".gz")
    if plain == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return str(path)
    if plain in (".jsonl", ".ndjson"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        separator = {".csv": ",", ".tsv": "\t"}[plain.lower()]
        table = [list(rows[0]), *([v if v is not None else "" for v in r.values()] for r in rows)]
        text = "".join(separator.join(map(str, row)) + "\n" for row in table)
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
    return str(path)


FORMATS = [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz"]


@pytest.mark.parametrize("suffix", [*FORMATS, ".CSV"])
def test_every_format_gives_the_same_images(tmp_path: Path, suffix: str) -> None:
    uri = in_format(tmp_path, suffix)
    assert refs(uri, classes=CLASSES) == [
        ImageRef(
            id="a",
            image=str(tmp_path / "x/1.jpg"),
            target=1,
            extra={"split": "train", "weight": 0.5},
        ),
        ImageRef(id="b", image="/data/2.jpg", target=None, extra={"split": "val", "weight": None}),
        ImageRef(id="c", image="s3://bucket/3.jpg", target=0, extra={"split": None, "weight": 2.0}),
    ]
    types = Manifest(uri).check().extra_types
    assert list(types.items()) == [("split", pa.string()), ("weight", pa.float64())]


@pytest.mark.parametrize("suffix", FORMATS)
def test_select_and_limit(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"image": f"{i}.jpg", "split": "train" if i % 2 else "val", "fold": i % 3}
        for i in range(12)
    ]
    uri = in_format(tmp_path, suffix, rows)

    def kept(**options: Any) -> list[int]:
        return [int(Path(ref.image).stem) for ref in refs(uri, **options)]

    assert kept() == list(range(12))
    assert kept(limit=5) == [0, 1, 2, 3, 4]
    assert kept(limit=100) == list(range(12))
    assert kept(select={"split": "train"}) == [1, 3, 5, 7, 9, 11]
    assert kept(select={"split": "train", "fold": "1"}) == [1, 7]
    assert kept(select={"split": "val"}, limit=2) == [0, 2]
    assert "no row has split=test" in refusal(uri, select={"split": "test"})
    message = refusal(uri, select={"part": "train"})
    assert "no column `part`" in message and "image, split, fold" in message


def test_rows_beyond_the_limit_are_not_read(tmp_path: Path) -> None:
    good = "".join(f"{i}.jpg,1\n" for i in range(3))
    uri = written(tmp_path / "m.csv", "image,n\n" + good + ",\nx\n")
    assert len(refs(uri, limit=3)) == 3
    assert "line 5" in refusal(uri, limit=4)
    assert Manifest(uri, limit=3).check().extra_types == {"n": pa.int64()}
    with pytest.raises(RequestError, match="limit is 0"):
        Manifest(uri, limit=0)


def test_select_reads_a_bool_as_json_and_as_python_write_it(tmp_path: Path) -> None:
    lines = '{"image": "a.jpg", "keep": true}\n{"image": "b.jpg", "keep": false}\n'
    uri = written(tmp_path / "m.jsonl", lines)
    for text in ("true", "True"):
        assert [Path(ref.image).name for ref in refs(uri, select={"keep": text})] == ["a.jpg"]


# Ids


def default_id(image: str, target: str) -> str:
    return hashlib.blake2b(f"{image}|{target}".encode()).hexdigest()[:16]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_default_id_is_the_hash_of_image_and_target(tmp_path: Path, suffix: str) -> None:
    rows = [{"image": "ä.jpg", "target": 3}, {"image": "b.jpg", "target": None}]
    found = refs(in_format(tmp_path, suffix, rows))
    assert [ref.id for ref in found] == [
        default_id(str(tmp_path / "ä.jpg"), "3"),
        default_id(str(tmp_path / "b.jpg"), ""),
    ]


def test_same_image_with_two_targets_is_two_images(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,target\na.jpg,1\na.jpg,2\na.jpg,\n")
    assert len({ref.id for ref in refs(uri)}) == 3


def test_numbers_are_ids(tmp_path: Path) -> None:
    rows = [{"image": "a.jpg", "id": 7}, {"image": "a.jpg", "id": 8}]
    for suffix in (".csv", ".jsonl", ".parquet"):
        assert [ref.id for ref in refs(in_format(tmp_path, suffix, rows))] == ["7", "8"]


def test_duplicate_and_empty_ids(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "id,image\nx,a.jpg\ny,b.jpg\nx,c.jpg\n,d.jpg\n  ,e.jpg\n")
    lines = refusal(uri).splitlines()
    assert lines[0] == f"{uri}:"
    assert [line.partition(":")[0].strip() for line in lines[1:]] == ["line 4", "line 5", "line 6"]
    assert "'x'" in lines[1] and "line 2" in lines[1] and "unique" in lines[1]
    assert "id is empty" in lines[2]


def test_repeated_image_without_ids_suggests_an_id_column(tmp_path: Path) -> None:
    message = refusal(written(tmp_path / "m.csv", "image,target\na.jpg,1\nb.jpg,1\n./a.jpg,1\n"))
    assert "line 4: image and target are those of line 2" in message
    assert "column `id`" in message


# Targets


def test_targets_by_index_and_name(tmp_path: Path) -> None:
    given = ["0", "tench", "Goldfish", "GREAT WHITE SHARK", "Cardigan", "cardigan", "", " 5", "6.0"]
    text = "id,image,target\n" + "".join(f"{i},a.jpg,{t}\n" for i, t in enumerate(given))
    found = refs(written(tmp_path / "m.csv", text), classes=CLASSES)
    assert [ref.target for ref in found] == [0, 0, 1, 2, 3, 4, None, 5, 6]


@pytest.mark.parametrize(
    ("target", "classes", "said"),
    [
        ("7", CLASSES, "expected 0 to 6"),
        ("-1", CLASSES, "expected 0 to 6"),
        ("-1", None, "expected 0 upwards"),
        ("1000", 1000, "expected 0 to 999"),
        ("1.5", 10, "no class index"),
        ("1_0", 100, "no class index"),
        ("tench", 1000, "names need a classifier with class names"),
        ("tensh", CLASSES, "nearest is 'tench'"),
        ("TENSH", CLASSES, "nearest is 'tench'"),
        ("CARDIGAN", CLASSES, "classes 3, 4 alike; give the index"),
        ("crane", CLASSES, "classes 5, 6 alike; give the index"),
        ("zzzzzz", CLASSES, "no class of the classifier"),
    ],
)
def test_wrong_target(
    tmp_path: Path, target: str, classes: list[str] | int | None, said: str
) -> None:
    uri = written(tmp_path / "m.csv", f"image,target\na.jpg,1\nb.jpg,{target}\n")
    message = refusal(uri, classes=classes)
    assert message.startswith(f"{uri}: line 3: target ")
    assert target in message and said in message


def test_any_index_where_the_classes_are_unknown(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,target\na.jpg,123456\n")
    assert refs(uri)[0].target == 123456


def test_target_of_json_and_parquet(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"image": "a.jpg", "target": 2.0}, {"image": "b.jpg"}]
    for suffix in (".jsonl", ".parquet"):
        found = refs(in_format(tmp_path, suffix, rows), classes=3)
        assert [ref.target for ref in found] == [2, None]


# Where images are


def test_first_alias_names_the_image_and_the_others_are_extras(tmp_path: Path) -> None:
    aliases = ["url", "uri", "path", "file_name", "image"]
    for count in range(1, 6):
        uri = written(
            tmp_path / "m.csv", ",".join(aliases[:count]) + "\n" + ",".join("12345"[:count]) + "\n"
        )
        ref = refs(uri)[0]
        assert ref.image == str(tmp_path / "12345"[count - 1])
        assert ref.extra == {aliases[i]: i + 1 for i in range(count - 1)}


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


def parquet_bytes(columns: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


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
        assert found[0].id == default_id(expected[0], "")
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


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_missing_image_column(tmp_path: Path, suffix: str) -> None:
    message = refusal(in_format(tmp_path, suffix, [{"Images": "a.jpg", "label": 1}]))
    assert "no column `image` (or file_name, path, uri, url)" in message
    assert "found: Images, label" in message
    assert "rename `Images` to `image`" in message


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "name",
    "score target_name predicted predicted_name predicted_score width height crop".split(),
)
def test_columns_of_the_output_are_refused(tmp_path: Path, suffix: str, name: str) -> None:
    message = refusal(in_format(tmp_path, suffix, [{"image": "a.jpg", name: 1, "height_m": 2}]))
    assert f"`{name}` would collide" in message and f"to `manifest_{name}`" in message


def test_columns_without_or_with_the_same_name(tmp_path: Path) -> None:
    assert "column 1 has no name" in refusal(written(tmp_path / "a.csv", ",image\n0,a.jpg\n"))
    assert "two columns are named `n`" in refusal(written(tmp_path / "b.csv", "image,n,n\na,1,2\n"))


# Problems of rows


def numbers(message: str, unit: str = "line") -> list[int]:
    """Line numbers of the problems that a refusal names."""
    return [int(number) for number in re.findall(rf"(?:\n  |: ){unit} ([0-9]+): ", message)]


def test_lines_of_a_csv_are_physical_lines(tmp_path: Path) -> None:
    text = 'image,note\r\na.jpg,"two\r\nlines"\r\n\r\n,"also\r\ntwo"\r\nb.jpg,x\r\n,y\r\n'
    assert numbers(refusal(written(tmp_path / "m.csv", text))) == [5, 8]


def test_rows_with_too_many_or_too_few_fields(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,n\na.jpg,1\nb,c.jpg,2\nd.jpg\n")
    message = refusal(uri)
    assert "line 3: 3 fields where the header has 2" in message
    assert "line 4: 1 fields where the header has 2" in message


def test_quotes_that_are_never_closed(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", 'image,n\na.jpg,1\nb.jpg,"2\n' + "c.jpg,3\n" * 50)
    message = refusal(uri)
    assert numbers(message) == [3] and "quoting" in message


def test_a_problem_is_one_line_and_many_are_cut_at_ten(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,n\n" + "a.jpg,1\n" + ",1\n")
    assert refusal(uri) == f"{uri}: line 3: `image` is empty; expected a path or URL"
    message = refusal(written(tmp_path / "m.csv", "image,n\n" + ",1\n" * 13))
    assert numbers(message) == list(range(2, 12))
    assert message.splitlines()[-1].strip() == "and 3 more"
    message = refusal(written(tmp_path / "m.csv", "image,n\n" + ",1\n" * 10))
    assert "more" not in message


def test_all_kinds_of_problems_are_found_in_one_pass(tmp_path: Path) -> None:
    lines = [
        "id,image,target,bbox",
        "a,1.jpg,0,",
        "b,   ,0,",
        ",3.jpg,0,",
        "d,4.jpg,9,",
        "e,5.jpg,x,",
        "a,6.jpg,0,",
        "g,7.jpg,0",
        'h,8.jpg,0,"1,2,3"',
        'i,9.jpg,0,"0,0,1,1"',
    ]
    uri = written(tmp_path / "m.csv", "\n".join(lines) + "\n")
    assert numbers(refusal(uri, classes=5)) == [3, 4, 5, 6, 7, 8, 9]


def test_not_utf8(tmp_path: Path) -> None:
    for suffix, data, line in [
        (".csv", "image,n\na.jpg,1\nä.jpg,2\n".encode("latin-1"), 3),
        (".csv", "größe,image\n".encode("latin-1"), 1),
        (".csv", "image\na.jpg\n".encode("utf-16"), 1),
        (".jsonl", '{"image": "a.jpg"}\n{"image": "ä.jpg"}\n'.encode("latin-1"), 2),
    ]:
        (tmp_path / f"m{suffix}").write_bytes(data)
        message = refusal(str(tmp_path / f"m{suffix}"))
        assert f"line {line}: not UTF-8" in message and "save the manifest as UTF-8" in message


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, suffix: str) -> None:
    path = Path(in_format(tmp_path, suffix))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [ref.id for ref in refs(str(path))] == ["a", "b", "c"]


def test_problems_of_json_lines(tmp_path: Path) -> None:
    lines = [
        '{"image": "a.jpg"}',
        "",
        '{"image": "b.jpg"',
        '["c.jpg"]',
        '{"image": 4}',
        '{"target": 1}',
        '{"image": null}',
        '{"image": "d.jpg", "mask": 3}',
        '{"image": "e.jpg", "note": "\\ud800"}',
        '{"image": "f.jpg", "bbox": [1, 2, 3, 4]}',
        '{"path": "g.jpg"}',
    ]
    message = refusal(written(tmp_path / "m.jsonl", "\n".join(lines)))
    assert numbers(message) == [3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert "line 3: not JSON" in message and "line 4: JSON list, expected an object" in message
    assert "the image is in `path`" in message


def test_json_lines_that_name_the_image_differently(tmp_path: Path) -> None:
    text = '{"path": "a.jpg"}\n{"path": "b.jpg", "image": "c.jpg"}\n'
    assert "in `image`, the first ones in `path`" in refusal(written(tmp_path / "m.jsonl", text))


def test_problems_of_parquet_name_rows(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    path.write_bytes(parquet_bytes({"image": ["a.jpg", None, "c.jpg"], "id": ["x", "y", "x"]}))
    message = refusal(str(path))
    assert numbers(message, "row") == [2, 3]
    assert "row 1" in message
    for name, values in (("image", [b"a"]), ("image", [{"bytes": b"", "path": "a"}])):
        path.write_bytes(parquet_bytes({name: values}))
        assert "expected strings" in refusal(str(path))
    path.write_bytes(parquet_bytes({"image": ["a.jpg"], "mask": [1]}))
    assert "column `mask` is int64, expected strings" in refusal(str(path))


# Boxes


def test_boxes() -> None:
    assert parse_boxes("") == parse_boxes("  ") == []
    assert parse_boxes("1,2,3.5,4") == [(1.0, 2.0, 3.5, 4.0)]
    assert parse_boxes("0,0,1,1; 2, 2, 3, 3") == [(0.0, 0.0, 1.0, 1.0), (2.0, 2.0, 3.0, 3.0)]


@pytest.mark.parametrize(
    "text",
    ["1,2,3", "1,2,3,4,5", "a,b,c,d", "3,0,3,1", "0,3,1,2", "0,0,inf,1", "nan,0,1,1", "0,0,1,1;"],
)
def test_wrong_boxes(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError):
        parse_boxes(text)
    uri = written(tmp_path / "m.csv", f'image,bbox\na.jpg,"0,0,1,1"\nb.jpg,"{text}"\n')
    message = refusal(uri)
    assert numbers(message) == [3] and "expected x0,y0,x1,y1" in message


def test_boxes_and_masks_are_text(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", 'image,bbox,mask\na.jpg,"0,0,1,1",m/1\nb.jpg,,\n')
    assert extras(uri) == {
        "bbox": (pa.string(), ["0,0,1,1", None]),
        "mask": (pa.string(), [str(tmp_path / "m/1"), None]),
    }


# Types of extra columns


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "-2", "0"], pa.int64(), [1, -2, 0]),
        (["1", "", "3"], pa.int64(), [1, None, 3]),
        (["1", "2.5"], pa.float64(), [1.0, 2.5]),
        (["2.5", "1"], pa.float64(), [2.5, 1.0]),
        (["1e3", "-.5", "inf", "2."], pa.float64(), [1000.0, -0.5, float("inf"), 2.0]),
        (["1", "x"], pa.string(), ["1", "x"]),
        (["x", "1"], pa.string(), ["x", "1"]),
        (["", ""], pa.string(), [None, None]),
        (["007", "8"], pa.string(), ["007", "8"]),
        (["8", "007"], pa.string(), ["8", "007"]),
        (["00.5"], pa.string(), ["00.5"]),
        (["true", "False", "TRUE", ""], pa.bool_(), [True, False, True, None]),
        (["true", "1"], pa.string(), ["true", "1"]),
        (["1", "2.5", "x"], pa.string(), ["1", "2.5", "x"]),
        ([str(2**63 - 1), str(-(2**63))], pa.int64(), [2**63 - 1, -(2**63)]),
        ([str(2**63), "1"], pa.string(), [str(2**63), "1"]),
        (["12345678901234567890123", "1"], pa.string(), ["12345678901234567890123", "1"]),
        (["1_000"], pa.string(), ["1_000"]),
        (["٣"], pa.string(), ["٣"]),
        ([" 1"], pa.string(), [" 1"]),
        (["+1"], pa.string(), ["+1"]),
    ],
)
def test_types_of_csv(tmp_path: Path, cells: list[str], kind: pa.DataType, values: Any) -> None:
    text = "image,x\n" + "".join(f"{i}.jpg,{cell}\n" for i, cell in enumerate(cells))
    found = extras(written(tmp_path / "m.csv", text))["x"]
    assert found == (kind, values)
    assert list(map(type, found[1])) == list(map(type, values))


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        ([1, None, 2], pa.int64(), [1, None, 2]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([True, None, False], pa.bool_(), [True, None, False]),
        (["a", "", "007"], pa.string(), ["a", "", "007"]),
        (["1", "2"], pa.string(), ["1", "2"]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([1, "a", None], pa.string(), ["1", "a", None]),
        ([{"b": [1, "ä"], "a": None}], pa.string(), ['{"a": null, "b": [1, "ä"]}']),
        ([[1, 2], 3], pa.string(), ["[1, 2]", "3"]),
        ([None, None], pa.string(), [None, None]),
        ([2**70, 1], pa.string(), [str(2**70), "1"]),
    ],
)
def test_types_of_json(tmp_path: Path, cells: list[Any], kind: pa.DataType, values: Any) -> None:
    rows = [{"image": f"{i}.jpg", "x": cell} for i, cell in enumerate(cells)]
    found = extras(in_format(tmp_path, ".jsonl", rows))["x"]
    assert found == (kind, values)
    assert list(map(type, found[1])) == list(map(type, values))


def test_json_columns_may_come_up_late(tmp_path: Path) -> None:
    text = '{"image": "a.jpg", "x": 1}\n{"y": true, "image": "b.jpg"}\n'
    assert extras(written(tmp_path / "m.jsonl", text)) == {
        "x": (pa.int64(), [1, None]),
        "y": (pa.bool_(), [None, True]),
    }
    late = text + '{"image": "c.jpg", "score": 1}\n'
    assert "`score`" in refusal(written(tmp_path / "m.jsonl", late))


def test_types_are_inferred_from_the_selected_rows(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,split,x\na.jpg,train,1\nb.jpg,val,none\n")
    assert Manifest(uri, select={"split": "train"}).check().extra_types["x"] == pa.int64()
    assert Manifest(uri).check().extra_types["x"] == pa.string()


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    columns = {
        "small": pa.array([1, None], pa.int8()),
        "single": pa.array([0.5, None], pa.float32()),
        "flag": pa.array([True, None]),
        "when": pa.array([datetime(2024, 5, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        "price": pa.array([Decimal("1.50"), None]),
        "tags": pa.array([["a", "b"], None]),
        "nested": pa.array([{"a": 1}, None]),
        "large": pa.array(["x", None], pa.large_string()),
    }
    special = {
        "category": pa.array(["u", None]).dictionary_encode(),
        "nothing": pa.array([None, None], pa.null()),
    }
    path = tmp_path / "m.parquet"
    path.write_bytes(parquet_bytes({"image": ["a.jpg", "b.jpg"], **columns, **special}))
    expected = {name: (array.type, array.to_pylist()) for name, array in columns.items()}
    expected |= {
        "category": (pa.string(), ["u", None]),
        "nothing": (pa.string(), [None, None]),
    }
    assert extras(str(path)) == expected


# Streaming


def test_iterating_checks_first_and_can_be_repeated(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,n\na.jpg,1\nb.jpg,2\n")
    manifest = Manifest(uri)
    assert [ref.extra["n"] for ref in manifest] == [1, 2]
    assert list(manifest) == list(manifest)
    with pytest.raises(RequestError, match="line 2"):
        list(Manifest(written(tmp_path / "w.csv", "image,n\n,1\n")))


def test_manifest_that_changes_after_the_check_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    manifest = Manifest(written(path, "image,n\na.jpg,1\nb.jpg,2\n"))
    manifest.check()
    written(path, "image,n\na.jpg,1\nb.jpg,two\n")
    images = iter(manifest)
    assert next(images).extra == {"n": 1}
    with pytest.raises(RequestError, match=r"line 3: .*changed since"):
        next(images)


def test_many_rows_against_plain_python(tmp_path: Path) -> None:
    rows = [[f"i{n}", f"d{n % 7}/{n}.jpg", str(n % 3), str(n * 0.25)] for n in range(20_000)]
    path = tmp_path / "m.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "image", "target", "w"], *rows])
    found = refs(str(path), classes=["a", "b", "c"])
    assert [[r.id, r.image, str(r.target), str(r.extra["w"])] for r in found] == [
        [ref_id, f"{tmp_path}/{image}", target, w] for ref_id, image, target, w in rows
    ]
    pq.write_table(pa.table({"image": [row[1] for row in rows]}), tmp_path / "m.parquet")
    assert [r.image for r in refs(str(tmp_path / "m.parquet"))] == [r.image for r in found]
