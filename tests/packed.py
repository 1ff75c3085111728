"""For tests of images in files with others: writing tar archives and Parquet files of them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(number: int, format_: str = "PNG") -> bytes:
    """A picture like no other one's of another number."""
    sink = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number * 151 % 256)
    Image.new("RGB", (40 + number % 7, 30), colour).save(sink, format_)
    return sink.getvalue()


def tar_bytes(members: Mapping[str, bytes | str] | Sequence[tuple[str, bytes | str]]) -> bytes:
    """An archive with these members, in order."""
    sink = io.BytesIO()
    items = members.items() if isinstance(members, Mapping) else members
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in items:
            info = tarfile.TarInfo(name)
            content = data.encode() if isinstance(data, str) else data
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def written_tar(path: Path, members: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar_bytes(members))
    return str(path)


def shard(first: int, count: int, **more: Any) -> dict[str, bytes | str]:
    """Members of `count` samples: picture, class, and a JSON with `more` and the number."""
    members: dict[str, bytes | str] = {}
    for number in range(first, first + count):
        members[f"k{number:04d}.png"] = picture(number)
        members[f"k{number:04d}.cls"] = str(number % 5)
        members[f"k{number:04d}.json"] = json.dumps({"number": number, **more})
    return members


def image_table(first: int, count: int, **columns: Any) -> pa.Table:
    """Pictures as Hugging Face stores them."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": picture(n), "path": f"{n}.png"} for n in range(first, first + count)]
    return pa.table({"image": pa.array(cells, kind), **columns})


def written_parquet(path: Path, table: pa.Table, rows_per_group: int = 10) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows_per_group)
    return str(path)
