"""The worker without Ray: rows, failures, and results that do not depend on the batch."""

import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from inr_core import METHODS
from pipeline.errors import BrokenWorker
from pipeline.images.loading import load_image
from pipeline.run.batches import chunks
from pipeline.run.worker import ShardWorker
from pipeline.shapes import CLASSES, write_dataset
from pipeline.tables.shard import Shard
from tests.shards import refs_of, spec_of, tables


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("shapes"), 4, 0)


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


class Narrow(torch.nn.Module):
    """The shapes classifier with memory for so many images."""

    def __init__(self, inner, images):
        super().__init__()
        self.inner, self.images, self.largest = inner, images, 0

    def forward(self, image):
        if len(image) > self.images:
            raise torch.OutOfMemoryError("out of memory\nsecond line")
        self.largest = max(self.largest, len(image))
        return self.inner(image)


def narrow(worker, images):
    module = Narrow(worker.classifier.module, images)
    worker.classifier = dataclasses.replace(worker.classifier, module=module)
    return module


def test_little_memory_changes_no_table(dataset):
    refs = refs_of(dataset)
    sizes = {"batch": 4, "microbatch": 64, "restarts": 3}
    wanted = tables(ShardWorker(spec_of(dataset, **sizes))(Shard(refs)))
    worker = ShardWorker(spec_of(dataset, **sizes))
    module = narrow(worker, 8)  # of 12 for the networks of an image, and 24 for their final masks
    assert close(tables(worker(Shard(refs))), wanted)
    assert module.largest <= 8 and worker.microbatch.images == 4  # one network of three


def close(one, other):
    """Whether tables are equal but for the last bits of scores, which depend on the batch."""
    assert [r["mask"] for r in one["masks"]] == [r["mask"] for r in other["masks"]]
    assert one.keys() == other.keys()
    for name, rows in one.items():
        for a, b in zip(rows, other[name], strict=True):
            for key, value in a.items():
                same = pytest.approx(b[key], abs=1e-6) if isinstance(value, float) else b[key]
                assert value == same, key
    return True


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_batch_that_is_too_much_for_the_method_is_halved_and_no_image_blamed(
    dataset, monkeypatch, most
):
    refs = refs_of(dataset)
    wanted = tables(ShardWorker(spec_of(dataset))(Shard(refs)))
    batches = []

    def explain(image, *given, **named):
        batches.append(len(image))
        if len(image) > most:
            raise torch.OutOfMemoryError
        return METHODS["inr"].explain(image, *given, **named)

    limited = {"inr": dataclasses.replace(METHODS["inr"], explain=explain)}
    monkeypatch.setattr("pipeline.run.worker.METHODS", limited)
    worker = ShardWorker(spec_of(dataset, batch=4))
    assert tables(worker(Shard(refs))) == wanted
    assert batches == {1: [4, 2, 1, 1, 1, 1], 2: [4, 2, 2], 3: [4, 2, 2]}[most]
    batches.clear()
    assert tables(worker(Shard(refs))) == wanted
    assert max(batches) <= most  # it has learnt


def test_an_image_that_alone_is_too_much_fails(dataset):
    worker = ShardWorker(spec_of(dataset, batch=4))
    narrow(worker, 3)  # of 4 for one network
    result = worker(Shard(refs_of(dataset)))
    assert result.commit.explained == ()
    reasons = {row["reason"] for row in tables(result)["failures"]}
    assert reasons == {"OutOfMemoryError: out of memory"}
    assert len(result.commit.failed) == 4


def test_a_device_that_answers_nothing_any_more_blames_no_image(dataset):
    class Gone(torch.nn.Module):
        def forward(self, image):
            raise torch.AcceleratorError("CUDA error: an illegal memory access", 700)

    worker = ShardWorker(spec_of(dataset))
    worker.classifier = dataclasses.replace(worker.classifier, module=Gone())
    with pytest.raises(BrokenWorker, match="AcceleratorError: .*illegal memory access"):
        worker(Shard(refs_of(dataset)))


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
