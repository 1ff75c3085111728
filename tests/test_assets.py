"""Real photographs and a real ImageNet classifier; skipped without XAIPIPE_ASSETS."""

import dataclasses
import io
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pipeline import Request, load_job
from pipeline.classifiers.classifier import load_classifier
from pipeline.images.boxes import parse_boxes
from pipeline.images.loading import load_image
from pipeline.manifest.manifest import Manifest
from pipeline.run.worker import ShardWorker
from pipeline.tables.shard import Shard

ASSETS = Path(os.environ.get("XAIPIPE_ASSETS", "/nonexistent"))
pytestmark = pytest.mark.skipif(
    not (ASSETS / "imagenet" / "manifest.csv").exists(),
    reason="XAIPIPE_ASSETS does not name a folder with imagenet/ and weights/",
)
MODEL = {
    "model": "torchvision:mobilenet_v2",
    "weights": str(ASSETS / "weights" / "mobilenet_v2.pth"),
    "preprocess": "resize=224,crop=224",
}


@pytest.fixture(scope="module")
def job():
    manifest = str(ASSETS / "imagenet" / "manifest.csv")
    return load_job(None, {"manifest": manifest, "limit": 8, "workers": 0, **MODEL})


@pytest.fixture(scope="module")
def refs(job):
    return tuple(Request(job).manifest)


def rows(worker, refs):
    result = worker(Shard(tuple(refs)))
    return {k: pq.read_table(io.BytesIO(v)).to_pylist() for k, v in result.tables.items()}


def test_every_photograph_decodes_and_small_ones_are_classified_right():
    classifier = load_classifier(**{"spec" if k == "model" else k: v for k, v in MODEL.items()})
    photos = list(Manifest(str(ASSETS / "imagenet" / "photos.csv"), classes=classifier.classes))
    assert len(photos) == 100
    for ref in photos:
        loaded = load_image(ref.image, classifier.preprocess)
        assert loaded.pixels.shape == (3, 224, 224) and loaded.pixels.isfinite().all()
    small = list(Manifest(str(ASSETS / "imagenet" / "manifest.csv"), limit=16))
    pixels = torch.stack([load_image(r.image, classifier.preprocess).pixels for r in small])
    with torch.no_grad():
        assert classifier.classify(pixels).argmax(1).tolist() == [r.target for r in small]


@pytest.mark.slow
def test_masks_of_photographs_keep_the_class_better_than_their_size_and_lie_on_the_boxes(job, refs):
    found = rows(ShardWorker(Request(job).worker_spec()), refs[:3])
    score = {row["id"]: row["score"] for row in found["images"]}
    kept = [m["score_kept"] / score[m["id"]] for m in found["masks"] if m["area"] == 0.4]
    assert np.mean(kept) > 0.6
    inside, chance = [], []
    for ref in refs[:3]:
        truth = np.zeros((224, 224), bool)
        for x0, y0, x1, y1 in parse_boxes(ref.extra["bbox"]):
            box = [round(side * 224 / 227) for side in (x0, y0, x1, y1)]
            truth[box[1] : box[3], box[0] : box[2]] = True
        for m in found["masks"]:
            if m["id"] == ref.id:
                mask = np.array(Image.open(io.BytesIO(m["mask"]["bytes"]))) / 255
                assert abs(mask.mean() - m["area"]) <= 0.001
                if m["area"] == 0.1:
                    inside.append((mask * truth).sum() / mask.sum())
                    chance.append(truth.mean())
    assert np.mean(inside) > 1.5 * np.mean(chance)


@pytest.mark.long
def test_an_imagenet_model_gives_the_same_masks_alone_and_in_a_batch_of_8(job, refs):
    fast = load_job(
        None,
        {"manifest": job.manifest, "limit": 8, "workers": 0, **MODEL, "steps": 4, "areas": [0.1]},
    )
    spec = Request(fast).worker_spec()
    together = rows(_with_batch(spec, 8), refs)
    for n in (0, 5):
        alone = rows(_with_batch(spec, 1), refs[n : n + 1])
        for name in ("images", "explanations", "masks"):
            assert alone[name] == together[name][n : n + 1]


def _with_batch(spec, batch):
    return ShardWorker(dataclasses.replace(spec, batch=batch))
