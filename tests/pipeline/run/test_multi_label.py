"""Classifiers of several labels an image: scores, games, classes and what is measured of them."""

import math

import numpy as np
import pytest
import torch

import pipeline
from inr_core import gaussian_blur
from pipeline.evaluation import evaluations
from pipeline.images import load_image
from pipeline.regions import regions_of
from pipeline.results import Model, model_of
from tests.analyses import analyse, explain, rows
from tests.multi_label import CLASSES, SIDE, build, write_images

MODEL = "python:tests.multi_label:build"
CONTENTS = (("cat", "dog"), ("person",), (), ("dog", "cat", "person"))
RUN = {
    "model": MODEL,
    "head": "sigmoid",
    "targets": "all>.5",
    "method": "inr",
    "areas": [0.1, 0.2],
    "mask": {"stride": 2},
    "steps": 15,
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("colours"), *CONTENTS)


@pytest.fixture(scope="module")
def run(manifest):
    out = manifest.parent / "out"
    explain(manifest, out, **RUN)
    return pipeline.read(str(out))


def sigmoids(image):
    with torch.no_grad():
        return [1 / (1 + math.exp(-z)) for z in build()(image[None])[0].tolist()]


def pixels(row):
    return load_image(row["image"], build().preprocess).pixels


def test_every_label_of_an_image_is_explained_with_its_own_probability(run):
    images = run.images.to_table().to_pylist()
    found = {}
    for row in images:
        found.setdefault(row["id"], set()).add(row["target_name"])
        own = sigmoids(pixels(row))
        assert row["score"] == pytest.approx(own[row["target"]], abs=1e-5)
        assert row["predicted_score"] == pytest.approx(max(own), abs=1e-5)
        assert row["target"] == CLASSES.index(row["target_name"])
    assert found == {f"image-{n}": set(names) for n, names in enumerate(CONTENTS) if names}
    (failure,) = run.failures.to_table().to_pylist()
    assert failure["id"] == "image-2" and "no class scores more than 0.5" in failure["reason"]
    for row in images:  # two of them are above a half at once, which softmax cannot be
        if row["id"] == "image-0":
            assert row["score"] > 0.8


def test_masks_lie_on_their_own_label_and_have_its_probability(run):
    corners = ((2, 2), (18, 18), (2, 18))  # left and upper side of each patch
    for row in run.images.to_table().to_pylist():
        names = CONTENTS[int(row["id"][-1])]
        x, y = corners[names.index(row["target_name"])]
        one = run.explained(row["id"], row["target"])
        image = pixels(row)
        blurred = gaussian_blur(image[None], 0.09 * SIDE)[0]
        for area in (0.1, 0.2):
            mask = one.stored(area)
            m = one.mask_row(area, one.best()["restart"], 0)
            keep = torch.from_numpy(mask.astype(np.float32) / 255)
            kept = sigmoids(keep * image + (1 - keep) * blurred)[row["target"]]
            removed = sigmoids((1 - keep) * image + keep * blurred)[row["target"]]
            assert m["score_kept"] == pytest.approx(kept, abs=1e-3)
            assert m["score_removed"] == pytest.approx(removed, abs=1e-3)
        whole = one.stored(0.2).astype(float)
        assert whole[y : y + 12, x : x + 12].sum() > 0.5 * whole.sum()


def test_what_is_measured_follows(run):
    out = run.store.uri
    judge = Model(MODEL, head="sigmoid")
    for kind in evaluations(run, judge=judge):
        analyse(out, kind)
    analyse(out, regions_of(run))
    own = rows(out, "metrics")
    full = {(r["id"], r["target"]): r["score"] for r in run.images.to_table().to_pylist()}
    assert {(r["id"], r["target"]) for r in own} == set(full)
    values = {(r["id"], r["target"], r["metric"], r["area"]): r["value"] for r in own}
    judged = {
        (r["id"], r["target"], r["area"]): r["value"]
        for r in rows(out, "metrics_judge")
        if r["metric"] == "kept_judge"
    }
    for (id_, target, metric, area), value in values.items():
        if metric == "kept_ratio":
            kept = values[id_, target, "kept", area]
            assert value == pytest.approx(kept / full[id_, target], rel=1e-4)
            assert judged[id_, target, area] == pytest.approx(kept, abs=1e-5)
        if metric == "kept_soft":
            stored = run.explained(id_, target)
            wanted = stored.mask_row(area, stored.best()["restart"], 0)["score_kept"]
            assert value == pytest.approx(wanted, abs=1e-3)
    found = {(r["id"], r["target"]): r for r in rows(out, "regions")}
    assert set(found) == set(full)
    for key, row in found.items():
        one = run.explained(*key)
        wanted = one.mask_row(row["area"], one.best()["restart"], 0)
        assert row["score_kept"] == pytest.approx(wanted["score_kept"], abs=1e-3)


def test_the_head_is_part_of_the_run(run, manifest):
    assert model_of(run).load().head == "sigmoid"
    with pytest.raises(pipeline.RequestError, match='head: the run has "sigmoid"'):
        explain(manifest, run.store.uri, **{**RUN, "head": "softmax"})


@pytest.mark.parametrize("method", ["ep", "rise", "gradcam", "pixels", "centre"])
def test_other_methods_score_as_the_head_does(manifest, tmp_path, method):
    few = {"ep": {"steps": 2}, "pixels": {"steps": 2}, "rise": {"samples": 8}}.get(method, {})
    rest = {name: RUN[name] for name in ("model", "head", "targets", "areas")}
    explain(manifest, tmp_path / "out", method=method, limit=1, **rest, **few)
    found = pipeline.read(str(tmp_path / "out"))
    for row in found.images.to_table().to_pylist():
        one = found.explained(row["id"], row["target"])
        keep = torch.from_numpy(one.stored(0.2).astype(np.float32) / 255)
        image = pixels(row)
        blur = found.settings.config.perturbation
        assert row["target_name"] in CONTENTS[0] and row["score"] > 0.8
        if blur.kind == "blur":
            blurred = gaussian_blur(image[None], blur.sigmas[-1] * SIDE)[0]
            kept = sigmoids(keep * image + (1 - keep) * blurred)[row["target"]]
            assert one.mask_row(0.2, 0, 0)["score_kept"] == pytest.approx(kept, abs=1e-3)


def test_a_classifier_is_looked_at_with_its_head(manifest, xaipipe):
    image = manifest.parent / "0.png"
    code, text = xaipipe("models", "check", MODEL, "--image", image, "--head", "sigmoid")
    assert code == 0 and "20, scores by sigmoid" in text
    own = sigmoids(load_image(str(image), build().preprocess).pixels)
    for name in ("cat", "dog"):
        assert f"{own[CLASSES.index(name)]:.3f} {name}" in text
    code, text = xaipipe("models", "check", MODEL, "--image", image, "--head", "relu")
    assert code == 2 and "softmax, sigmoid" in text


def test_a_notebook_takes_head_and_contrast(manifest):
    found = pipeline.explain(
        str(manifest.parent / "0.png"),
        model=MODEL,
        head="sigmoid",
        target="dog",
        objective={"contrast": "cat"},
        areas=[0.1],
        steps=2,
    )
    own = sigmoids(load_image(str(manifest.parent / "0.png"), build().preprocess).pixels)
    assert found.row["score"] == pytest.approx(own[CLASSES.index("dog")], abs=1e-5)
    assert found.row["contrast_name"] == "cat"
    assert found.row["contrast_score"] == pytest.approx(own[CLASSES.index("cat")], abs=1e-5)
    assert "and not cat" in repr(found)
