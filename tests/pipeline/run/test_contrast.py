"""Classes held against others: what is stored of a contrast, and what its masks show."""

import dataclasses

import numpy as np
import pytest
import torch

from inr_core import Scene, baselines
from pipeline.images import load_image
from pipeline.run.worker import ShardWorker
from pipeline.shapes import CLASSES, write_dataset
from pipeline.tables import pixels_of
from pipeline.tables.shard import Shard
from tests.shards import highest, refs_of, spec_of, tables


def test_a_contrast_is_stored_with_its_scores(dataset, scores):
    refs = refs_of(dataset)
    spec = spec_of(dataset, **{"objective.contrast": "runner-up", "restarts": 2})
    worker = ShardWorker(spec)
    found = tables(worker(Shard(refs)))
    perturbation = spec.config.perturbation
    for ref, row in zip(refs, found["images"], strict=True):
        of = scores[ref.id]
        others = [k for k in highest(of, 10) if k != ref.target]
        assert (row["contrast"], row["contrast_name"]) == (others[0], CLASSES[others[0]])
        assert row["contrast_score"] == pytest.approx(of[others[0]], rel=1e-5)
        masks = [m for m in found["masks"] if m["id"] == ref.id]
        image = load_image(ref.image, worker.classifier.preprocess).pixels[None]
        scene = Scene(
            image_NCHW=image,
            baseline_NLCHW=baselines(image, perturbation),
            target_N=torch.tensor([ref.target]),
            pyramid=False,
        )
        strongest = torch.full((1, 1), scene.baseline_NLCHW.shape[1] - 1)
        for m in masks:
            keep = torch.from_numpy(pixels_of(m["mask"]["bytes"]).astype(np.float32) / 255)
            for side, shown in (("kept", keep), ("removed", 1 - keep)):
                with torch.no_grad():
                    logits = worker.classifier.classify(scene.shown(shown[None, None], strongest))
                p = logits.softmax(1)[0]
                assert m[f"score_{side}"] == pytest.approx(p[ref.target].item(), abs=1e-4)
                assert m[f"contrast_{side}"] == pytest.approx(p[others[0]].item(), abs=1e-4)


def test_a_contrast_by_name_is_one_by_index_and_is_not_explained_itself(dataset, scores):
    refs = refs_of(dataset)
    against = highest(scores[refs[0].id], 2)[1]
    specs = [
        spec_of(dataset, targets="top2", **{"objective.contrast": given})
        for given in (CLASSES[against].upper(), against, str(against))
    ]
    assert len({spec.config for spec in specs}) == 1
    found = tables(ShardWorker(specs[0])(Shard(refs)))
    wanted = [(i, k) for i, of in scores.items() for k in highest(of, 2) if k != against]
    assert [(row["id"], row["target"]) for row in found["images"]] == wanted
    assert {row["contrast"] for row in found["images"]} == {against}
    only = dataclasses.replace(refs[0], target=against)
    spec = spec_of(dataset, **{"objective.contrast": against})
    (failure,) = tables(ShardWorker(spec)(Shard((only,))))["failures"]
    assert "is the one that it is to be held against" in failure["reason"]


def test_what_makes_it_a_striped_disc_and_not_another_one(tmp_path):
    """The masks against the dotted disc, beside those against all other classes."""
    manifest = write_dataset(tmp_path / "data", 10, 0)
    discs = [r for r in refs_of(manifest) if CLASSES[r.target].startswith("striped-")][:2]
    against = {r.id: r for r in discs}
    other = CLASSES.index("dotted-disc")
    given = {"areas": [0.05, 0.1, 0.2], "preset": "fast"}
    found = {}
    for name, more in (("plain", {}), ("contrast", {"objective.contrast": other})):
        spec = spec_of(manifest, **{**given, "steps": 20, **more})
        found[name] = tables(ShardWorker(spec)(Shard(tuple(discs))))
    masks = found["contrast"]["masks"]
    assert {m["id"] for m in masks} == set(against)
    kept = [m["score_kept"] / (m["score_kept"] + m["contrast_kept"]) for m in masks]
    removed = [m["score_removed"] / (m["score_removed"] + m["contrast_removed"]) for m in masks]
    assert np.mean(kept) > 0.9 and np.mean(removed) < np.mean(kept) - 0.15
