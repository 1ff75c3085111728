"""`xaipipe report`: runs without images or behind a URL, and wrong requests."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.reports import AREAS, Page, explain, write_metrics


def test_a_run_without_images_says_so(runs, xaipipe, tmp_path):
    code, _ = xaipipe("report", runs / "nothing", "--to", tmp_path / "new" / "r.html")
    parsed = Page((tmp_path / "new" / "r.html").read_text())
    assert code == 0 and "No image of this run is explained yet." in parsed.texts
    assert "0 explained, 1 failed" in parsed.texts and not parsed.all("svg")
    assert "Failures" in parsed.texts and "Review" not in parsed.texts
    assert [row["id"] for row in parsed.data()["failures"]] == ["gone"]
    shutil.copytree(runs / "nothing" / "_run", tmp_path / "begun" / "_run")
    for name in ("commits", "plans"):
        shutil.rmtree(tmp_path / "begun" / "_run" / name)
    assert xaipipe("report", tmp_path / "begun")[0] == 0
    assert "No image of this run is explained yet." in (tmp_path / "begun.html").read_text()


def test_a_run_behind_a_url_is_reported_here(runs, s3_url, xaipipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    explain(f"{s3_url}/out", runs / "data" / "manifest.csv", method="centre", limit=2)
    assert xaipipe("report", f"{s3_url}/out")[0] == 0
    here = (tmp_path / "report.html").read_text()
    cards = Page(here).data()["cards"]
    assert len(cards) == 2 and all(card["shown"][0]["areas"] == AREAS for card in cards)
    assert xaipipe("report", f"{s3_url}/out", "--to", f"{s3_url}/r.html")[0] == 0
    import s3fs

    assert s3fs.S3FileSystem().cat_file(f"{s3_url}/r.html").decode() == here


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data"], "no run here"),
        (["ours", "--to", "data"], "it is a folder"),
        (["ours", "--to", "data/manifest.csv/r.html"], "cannot be written"),
        (["ours", "--metrics", "nowhere.parquet"], "cannot be read"),
        (["ours", "--metrics", "data/manifest.csv"], "cannot be read"),
        (["ours", "--metrics", "other_columns.parquet"], "no column run, method"),
        (["ours", "--metrics", "centre.parquet"], "other runs: centre (centre)"),
        (["ours", "--metrics", "method.parquet"], "other runs: ours (ep)"),
        (["ours", "--metrics", "ids.parquet"], "other runs: ours (inr)"),
        (["ours", "--metrics", "empty.parquet"], "other runs: no run"),
    ],
)
def test_wrong_requests(runs, xaipipe, tmp_path, arguments, message, monkeypatch):
    row = {"run": "ours", "method": "inr", "id": "shapes-00000", "target_name": "x"}
    row |= {"metric": "kept", "area": 0.1, "value": 0.5}
    for name, rows in {
        "centre": [row | {"run": "centre", "method": "centre"}],
        "method": [row | {"method": "ep"}],
        "ids": [row, row | {"id": "another"}],
        "empty": [],
    }.items():
        write_metrics(str(runs / f"{name}.parquet"), rows)
    pq.write_table(pa.table({"area": [1.0]}), runs / "other_columns.parquet")
    monkeypatch.chdir(runs)
    if "--to" not in arguments:
        arguments = [*arguments, "--to", tmp_path / "r.html"]
    code, text = xaipipe("report", *arguments)
    assert code == 2 and message in text, text
    assert not (tmp_path / "r.html").exists()
