"""`xaipipe measure` and `xaipipe table`: a row is what run and evaluate say, and stays."""

import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.results import read_rows
from pipeline.shapes import write_dataset

MODEL = ("--model", "builtin:shapes", "--workers", 0, "--areas", ".1,.3")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return str(write_dataset(tmp_path_factory.mktemp("shapes"), 3, 0))


def test_rows_are_what_evaluate_says_and_stand_side_by_side(manifest, here, xaipipe):
    code, text = xaipipe(
        *("measure", manifest, *MODEL, "--method", "random", "--again", 1, "--out", "out"),
        *("--judge", "builtin:shapes", "--to", "rows", "--images", "shapes"),
    )
    assert code == 0 and "recorded: rows/shapes-builtin_shapes-random.parquet" in text
    command = ("measure", manifest, *MODEL, "--method", "centre", "--limit", 2, "--to", "rows")
    code, text = xaipipe(*command, "--images", "shapes", "--row", "middle")
    assert code == 0, text
    middle, random = read_rows(here / "rows")
    assert random.about["fingerprint"] == pipeline.read("out").fingerprint
    assert random.about["again"] == 1 and random.about["judge"] == "builtin:shapes"
    assert random.about["judge_weights"] == random.about["fingerprint"]["weights"]
    assert random.about["passes"] == 0 and 0 < random.about["cpu_seconds"] < 100
    assert random.about["versions"]["torch"] and middle.about["limit"] == 2

    xaipipe("evaluate", "out", "--judge", "builtin:shapes", "--repeat", "out-seed1")
    wanted = {
        (r["id"], r["metric"], r["area"]): r["value"]
        for r in pq.read_table("metrics.parquet").to_pylist()
    }
    found = {(r["id"], r["metric"], r["area"]): r["value"] for r in random.table.to_pylist()}
    assert {metric for _, metric, _ in found} >= {"kept", "kept_judge", "seed_iou", "pointing"}
    assert all(wanted[key] == value for key, value in found.items())

    code, text = xaipipe("table", "rows", "--first", "random", "--markdown", "table.md")
    assert code == 0 and "shapes, builtin:shapes: 2 images" in text
    lines = (here / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[4:6]] == ["| random", "| middle"]
    code, text = xaipipe("table", "rows", "--images", "others")
    assert code == 2 and "holds no row of these images" in text
    code, text = xaipipe("table", "rows", "--first", "ours")
    assert code == 2 and "no such row; there are middle, random" in text


def test_mistakes_are_said_before_anything_runs(manifest, here, xaipipe):
    code, text = xaipipe("measure", manifest, *MODEL, "--again", 0)
    assert code == 2 and "is the run's own seed" in text
    code, text = xaipipe("measure", manifest, *MODEL, "--judge-weights", "w.pth")
    assert code == 2 and "name the classifier too" in text
    code, text = xaipipe("table", "nowhere")
    assert code == 2 and "holds no recorded rows" in text
