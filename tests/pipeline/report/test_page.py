"""The page: whole, self-contained, with the figures of the totals and metrics."""

import re
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

import pipeline
from pipeline.report.totals import totals
from pipeline.results import interval
from tests.reports import AREAS, IMAGES, Page

CHROMIUM = "/usr/bin/chromium"


def test_the_page_is_whole_and_needs_nothing_else(page):
    assert page.startswith("<!DOCTYPE html>") and "http" not in page
    parsed = Page(page)
    ((_, html), *_) = parsed.elements
    assert html["lang"] == "en" and len(parsed.all("title")) >= 1
    assert "ours: inr on builtin:shapes" in parsed.texts
    assert not {tag for tag, _ in parsed.elements} & {"link", "iframe", "object", "base"}
    for tag, attributes in parsed.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:"), tag
    assert not re.search(r"url\(|@import", page)
    for heading in ("Run", "Scores", "Metrics", "Gallery", "Classes", "Failures"):
        assert heading in parsed.texts


def test_charts_show_the_totals(page, runs):
    parsed, found = Page(page), totals(pipeline.read(str(runs / "ours")))
    assert len(parsed.all("svg")) == 3
    assert all("aria" not in svg and svg["role"] == "img" for svg in parsed.all("svg"))
    for name in ("kept", "removed"):
        (line,) = parsed.all("polyline", f"line {name}")
        heights = [float(point.split(",")[1]) for point in line["points"].split()]
        means = [getattr(a, name).mean for a in found.areas]
        top, bottom = 16, 254  # of the values 1 and 0
        assert heights == pytest.approx([bottom - m * (bottom - top) for m in means], abs=0.06)
    bars = [float(bar["height"]) for bar in parsed.all("rect", "bar")]
    shares = [found.minimal[a] / IMAGES for a in (*AREAS, None)] + [
        found.rounds[n] / IMAGES for n in (1, 2)
    ]
    assert bars == pytest.approx([238 * share for share in shares], abs=0.06)


def test_tables_show_the_totals(page, runs):
    parsed, found = Page(page), totals(pipeline.read(str(runs / "ours")))
    cells = parsed.rows("class", "images", "score", "kept", "removed", "smallest area", "have one")
    for n, c in enumerate(found.classes):
        smallest = "-" if c.minimal_area is None else f"{100 * c.minimal_area:.1f}\xa0%"
        scores = [f"{value:.2f}" for value in (c.score, c.kept, c.removed)]
        wanted = [c.name, str(c.images), *scores, smallest, str(c.sufficient)]
        assert cells[7 * n : 7 * n + 7] == wanted
    failed = parsed.rows("stage", "reason", "images")
    assert failed[2] == "2" and failed[5] == "1"  # the frequent reason first


def test_metrics_are_those_of_the_file(page, runs):
    rows = pq.read_table(runs / "metrics.parquet").to_pylist()
    assert f"means over {IMAGES} images" in page
    cells = Page(page).rows("run", *(f"{100 * area:g}\xa0%" for area in AREAS))
    width = 1 + 2 * len(AREAS)
    for n, run in enumerate(("ours", "centre")):
        wanted = [run]
        for area in AREAS:
            of_area = {r["id"]: r["value"] for r in rows if (r["run"], r["area"]) == (run, area)}
            i = interval(of_area)
            wanted += [f"{i.mean:.2f} ", f"[{i.low:.2f}, {i.high:.2f}]"]
        assert cells[n * width : (n + 1) * width] == wanted


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no {CHROMIUM} to render the page")
def test_a_browser_renders_it_without_a_complaint(page, runs, tmp_path):
    shown = tmp_path / "page.html"  # with a click on a head, and what the script complains of
    watched = (
        "<script>addEventListener('error', e => document.title = 'broken: ' + e.message);</script>"
    )
    clicked = (
        "<script>const b = [...document.querySelectorAll('th button')];"
        "b[1].click(); b[1].click();</script>"
    )
    shown.write_text(
        page.replace("<style>", f"{watched}<style>").replace("</body>", f"{clicked}</body>")
    )
    browser = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    browser += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=800,1200"]
    browser += [f"--screenshot={tmp_path / 'shot.png'}", "--dump-dom", shown.as_uri()]
    done = subprocess.run(browser, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr and "<title>broken" not in done.stdout
    dom = Page(done.stdout)
    (head,) = [a for a in dom.all("th") if "aria-sort" in a]
    assert head["aria-sort"] == "descending"
    found = totals(pipeline.read(str(runs / "ours"))).classes
    cells = dom.rows("class", "images", "score", "kept", "removed", "smallest area", "have one")
    counts = [int(cells[7 * n + 1]) for n in range(len(found))]
    assert counts == sorted((c.images for c in found), reverse=True)
    colours = Image.open(tmp_path / "shot.png").convert("RGB").getcolors(1 << 24)
    assert len(colours) > 50
