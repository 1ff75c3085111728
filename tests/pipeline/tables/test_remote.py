"""Tables in object stores: what is read of them, and how a process ends that reads them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.run import Workers, driver
from pipeline.shapes import write_dataset
from pipeline.store import Store
from pipeline.tables.remote import remote_files
from tests.puppets import Quick, SmallRequest
from tests.s3 import Faults, S3Server
from tests.variants import variants

ROOT = Path(__file__).parents[3]
FILES = 24  # more than Arrow reads at once


class Counting(MemoryFileSystem):
    """A store that counts the bytes it sends."""

    sent = 0

    def cat_file(self, path, start=None, end=None, **more):  # type: ignore[no-untyped-def]
        data = super().cat_file(path, start=start, end=end, **more)
        Counting.sent += len(data)
        return data

    def info(self, path, **more):  # type: ignore[no-untyped-def]
        raise AssertionError("the size was given")


def test_exactly_what_is_asked_for_is_read() -> None:
    content = pa.table({"id": ["a", "b"], "mask": [os.urandom(1_000_000)] * 2})
    sink = pa.BufferOutputStream()
    pq.write_table(content, sink, use_dictionary=False)
    data = sink.getvalue().to_pybytes()
    fs, path = Counting(), f"/{uuid.uuid4().hex}"
    fs.pipe_file(path, data)
    table = ds.dataset([path], filesystem=remote_files(fs, {path: len(data)}), format="parquet")
    assert table.to_table(columns=["id"])["id"].to_pylist() == ["a", "b"]
    assert Counting.sent < 200_000 < len(data)
    assert table.to_table().equals(content)


HEAD = """
import sys
from pipeline.tables import RunTables
print(RunTables(sys.argv[1]).images.head(1).num_rows)
"""
ALL = HEAD.replace("head(1)", "to_table()")


@pytest.mark.slow
@pytest.mark.parametrize("damaged", variants([False, True]))
def test_a_process_ends_in_order_while_arrow_is_still_reading(
    s3_server: S3Server, s3_url: str, damaged: bool
) -> None:
    uri = f"{s3_url}/out"
    request = SmallRequest(Store(uri), FILES, shard_size=1)
    workers = Workers(make=lambda name: Quick(), count=0, device="cpu")
    driver.run(request, lambda progress: None, workers)
    if damaged:  # what is not read to its end because of an error
        store = Store(uri)
        name = store.list("images")[1]
        store.put(name, b"?" * len(store.get(name)))
    s3_server.faults = Faults(latency=0.2)
    command = [sys.executable, "-c", ALL if damaged else HEAD, uri]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == damaged, ended.stderr
    assert ended.stdout == ("" if damaged else "1\n")


@pytest.mark.long
def test_a_finished_run_on_a_slow_store_exits_with_its_code(
    s3_server: S3Server, s3_url: str, tmp_path: Path
) -> None:
    manifest = write_dataset(tmp_path / "data", 4, 0)
    command = [sys.executable, "-m", "jobs", "run", str(manifest), "--out", f"{s3_url}/out"]
    command += ["--model", "builtin:shapes", "--steps", "2", "--areas", ".1", "--workers", "0"]
    for latency in (0.0, 0.1):
        s3_server.faults = Faults(latency=latency)
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
