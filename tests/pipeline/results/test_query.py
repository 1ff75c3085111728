"""Images by an expression: what it finds, against the same in Python; what it refuses."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import RequestError
from pipeline.results.query import select


@pytest.fixture(scope="module")
def run(shapes_run):
    return pipeline.read(str(shapes_run))


@pytest.fixture(scope="module")
def joined(run):
    """Rows of images with those of the best explanation of round 0, joined by hand."""
    best = {
        e["id"]: e for e in run.explanations.to_table().to_pylist() if e["best"] and not e["round"]
    }
    return [
        {**best[row["id"]], **row}
        for row in sorted(run.images.to_table().to_pylist(), key=lambda row: row["id"])
    ]


@pytest.mark.parametrize(
    ("where", "same"),
    [
        ("score > .5", lambda r: r["score"] > 0.5),
        ("predicted != target or split = 'train'", lambda r: r["split"] == "train"),
        ("width <> height AND id LIKE 'rotated/%'", lambda r: r["height"] == 300),
        ("crop.y0 > 10", lambda r: r["crop"]["y0"] > 10),
        ("objective >= 0.0 and restart in (0, 1)", lambda r: True),
        ("target_name ilike '%DISC%'", lambda r: "disc" in r["target_name"]),
        ("minimal_area is null", lambda r: r["minimal_area"] is None),
        ("minimal_area < .9", lambda r: (r["minimal_area"] or 1) < 0.9),
    ],
)
def test_an_expression_finds_what_python_finds(run, joined, where, same):
    found = select(run, where)
    assert [hit.id for hit in found] == [row["id"] for row in joined if same(row)]
    assert [hit.target for hit in found] == [row["target"] for row in joined if same(row)]


def test_the_largest_come_first_or_the_smallest(run, joined):
    values = sorted((row["objective"] for row in joined), reverse=True)
    assert [hit.value for hit in select(run, sort="objective")] == values
    assert [hit.value for hit in select(run, sort="objective", reverse=True, top=2)] == values[
        :-3:-1
    ]
    with_null = select(run, sort="case when split = 'test' then score end", reverse=True)
    assert with_null[-1].value is None


def test_regions_are_joined_where_there_are_some(shapes_run, run, joined, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(shapes_run, out)
    (out / "regions").mkdir()
    rows = [
        {"id": row["id"], "target": row["target"], "round": k, "outside": n / 10 + k}
        for n, row in enumerate(joined)
        for k in (0, 1)
    ]
    pq.write_table(pa.Table.from_pylist(rows[2:]), out / "regions" / "r.parquet")
    hits = select(pipeline.read(str(out)), "score >= 0", "outside")
    assert [hit.value for hit in hits] == [0.3, 0.2, 0.1, None]
    assert [hit.id for hit in hits] == [joined[n]["id"] for n in (3, 2, 1, 0)]
    with pytest.raises(RequestError, match="outside"):
        select(run, "outside > .1")


@pytest.mark.parametrize(
    "where",
    [
        "scor > .5",
        "minimal_area <",
        "id < 3",
        "score > .5; drop table images",
        "1=1) union select * from images where (1=1",
        "score > .5, 1=1",
        "system('touch /tmp/x')",
        "id in (select content from read_text('FILE'))",
        "id in (select a from read_csv('FILE', header=true))",
        "id in (select id from run)",
        "",
    ],
)
def test_a_wrong_expression_is_refused_in_one_sentence_with_the_columns(run, tmp_path, where):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nshapes-00001\n")
    with pytest.raises(RequestError) as refused:
        select(run, where.replace("FILE", str(secret)))
    message = str(refused.value)
    assert message.startswith("--where") and "\n" not in message
    assert "the columns are id, image, target" in message and "minimal_area" in message


def test_a_wrong_sort_is_refused_likewise(run):
    with pytest.raises(RequestError, match=r"^--sort 'outsid'.*the columns are id"):
        select(run, sort="outsid")
    with pytest.raises(RequestError, match="--sort"):
        select(run, sort="score; drop table images")
