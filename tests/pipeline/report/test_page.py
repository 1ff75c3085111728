"""The page: whole, self-contained, with the figures of the totals and metrics."""

import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.report.text import percent, printable
from pipeline.report.totals import totals
from pipeline.results import interval
from tests.reports import AREAS, HOSTILE, IMAGES, Page


def test_the_page_is_whole_and_needs_nothing_else(page):
    assert page.startswith("<!DOCTYPE html>") and "http" not in page
    parsed = Page(page)
    ((_, html), *_) = parsed.elements
    assert html["lang"] == "en" and len(parsed.all("title")) >= 1
    assert "ours: inr on builtin:shapes" in parsed.texts
    assert not {tag for tag, _ in parsed.elements} & {"link", "iframe", "object", "base"}
    for tag, attributes in parsed.elements:
        assert attributes.get("src", "data:").startswith("data:"), tag
        assert attributes.get("href", "#").startswith("#"), tag
    assert not re.search(r"url\(|@import", page)
    headings = ("What was run", "What the model needs", "Gallery", "Review", "Metrics", "Classes")
    for heading in (*headings, "Failures"):
        assert parsed.texts.count(heading) == 2  # once among the links
    assert "Patterns" not in parsed.texts and "Against other runs" not in parsed.texts
    for link in parsed.all("a"):
        assert any(a.get("id") == link["href"].removeprefix("#") for _, a in parsed.elements)


def test_charts_show_the_totals(page, runs):
    parsed, found = Page(page), totals(pipeline.read(str(runs / "ours")))
    assert len(parsed.all("svg", "chart")) == 3
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in parsed.all("svg", "chart"))
    said = [path.get("aria-label", "") for path in parsed.all("path")]
    means = [_figures(text) for text in said if re.fullmatch(r"area[^;]*; score: [^;]*", text)]
    for name in ("kept", "removed"):
        for area in found.areas:
            wanted = pytest.approx([area.area, getattr(area, name).mean], rel=1e-5)
            assert any(figures == wanted for figures in means), (name, area)
    bands = [_figures(text) for text in said if "; high: " in text]
    ends = [[a.low, a.high] for a in (found.areas[0].kept, found.areas[0].removed)]
    assert np.allclose(sorted(band[1:] for band in bands), sorted(ends), rtol=1e-5)
    shares = [
        sum(n for a, n in found.minimal.items() if a is not None and low < a <= high) / IMAGES
        for low, high in zip((0, *AREAS), AREAS, strict=False)
    ]
    shares.append(found.minimal[None] / IMAGES)
    shares += [found.rounds[n] / IMAGES for n in (1, 2)]
    bars = [re.search(r"; images: ([0-9.]+)%$", text) for text in said]
    assert [float(bar[1]) / 100 for bar in bars if bar] == pytest.approx(shares, abs=1e-6)


def _figures(text):
    """Numbers of a mark's label, percentages as shares."""
    found = re.findall(r": ([0-9.]+)(%?)", text)
    return [float(number) / (100 if sign else 1) for number, sign in found]


def test_tables_show_the_totals(page, runs):
    parsed, found = Page(page), totals(pipeline.read(str(runs / "ours")))
    cells = parsed.rows("class", "images", "score", "kept", "removed", "smallest area", "have one")
    for n, c in enumerate(found.classes):
        smallest = "\N{EN DASH}" if c.minimal_area is None else f"{100 * c.minimal_area:.1f}\xa0%"
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
            i = interval("kept", of_area)
            wanted += [f"{i.mean:.2f} ", f"[{i.low:.2f}, {i.high:.2f}]"]
        assert cells[n * width : (n + 1) * width] == wanted


def test_what_comes_from_the_data_is_text(hostile, xaipipe, tmp_path):
    other = tmp_path / "other<script>alert(6)<"
    shutil.copytree(hostile, other)
    code, text = xaipipe("report", hostile, "--against", other, "--to", tmp_path / "r.html")
    assert code == 0, text
    parsed = Page((tmp_path / "r.html").read_text())
    scripts = parsed.all("script")
    assert len(scripts) == 2 and not parsed.all("b") and not parsed.all("img")
    assert not any(name.startswith("on") for _, a in parsed.elements for name in a)
    assert {card["id"] for card in parsed.data()["cards"]} == {HOSTILE + "0", HOSTILE + "1"}
    assert any(t.startswith(HOSTILE) for t in parsed.rows("class", "images"))
    assert sum(t.startswith(HOSTILE) for t in parsed.texts) >= 3  # patterns and classes
    assert str(hostile.parent / "hostile.csv") in parsed.texts
    assert other.name in parsed.texts
    assert "{{7*7}}" in "".join(parsed.texts) and "\x07" not in "".join(parsed.texts)


def test_text():
    assert percent(0.07) == "7\xa0%" and percent(0.0704, 1) == "7.0\xa0%"
    assert percent(None) == "\N{EN DASH}"
    assert printable("a\x00b\tc\x9f") == "a\N{REPLACEMENT CHARACTER}b\tc\N{REPLACEMENT CHARACTER}"
