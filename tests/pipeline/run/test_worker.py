"""The worker without Ray: rows, failures, and results that do not depend on the batch."""

import dataclasses
import hashlib
import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.images.loading import load_image
from pipeline.run.batches import chunks
from pipeline.run.worker import ShardWorker
from pipeline.shapes import CLASSES
from pipeline.tables.shard import Shard
from tests.shards import refs_of, spec_of, tables


def test_rows_of_a_shard(dataset):
    refs = refs_of(dataset)
    worker = ShardWorker(spec_of(dataset, restarts=2, rounds=2, round_score=0.0))
    result = worker(Shard(refs))
    found = tables(result)
    assert [row["id"] for row in found["images"]] == [ref.id for ref in refs]
    assert len(found["explanations"]) == 4 * 2 * 2
    assert len(found["masks"]) == 4 * 2 * 2 * 2
    assert result.commit.explained == tuple(ref.id for ref in refs)
    assert result.commit.rows == {"images": 4, "explanations": 16, "masks": 32, "failures": 0}
    for ref, row in zip(refs, found["images"], strict=True):
        assert row["target"] == ref.target
        assert row["target_name"] == CLASSES[ref.target]
        assert row["mask"] == ref.extra["mask"]
        assert (row["width"], row["height"]) == (128, 128)
        assert row["crop"] == {"x0": 0, "y0": 0, "x1": 128, "y1": 128}
        assert 0 <= row["score"] <= row["predicted_score"] <= 1
        content = Path(ref.image).read_bytes()
        assert row["bytes"] == len(content)
        assert row["digest"] == hashlib.blake2b(content, digest_size=16).hexdigest()
    of_id = {ref.id: ref.target for ref in refs}
    best = {(r["id"], r["restart"], r["round"]): r["best"] for r in found["explanations"]}
    assert sum(best.values()) == 4 * 2
    for row in found["explanations"] + found["masks"]:
        assert row["target"] == of_id[row["id"]]
        assert row["best"] == best[row["id"], row["restart"], row["round"]]
    assert len({row["mask"]["path"] for row in found["masks"]}) == len(found["masks"])
    for row in found["masks"]:
        pixels = np.array(Image.open(io.BytesIO(row["mask"]["bytes"])))
        assert pixels.shape == (128, 128)
        assert row["measured_area"] == pytest.approx(pixels.mean() / 255)
        assert abs(row["measured_area"] - row["area"]) <= 0.001


def test_masks_do_not_depend_on_the_batch_the_shard_or_the_neighbours(dataset):
    refs = refs_of(dataset)
    together = tables(ShardWorker(spec_of(dataset, batch=4))(Shard(refs)))
    worker = ShardWorker(spec_of(dataset, batch=1))
    for n, ref in enumerate(refs):
        alone = tables(worker(Shard((ref,))))
        assert alone["images"] == together["images"][n : n + 1]
        for name, each in (("explanations", 1), ("masks", 2)):
            assert alone[name] == together[name][n * each : (n + 1) * each]


def test_bad_images_are_failure_rows_and_all_others_are_explained(dataset, tmp_path):
    good = refs_of(dataset)
    (tmp_path / "text.jpg").write_text("no picture")
    bad = [
        dataclasses.replace(good[0], id="gone", image=str(tmp_path / "gone.png")),
        dataclasses.replace(good[0], id="text", image=str(tmp_path / "text.jpg")),
    ]
    result = ShardWorker(spec_of(dataset))(Shard((bad[0], good[0], bad[1], good[1])))
    found = tables(result)
    assert [(r["id"], r["stage"]) for r in found["failures"]] == [
        ("gone", "read"),
        ("text", "decode"),
    ]
    assert result.commit.failed == ("gone", "text")
    assert [r["id"] for r in found["images"]] == [good[0].id, good[1].id]


class Poisoned(torch.nn.Module):
    """The shapes classifier, which raises on, or gives NaN for, one image."""

    def __init__(self, inner, poison, raises):
        super().__init__()
        self.inner, self.poison, self.raises = inner, poison, raises

    def forward(self, image):
        is_bad = (image[:, 0, 5] - self.poison).abs().amax(1) < 1e-6
        if self.raises and is_bad.any():
            raise RuntimeError("this image is poison\nsecond line")
        return torch.where(is_bad[:, None], math.nan, self.inner(image))


@pytest.mark.parametrize(
    ("raises", "reason"),
    [(True, "RuntimeError: this image is poison"), (False, "scores of the image are not finite")],
)
def test_only_the_image_that_breaks_the_classifier_fails(dataset, raises, reason):
    refs = refs_of(dataset)
    worker = ShardWorker(spec_of(dataset))
    pixels = load_image(refs[2].image, worker.classifier.preprocess).pixels
    inner = worker.classifier.module
    poisoned = Poisoned(inner, pixels[0, 5], raises)
    worker.classifier = dataclasses.replace(worker.classifier, module=poisoned)
    found = tables(worker(Shard(refs)))
    assert [row["id"] for row in found["images"]] == [refs[n].id for n in (0, 1, 3)]
    (failure,) = found["failures"]
    assert (failure["id"], failure["stage"]) == (refs[2].id, "explain")
    assert reason in failure["reason"]
    assert "second line" not in failure["reason"]


class Fickle(torch.nn.Module):
    """The shapes classifier, odd for versions of one image, not for the image itself."""

    def __init__(self, inner, whole, odd):
        super().__init__()
        self.inner, self.whole, self.odd = inner, whole, odd

    def forward(self, image):
        logits = self.inner(image)
        near = (image - self.whole).abs().flatten(1).mean(1) < 0.5  # versions of it, and itself
        same = (image == self.whole).flatten(1).all(1)
        return self.odd(logits, near & ~same)


def nan(logits, odd):
    return torch.where(odd[:, None], math.nan, logits)


def one_class(logits, odd):
    return logits[:, :1] if odd.any() else logits


def fewer_classes(logits, odd):
    return logits[:, :-1] if odd.any() else logits


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (nan, "scores of masked images are not finite"),
        (one_class, ", 1), expected ("),
        (fewer_classes, f", {len(CLASSES) - 1}), expected ("),
    ],
)
@pytest.mark.parametrize("method", ["inr", "centre"])
def test_an_image_whose_masked_versions_break_the_classifier_fails(dataset, method, odd, reason):
    refs = refs_of(dataset)
    changes = {"method": method, "steps": 2 if method == "inr" else None}
    wanted = tables(ShardWorker(spec_of(dataset, **changes))(Shard(refs)))
    worker = ShardWorker(spec_of(dataset, batch=4, **changes))
    whole = load_image(refs[2].image, worker.classifier.preprocess).pixels
    others = [load_image(ref.image, worker.classifier.preprocess).pixels for ref in refs]
    assert sorted((o - whole).abs().mean().item() for o in others)[1] > 0.5
    fickle = Fickle(worker.classifier.module, whole, odd)
    worker.classifier = dataclasses.replace(worker.classifier, module=fickle)
    found = tables(worker(Shard(refs)))
    (failure,) = found["failures"]
    assert (failure["id"], failure["stage"]) == (refs[2].id, "explain")
    assert reason in failure["reason"]
    for name in ("images", "explanations", "masks"):
        assert found[name] == [row for row in wanted[name] if row["id"] != refs[2].id]


def test_the_top_1_is_explained_where_no_target_is_given(dataset):
    ref = dataclasses.replace(refs_of(dataset)[0], target=None)
    (row,) = tables(ShardWorker(spec_of(dataset))(Shard((ref,))))["images"]
    assert row["target"] == row["predicted"]
    assert row["score"] == row["predicted_score"]


def test_a_baseline_of_ones_own(dataset, tmp_path):
    grey = tmp_path / "grey.png"
    Image.new("RGB", (128, 128), (128, 128, 128)).save(grey)
    own = {"baseline": str(grey), "perturbation.kind": "custom"}
    ref = refs_of(dataset)[0]
    one = tables(ShardWorker(spec_of(dataset, **own))(Shard((ref,))))
    other = tables(ShardWorker(spec_of(dataset))(Shard((ref,))))
    assert one["masks"] != other["masks"]


def test_a_shards_name_follows_from_its_ids_and_its_salt(dataset):
    refs = refs_of(dataset)
    assert Shard(refs).name == Shard(refs).name
    assert len({Shard(refs).name, Shard(refs[:2]).name, Shard(refs, "0002").name}) == 3


def test_chunks():
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []


@pytest.mark.gpu
@pytest.mark.parametrize("compile_", [False, True])
def test_masks_of_a_gpu_are_those_of_a_cpu(dataset, compile_):
    refs = refs_of(dataset)
    given = {"workers": 0, "precision": "fp32", "restarts": 2}
    wanted = tables(ShardWorker(spec_of(dataset, **given))(Shard(refs)))
    spec = spec_of(dataset, gpus=1, compile=compile_, **given)
    worker = ShardWorker(dataclasses.replace(spec, shard=len(refs)))
    found = tables(worker(Shard(refs)))
    assert worker.frozen.eager == 0 and worker.microbatch.record == compile_
    for a, b in zip(found["masks"], wanted["masks"], strict=True):
        assert a["score_kept"] == pytest.approx(b["score_kept"], abs=0.01)
        one, other = (np.array(Image.open(io.BytesIO(r["mask"]["bytes"]))) > 127 for r in (a, b))
        assert (one & other).sum() > 0.97 * (one | other).sum()


def test_files_may_lie_elsewhere_while_a_worker_is_made(dataset, tmp_path):
    """As they do on the nodes of a cluster, which get them from its driver."""
    from pipeline.run.cluster import held
    from pipeline.shapes.network import WEIGHTS

    refs = [dataclasses.replace(ref, target=None) for ref in refs_of(dataset)]
    given = {"model": "python:pipeline.shapes:ShapesNetwork", "preprocess": "resize=128,crop=128"}
    (tmp_path / "m.csv").write_text("image\n" + "".join(f"{ref.image}\n" for ref in refs))
    spec = spec_of(tmp_path / "m.csv", **given, weights=str(WEIGHTS))
    uri = "s3://nowhere/weights.pt?versionId=3"
    data = np.frombuffer(WEIGHTS.read_bytes(), np.uint8)
    with held({uri: data}) as places:
        far = ShardWorker(dataclasses.replace(spec, weights=uri), files=places)
        (place,) = places.values()
        assert place.endswith("/weights.pt")
    assert tables(far(Shard(refs))) == tables(ShardWorker(spec)(Shard(refs)))
    with pytest.raises(ValueError, match="no such file"):  # it is gone
        ShardWorker(dataclasses.replace(spec, weights=place))


@pytest.mark.parametrize("kind", ["export", "torchscript"])
def test_a_model_file_may_lie_elsewhere_too(dataset, kind):
    spec = spec_of(dataset)
    spec = dataclasses.replace(spec, model=f"{kind}:a/b.pt2", baseline="c.png")
    moved = spec.moved({"a/b.pt2": "memory://x/b.pt2", "c.png": "memory://x/c.png"})
    assert (moved.model, moved.baseline) == (f"{kind}:memory://x/b.pt2", "memory://x/c.png")
    assert spec.moved({}) == spec


@pytest.mark.parametrize(
    ("given", "files"),
    [
        ({"weights": "s3://b/w.pth"}, ("s3://b/w.pth",)),
        ({"weights": "w.pth"}, ()),
        ({"weights": "w.pth", "address": "auto"}, ("w.pth",)),
        ({"model": "export:m.pt2", "address": "auto"}, ("m.pt2",)),
        ({"model": "torchvision:resnet50", "address": "auto"}, ()),
    ],
)
def test_what_is_sent_to_the_nodes(given, files):
    from pipeline import load_job
    from tests.puppets import SmallRequest

    request = SmallRequest.__new__(SmallRequest)
    request.job = load_job(None, {"manifest": "m.csv", "model": "builtin:shapes", **given})
    assert request.files() == files
