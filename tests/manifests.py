"""For tests of manifests: writing one, and what is read from it or said about it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import RequestError
from pipeline.manifest.manifest import ImageRef, Manifest

CLASSES = ["tench", "goldfish", "great white shark", "Cardigan", "cardigan", "crane", "crane"]
ROWS = [
    {"id": "a", "image": "x/1.jpg", "target": 1, "split": "train", "weight": 0.5},
    {"id": "b", "image": "/data/2.jpg", "target": None, "split": "val", "weight": None},
    {"id": "c", "image": "s3://bucket/3.jpg", "target": 0, "split": None, "weight": 2.0},
]
FORMATS = [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz"]


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8", newline="")
    return str(path)


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


def parquet_bytes(columns: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


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


def extras(uri: str) -> dict[str, tuple[pa.DataType, list[Any]]]:
    types = Manifest(uri).check().extra_types
    found = refs(uri)
    return {name: (kind, [ref.extra[name] for ref in found]) for name, kind in types.items()}


def refusal(uri: str, **options: Any) -> str:
    with pytest.raises(RequestError) as caught:
        Manifest(uri, **options).check()
    return str(caught.value)


def numbers(message: str, unit: str = "line") -> list[int]:
    """Line numbers of the problems that a refusal names."""
    return [int(number) for number in re.findall(rf"(?:\n  |: ){unit} ([0-9]+): ", message)]


def standing(name: str, target: int | None) -> int:
    """What an id stands for."""
    return int(hashlib.blake2b(f"{name}|{target}".encode(), digest_size=8).hexdigest(), 16)


def default_id(image: str, target: str) -> str:
    return hashlib.blake2b(f"{image}|{target}".encode()).hexdigest()[:16]
