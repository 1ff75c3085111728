"""`xaipipe measure` and `xaipipe table`: a row is what run and evaluate say, and stays."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.evaluation import available
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
    assert random.about["baselines"] == list(available()) and not random.about["copy_weights"]
    assert random.about["passes"] == 0 and 0 < random.about["cpu_seconds"] < 100
    assert random.about["versions"]["torch"] and middle.about["limit"] == 2

    more = ("--repeat", "out-seed1", "--baselines", ",".join(available()))
    xaipipe("evaluate", "out", "--judge", "builtin:shapes", *more)
    wanted = {
        (r["id"], r["metric"], r["area"]): r["value"]
        for r in pq.read_table("metrics.parquet").to_pylist()
    }
    found = {(r["id"], r["metric"], r["area"]): r["value"] for r in random.table.to_pylist()}
    assert {metric for _, metric, _ in found} >= {
        *("kept", "kept_judge", "removed_weak_blur", "single_deletion", "seed_iou", "pointing"),
        *(f"kept_{name}" for name in available()),
    }
    assert all(wanted[key] == value for key, value in found.items())

    code, text = xaipipe("table", "rows", "--first", "random", "--markdown", "table.md")
    assert code == 0 and "shapes, builtin:shapes: 2 images" in text
    lines = (here / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[4:6]] == ["| random", "| middle"]
    code, text = xaipipe("table", "rows", "--images", "others")
    assert code == 2 and "holds no row of these images" in text
    code, text = xaipipe("table", "rows", "--first", "ours")
    assert code == 2 and "no such row; there are middle, random" in text


def test_rows_from_before_a_metric_was_known_have_a_dash_there(manifest, here, xaipipe):
    command = ("measure", manifest, *MODEL, "--method", "centre", "--to", "rows", "--row", "new")
    code, text = xaipipe(*command, "--limit", 2, "--baselines", "weak_blur")
    assert code == 0 and "left out" not in text, text
    (new,) = read_rows(here / "rows")
    assert new.about["baselines"] == ["weak_blur"]
    late = pc.match_substring_regex(new.table["metric"], "weak_blur|single_deletion")
    assert pc.any(late).as_py()
    about = {k: v for k, v in new.about.items() if k not in ("baselines", "copy_weights")}
    table = new.table.filter(pc.invert(late))
    table = table.set_column(0, "run", pa.array(["old"] * len(table)))
    replace(new, name="old", about=about, table=table).write(here / "rows")
    code, text = xaipipe("table", "rows", "--first", "new", "--markdown", "table.md")
    assert code == 0, text
    head, _, *rows = (here / "table.md").read_text().splitlines()[2:]
    cells = [
        dict(zip(head.split(" | "), row.split(" | "), strict=True)) for row in (rows[0], rows[1])
    ]
    found, dash = ([row[m] for m in ("kept_weak_blur", "single_deletion |")] for row in cells)
    assert dash == ["- -", "- |"] and found[0] != dash[0] and found[1] != dash[1]
    assert cells[0]["kept"] == cells[1]["kept"]


def test_a_row_measured_in_parts_is_the_row_measured_at_once(manifest, here, xaipipe):
    command = ("measure", manifest, *MODEL, "--method", "start", "--baselines", "none")
    assert xaipipe(*command, "--to", "once", "--limit", 3)[0] == 0
    parts = (*command, "--to", "parts", "--out", "out", "--add")
    code, text = xaipipe(*parts, "--limit", 2)
    assert code == 0 and "no such row yet" in text and "start.parquet, 2 images" in text
    code, text = xaipipe(*parts, "--skip", 2, "--limit", 1)
    assert code == 0 and "start.parquet, 3 images" in text, text
    once, whole = read_rows(here / "once")[0], read_rows(here / "parts")[0]
    assert whole.table.to_pylist() == once.table.to_pylist()
    for about in (whole.about, once.about):
        assert about.pop("cpu_seconds") > 0
    assert whole.about == once.about and whole.about["limit"] == 3

    before = (here / "parts" / whole.file).read_bytes()
    for more, message in (
        (("--skip", 1), "ends with image 3; expected --skip 3"),
        (("--skip", 3), "no row is left after the first 3"),
        (("--skip", 2, "--seed", 1, "--out", "other"), "with fingerprint.seed 0, now it is 1"),
        (("--skip", 2, "--judge", "builtin:shapes"), "judge_weights nothing, now it is"),
    ):
        code, text = xaipipe(*parts, *more)
        assert code == 2 and message in text, text
    assert (here / "parts" / whole.file).read_bytes() == before


def test_without_opencv_a_row_says_what_it_lacks(manifest, here, xaipipe, monkeypatch):
    monkeypatch.setattr("pipeline.evaluation.baselines.can_inpaint", lambda: False)
    command = ("measure", manifest, *MODEL, "--method", "centre", "--limit", 1, "--to", "rows")
    code, text = xaipipe(*command)
    assert code == 0 and 'telea left out: needs OpenCV, pip install "xaipipe[peers]"' in text, text
    assert read_rows(here / "rows")[0].about["baselines"] == ["weak_blur"]


def test_mistakes_are_said_before_anything_runs(manifest, here, xaipipe):
    code, text = xaipipe("measure", manifest, *MODEL, "--again", 0)
    assert code == 2 and "is the run's own seed" in text
    code, text = xaipipe("measure", manifest, *MODEL, "--judge-weights", "w.pth")
    assert code == 2 and "name the classifier too" in text
    code, text = xaipipe("measure", manifest, *MODEL, "--baselines", "weak_blur,noise")
    assert code == 2 and "no baseline 'noise'" in text
    code, text = xaipipe("measure", manifest, *MODEL, "--copy-weights", "gone.pth")
    assert code == 2 and "--copy-weights" in text and "images" not in text
    code, text = xaipipe("table", "nowhere")
    assert code == 2 and "holds no recorded rows" in text
