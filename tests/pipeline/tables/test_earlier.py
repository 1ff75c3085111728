"""Outputs from before columns joined the schema: they open, go on, and have null there."""

import pyarrow as pa
import pytest

import pipeline
from pipeline.evaluation import evaluations
from pipeline.results import select
from pipeline.shapes import write_dataset
from pipeline.tables import schemas
from tests.analyses import analyse, explain

LATER = {"ranking", "score_kept_hard", "score_removed_hard"}


def without_later(schema):
    return pa.schema([field for field in schema if field.name not in LATER])


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two images explained by an earlier version, one by this one."""
    folder = tmp_path_factory.mktemp("earlier")
    manifest = write_dataset(folder / "data", 3, 0)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("EXPLANATIONS", "MASKS"):
            patch.setattr(schemas, name, without_later(getattr(schemas, name)))
        explain(manifest, folder / "out", limit=2)
    explain(manifest, folder / "out")
    return folder / "out"


def test_later_columns_are_null_where_they_were_not_written(out):
    run = pipeline.read(str(out))
    masks, explanations = run.masks.to_table(), run.explanations.to_table()
    assert len(explanations) == 3 and explanations["ranking"].null_count == 2
    assert masks["score_kept_hard"].null_count == masks["score_removed_hard"].null_count == 4
    nulls = [run.rows("masks", id_)[0]["score_kept_hard"] is None for id_ in run.ids(3)]
    assert sorted(nulls) == [False, True, True]


def test_they_are_chosen_from_and_measured(out):
    run = pipeline.read(str(out))
    assert len(select(run, "objective >= 0")) == 3
    (kind,) = evaluations(run)
    analyse(out, kind)
    found = run.derived("metrics").to_table(columns=["id", "metric"]).to_pylist()
    assert len({row["id"] for row in found if row["metric"] == "insertion"}) == 3
