"""The method: graphs, compilers and precisions give the same masks; nothing is compiled twice."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch

from inr_core import fallbacks
from pipeline.benchmark.gpu_check.sections import Findings, Place
from pipeline.benchmark.gpu_check.workers import (
    SHAPES,
    compare,
    explained,
    refs_of,
    request_of,
    shapes_manifest,
    worker_of,
)

ROUNDS: dict[str, Any] = {"restarts": 3, "rounds": 2}


def graphs(place: Place, found: Findings) -> None:
    """With graphs and without, beside a CPU, everything in float32 and nothing compiled."""
    manifest = shapes_manifest(place, place.size(8, 2))
    given = {**SHAPES, **_steps(place), "precision": "fp32"}
    alone = _masks(place, manifest, device="cpu", **given)
    with_graphs = _masks(place, manifest, compile=place.device == "cuda", **given)
    without = _masks(place, manifest, compile=False, **given)
    compare("no graph, CPU", without, alone, found)
    compare("graph, no graph", with_graphs, without, found)
    compare("graph, CPU", with_graphs, alone, found)


def combinations(place: Place, found: Findings) -> None:
    """The method with restarts and rounds, with every combination of graph, compiler, precision."""
    manifest = shapes_manifest(place, place.size(16, 1))
    given = {**SHAPES, **_steps(place), **(ROUNDS if not place.quick else {})}
    plain = _masks(place, manifest, compile=False, precision="fp32", **given)
    for record, compile_, precision in product((False, True), (False, True), ("fp32", "bf16")):
        if place.device == "cpu" and (record, compile_, precision) != (False, True, "fp32"):
            continue  # there are no graphs, and bf16 is slow
        name = f"graph {record}, compile {compile_}, {precision}"
        masks = _masks(
            place, manifest, compile=compile_, record=record, precision=precision, **given
        )
        compare(name, masks, plain, found)


def steady(place: Place, found: Findings) -> None:
    """In a second shard nothing is compiled, recorded or run eagerly; nothing was given up."""
    count = place.size(48, 2)
    request = request_of(
        place, shapes_manifest(place, count), compile=True, **SHAPES, **_steps(place)
    )
    worker, refs = worker_of(request, count), refs_of(request)
    explained(worker, refs)
    before = _counts(worker)
    explained(worker, refs)
    explained(worker, refs[: count // 2 + 1])  # as the last shard of a run
    explained(worker, refs)
    after = _counts(worker)
    found.figures |= {"before": before, "after": after, "notes": [*worker.notes, *fallbacks()]}
    found.figures["occupancy"] = worker.microbatch.occupancy.share
    for what in ("eager calls", "graphs compiled", "kept"):
        found.expect(f"no more {what}: {before[what]}, {after[what]}", before[what] == after[what])
    found.expect("the classifier is compiled", after["graphs compiled"] > 0)
    found.expect("no eager call of the classifier", after["eager calls"] == 0)
    found.expect(f"nothing is given up: {fallbacks()}", not fallbacks())
    given_up = [note for note in worker.notes if "without" in note or "not " in note]
    found.expect(f"the worker has nothing to say: {given_up}", not given_up)


def _counts(worker: Any) -> dict[str, int]:
    counters = torch._dynamo.utils.counters
    return {
        "eager calls": worker.frozen.eager,
        "graphs compiled": counters["stats"]["unique_graphs"],
        "kept": len(worker.microbatch.kept),
    }


def _steps(place: Place) -> dict[str, Any]:
    return {"steps": 2} if place.quick else {}


def _masks(place: Place, manifest: str, *, record: bool = True, **given: Any) -> Any:
    request = request_of(place, manifest, **given)
    refs = refs_of(request)
    return explained(worker_of(request, len(refs), record=record), refs)
