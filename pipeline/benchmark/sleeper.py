"""A worker that sleeps as long as explaining would take and returns tables of the usual size.

With it, all that a run does besides explaining can be measured. No torch here, so that many of
them start on a few cores.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from pipeline.manifest import ImageRef
from pipeline.run import Turn
from pipeline.tables import Row, Rows, Shard, ShardResult, png, shard_result

AREAS = (0.05, 0.1, 0.2, 0.4)
PARAMETER_BYTES = 17280  # of the default network
PNG_SIDE = 100  # pixels of noise, one byte each: what `estimate` expects of a mask of 224 pixels
DISTINCT = 128  # masks and networks, too many for the compression to find one again

_IMAGE: Row = {
    "target": 0,
    "target_name": "simulated",
    "score": 0.9,
    "predicted": 0,
    "predicted_name": "simulated",
    "predicted_score": 0.9,
    "width": 500,
    "height": 375,
    "crop": {"x0": 62.5, "y0": 0.0, "x1": 437.5, "y1": 375.0},
    "bytes": 0,
    "digest": "",
}
_EXPLANATION: Row = {
    "target": 0,
    "restart": 0,
    "round": 0,
    "best": True,
    "seed": 0,
    "objective": 0.9,
    "steps": 0,
    "minimal_area": 0.1,
}
_MASK: Row = {
    "target": 0,
    "restart": 0,
    "round": 0,
    "best": True,
    "score_kept": 0.9,
    "score_removed": 0.1,
    "score_kept_hard": 0.9,
    "score_removed_hard": 0.1,
}


class Sleeper:
    """Calling it with a shard takes `seconds` for every image, the encoding included."""

    notes: tuple[str, ...] = ()

    def __init__(self, seconds: float, name: str) -> None:
        random = np.random.default_rng(0)
        shape = (DISTINCT, PNG_SIDE, PNG_SIDE)
        self.seconds = seconds
        self.name = name
        self.masks = [png(noise) for noise in random.integers(0, 256, shape, np.uint8)]
        self.parameters = [random.bytes(PARAMETER_BYTES) for _ in range(DISTINCT)]

    def __call__(self, shard: Shard, turn: Turn | None = None) -> ShardResult:
        """Every image is explained; its masks are noise."""
        with turn or nullcontext():
            return self._slept(shard)

    def _slept(self, shard: Shard) -> ShardResult:
        seconds = self.seconds * len(shard.refs)
        wake = time.monotonic() + seconds
        rows = Rows()
        for number, ref in enumerate(shard.refs):
            self._add(ref, number, rows)
        result = shard_result(shard, rows, {}, seconds, self.name)
        time.sleep(max(0.0, wake - time.monotonic()))
        return replace(result, commit=replace(result.commit, finished=time.time()))

    def _add(self, ref: ImageRef, number: int, rows: Rows) -> None:
        parameters = self.parameters[number % DISTINCT]
        rows.images.append({**_IMAGE, "id": ref.id, "image": ref.image})
        rows.explanations.append({**_EXPLANATION, "id": ref.id, "parameters": parameters})
        for n, area in enumerate(AREAS):
            data = self.masks[(number * len(AREAS) + n) % DISTINCT]
            mask = {"bytes": data, "path": f"{ref.id}_0_0_0_{area:g}.png"}
            areas = {"area": area, "measured_area": area}
            rows.masks.append({**_MASK, **areas, "id": ref.id, "mask": mask})
