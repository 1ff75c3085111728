"""The gallery in a browser: which cards it shows, in what order, at which area, and links to it."""

from pathlib import Path

import pytest

import pipeline
from pipeline.shapes import write_dataset
from tests.pipeline.report.browser import Opened, needs_chromium
from tests.reports import IMAGES, explain

pytestmark = needs_chromium


def test_one_slider_moves_all_masks_and_is_kept_in_the_address(opened):
    slider = opened.page.locator("#filters input[name=area]")
    slider.fill("2")
    area = opened.page.evaluate("data.areas[2]")
    assert f"area={area}" in opened.page.url
    said = set(opened.page.locator("#cards .area output").all_inner_texts())
    assert len(said) == 1
    canvas = opened.card().locator("> canvas")
    assert said.pop() in canvas.get_attribute("aria-label")
    scores = opened.card().locator(".scores").inner_text()
    assert scores.startswith("kept 0.") and "(at 5" in scores  # no stored area is that one


def plain(out, regions):
    """What the filters look at, from the tables: by id."""
    reader, found = pipeline.read(str(out)), {}
    for row in reader.images.to_table().to_pylist():
        best = [e for e in reader.rows("explanations", row["id"]) if e["best"]]
        (first,) = [e for e in best if e["round"] == 0]
        of_image = [r for r in regions if r["id"] == row["id"]]
        masks = reader.rows("masks", row["id"])
        (middle,) = [
            m for m in masks if (m["restart"], m["round"], m["area"]) == (first["restart"], 0, 0.2)
        ]
        found[row["id"]] = row | {
            "minimal": first["minimal_area"],
            "outside": max(r["outside"] for r in of_image),
            "patterns": {f"{r['target']}:{r['pattern']}" for r in of_image},
            "kept": middle["score_kept"],
        }
    return found


def test_filters_choose_what_the_tables_say(opened, patterned):
    rows = plain(patterned[0], patterned[1])
    some = next(iter(rows.values()))
    pattern = sorted(some["patterns"])[0]
    for name, value, wanted in (
        ("class", some["target_name"], lambda r: r["target_name"] == some["target_name"]),
        ("predicted", some["predicted_name"], lambda r: r["predicted"] == some["predicted"]),
        ("answer", "correct", lambda r: r["predicted"] == r["target"]),
        ("answer", "wrong", lambda r: r["predicted"] != r["target"]),
        ("minimal", "none", lambda r: r["minimal"] is None),
        *[
            ("minimal", f"{a:g}", lambda r, a=a: r["minimal"] is not None and r["minimal"] <= a)
            for a in (0.05, 0.2)
        ],
        ("outside", "0.5", lambda r: r["outside"] >= 0.5),
        ("pattern", pattern, lambda r: pattern in r["patterns"]),
    ):
        opened.choose(name, value)
        ids = {id_ for id_, row in rows.items() if wanted(row)}
        assert set(opened.ids()) == ids, name
        assert opened.page.locator("#count").inner_text() == f"{len(ids)} of {IMAGES} cards"
        opened.reset()
        opened.page.wait_for_function(f"document.querySelectorAll('.card').length === {IMAGES}")
    assert 0 < len([r for r in rows.values() if r["outside"] >= 0.5]) < IMAGES


def test_text_finds_ids_classes_and_failures(opened):
    opened.page.get_by_role("searchbox").fill("SHAPES-00003")
    assert opened.ids() == ["shapes-00003"]
    opened.choose("state", "all")
    opened.page.get_by_role("searchbox").fill("")
    assert opened.page.locator("#cards .failed").count() == 3
    opened.choose("state", "failed")
    assert set(opened.ids()) == {"broken-0", "broken-1", "gone"}
    opened.page.get_by_role("searchbox").fill("no such file")
    assert opened.ids() == ["gone"]


def test_orders(opened, patterned):
    rows = plain(patterned[0], patterned[1])

    def ordered(key, down=False):
        known = [i for i in sorted(rows) if rows[i][key] is not None]
        return sorted(known, key=lambda i: rows[i][key], reverse=down)

    for value, key, down in (
        ("kept", "kept", False),
        ("-kept", "kept", True),
        ("score", "score", False),
        ("minimal", "minimal", False),
        ("-outside", "outside", True),
        ("class", "target_name", False),
        ("id", "id", False),
    ):
        opened.choose("sort", value)
        found = opened.ids()[: len(ordered(key))]
        values = [rows[i][key] for i in found]
        wanted = [rows[i][key] for i in ordered(key, down)]
        if isinstance(values[0], float):
            assert values == pytest.approx(wanted, abs=2e-4), value
        else:
            assert values == wanted, value


def test_a_link_keeps_what_is_shown(opened, context):
    opened.choose("answer", "correct")
    opened.choose("sort", "-kept")
    opened.page.locator("#filters input[name=area]").fill("3")
    opened.card(2).focus()
    name = opened.focused()
    again = Opened(
        context, Path(opened.file.removeprefix("file://")), "#" + opened.page.url.partition("#")[2]
    )
    assert again.ids() == opened.ids() and again.focused() == name
    text = "#filters .area output"
    assert again.page.inner_text(text) == opened.page.inner_text(text)
    again.page.evaluate("location.hash = 'text=shapes-00002'")  # followed, not loaded
    again.page.wait_for_function("document.querySelectorAll('.card').length === 1")
    assert again.ids() == ["shapes-00002"] and again.complaints == []
    again.page.evaluate("location.hash = 'gallery'")  # a section: the filters stay
    again.page.wait_for_timeout(100)
    assert again.ids() == ["shapes-00002"]


def test_many_cards_come_some_at_a_time(context, xaipipe, tmp_path):
    manifest = write_dataset(tmp_path / "data", 60, 0)
    explain(tmp_path / "out", manifest, method="centre")
    assert xaipipe("report", tmp_path / "out")[0] == 0
    made = Opened(context, tmp_path / "out.html")
    first = made.ids()
    assert len(first) == 48 and "the first 48 are shown" in made.page.inner_text("#count")
    made.page.get_by_role("button", name="Show more").click()
    assert len(made.ids()) == 60 and made.ids()[:48] == first
    assert not made.page.get_by_role("button", name="Show more").is_visible()
    made.card(59).focus()  # a link to what comes late shows it, too
    again = Opened(context, tmp_path / "out.html", "#" + made.page.url.partition("#")[2])
    assert len(again.ids()) == 60 and again.focused() == made.focused()
    assert made.complaints == again.complaints == []
