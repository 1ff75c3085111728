"""Memory: after every stage, and that it does not grow from batch to batch."""

from __future__ import annotations

import gc

import torch

from pipeline.benchmark import peak_memory
from pipeline.benchmark.gpu_check.sections import Findings, Place
from pipeline.benchmark.gpu_check.workers import (
    SHAPES,
    explained,
    refs_of,
    request_of,
    shapes_manifest,
    worker_of,
)

BATCHES = 10
GROWTH = 1.02  # of what the third batch has left
SHARE = 0.95  # of the GPU's memory, the most that may ever be taken


def memory(place: Place, found: Findings) -> None:
    """Bytes that are allocated and reserved, with sizes as a worker chooses them."""
    count = place.size(64, 1)
    gc.collect()
    stages = {"before": _bytes(place)}
    given = {**SHAPES, "rounds": 2} | ({"steps": 2} if place.quick else {})
    request = request_of(place, shapes_manifest(place, count), **given)
    worker, refs = worker_of(request, count), refs_of(request)
    stages["start"] = _bytes(place)
    for batch in range(1, place.size(BATCHES, 3) + 1):
        explained(worker, refs)
        stages[f"batch {batch}"] = _bytes(place)
    found.figures |= {"stages": stages, "notes": list(worker.notes)}
    later, last = stages["batch 3"], stages[f"batch {place.size(BATCHES, 3)}"]
    for what in later:
        grown = last[what] / max(1, later[what])
        if place.device == "cuda":  # elsewhere other tests grow, too
            found.expect(f"{what} memory grows {grown:.3f} times", grown <= GROWTH)
    if place.device == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        found.expect("some memory is left", last["reserved"] <= SHARE * total)


def _bytes(place: Place) -> dict[str, int]:
    if place.device == "cpu":
        return {"peak": peak_memory(torch.device("cpu"))}
    torch.cuda.synchronize()
    return {
        "allocated": torch.cuda.memory_allocated(),
        "reserved": torch.cuda.memory_reserved(),
        "peak": torch.cuda.max_memory_allocated(),
    }
