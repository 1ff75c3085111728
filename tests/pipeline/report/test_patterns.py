"""The cue list: patterns by reliance, grouped by class, with their figures."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.report import patterns as patterns_module
from pipeline.report.patterns import EXAMPLES, cue_list
from tests.patterns import PATTERNS, write_patterns
from tests.reports import Page


@pytest.fixture
def patterned(runs, tmp_path):
    """As the others read it, to be changed."""
    shutil.copytree(runs / "ours", tmp_path / "out")
    return tmp_path / "out", *write_patterns(tmp_path / "out")


def test_no_patterns_no_section(runs):
    assert cue_list(pipeline.read(str(runs / "ours"))) is None


def test_classes_come_by_their_strongest_pattern(patterned):
    out, _, rows = patterned
    found = cue_list(pipeline.read(str(out)))
    assert found.total == len(rows) > 10
    strongest = [max(row["reliance"] for row in own) for _, own in found.classes]
    assert strongest == sorted(strongest, reverse=True)
    for name, own in found.classes:
        wanted = [row for row in rows if row["target_name"] == name]
        assert [row["reliance"] for row in own] == sorted(
            (row["reliance"] for row in wanted), reverse=True
        )
    examples = list(found.examples())
    heads = [row["examples"][0] for _, own in found.classes for row in own]
    assert [id_ for id_, _ in examples[: len(heads)]] == heads  # one of each first


def test_long_lists_are_cut_by_reliance_and_unknown_ones_come_last(patterned, monkeypatch):
    out, _, rows = patterned
    rows[0] |= {"reliance": None, "examples": [str(n) for n in range(50)]}
    rows[1] |= {"reliance": 2.0, "examples": None}
    pq.write_table(pa.Table.from_pylist(rows, PATTERNS), out / "patterns" / "a.parquet")
    reader = pipeline.read(str(out))
    every = [row for _, own in cue_list(reader).classes for row in own]
    assert sum(len(row["examples"]) for row in every if row["reliance"] is None) == EXAMPLES
    monkeypatch.setattr(patterns_module, "SHOWN", 3)
    cut = cue_list(reader)
    shown = [row["reliance"] for _, own in cut.classes for row in own]
    best = sorted((row["reliance"] or 0 for row in rows), reverse=True)[:3]
    assert sorted(shown, reverse=True) == best and best[0] == 2.0 and cut.total == len(rows)


def test_the_page_has_every_pattern_with_its_figures(patterned, xaipipe):
    out, _, rows = patterned
    assert xaipipe("report", out)[0] == 0
    parsed = Page(out.with_suffix(".html").read_text())
    shown = parsed.all("article", "pattern")
    assert {(int(a["data-target"]), int(a["data-pattern"])) for a in shown} == {
        (row["target"], row["pattern"]) for row in rows
    }
    assert parsed.texts.count("reliance") == len(rows)
    for row in rows:
        assert f"{row['reliance']:.2f}" in parsed.texts
        assert f"{row['images']} ({100 * row['share']:.0f}\xa0%)" in parsed.texts
