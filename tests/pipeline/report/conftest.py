"""For tests of the report: three runs, and the page of one of them."""

import sys

import pytest

from jobs import cli
from pipeline.results import write_metrics
from pipeline.shapes import write_dataset
from tests.reports import AREAS, IMAGES, explain


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    manifest = write_dataset(folder / "data", IMAGES, 0)
    lines = manifest.read_text().splitlines()
    (folder / "data" / "broken.png").write_bytes(b"no image")
    commas = "," * (lines[0].count(",") - 1)
    for id_, image in (("broken-0", "broken.png"), ("broken-1", "broken.png"), ("gone", "no.png")):
        lines.append(f"{id_},{image}{commas}")
    manifest.write_text("\n".join(lines) + "\n")
    several = {"restarts": 2, "rounds": 2, "round_score": 0.3, "steps": 3, "shard_size": 2}
    explain(folder / "ours", manifest, **several)
    explain(folder / "centre", manifest, method="centre")
    explain(folder / "nothing", manifest, method="centre", select={"id": "gone"})
    return folder


@pytest.fixture(scope="session")
def page(runs):
    """The page of a run with metrics, as text."""
    rows = [
        {"run": run, "method": method, "id": f"shapes-{n:05d}", "target_name": "x"}
        | {"metric": "kept", "area": area, "value": (n + 10 * area) / scale}
        for run, method, scale in (("ours", "inr", 20), ("centre", "centre", 40))
        for n in range(IMAGES)
        for area in AREAS
    ]
    write_metrics(str(runs / "metrics.parquet"), rows)
    with pytest.MonkeyPatch.context() as patch:
        arguments = ["report", str(runs / "ours"), "--metrics", str(runs / "metrics.parquet")]
        patch.setattr(sys, "argv", ["xaipipe", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
    return (runs / "ours.html").read_text(encoding="utf-8")
