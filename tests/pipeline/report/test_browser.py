"""The page in a browser: what a person does with it."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline.shapes import write_dataset
from tests.patterns import write_patterns
from tests.pipeline.report.browser import Opened
from tests.reports import CHROMIUM, FLAGS, IMAGES, explain, picture

if not Path(CHROMIUM).exists():
    pytest.skip(f"no {CHROMIUM} to open pages in", allow_module_level=True)


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium):
    made = chromium.new_context(viewport={"width": 1100, "height": 900})
    yield made
    made.close()


@pytest.fixture(scope="module")
def patterned(runs, tmp_path_factory):
    """A run with patterns; its page, beside another run."""
    out = tmp_path_factory.mktemp("patterned") / "out"
    shutil.copytree(runs / "ours", out)
    return out, *write_patterns(out)


@pytest.fixture
def opened(patterned, runs, xaipipe, context):
    out = patterned[0]
    if not out.with_suffix(".html").exists():
        assert xaipipe("report", out, "--against", runs / "centre")[0] == 0
    made = Opened(context, out.with_suffix(".html"))
    yield made
    assert made.complaints == []


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
