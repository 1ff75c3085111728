"""Every tool reads every table of an output, also one without rows; Hugging Face finds them all."""

import datasets
import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from pipeline import load_job
from pipeline.run import Request, driver
from pipeline.shapes import write_dataset
from pipeline.store import Store
from pipeline.tables import read
from pipeline.tables.card import CARD, EMPTY, first_files
from pipeline.tables.schemas import schemas

EXTRA = {"site": pa.string()}


@pytest.fixture
def begun(tmp_path):
    store = Store(str(tmp_path / "out"))
    for name, data in first_files(EXTRA, "torchvision:resnet50", "inr").items():
        store.put(name, data)
    return tmp_path / "out"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, and what starts it again."""
    folder = tmp_path_factory.mktemp("run")
    given = {
        "manifest": str(write_dataset(folder / "data", 2, 0)),
        "out": str(folder / "out"),
        "model": "builtin:shapes",
        "workers": 0,
        "steps": 2,
        "areas": [0.1],
    }

    def start(**more):
        driver.run(Request(load_job(None, {**given, **more})), lambda progress: None)

    start()
    return folder / "out", start


@pytest.mark.parametrize("table", schemas(EXTRA))
def test_an_empty_table_has_its_columns_in_every_tool(begun, table):
    names = schemas(EXTRA)[table].names
    assert ds.dataset(begun / table).schema.names == names
    assert polars.scan_parquet(begun / table).collect_schema().names() == names
    query = duckdb.sql(f"select * from '{begun}/{table}/*.parquet'")
    assert query.columns == names and query.fetchall() == []


def test_load_dataset_finds_every_table(run, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    out, _ = run
    loaded = {
        table: datasets.load_dataset(str(out), table, split="train", cache_dir=str(tmp_path))
        for table in ("images", "explanations", "masks")  # it reads no table without rows
    }
    reader = read(str(out))
    assert sorted(loaded["images"]["id"]) == sorted(reader.images.to_table()["id"].to_pylist())
    assert len(loaded["masks"]) == reader.masks.count_rows()
    assert loaded["masks"][0]["mask"].mode == "L"
    default = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path))
    assert default.column_names == loaded["images"].column_names


def test_the_card_names_the_model_without_secrets(begun):
    assert "`torchvision:resnet50`" in (begun / CARD).read_text()


def test_files_that_are_there_stay(run):
    """Another start of the run neither writes nor sweeps them; a run in its place has its own."""
    out, start = run
    files = [*out.glob(f"*/{EMPTY}"), out / CARD]
    before = [file.stat().st_mtime_ns for file in files]
    start()
    assert len(files) == 5 and [file.stat().st_mtime_ns for file in files] == before
    start(overwrite=True)
    assert all(file.stat().st_mtime_ns > old for file, old in zip(files, before, strict=True))
