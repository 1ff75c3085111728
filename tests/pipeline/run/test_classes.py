"""Several explained classes of an image: their rows, and what fails or is too large together."""

import dataclasses

import pytest
import torch

from inr_core import METHODS
from pipeline.run.worker import ShardWorker
from pipeline.tables.shard import Shard
from tests.shards import CENTRE, highest, refs_of, spec_of, tables

TABLES = ("images", "explanations", "masks")


def without_truth(row):
    return {name: cell for name, cell in row.items() if name not in ("mask", "bbox")}


def test_the_rows_of_several_classes_are_those_of_single_ones(dataset, scores):
    refs = refs_of(dataset)
    result = ShardWorker(spec_of(dataset, targets="top3", batch=3, rounds=2, seed=5))(Shard(refs))
    found = tables(result)
    assert result.commit.explained == tuple(ref.id for ref in refs)
    keys = [(row["id"], row["target"]) for row in found["images"]]
    assert keys == [(ref.id, k) for ref in refs for k in highest(scores[ref.id], 3)]
    worker = ShardWorker(spec_of(dataset, batch=1, rounds=2, seed=5))
    for ref in refs[:2]:
        for target in highest(scores[ref.id], 3):
            alone = tables(worker(Shard((dataclasses.replace(ref, target=target),))))
            for name in TABLES:
                own = [r for r in found[name] if (r["id"], r["target"]) == (ref.id, target)]
                assert len(own) == len(alone[name]) > 0
                for one, other in zip(own, alone[name], strict=True):
                    if name == "images":
                        one, other = without_truth(one), without_truth(other)
                    assert one == other


def test_ground_truth_is_that_of_the_manifests_own_class(dataset, scores):
    refs = refs_of(dataset)
    found = tables(ShardWorker(spec_of(dataset, targets="top2", **CENTRE))(Shard(refs)))
    given = {ref.id: ref for ref in refs}
    for row in found["images"]:
        ref = given[row["id"]]
        own = row["target"] == ref.target
        assert row["bbox"] == (ref.extra["bbox"] if own else None)
        assert row["mask"] == (ref.extra["mask"] if own else None)
        assert row["cue_mask"] == ref.extra["cue_mask"]


def test_all_classes_above_a_score_or_a_failure_with_the_reason(dataset, scores):
    refs = refs_of(dataset)
    tops = sorted(max(of) for of in scores.values())
    limit = (tops[1] + tops[2]) / 2  # two of the images have a class above it
    spec = spec_of(dataset, targets=f"all>{limit:.6f}", **CENTRE)
    result = ShardWorker(spec)(Shard(refs))
    found = tables(result)
    wanted = [(i, k) for i, of in scores.items() for k in highest(of, 10) if of[k] > limit]
    assert [(row["id"], row["target"]) for row in found["images"]] == wanted
    assert len(result.commit.explained) == len(result.commit.failed) == 2
    assert {*result.commit.explained, *result.commit.failed} == {ref.id for ref in refs}
    for row in found["failures"]:
        assert row["stage"] == "explain" and "no class scores more than" in row["reason"]


def broken_for(target):
    """The method, whose scores of one class are no numbers."""

    def explain(*given, target_B, **named):
        found = METHODS["centre"].explain(*given, target_B=target_B, **named)
        return [
            [dataclasses.replace(e, kept=(float("nan"), *e.kept[1:])) for e in of]
            if k == target
            else of
            for of, k in zip(found, target_B.tolist(), strict=True)
        ]

    return {**METHODS, "centre": dataclasses.replace(METHODS["centre"], explain=explain)}


def test_an_image_is_explained_with_all_of_its_classes_or_fails(dataset, scores, monkeypatch):
    refs = refs_of(dataset)
    broken = highest(scores[refs[1].id], 2)[1]
    affected = {i for i, of in scores.items() if broken in highest(of, 2)}
    monkeypatch.setattr("pipeline.run.worker.METHODS", broken_for(broken))
    worker = ShardWorker(spec_of(dataset, targets="top2", **CENTRE, batch=4))
    result = worker(Shard(refs))
    assert set(result.commit.failed) == affected and len(result.commit.failed) == len(affected)
    for name, rows in tables(result).items():
        if name != "failures":
            assert affected.isdisjoint(row["id"] for row in rows)


@pytest.mark.parametrize("most", [1, 2])
def test_little_memory_takes_the_classes_of_an_image_apart(dataset, monkeypatch, most):
    refs = refs_of(dataset)[:2]
    given = {"targets": "top3", **CENTRE}
    wanted = tables(ShardWorker(spec_of(dataset, **given))(Shard(refs)))
    sizes = []

    def explain(image, *rest, **named):
        sizes.append(len(image))
        if len(image) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return METHODS["centre"].explain(image, *rest, **named)

    method = dataclasses.replace(METHODS["centre"], explain=explain)
    monkeypatch.setattr("pipeline.run.worker.METHODS", {**METHODS, "centre": method})
    worker = ShardWorker(spec_of(dataset, batch=8, **given))
    found = tables(worker(Shard(refs)))
    assert found == wanted and max(sizes) > most
