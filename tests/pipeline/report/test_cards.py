"""Cards: masks as the networks draw them, stored scores, images as they are or why they are not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.report import cards as cards_module
from pipeline.report.strips import AREAS as DOZEN
from pipeline.report.strips import grid
from pipeline.shapes import write_dataset
from tests.patterns import write_patterns
from tests.reports import AREAS, IMAGES, Page, explain, masks_in, picture


@pytest.fixture(scope="session")
def cards(page):
    return Page(page).data()["cards"]


def test_every_explanation_is_drawn_at_a_dozen_areas_from_its_network(cards, runs):
    reader = pipeline.read(str(runs / "ours"))
    areas = grid(reader)
    assert len(areas) == DOZEN and set(AREAS) <= set(areas) and areas == sorted(areas)
    assert len(cards) == IMAGES
    for card in cards:
        rows = reader.rows("explanations", card["id"])
        places = [(e["restart"], e["round"]) for e in card["shown"]]
        assert sorted(places) == [(row["restart"], row["round"]) for row in rows]
        bests = [e["best"] for e in card["shown"]]
        assert bests == sorted(bests, reverse=True) and card["shown"][0]["round"] == 0
    for card in cards[:3]:
        for e in card["shown"]:
            drawn = masks_in(e)
            assert e["areas"] == [a for a in areas if a <= reader.largest_area(e["round"])]
            for n in (0, len(e["areas"]) - 1):
                place = {"restart": e["restart"], "round": e["round"]}
                wanted = reader.render(card["id"], e["areas"][n], size=(64, 64), **place)
                error = np.abs(drawn[n].astype(int) - wanted)
                assert error.mean() < 4 and (error > 60).mean() < 0.01
    assert any(e["round"] == 1 for card in cards for e in card["shown"])


def test_scores_and_rows_are_those_of_the_tables(cards, runs):
    reader = pipeline.read(str(runs / "ours"))
    for card in cards:
        row = reader.image(card["id"])
        assert card["target"] == row["target"] and card["name"] == row["target_name"]
        assert card["score"] == pytest.approx(row["score"], abs=1e-4)
        assert card["correct"] == (row["predicted"] == row["target"])
        assert card["further"]["mask"] == row["mask"]
        x0, y0, x1, y1 = map(float, row["bbox"].split(","))
        assert card["boxes"] == [pytest.approx([x0 / 128, y0 / 128, x1 / 128, y1 / 128], abs=1e-4)]
        for e in card["shown"]:
            place = (e["restart"], e["round"])
            masks = [
                m for m in reader.rows("masks", card["id"]) if (m["restart"], m["round"]) == place
            ]
            wanted = [[m["area"], m["score_kept"], m["score_removed"]] for m in masks]
            assert np.allclose(e["scores"], wanted, atol=1e-4)
        assert picture(card["picture"]).size == tuple(card["size"]) == (128, 128)


def test_a_large_image_is_made_small_and_its_crop_kept_in_place(tmp_path, xaipipe):
    manifest = write_dataset(tmp_path / "data", 1, 0)
    (image,) = (tmp_path / "data" / "images").iterdir()
    Image.open(image).resize((1000, 500)).save(image)
    explain(tmp_path / "out", manifest, method="centre", select={"id": "shapes-00000"})
    assert xaipipe("report", tmp_path / "out")[0] == 0
    (card,) = Page((tmp_path / "out.html").read_text()).data()["cards"]
    assert card["size"] == [448, 224]
    box = pipeline.read(str(tmp_path / "out")).image("shapes-00000")["crop"]
    wanted = [box["x0"] / 1000, box["y0"] / 500, box["x1"] / 1000, box["y1"] / 500]
    assert card["crop"] == pytest.approx(wanted, abs=1e-4) and card["crop"][0] > 0.2
    assert card["shown"][0]["areas"] == AREAS  # no networks: stored masks alone
    shares = masks_in(card["shown"][0]).mean(axis=(1, 2)) / 255
    assert shares == pytest.approx(AREAS, abs=0.02)


def test_images_that_cannot_be_drawn_are_listed(xaipipe, tmp_path):
    manifest = write_dataset(tmp_path / "data", 3, 1)
    explain(tmp_path / "out", manifest, method="centre")
    reader = pipeline.read(str(tmp_path / "out"))
    gone, small, _ = (reader.image(id_)["image"] for id_ in reader.ids(3))
    Path(gone).unlink()
    Image.new("RGB", (40, 30)).save(small)
    code, text = xaipipe("report", tmp_path / "out")
    assert code == 0 and "out.html" in text
    parsed = Page((tmp_path / "out.html").read_text())
    said = " ".join(" ".join(parsed.texts).split())
    assert "2 of the chosen images cannot be drawn any more" in said and "--root" in said
    assert len(parsed.data()["cards"]) == 1
    assert gone in said and "was 128 x 128 pixels" in said and "is 40 x 30 now" in said


def test_images_that_have_moved_are_found_below_another_root(xaipipe, tmp_path):
    manifest = write_dataset(tmp_path / "data", 2, 0)
    explain(tmp_path / "out", manifest, method="centre")
    shutil.move(tmp_path / "data", tmp_path / "moved")
    for arguments, count in (([], 0), (["--root", tmp_path / "moved"], 2)):
        assert xaipipe("report", tmp_path / "out", *arguments)[0] == 0
        assert len(Page((tmp_path / "out.html").read_text()).data()["cards"]) == count


def test_what_finds_no_room_is_left_out_and_said(runs, xaipipe, tmp_path, monkeypatch):
    to = tmp_path / "r.html"
    assert xaipipe("report", runs / "ours", "--to", to)[0] == 0
    sizes = [len(json.dumps(card)) for card in Page(to.read_text()).data()["cards"]]
    monkeypatch.setattr(cards_module, "BUDGET", sum(sizes[:5]) + 10)
    assert xaipipe("report", runs / "ours", "--to", to)[0] == 0
    parsed = Page(to.read_text())
    assert len(parsed.data()["cards"]) == 5
    said = " ".join(" ".join(parsed.texts).split())
    assert "5 of 12 images" in said and f"The last {IMAGES - 5} that were chosen" in said


def test_a_sample_says_how_it_was_chosen(runs, xaipipe, tmp_path):
    shutil.copytree(runs / "ours", tmp_path / "out")
    regions, patterns = write_patterns(tmp_path / "out")
    assert xaipipe("report", tmp_path / "out", "--images", 8)[0] == 0
    parsed = Page((tmp_path / "out.html").read_text())
    shown = parsed.data()["cards"]
    said = " ".join(" ".join(parsed.texts).split())
    assert "8 of 12 images: examples of the patterns, those whose masks keep least" in said
    assert [card["why"] for card in shown].count("pattern") == 4
    first = sorted(patterns, key=lambda p: -p["reliance"])[:4]  # one example of each
    assert {c["id"] for c in shown if c["why"] == "pattern"} <= {p["examples"][0] for p in patterns}
    assert shown[0]["id"] == first[0]["examples"][0]
    by_place = {(r["id"], r["restart"], r["round"]): r for r in regions}
    for card in shown:
        for e in card["shown"]:
            row = by_place.get((card["id"], e["restart"], e["round"]))
            assert (row is None) == ("outside" not in e)
            if row:
                assert (e["pattern"], e["outside"]) == (row["pattern"], row["outside"])
                box = [row[s] / 128 for s in ("x0", "y0", "x1", "y1")]
                assert e["box"] == pytest.approx(box, abs=1e-4)
