"""Workers as a run makes them, on generated images; and how near two of their results are."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import torchvision

from pipeline import shapes
from pipeline.benchmark import generate_images
from pipeline.benchmark.gpu_check.sections import Findings, Place
from pipeline.job import load_job
from pipeline.manifest import ImageRef
from pipeline.run import Request, ShardWorker
from pipeline.tables import Shard, ShardResult, pixels_of

SHAPES: dict[str, Any] = {"model": "builtin:shapes", "areas": [0.05, 0.1, 0.2, 0.4]}
SCORES, IOU = 0.01, 0.97  # how near two ways of computing the same masks have to be, on average

Row = dict[str, Any]


def request_of(place: Place, manifest: str, *, device: str = "", **given: Any) -> Request:
    """A run in this process."""
    on_gpu = (device or place.device) == "cuda"
    where = {"gpus": 1, "workers": 0} if on_gpu else {"workers": 0}
    return Request(load_job(None, {"manifest": manifest, **where, **given}))


def worker_of(request: Request, shard: int, *, record: bool = True) -> ShardWorker:
    """Its worker, for shards of so many images."""
    return ShardWorker(request.worker_spec(shard), "check", record=record)


def refs_of(request: Request) -> tuple[ImageRef, ...]:
    """Its images."""
    return tuple(request.manifest)


def shapes_manifest(place: Place, count: int) -> str:
    """Images of the built-in classifier."""
    folder = place.folder / f"shapes-{count}"
    if not folder.exists():
        shapes.write_dataset(folder, count, 0)
    return str(folder / "manifest.csv")


def photos_manifest(place: Place, count: int) -> str:
    """JPEGs of the size of photographs."""
    folder = place.folder / f"photos-{count}"
    return str(generate_images(folder, count) if not folder.exists() else folder / "manifest.csv")


def weights_of(place: Place, name: str) -> str:
    """A file of random weights for one of torchvision's models: speed does not depend on them."""
    file = place.folder / f"{name}.pth"
    if not file.exists():
        torch.manual_seed(0)
        model = torchvision.models.get_model(name, weights=None)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d) and module.running_var is not None:
                torch.nn.init.uniform_(module.weight, 0.8, 1.2)
                torch.nn.init.uniform_(module.running_var, 0.8, 1.2)
        torch.save(model.state_dict(), file)
    return str(file)


def masks_of(result: ShardResult) -> dict[tuple[Any, ...], Row]:
    """Rows of the masks, their pixels decoded, by what they are of."""
    found = {}
    for row in pq.read_table(io.BytesIO(result.tables["masks"])).to_pylist():
        row["pixels"] = pixels_of(row["mask"]["bytes"]) >= 128
        found[row["id"], row["restart"], row["round"], row["area"]] = row
    return found


def explained(worker: ShardWorker, refs: tuple[ImageRef, ...]) -> dict[tuple[Any, ...], Row]:
    """The masks of some images."""
    result = worker(Shard(refs))
    if result.commit.failed:
        raise RuntimeError(f"images failed: {', '.join(result.commit.failed[:3])}")
    return masks_of(result)


def compare(
    name: str, one: dict[tuple[Any, ...], Row], other: dict[tuple[Any, ...], Row], found: Findings
) -> None:
    """Expect two results to be near: mean difference of scores, mean overlap of masks."""
    found.expect(f"{name}: the same masks are there", one.keys() == other.keys())
    if one.keys() != other.keys():
        return
    scores, overlaps = [], []
    for key in one:
        a, b = one[key], other[key]
        scores += [abs(a[s] - b[s]) for s in ("score_kept", "score_removed")]
        union = (a["pixels"] | b["pixels"]).sum()
        overlaps.append(float((a["pixels"] & b["pixels"]).sum() / max(1, union)))
    score, iou = float(np.mean(scores)), float(np.mean(overlaps))
    found.figures[name] = {
        "score": score,
        "worst_score": max(scores),
        "iou": iou,
        "worst_iou": min(overlaps),
    }
    found.expect(f"{name}: scores within {SCORES}, found {score:.3g}", score <= SCORES)
    found.expect(f"{name}: IoU above {IOU}, found {iou:.3g}", iou >= IOU)
