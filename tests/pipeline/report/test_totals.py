"""Totals: figures re-derived from the tables."""

import json
import shutil
import statistics
from collections import Counter

import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.report.totals import BINS, totals
from tests.reports import AREAS, IMAGES


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
        {"id": id_, "target": images[id_]["target"], "target_name": images[id_]["target_name"]}
        | {"kept": kept[id_]}
        for id_ in sorted(kept, key=lambda i: (kept[i], i))
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
        for file in (tmp_path / "ours" / table).glob("s-*"):
            pq.write_table(pq.read_table(file).drop_columns([column]), file)
            marker = tmp_path / "ours" / "_run" / "commits" / f"{file.stem}.json"
            content = json.loads(marker.read_text())  # a file counts with the size it names
            content["bytes"][table] = file.stat().st_size
            marker.write_text(json.dumps(content))
    assert totals(pipeline.read(str(tmp_path / "ours"))) == totals(
        pipeline.read(str(runs / "ours"))
    )
