"""Several explained classes of an image, and classes held against others, in the worker's rows."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch

import pipeline
from inr_core import METHODS, Scene, baselines
from pipeline import Request, RequestError, load_job
from pipeline.images import load_image
from pipeline.manifest import Manifest
from pipeline.results import model_of
from pipeline.run.worker import ShardWorker
from pipeline.shapes import CLASSES, write_dataset
from pipeline.tables import pixels_of
from pipeline.tables.shard import Shard
from tests.shards import refs_of, spec_of, tables

CENTRE = {"method": "centre", "steps": None}
TABLES = ("images", "explanations", "masks")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("shapes"), 4, 0)


@pytest.fixture(scope="module")
def scores(dataset):
    """Of all classes, by id."""
    worker = ShardWorker(spec_of(dataset))
    found = {}
    for ref in refs_of(dataset):
        image = load_image(ref.image, worker.classifier.preprocess).pixels[None]
        with torch.no_grad():
            found[ref.id] = worker.classifier.classify(image).softmax(1)[0].tolist()
    return found


def highest(scores, count):
    return sorted(range(len(scores)), key=lambda k: (-scores[k], k))[:count]


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


def test_what_is_asked_travels_to_other_workers(dataset, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(map(str.upper, CLASSES)))
    given = {"labels": str(tmp_path / "names.txt"), "head": "sigmoid", "targets": "all>.3"}
    spec = pickle.loads(
        pickle.dumps(spec_of(dataset, **given, **{"objective.contrast": CLASSES[3]}))
    )
    worker = ShardWorker(spec)
    assert (worker.classifier.head, worker.classifier.classes[3]) == ("sigmoid", CLASSES[3].upper())
    assert (str(worker.asking.rule), worker.asking.contrast) == ("all>0.3", 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective.contrast": "striped-disk"}, "nearest is 'striped-disc'; or give runner-up"),
        ({"objective.contrast": 10}, "objective.contrast: 10 is no class index; expected 0 to 9"),
        ({"method": "ep", "objective.contrast": 1}, "it is a setting of inr, pixels"),
        ({"targets": "top11"}, "the classifier has 10 classes"),
        ({"targets": "all>2"}, "no score is above 2"),
        ({"head": "relu"}, "head: Input should be 'softmax' or 'sigmoid', got 'relu'"),
    ],
)
def test_what_cannot_be_asked_is_said(dataset, changes, said):
    with pytest.raises(RequestError) as error:
        spec_of(dataset, **changes)
    assert said in str(error.value)


def test_with_the_rule_label_every_row_needs_a_target(dataset, tmp_path):
    image = refs_of(dataset)[0].image
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"id,image,target\na,{image},3\nb,{image},\n")
    with pytest.raises(RequestError, match="line 3: no target, which --targets label needs"):
        spec_of(manifest, targets="label")
    assert [ref.target for ref in Manifest(str(manifest), classes=CLASSES)] == [3, None]
    manifest.write_text(f"id,image,target\na,{image},3\n")
    (row,) = tables(
        ShardWorker(spec_of(manifest, targets="label", **CENTRE))(Shard(refs_of(manifest)))
    )["images"]
    assert row["target"] == 3


def explain(manifest, out, **changes):
    job = {"manifest": str(manifest), "out": str(out), "workers": 0, "model": "builtin:shapes"}
    request = Request(load_job(None, {**job, "method": "centre", "areas": [0.1, 0.3], **changes}))
    return pipeline.run.run(request, lambda progress: None)


def test_a_run_with_several_classes_is_resumed_and_grows_by_images(dataset, tmp_path):
    out = tmp_path / "out"
    asked = {"targets": "top2", "shard_size": 2}
    first = explain(dataset, out, limit=2, **asked)
    assert (first.explained, first.images) == (2, 2)
    again = explain(dataset, out, limit=2, **asked)
    assert (again.explained, again.done_before) == (0, 2)
    grown = explain(dataset, out, **asked)
    assert (grown.explained, grown.done_before, grown.failed) == (2, 2, 0)
    run = pipeline.read(str(out))
    assert run.images.count_rows() == 8 and len(run.ids(9)) == 4
    status = pipeline.run.Status.of(run.folder)
    assert (status.explained, status.failed, status.pending) == (4, 0, 0)
    id_ = run.ids(1)[0]
    one, two = run.images_of(id_)
    assert run.explained(id_, two["target"]).row == two and run.explained(id_).row == one
    with pytest.raises(RequestError, match="class 77 is not explained; explained are"):
        run.explained(id_, 77)
    for changes in ({"targets": "top1"}, {}, {"targets": "top2", "head": "sigmoid"}):
        with pytest.raises(RequestError, match="another configuration"):
            explain(dataset, out, **changes)


def test_a_run_of_before_there_was_a_choice_goes_on(dataset, tmp_path):
    import json

    out = tmp_path / "out"
    explain(dataset, out, limit=2, method="inr", steps=2)
    file = out / "_run" / "fingerprint.json"
    known = json.loads(file.read_text())
    for name in ("targets", "head", "labels"):
        assert known.pop(name) is None
    assert known["objective"].pop("contrast") is None
    file.write_text(json.dumps(known))
    assert explain(dataset, out, method="inr", steps=2).explained == 2
    names = pipeline.read(str(out)).images.schema.names
    assert "contrast" not in names and pipeline.read(str(out)).images.count_rows() == 4


def test_class_names_of_a_file_are_kept_with_the_run(dataset, tmp_path):
    names = [f"thing {k}" for k in range(len(CLASSES))]
    file = tmp_path / "names.txt"
    file.write_text("\n".join(names))
    manifest = tmp_path / "m.csv"
    image = refs_of(dataset)[0].image
    manifest.write_text(f"id,image,target\na,{image},Thing 4\n")
    out = tmp_path / "out"
    explain(manifest, out, labels=str(file))
    run = pipeline.read(str(out))
    (row,) = run.images_of("a")
    assert (row["target"], row["target_name"]) == (4, "thing 4")
    file.write_text("\n".join(names[::-1]))
    with pytest.raises(RequestError, match="labels: the run has"):
        explain(manifest, out, labels=str(file))
    file.unlink()
    assert model_of(run).load().classes == tuple(names)


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
