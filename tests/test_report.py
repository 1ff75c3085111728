"""`xaipipe report`: figures re-derived from the tables, one safe and self-contained page."""

import base64
import io
import re
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pipeline
from jobs import cli
from pipeline import Request, load_job
from pipeline.evaluation import interval, write_metrics
from pipeline.report.examples import SIDE, choose
from pipeline.report.markup import Markup, element
from pipeline.report.parts import homes, parts
from pipeline.report.totals import BINS, totals
from pipeline.shapes import write_dataset

AREAS = [0.05, 0.2, 0.4]
IMAGES = 12  # of ten classes
CHROMIUM = "/usr/bin/chromium"
VOID = {"meta", "img"}
HOSTILE = """</td></script><script>alert("1")</script><img src=x onerror='alert(2)'>&amp;"""
FACTORY = f"""
from pipeline.classifiers import Preprocess
from pipeline.shapes import MEAN, SIZE, STD, load_shapes

def make():
    module = load_shapes()
    module.preprocess = Preprocess(resize=SIZE, crop=SIZE, mean=MEAN, std=STD)
    module.classes = tuple({HOSTILE!r} + str(k) for k in range(10))
    return module
"""


def explain(out, manifest, **own):
    common = {"manifest": str(manifest), "model": "builtin:shapes", "workers": 0, "areas": AREAS}
    pipeline.run(Request(load_job(None, {**common, "out": str(out), **own})), lambda p: None)


@pytest.fixture(scope="module")
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


class Page(HTMLParser):
    """Elements in order with their attributes, and the texts; every element must be closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag, class_=None):
        found = [a for t, a in self.elements if t == tag]
        return [a for a in found if class_ in (None, a.get("class"))]

    def rows(self, *head):
        """Cells of the table with this head, from the texts after it."""
        start = next(
            n for n in range(len(self.texts)) if tuple(self.texts[n : n + len(head)]) == head
        )
        return self.texts[start + len(head) :]


@pytest.fixture(scope="module")
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


def plain(reader):
    """Rows of the tables as dictionaries: images by id, masks of the best restart of round 0."""
    images = {row["id"]: row for row in reader.images.to_table().to_pylist()}
    explanations = reader.explanations.to_table().to_pylist()
    best = {e["id"]: e for e in explanations if e["round"] == 0 and e["best"]}
    masks = [
        m
        for m in reader.masks.to_table().to_pylist()
        if m["round"] == 0 and m["restart"] == best[m["id"]]["restart"]
    ]
    return images, explanations, best, masks


@pytest.mark.parametrize("shards", [1, 3, 64])
def test_totals_are_those_of_the_tables(runs, shards):
    reader = pipeline.read(str(runs / "ours"))
    images, explanations, best, masks = plain(reader)
    found = totals(reader, shards)
    assert found.images == len(images) == IMAGES and found.middle == 0.2
    assert found.score == pytest.approx(statistics.mean(r["score"] for r in images.values()))
    assert [a.area for a in found.areas] == AREAS
    for area in found.areas:
        for name, spread in (("score_kept", area.kept), ("score_removed", area.removed)):
            values = sorted(m[name] for m in masks if m["area"] == area.area)
            assert area.images == len(values)
            assert spread.mean == pytest.approx(statistics.mean(values))
            for share, end in ((0.1, spread.low), (0.9, spread.high)):
                reached = next(v for n, v in enumerate(values, 1) if n / len(values) >= share)
                assert end == pytest.approx(reached, abs=0.51 / BINS)
    assert found.minimal == Counter(e["minimal_area"] for e in best.values())
    last = {e["id"]: e["round"] for e in sorted(explanations, key=lambda e: e["round"])}
    assert found.rounds == Counter(n + 1 for n in last.values())
    assert set(found.rounds) == {1, 2}  # else the run shows nothing
    kept = {m["id"]: m["score_kept"] for m in masks if m["area"] == 0.2}
    assert found.ranking.to_pylist() == [
        {"id": id_, "kept": kept[id_]} for id_ in sorted(kept, key=lambda i: (kept[i], i))
    ]


def test_classes_are_those_of_the_tables_lowest_first(runs):
    reader = pipeline.read(str(runs / "ours"))
    images, _, best, masks = plain(reader)
    found = totals(reader, 2).classes
    assert [c.kept for c in found] == sorted(c.kept for c in found)
    assert {c.name for c in found} == {row["target_name"] for row in images.values()}
    assert any(c.images > 1 for c in found) and len(found) > 2
    for c in found:
        ids = {id_ for id_, row in images.items() if row["target_name"] == c.name}
        middle = [m for m in masks if m["id"] in ids and m["area"] == 0.2]
        smallest = [best[i]["minimal_area"] for i in ids if best[i]["minimal_area"] is not None]
        assert (c.images, c.sufficient) == (len(ids), len(smallest))
        assert c.score == pytest.approx(statistics.mean(images[i]["score"] for i in ids))
        assert c.kept == pytest.approx(statistics.mean(m["score_kept"] for m in middle))
        assert c.removed == pytest.approx(statistics.mean(m["score_removed"] for m in middle))
        wanted = statistics.mean(smallest) if smallest else None
        assert c.minimal_area == (wanted if wanted is None else pytest.approx(wanted))


def test_totals_read_neither_masks_nor_networks(runs, tmp_path):
    shutil.copytree(runs / "ours", tmp_path / "ours")
    for table, column in (("masks", "mask"), ("explanations", "parameters")):
        for file in (tmp_path / "ours" / table).iterdir():
            pq.write_table(pq.read_table(file).drop_columns([column]), file)
    assert totals(pipeline.read(str(tmp_path / "ours"))) == totals(
        pipeline.read(str(runs / "ours"))
    )


def test_parts_hold_every_image_once_with_all_its_rows(runs):
    reader = pipeline.read(str(runs / "ours"))
    several = list(parts(reader, 2))
    assert len(several) > 1
    ids = [part.images.to_table()["id"].to_pylist() for part in several]
    assert sorted(sum(ids, [])) == sorted(reader.ids(100))
    for id_, home in homes(reader, reader.ids(3)).items():
        assert len(home.images.files) == 1
        for table in ("images", "explanations", "masks"):
            assert home.rows(table, id_) == reader.rows(table, id_) != []


@pytest.mark.parametrize("total", [0, 1, 2, 5, 12, 30])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 12])
def test_a_third_each_of_lowest_middle_and_highest(total, count):
    names = [f"{n:02d}" for n in range(total)]
    chosen = choose(pa.table({"id": pa.array(names, pa.string())}), count)
    every = [id_ for ids in chosen.values() for id_ in ids]
    assert len(set(every)) == len(every) == min(count, total)
    assert every == sorted(every)
    lowest, middle, highest = chosen.values()
    assert lowest == names[: len(lowest)] and highest == names[total - len(highest) :]
    assert len(lowest) - len(middle) in (0, 1) and len(lowest) - len(highest) in (0, 1)
    if middle:  # as many images on either side of them, but for one
        below = names.index(middle[0]) - len(lowest)
        above = total - len(highest) - 1 - names.index(middle[-1])
        assert above - below in (0, 1)


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


def test_the_gallery_has_every_stored_mask_of_the_best_restarts(page, runs):
    reader, parsed = pipeline.read(str(runs / "ours")), Page(page)
    images = parsed.all("img")
    assert len({image["src"] for image in images}) == len(images)
    for id_ in reader.ids(IMAGES):
        assert sum(image["alt"] == f"{id_}, the image" for image in images) == 1
        best = [(e["restart"], e["round"]) for e in reader.rows("explanations", id_) if e["best"]]
        masks = [m for m in reader.rows("masks", id_) if (m["restart"], m["round"]) in best]
        wanted = {
            f"{id_}, mask of {100 * m['area']:g}\xa0%, round {m['round']}: kept "
            f"{m['score_kept']:.2f}, removed {m['score_removed']:.2f}"
            for m in masks
        }
        assert {i["alt"] for i in images if i["alt"].startswith(f"{id_}, mask")} == wanted
    for image in images:
        data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        picture = Image.open(io.BytesIO(data))
        assert picture.format == "JPEG" and max(picture.size) == SIDE
        assert picture.size == (int(image["width"]), int(image["height"]))


def test_images_that_cannot_be_drawn_are_listed(runs, xaipipe, tmp_path):
    data = tmp_path / "data"
    manifest = write_dataset(data, 3, 1)
    explain(tmp_path / "out", manifest, method="centre")
    reader = pipeline.read(str(tmp_path / "out"))
    gone, small, _ = (reader.image(id_)["image"] for id_ in reader.ids(3))
    Path(gone).unlink()
    Image.new("RGB", (40, 30)).save(small)
    code, text = xaipipe("report", tmp_path / "out", "--images", 3)
    assert code == 0 and "out.html" in text
    parsed = Page((tmp_path / "out.html").read_text())
    assert "2 of the chosen images cannot be drawn any more:" in parsed.texts
    assert len(parsed.all("img")) == 1 + len(AREAS)
    reasons = " ".join(parsed.texts)
    assert gone in reasons and "128 x 128" in reasons


def test_what_comes_from_the_data_is_text(tmp_path, monkeypatch, xaipipe):
    (tmp_path / "hostile_factory.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "<img src=x onerror=alert(3)>"
    write_dataset(folder, 2, 0)
    quoted = HOSTILE.replace('"', '""')
    manifest = folder / "hostile.csv"
    images = sorted((folder / "images").iterdir())
    (folder / "images" / "<b>.png").write_bytes(b"no")
    rows = [f'"{quoted}{n}",{image}' for n, image in enumerate(images[:2])]
    manifest.write_text("\n".join(["id,image", *rows, "x\x07,images/<b>.png", ""]))
    out = folder / "o<script>alert(4)<"
    explain(out, manifest, model="python:hostile_factory:make", method="centre")
    assert xaipipe("report", out, "--to", tmp_path / "r.html")[0] == 0
    text = (tmp_path / "r.html").read_text()
    parsed = Page(text)
    assert len(parsed.all("script")) == 1 and not parsed.all("b")
    assert all(image["src"].startswith("data:") for image in parsed.all("img"))
    assert not any(name.startswith("on") for _, a in parsed.elements for name in a)
    assert HOSTILE + "0" in parsed.texts  # the id, whole
    assert any(t.startswith(HOSTILE) for t in parsed.rows("class", "images"))
    assert any(str(manifest) == t for t in parsed.texts)


def test_elements_escape_what_is_no_markup():
    made = element("p", "a<b>&\x00", element("b", "'\""), class_='"><', data_x=None, view_box="0")
    assert made == (
        '<p class="&quot;&gt;&lt;" viewBox="0">a&lt;b&gt;&amp;\N{REPLACEMENT CHARACTER}'
        "<b>&#x27;&quot;</b></p>"
    )
    assert isinstance(made, Markup)


def test_a_run_without_images_says_so(runs, xaipipe, tmp_path):
    code, _ = xaipipe("report", runs / "nothing", "--to", tmp_path / "new" / "r.html")
    parsed = Page((tmp_path / "new" / "r.html").read_text())
    assert code == 0 and "No image of this run is explained yet." in parsed.texts
    assert "0 explained, 1 failed" in parsed.texts and not parsed.all("svg")
    assert "Failures" in parsed.texts
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
    assert len(Page(here).all("img")) == 2 * (1 + len(AREAS))
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
