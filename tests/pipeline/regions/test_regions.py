"""Regions: every column re-derived from the run's tables, its images and its classifier."""

import shutil
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageFilter

import pipeline
from inr_core import gaussian_blur
from pipeline.classifiers import load_classifier
from pipeline.images import load_image
from pipeline.regions import context_by_class, regions_of
from pipeline.regions.geometry import place
from pipeline.shapes import write_dataset
from tests.analyses import analyse, explain, rows
from tests.reports import Page

SIDE = 128


@pytest.fixture(scope="module")
def out(shapes_run, tmp_path_factory):
    """Four images with two restarts and two rounds; the last one without ground truth."""
    out = tmp_path_factory.mktemp("regions") / "out"
    shutil.copytree(shapes_run, out)
    analyse(out, regions_of(pipeline.read(str(out))))
    return out


@pytest.fixture(scope="module")
def classifier():
    return load_classifier("builtin:shapes")


def shown(classifier, uri, mask):
    """Scores of an image behind a mask (H, W), the rest blurred."""
    image = load_image(uri, classifier.preprocess).pixels[None]
    mask = torch.as_tensor(np.array(mask), dtype=torch.float32)
    behind = mask * image + (1 - mask) * gaussian_blur(image, 0.09 * SIDE)
    return classifier.classify(behind).softmax(1)[0]


def mask_of(reader, row):
    return reader.stored_mask(row["id"], row["area"], restart=row["restart"], round=row["round"])


def test_a_row_for_each_round_of_the_best_restart(out):
    reader = pipeline.read(str(out))
    best = [e for e in reader.explanations.to_table().to_pylist() if e["best"]]
    found = rows(out, "regions")
    keys = ("id", "target", "restart", "round")
    assert {tuple(r[k] for k in keys) for r in found} == {tuple(e[k] for k in keys) for e in best}
    assert len(found) == len(best)
    minimal = {(e["id"], e["round"]): e["minimal_area"] for e in best}
    for row in found:
        smallest = minimal[row["id"], row["round"]]
        assert row["area"] == (0.05 if smallest is not None and smallest <= 0.05 else 0.2)
    assert pq.read_table(out / "regions").num_rows == len(found)


def test_scores_are_those_of_the_run_and_features_lead_to_them(out, classifier):
    reader = pipeline.read(str(out))
    head = classifier.module.module.head
    for row in rows(out, "regions"):
        masks = reader.rows("masks", row["id"])
        (own,) = (m for m in masks if all(m[k] == row[k] for k in ("restart", "round", "area")))
        assert row["score_kept"] == pytest.approx(own["score_kept"], abs=1e-4)
        assert row["score_removed"] == pytest.approx(own["score_removed"], abs=1e-4)
        features = torch.tensor(np.array(row["features"], np.float32))
        assert features.shape == (96,)
        score = head(features).softmax(0)[row["target"]].item()
        assert score == pytest.approx(row["score_kept"], abs=0.01)


def test_what_it_becomes_when_the_region_is_removed(out, classifier):
    reader = pipeline.read(str(out))
    for row in rows(out, "regions"):
        image = reader.image(row["id"])["image"]
        scores = shown(classifier, image, 1 - mask_of(reader, row) / 255)
        assert row["becomes"] == scores.argmax() and row["pattern"] is None
        assert row["becomes_name"] == classifier.classes[row["becomes"]]
        assert row["becomes_score"] == pytest.approx(scores.max().item(), abs=1e-4)


def test_what_lies_outside_the_object_and_what_it_scores_alone(out, classifier):
    reader = pipeline.read(str(out))
    for row in rows(out, "regions"):
        image = reader.image(row["id"])
        if not image["mask"]:
            assert row["outside"] is None and row["score_outside"] is None
            continue
        mask, truth = mask_of(reader, row), np.array(Image.open(image["mask"])) > 127
        hard = mask >= np.sort(mask, None)[-int(row["area"] * mask.size)]
        assert row["outside"] == pytest.approx((hard & ~truth).sum() / hard.sum(), abs=0.02)
        inside = np.array(wide(image["mask"])) > 127
        alone = mask / 255 * (1 - soft(inside))
        score = shown(classifier, image["image"], alone)[row["target"]].item()
        assert row["score_outside"] == pytest.approx(score, abs=1e-3)


def wide(uri):
    """Object and a margin of 3 % of the side around it: four pixels."""
    return Image.open(uri).convert("L").filter(ImageFilter.MaxFilter(9))


def soft(hard):
    blurred = gaussian_blur(torch.as_tensor(hard, dtype=torch.float32)[None, None], 2 * SIDE / 224)
    return blurred[0, 0].numpy()


def test_context_is_what_is_left_without_the_object(out, classifier):
    reader = pipeline.read(str(out))
    found = reader.derived("context", of="regions").to_table().to_pylist()
    assert len(found) == 4 and sum(row["score_context"] is None for row in found) == 1
    for row in found:
        image = reader.image(row["id"])
        assert (row["score"], row["target_name"]) == (image["score"], image["target_name"])
        say = partial(shown, classifier, image["image"])
        nothing = say(np.zeros((SIDE, SIDE)))[row["target"]].item()
        assert row["score_nothing"] == pytest.approx(nothing, abs=1e-4)
        if image["mask"]:
            inside = soft(np.array(wide(image["mask"])) > 127)
            kept, left = (say(m)[row["target"]].item() for m in (inside, 1 - inside))
            assert row["score_object"] == pytest.approx(kept, abs=1e-3)
            assert row["score_context"] == pytest.approx(left, abs=1e-3)
            truth = np.array(Image.open(image["mask"])) > 127
            assert row["share_object"] == pytest.approx(truth.mean())


def test_classes_by_what_is_left_of_their_score(out):
    reader = pipeline.read(str(out))
    found = context_by_class(reader)
    known = reader.derived("context", of="regions").to_table().to_pylist()
    known = [row for row in known if row["score_context"] is not None]
    assert sum(c.images for c in found) == 3
    ratios = [c.reliance for c in found]
    assert ratios == sorted(ratios, reverse=True)
    for c in found:
        own = [row for row in known if row["target"] == c.target]
        left = np.mean([r["score_context"] for r in own]) / np.mean([r["score"] for r in own])
        assert c.reliance == pytest.approx(left)


def test_boxes_are_in_the_pixels_of_the_upright_original(out):
    hard = torch.zeros(8, 8, dtype=torch.bool)
    hard[1:3, 2:7] = True
    hard[5, 0] = True
    crop = {"x0": 10.0, "y0": 4.0, "x1": 26.0, "y1": 12.0}  # pixels of 2 x 1
    found = place(hard, crop)
    assert [found[k] for k in ("x0", "y0", "x1", "y1")] == [10, 5, 24, 10]
    ys, xs = np.nonzero(hard.numpy())
    assert found["cx"] == pytest.approx(10 + 2 * (xs.mean() + 0.5))
    assert found["cy"] == pytest.approx(4 + ys.mean() + 0.5)
    assert set(place(torch.zeros(8, 8, dtype=torch.bool), crop).values()) == {None}
    reader = pipeline.read(str(out))
    for row in rows(out, "regions"):
        image = reader.image(row["id"])
        assert image["crop"]["x0"] <= row["x0"] < row["cx"] < row["x1"] <= image["crop"]["x1"]
        assert image["crop"]["y0"] <= row["y0"] < row["cy"] < row["y1"] <= image["crop"]["y1"]


@pytest.mark.parametrize("kind", ["mean", "custom", "pyramid"])
def test_regions_are_shown_as_the_run_perturbs(kind, tmp_path):
    manifest = write_dataset(tmp_path / "data", 2, 0)
    changes = {"perturbation": {"kind": kind}}
    if kind == "custom":
        changes["baseline"] = str(tmp_path / "data" / "images" / "shapes-00001.png")
    explain(manifest, tmp_path / "out", **changes)
    analyse(tmp_path / "out", regions_of(pipeline.read(str(tmp_path / "out"))))
    reader = pipeline.read(str(tmp_path / "out"))
    for row in rows(tmp_path / "out", "regions"):
        (own,) = (m for m in reader.rows("masks", row["id"]) if m["area"] == row["area"])
        assert row["score_kept"] == pytest.approx(own["score_kept"], abs=1e-4)


def test_the_command_ranks_classes_and_the_page_shows_them(shapes_run, xaipipe, tmp_path):
    shutil.copytree(shapes_run, tmp_path / "out")
    code, text = xaipipe("regions", tmp_path / "out", "--workers", 0)
    assert code == 0 and "4 images" in text and "context / score" in text, text
    code, text = xaipipe("regions", tmp_path / "out", "--layer", "nonsense")
    assert code == 2 and "likely ones: head, features.5.2" in text
    code, text = xaipipe("regions", tmp_path / "out", "--layer", "features.4.2")
    assert code == 2 and 'layer: it was made with nothing, you asked for "features.4.2"' in text
    assert xaipipe("report", tmp_path / "out")[0] == 0
    page = Page((tmp_path / "out.html").read_text())
    assert "Without the object" in page.texts
    for c in context_by_class(pipeline.read(str(tmp_path / "out"))):
        assert f"{c.reliance:.2f}" in page.texts
