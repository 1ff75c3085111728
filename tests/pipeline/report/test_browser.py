"""The page in a browser: it fits, everything has its name, and hostile names are text."""

from pathlib import Path

import numpy as np
import pytest

import pipeline
from tests.pipeline.report.browser import Opened, needs_chromium
from tests.reports import IMAGES

pytestmark = needs_chromium


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 700, 1600])
def test_it_opens_without_a_complaint_and_fits(chromium, opened, width, scheme):
    viewport = {"width": width, "height": 900}
    context = chromium.new_context(viewport=viewport, color_scheme=scheme)
    made = Opened(context, Path(opened.file.removeprefix("file://")))
    assert made.page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(made.ids()) == IMAGES
    paper = made.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(paper.removeprefix("rgb(").partition(",")[0]) > 200) == (scheme == "light")
    context.close()
    assert made.complaints == []


def test_a_pattern_shows_its_images(opened, patterned):
    _, regions, patterns = patterned
    article = opened.page.locator("article.pattern").first
    target, pattern = (int(article.get_attribute(f"data-{n}")) for n in ("target", "pattern"))
    (row,) = [p for p in patterns if (p["target"], p["pattern"]) == (target, pattern)]
    cuts = article.locator(".montage canvas")
    assert cuts.count() == len(row["examples"])
    for n in range(cuts.count()):
        assert len(np.unique(opened.drawn(cuts.nth(n)))) > 20  # a picture, not a blank
    article.get_by_role("button", name="Show its images").click()
    assert set(opened.ids()) == set(row["examples"])
    assert f"pattern={target}%3A{pattern}" in opened.page.url
    article.locator(".montage button").last.click()
    assert opened.focused().startswith(row["examples"][-1])


def test_columns_are_sorted_by_a_click(opened):
    table = opened.page.locator("#classes table")
    head = table.get_by_role("button", name="images")
    head.click()
    head.click()
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    counts = [int(text) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()]
    assert counts == sorted(counts, reverse=True) and len(set(counts)) > 1


def test_everything_that_acts_has_a_name(opened):
    nameless = opened.page.evaluate("""() => {
      const text = (e) => e?.textContent.trim();
      const named = (e) => e.getAttribute("aria-label") || text(e) || text(e.closest("label"));
      const acting = "button, input, select, a, [role=img], [role=region], [role=group], summary";
      return $$(acting).filter((e) => !named(e)).map((e) => e.outerHTML);
    }""")
    assert nameless == []
    shown = opened.page.locator("section")
    for n in range(shown.count()):
        title = shown.nth(n).get_attribute("aria-labelledby")
        assert opened.page.locator(f"#{title}").inner_text()
    assert opened.page.locator("#count").get_attribute("role") == "status"
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "Skip to the gallery"


def test_on_paper_there_are_no_controls(opened):
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("#filters").is_visible()
    assert not opened.card().get_by_role("slider").is_visible()
    assert opened.card().locator("> canvas").is_visible()


def test_hostile_names_are_text(hostile, xaipipe, context, tmp_path):
    assert xaipipe("report", hostile, "--to", tmp_path / "r.html")[0] == 0
    made = Opened(context, tmp_path / "r.html")
    ids = {row["id"] for row in pipeline.read(str(hostile)).images.to_table().to_pylist()}
    assert set(made.ids()) == ids and "<script>" in ids.copy().pop()
    made.card().locator("summary").click()
    made.card().get_by_role("button", name="spurious").click()
    made.page.locator("article.pattern").first.get_by_role(
        "button", name="object", exact=True
    ).click()
    made.page.wait_for_timeout(300)
    assert made.page.locator("script").count() == 2 and made.page.locator("img, b").count() == 0
    with made.page.expect_download() as waiting:
        made.page.get_by_role("button", name="Download verdicts.csv").click()
    code, text = xaipipe("review", hostile, waiting.value.path())
    assert code == 0 and "1 spurious" in text, text
    assert made.complaints == []
