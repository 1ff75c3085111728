"""Rows of one image: only the files that hold them are opened, in runs of many files."""

import pyarrow.dataset as ds
import pytest

import pipeline
from pipeline.shapes import write_dataset
from pipeline.tables import RunTables
from tests.analyses import explain

IMAGES = 24


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    manifest = write_dataset(folder / "data", IMAGES, 0)
    explain(manifest, folder / "out", shard_size=1, limit=IMAGES - 1)
    return folder / "out"


@pytest.fixture
def opened(monkeypatch):
    """Names of the files that datasets are made of."""
    names = []
    read = RunTables._read

    def noted(self, files):
        names.extend(files)
        return read(self, files)

    monkeypatch.setattr(RunTables, "_read", noted)
    return names


def test_a_look_at_one_image_opens_one_file_of_each_table(out, opened):
    reader = pipeline.read(str(out))
    one = reader.explained("shapes-00017")
    assert len(opened) == 3 and {name.partition("/")[0] for name in opened} == {
        "images",
        "explanations",
        "masks",
    }
    whole = ds.dataset(str(out / "masks"), format="parquet").to_table().to_pylist()
    assert one.masks == [row for row in whole if row["id"] == "shapes-00017"]
    assert reader.rows("failures", "shapes-00017") == []


def test_an_id_that_is_not_there_opens_no_table(out, opened):
    reader = pipeline.read(str(out))
    with pytest.raises(pipeline.RequestError, match="no such id .*it has: shapes-"):
        reader.image("nobody")
    assert opened == []


def test_a_part_has_the_rows_of_some_commits_alone(out):
    reader = pipeline.read(str(out))
    (name,) = reader.index.names_of("shapes-00003")
    part = reader.part([name])
    assert part.images.to_table()["id"].to_pylist() == ["shapes-00003"]
    assert part.rows("masks", "shapes-00003") == reader.rows("masks", "shapes-00003") != []
    assert part.rows("masks", "shapes-00004") == []
    assert reader.images.count_rows() == IMAGES - 1
