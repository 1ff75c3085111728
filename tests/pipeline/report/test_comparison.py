"""Runs side by side: on the images that both explained for the same class, and on no others."""

import csv
import statistics

import pytest

import pipeline
from pipeline.report.comparison import comparisons
from tests.reports import Page, explain


@pytest.fixture(scope="module")
def pair(runs, tmp_path_factory):
    """Two runs that share four images; for one of them they explained different classes."""
    folder = tmp_path_factory.mktemp("pair")
    with (runs / "data" / "manifest.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["id"].startswith("shapes")]
    for name, chosen in (("one", rows[:6]), ("two", [*rows[2:6], *rows[8:11]])):
        rows = [{k: r[k] for k in ("id", "image", "target")} for r in chosen]
        if name == "two":
            rows[0]["target"] = "striped-star" if rows[0]["target"] != "striped-star" else "0"
        with (folder / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["id", "image", "target"])
            writer.writeheader()
            writer.writerows(rows)
        method = {"method": "centre"} if name == "one" else {"method": "random"}
        explain(folder / name, folder / f"{name}.csv", root=str(runs / "data"), **method)
    return folder


def plain(folder, name):
    """Rows of the best restart of round 0 by (id, target), masks by area."""
    reader, found = pipeline.read(str(folder / name)), {}
    for image in reader.images.to_table().to_pylist():
        masks = {m["area"]: m for m in reader.rows("masks", image["id"])}
        (e,) = reader.rows("explanations", image["id"])
        found[image["id"], image["target"]] = image | {"masks": masks} | e
    return found


def test_only_what_both_explained_for_the_same_class_is_compared(pair):
    one, two = plain(pair, "one"), plain(pair, "two")
    common = sorted(one.keys() & two.keys())
    assert len(common) == 3
    readers = [pipeline.read(str(pair / name)) for name in ("one", "two")]
    (found,) = comparisons(readers[0], {"second": readers[1]})
    assert (found.common, found.other, found.first_only, found.second_only) == (3, 1, 2, 3)
    assert found.agree == 1.0 and found.about == "random on builtin:shapes"
    by = {(d.name, d.area): d for d in found.differences}
    assert set(by) >= {("score", None)} | {
        (f"score_{k}", a) for k in ("kept", "removed") for a in (0.05, 0.2, 0.4)
    }
    for (name, area), d in by.items():
        pairs = [
            [run[key]["masks"][area][name] if area else run[key][name] for run in (one, two)]
            for key in common
        ]
        pairs = [p for p in pairs if None not in p]
        assert d.difference.images == len(pairs) > 0
        assert d.first == pytest.approx(statistics.mean(p[0] for p in pairs), rel=1e-5)
        assert d.second == pytest.approx(statistics.mean(p[1] for p in pairs), rel=1e-5)
        assert d.difference.mean == pytest.approx(d.first - d.second, abs=1e-6)


def test_the_page_says_what_was_left_out(pair, xaipipe, tmp_path):
    to = tmp_path / "r.html"
    assert xaipipe("report", pair / "one", "--against", pair / "two", "--to", to)[0] == 0
    parsed = Page(to.read_text())
    said = " ".join(" ".join(parsed.texts).split())
    assert "3 in common" in said and "2 only in this run, 3 only in the other" in said
    assert "1 explained for different classes" in said
    cards = {(c["id"], c["target"]): c for c in parsed.data()["cards"]}
    one, two = plain(pair, "one"), plain(pair, "two")
    assert set(cards) == set(one)
    for key, card in cards.items():  # the other run's mask beside it, of the same class alone
        assert [e.get("run") for e in card["shown"]] == [None] + ["two"] * (key in two)


def test_runs_without_an_image_in_common(pair, runs, xaipipe, tmp_path):
    to = tmp_path / "r.html"
    explain(
        tmp_path / "three",
        runs / "data" / "manifest.csv",
        method="centre",
        select={"id": "shapes-00011"},
    )
    assert xaipipe("report", pair / "one", "--against", tmp_path / "three", "--to", to)[0] == 0
    parsed = Page(to.read_text())
    assert "Nothing to compare." in parsed.texts
    assert "0 in common" in " ".join(" ".join(parsed.texts).split())
