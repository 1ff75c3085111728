"""A card in a browser: its masks, its keys, and the verdicts that a person gives."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import pipeline
from tests.pipeline.report.browser import Opened, needs_chromium
from tests.reports import IMAGES, picture

pytestmark = needs_chromium


def test_the_slider_draws_the_mask_of_its_area(opened, patterned):
    reader = pipeline.read(str(patterned[0]))
    id_ = opened.ids()[0]
    card = opened.page.evaluate("id => data.cards.find((card) => card.id === id)", id_)
    e = card["shown"][0]
    slider = opened.card().get_by_role("slider")
    for n in (0, 6, len(e["areas"]) - 1):
        slider.fill(str(n))
        said = opened.card().locator(".area output").inner_text()
        assert float(said.split("\xa0")[0]) == pytest.approx(100 * e["areas"][n], abs=0.06)
        found = opened.drawn(opened.card().locator("> canvas")).astype(float)
        place = {"restart": e["restart"], "round": e["round"]}
        mask = reader.render(id_, e["areas"][n], size=found.shape[:2], **place)
        share = mask[..., None] / 255
        photo = np.array(picture(card["picture"]).convert("RGB"), float)
        grey = 40 + 0.35 * photo @ [0.299, 0.587, 0.114]
        wanted = share * photo + (1 - share) * grey[..., None]
        error = np.abs(found - wanted).mean(axis=2)
        assert np.median(error) < 4 and (error < 25).mean() > 0.85  # but for contour and box


def test_keys_work_a_card(opened):
    keys, page = opened.page.keyboard, opened.page
    opened.card().focus()
    first = opened.focused()
    keys.press("ArrowRight")
    second = opened.focused()
    assert second != first and second == opened.card(1).get_attribute("aria-label")
    keys.press("ArrowLeft")
    assert opened.focused() == first
    output, areas = opened.card().locator(".area output"), page.evaluate("data.areas")
    for key, n in (("1", 0), ("4", 3), ("0", 9), ("ArrowDown", 8), ("ArrowUp", 9)):
        keys.press(key)
        assert float(output.inner_text().split("\xa0")[0]) == pytest.approx(
            100 * areas[n], abs=0.06
        )
    label = opened.card().locator("> canvas").get_attribute("aria-label")
    keys.press("r")
    assert opened.card().locator("> canvas").get_attribute("aria-label") != label
    keys.press("1")
    pressed = opened.card().locator(".verdict button[aria-pressed=true]")
    for key, verdict in (("o", "object"), ("c", "context"), ("x", "spurious")):
        keys.press(key)
        assert pressed.get_attribute("value") == verdict
    keys.press("x")  # once more takes it back
    assert pressed.count() == 0 and opened.stored() == []
    opened.card().get_by_role("slider").focus()  # a slider's own arrows stay its own
    keys.press("ArrowRight")
    assert output.inner_text() != ""
    assert page.evaluate("document.activeElement.type") == "range"
    opened.card(3).locator(".verdict button").first.click()
    opened.card(3).locator("input[name=note]").fill("or c 1 x")  # keys in a note are text
    assert opened.card(3).locator("input[name=note]").input_value() == "or c 1 x"


def test_other_explanations_are_shown_large_on_a_click(opened):
    card = opened.card()
    names = card.locator(".others button").all_inner_texts()
    assert names[0] == "round 0, best restart" and names[-1] == "centre: round 0"
    before = opened.drawn(card.locator("> canvas"))
    assert card.locator(".scores").inner_text().endswith("; without it: nothing <b>")
    card.locator(".others button").last.click()
    assert card.locator(".others [aria-pressed=true]").inner_text() == names[-1]
    assert (opened.drawn(card.locator("> canvas")) != before).any()
    assert not card.locator(".verdict").is_visible()  # verdicts are on this run


def test_verdicts_go_into_the_run_and_back(patterned, context, xaipipe, tmp_path):
    out = shutil.copytree(patterned[0], tmp_path / "out")
    assert xaipipe("report", out)[0] == 0
    made = Opened(context, out.with_suffix(".html"))
    made.card(1).get_by_role("button", name="spurious").click()
    note = 'a "sky", always\N{HORIZONTAL ELLIPSIS}'
    made.card(1).locator("input[name=note]").fill(note)
    made.card(1).locator("input[name=note]").blur()
    marked = made.ids()[1]
    article = made.page.locator("article.pattern").first
    article.get_by_role("button", name="context").click()
    made.page.reload()  # the browser has kept them
    assert made.card(1).locator(".verdict [aria-pressed=true]").inner_text() == "spurious"
    assert made.page.locator("#verdicts tbody tr").count() == 2
    with made.page.expect_download() as waiting:
        made.page.get_by_role("button", name="Download verdicts.csv").click()
    assert waiting.value.suggested_filename == "verdicts.csv"
    waiting.value.save_as(tmp_path / "verdicts.csv")
    code, text = xaipipe("review", out, tmp_path / "verdicts.csv")
    assert code == 0 and "1 spurious" in text and "1 context" in text, text
    region, pattern = sorted(
        pipeline.read(str(out)).reviews.to_table().to_pylist(), key=lambda r: r["id"] is None
    )
    assert (region["id"], region["round"], region["verdict"]) == (marked, 0, "spurious")
    assert region["note"] == note and region["area"] == 0.2
    wanted = article.get_attribute("data-target"), article.get_attribute("data-pattern")
    assert (str(pattern["target"]), str(pattern["pattern"])) == wanted
    assert xaipipe("report", out, "--to", tmp_path / "new" / "r.html")[0] == 0
    made.page.evaluate("localStorage.clear()")
    again = Opened(context, tmp_path / "new" / "r.html")  # another person's browser
    again.choose("verdict", "spurious")
    assert again.ids() == [marked]
    again.card().get_by_role("button", name="spurious").click()  # takes it back
    again.choose("verdict", "open")
    assert len(again.ids()) == IMAGES
    with again.page.expect_download() as waiting:
        again.page.get_by_role("button", name="Download verdicts.csv").click()
    (row,) = csv.DictReader(waiting.value.path().read_text(encoding="utf-8").splitlines())
    assert (row["id"], row["verdict"]) == (marked, "none")
    assert xaipipe("review", out, waiting.value.path())[0] == 0
    (left,) = pipeline.read(str(out)).reviews.to_table().to_pylist()
    assert left["pattern"] is not None
    assert made.complaints == again.complaints == []


def test_a_browser_that_keeps_nothing_says_so_and_still_downloads(opened, context):
    context.add_init_script(
        "Storage.prototype.setItem = Storage.prototype.getItem = () => { throw new Error('no') }"
    )
    made = Opened(context, Path(opened.file.removeprefix("file://")))
    assert "keeps nothing" in made.page.locator("#kept-in").inner_text()
    made.card().get_by_role("button", name="object", exact=True).click()
    with made.page.expect_download() as waiting:
        made.page.get_by_role("button", name="Download verdicts.csv").click()
    assert len(waiting.value.path().read_text().splitlines()) == 2 and made.complaints == []
