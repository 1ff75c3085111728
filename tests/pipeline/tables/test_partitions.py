"""A run in four parts, each with a driver of its own, is read as the run of the whole."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import Request, RequestError, load_job
from pipeline.run import driver
from pipeline.shapes import write_dataset
from tests.variants import variants

PARTS, IMAGES = 4, 7


def explained(manifest, out, **changes):
    given = {"manifest": str(manifest), "out": str(out), "model": "builtin:shapes", "workers": 0}
    given |= {"steps": 3, "areas": [0.1, 0.3], **changes}
    driver.run(Request(load_job(None, given)), lambda progress: None)
    return str(out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The whole and the folder of its parts; one image cannot be read, the last part is small."""
    folder = tmp_path_factory.mktemp("parts")
    manifest = write_dataset(folder / "data", IMAGES, 0)
    (folder / "data/images/shapes-00002.png").write_bytes(b"broken")
    with manifest.open() as file:
        header, *rows = csv.reader(file)
    for part in range(PARTS):
        path = folder / f"data/{part}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows[2 * part : 2 * part + 2]])
        explained(path, folder / f"parts/{part}")
    explained(folder / "data/0.csv", folder / "other", steps=4)
    return pipeline.read(explained(manifest, folder / "whole")), folder


def rows(dataset, *keys):
    table = dataset.to_table()
    order = [(key, "ascending") for key in ("id", *keys)]
    return table.sort_by(order).to_pylist()


@pytest.mark.parametrize("pattern", variants(["glob", "list"]))
def test_as_the_whole(runs, pattern):
    whole, folder = runs
    parts = [str(folder / f"parts/{n}") for n in range(PARTS)]
    merged = pipeline.read([f"{folder}/parts/*"] if pattern == "glob" else parts)
    assert [part.store.uri for part in merged.parts] == parts
    for name, keys in {
        "images": (),
        "explanations": (),
        "masks": ("area",),
        "failures": (),
    }.items():
        assert rows(getattr(merged, name), *keys) == rows(getattr(whole, name), *keys), name
    assert merged.images.count_rows() == IMAGES - 1 and merged.failures.count_rows() == 1
    assert set(merged.ids(100)) == set(whole.ids(100)) and len(merged.ids(3)) == 3
    id_ = "shapes-00005"
    assert np.array_equal(merged.render(id_, area=0.2), whole.render(id_, area=0.2))
    assert np.array_equal(merged.stored_mask(id_, 0.1), whole.stored_mask(id_, 0.1))
    assert merged.explained(id_).row == whole.explained(id_).row
    assert sorted(one.id for one in merged.each_explained()) == sorted(whole.ids(100))


def test_tables_made_of_some_parts(runs):
    _, folder = runs
    merged = pipeline.read([f"{folder}/parts/*"])
    assert merged.derived("metrics") is None
    (folder / "parts/1/notes").mkdir()
    pq.write_table(pa.table({"id": ["shapes-00002"]}), folder / "parts/1/notes/a.parquet")
    assert rows(merged.derived("notes")) == [{"id": "shapes-00002"}]


def test_what_are_no_parts_of_one_run(runs):
    whole, folder = runs
    with pytest.raises(RequestError, match="other: was made with another .*optimise.* than .*0; "):
        pipeline.read([f"{folder}/parts/0", f"{folder}/other"])
    with pytest.raises(RequestError, match=r"nothing/\*: matches no run"):
        pipeline.read([f"{folder}/nothing/*"])
    with pytest.raises(RequestError, match="no run here"):
        pipeline.read([f"{folder}/data"])
    with pytest.raises(RequestError, match="no runs to read"):
        pipeline.read([])
    with pytest.raises(RequestError, match="x: no such id in any of the 4 parts"):
        pipeline.read([f"{folder}/parts/*"]).explained("x")


def test_parts_in_a_bucket(runs, s3_url):
    import s3fs

    whole, folder = runs
    for n in range(PARTS):
        s3fs.S3FileSystem().put(f"{folder}/parts/{n}", f"{s3_url}/run/{n}", recursive=True)
    merged = pipeline.read([f"{s3_url}/run/*"])
    assert [part.store.uri for part in merged.parts] == [f"{s3_url}/run/{n}" for n in range(PARTS)]
    assert rows(merged.masks, "area") == rows(whole.masks, "area")
