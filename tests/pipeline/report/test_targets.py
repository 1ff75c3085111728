"""Several classes of one image: rows are told apart by id and target everywhere on the page."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.report.comparison import comparisons
from pipeline.report.totals import totals
from pipeline.shapes import write_dataset
from tests.patterns import write_patterns
from tests.reports import AREAS, Page, explain

IMAGES = 3


def tables(out):
    """Tables of a run by name, each row with its target."""
    found = {}
    for name in ("images", "explanations", "masks"):
        found[name] = pa.concat_tables([pq.read_table(p) for p in sorted((out / name).glob("s-*"))])
    targets = dict(zip(*(found["images"][n].to_pylist() for n in ("id", "target")), strict=True))
    for name in ("explanations", "masks"):
        if "target" not in found[name].column_names:
            column = pa.array([targets[id_] for id_ in found[name]["id"].to_pylist()], pa.int64())
            found[name] = found[name].append_column("target", column)
    return found


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A run that explained its images for two classes each: of two runs, put together."""
    folder = tmp_path_factory.mktemp("several")
    manifest = write_dataset(folder / "data", IMAGES, 0)
    rows = manifest.read_text().splitlines()
    cells = [row.split(",") for row in rows]
    (folder / "data" / "other.csv").write_text(
        "\n".join([rows[0], *(",".join([*c[:2], "9", *c[3:]]) for c in cells[1:])]) + "\n"
    )
    explain(folder / "one", manifest, method="centre", shard_size=IMAGES)
    explain(folder / "two", folder / "data" / "other.csv", method="random", shard_size=IMAGES)
    out = shutil.copytree(folder / "one", folder / "both")
    second = tables(folder / "two")
    for name, table in tables(folder / "one").items():
        (file,) = (out / name).glob("s-*")
        both = pa.concat_tables([table, second[name].cast(table.schema)])
        pq.write_table(both, file)
        (marker,) = (out / "_run" / "commits").iterdir()
        content = json.loads(marker.read_text())  # a file counts with the size it names
        content["bytes"][name] = file.stat().st_size
        marker.write_text(json.dumps(content))
    return folder


def test_totals_count_every_explained_class(several):
    found = totals(pipeline.read(str(several / "both")))
    ones = [totals(pipeline.read(str(several / name))) for name in ("one", "two")]
    assert found.images == 2 * IMAGES
    for n in range(len(AREAS)):
        means = [one.areas[n].kept.mean for one in ones]
        assert found.areas[n].images == 2 * IMAGES
        assert found.areas[n].kept.mean == pytest.approx(sum(means) / 2)
    assert len(set(map(tuple, (r.values() for r in found.ranking.to_pylist())))) == 2 * IMAGES


def test_cards_patterns_and_reviews_are_of_one_class(several, xaipipe, tmp_path):
    out = shutil.copytree(several / "both", tmp_path / "out")
    for name in ("one", "two"):
        write_patterns(several / name)
    for table in ("regions", "patterns"):
        (out / table).mkdir()
        for name in ("one", "two"):
            shutil.copy(several / name / table / "a.parquet", out / table / f"{name}.parquet")
    assert xaipipe("report", out)[0] == 0
    cards = Page(out.with_suffix(".html").read_text()).data()["cards"]
    assert len({(card["id"], card["target"]) for card in cards}) == len(cards) == 2 * IMAGES
    for card in cards:
        (shown,) = card["shown"]
        home = pipeline.read(str(several / ("two" if card["target"] == 9 else "one")))
        wanted = [m["score_kept"] for m in home.rows("masks", card["id"])]
        assert [kept for _, kept, _ in shown["scores"]] == pytest.approx(wanted, abs=1e-4)
        assert shown["outside"] == card["target"] % 3 / 4
    csv = tmp_path / "v.csv"
    head = "id,target,target_name,restart,round,pattern,area,verdict,note,reviewed\n"
    row = f"{cards[0]['id']},{{}},x,0,0,,0.05,object,,2026-01-01T00:00:00Z\n"
    csv.write_text(head + row.format(9))
    assert xaipipe("review", out, csv)[0] == 0
    csv.write_text(head + row.format(8))
    code, text = xaipipe("review", out, csv)
    assert code == 2 and "target 8" in text


def test_runs_are_compared_class_by_class(several):
    both = pipeline.read(str(several / "both"))
    found = comparisons(both, {n: pipeline.read(str(several / n)) for n in ("one", "two")})
    for comparison in found:
        assert (comparison.common, comparison.first_only, comparison.other) == (IMAGES, 0, 0)
        assert all(d.first == pytest.approx(d.second) for d in comparison.differences)
