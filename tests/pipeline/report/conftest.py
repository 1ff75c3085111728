"""For tests of the report: three runs, the page of one of them, and pages in a browser."""

import shutil
import sys

import pytest

from jobs import cli
from pipeline.shapes import write_dataset
from tests.once import made_once
from tests.patterns import write_patterns
from tests.pipeline.report.browser import Opened
from tests.reports import (
    AREAS,
    CHROMIUM,
    FACTORY,
    FLAGS,
    HOSTILE,
    IMAGES,
    explain,
    write_metrics,
)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """`ours`, `centre` and `nothing`, their data, and `ours.html` with `metrics.parquet`."""
    return made_once(tmp_path_factory, "runs", make_runs)


def make_runs(folder):
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
    rows = [
        {"run": run, "method": method, "id": f"shapes-{n:05d}", "target_name": "x"}
        | {"metric": "kept", "area": area, "value": (n + 10 * area) / scale}
        for run, method, scale in (("ours", "inr", 20), ("centre", "centre", 40))
        for n in range(IMAGES)
        for area in AREAS
    ]
    write_metrics(str(folder / "metrics.parquet"), rows)
    with pytest.MonkeyPatch.context() as patch:
        arguments = ["report", str(folder / "ours"), "--metrics", str(folder / "metrics.parquet")]
        patch.setattr(sys, "argv", ["xaipipe", *arguments])
        with pytest.raises(SystemExit):
            cli.main()


@pytest.fixture(scope="session")
def page(runs):
    """The page of a run with metrics, as text."""
    return (runs / "ours.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """A run whose paths, ids, classes and columns are markup; the address of its page."""
    base = tmp_path_factory.mktemp("hostile")
    (base / "hostile_factory.py").write_text(FACTORY)
    folder = base / "<img src=x onerror=alert(3)>"
    write_dataset(folder, 2, 0)
    quoted = HOSTILE.replace('"', '""')
    manifest = folder / "hostile.csv"
    images = sorted((folder / "images").iterdir())
    (folder / "images" / "<b>.png").write_bytes(b"no")
    rows = [f'"{quoted}{n}",{image},"{quoted}"' for n, image in enumerate(images[:2])]
    lines = ["id,image,</dd><script>alert(5)</script>", *rows, "x\x07,images/<b>.png,", ""]
    manifest.write_text("\n".join(lines))
    out = folder / "o<script>alert(4)<"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(base))
        explain(out, manifest, model="python:hostile_factory:make", method="centre")
    write_patterns(out)
    return out


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium):
    """A browser that has kept nothing yet."""
    made = chromium.new_context(viewport={"width": 1100, "height": 900})
    yield made
    made.close()


@pytest.fixture(scope="session")
def patterned(runs, tmp_path_factory):
    """A run with patterns, not to be changed, and their rows."""
    out = tmp_path_factory.mktemp("patterned") / "out"
    shutil.copytree(runs / "ours", out)
    return out, *write_patterns(out)


@pytest.fixture
def opened(patterned, runs, xaipipe, context):
    """The page of that run beside another one, without a complaint until the end."""
    out = patterned[0]
    if not out.with_suffix(".html").exists():
        assert xaipipe("report", out, "--against", runs / "centre")[0] == 0
    made = Opened(context, out.with_suffix(".html"))
    yield made
    assert made.complaints == []
