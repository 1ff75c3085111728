"""Reading back: rendering again gives the stored masks, at any area and size, in the original."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import pipeline
from inr_core import mask_scores
from inr_core.device.microbatch import MicroBatch
from inr_core.game.perturbation import baselines
from inr_core.game.scene import Scene
from pipeline import Request, RequestError, load_job
from pipeline.classifiers.classifier import load_classifier
from pipeline.images.loading import load_image
from pipeline.images.overlays import overlay
from pipeline.results.gallery import Gallery
from pipeline.run import driver
from pipeline.shapes import write_dataset
from pipeline.tables.records import png


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    manifest = write_dataset(folder / "data", 2, 0)
    wide = Image.open(sorted((folder / "data" / "images").iterdir())[0]).resize((300, 200))
    wide.save(folder / "data" / "images" / "wide.png")
    with manifest.open("a") as stream:
        stream.write("wide,images/wide.png,0,,,\n")
    job = load_job(
        None,
        {
            "manifest": str(manifest),
            "out": str(folder / "out"),
            "model": "builtin:shapes",
            "workers": 0,
            "steps": 4,
            "areas": [0.05, 0.2, 0.31],
            "restarts": 2,
            "rounds": 3,
            "round_score": 0.0,
        },
    )
    driver.run(Request(job), lambda p: None)
    return pipeline.read(str(folder / "out"))


def test_rendering_again_gives_every_stored_mask_bit_for_bit(run):
    rows = run.masks.to_table().to_pylist()
    assert len(rows) == 3 * 2 * (3 + 3 + 2)  # .31 finds no room in the third round
    for row in rows:
        stored = np.array(Image.open(io.BytesIO(row["mask"]["bytes"])))
        again = run.render(row["id"], row["area"], restart=row["restart"], round=row["round"])
        assert np.array_equal(stored, again)
        assert np.array_equal(
            stored,
            run.stored_mask(row["id"], row["area"], restart=row["restart"], round=row["round"]),
        )


@pytest.mark.parametrize("area", [0.03, 0.15, 0.29])
@pytest.mark.parametrize("size", [(128, 128), (1000, 1000), (77, 301)])
def test_other_areas_and_sizes_have_their_area_too(run, area, size):
    for round_ in range(3):
        mask = run.render("wide", area, round=round_, size=size)
        assert mask.shape == size
        assert abs(mask.mean() / 255 - area) <= 0.001


def test_rounds_of_a_restart_are_disjoint_at_every_area(run):
    for area in (0.05, 0.12, 0.29):
        stack = np.stack(
            [run.render("wide", area, restart=1, round=k).astype(int) for k in range(3)]
        )
        assert ((stack > 127.5).sum(0) <= 1).all()
        assert stack.sum(0).max() <= 256


def test_a_mask_in_the_original_pixels_covers_what_the_classifier_saw(run):
    mask = run.render("wide", 0.2, original=True)
    assert mask.shape == (200, 300)
    left, right = 50, 250  # the centre square of 300 x 200
    assert mask[:, :left].max() == 0 and mask[:, right:].max() == 0
    assert abs(mask[:, left:right].mean() / 255 - 0.2) <= 0.001
    small = run.render("wide", 0.2).astype(float)
    seen = Image.fromarray(mask[:, left:right]).resize((128, 128), Image.Resampling.BOX)
    assert np.abs(np.array(seen) - small).mean() < 4


def test_stored_scores_are_those_of_the_stored_masks(run):
    classifier = load_classifier("builtin:shapes")
    row = run.image("wide")
    image = load_image(row["image"], classifier.preprocess).pixels[None]
    scene = Scene(
        image_NCHW=image,
        baseline_NLCHW=baselines(image, run.config.perturbation),
        target_N=torch.tensor([row["target"]]),
        pyramid=False,
    )
    masks = [m for m in run.rows("masks", "wide") if (m["restart"], m["round"]) == (0, 0)]
    stack = np.stack([np.array(Image.open(io.BytesIO(m["mask"]["bytes"]))) for m in masks])
    kept, removed = mask_scores(
        torch.from_numpy(stack)[None], scene, classifier.classify, MicroBatch(64)
    )
    for n, m in enumerate(masks):
        assert m["score_kept"] == pytest.approx(kept[0, n].item(), abs=1e-5)
        assert m["score_removed"] == pytest.approx(removed[0, n].item(), abs=1e-5)


def test_all_rounds_of_one_restart_are_the_best(run):
    rows = run.rows("explanations", "wide")
    best = max((r for r in rows if r["round"] == 0), key=lambda r: r["objective"])
    for round_ in range(3):
        marked = [r["restart"] for r in rows if r["round"] == round_ and r["best"]]
        assert marked == [best["restart"]]
        again = run.render("wide", 0.1, round=round_)
        assert np.array_equal(again, run.render("wide", 0.1, round=round_, restart=best["restart"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id_": "nobody"}, "no such id"),
        ({"round": 3, "area": 0.1}, "no explanation for round 3"),
        ({"restart": 2}, "restart 2"),
        ({"area": 0.0}, "area 0.0 is impossible"),
        ({"area": 1.0}, "impossible"),
        ({"area": 0.5, "round": 1}, "at most 0.450"),
        ({"size": (3, 3), "original": True}, "either size or original"),
    ],
)
def test_impossible_masks_are_refused(run, arguments, message):
    with pytest.raises(RequestError, match=message):
        run.render(**{"id_": "wide", "area": 0.1, **arguments})


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RequestError, match="no run here"):
        pipeline.read(str(tmp_path))


def test_overlay_shows_the_image_inside_and_grey_outside():
    image = Image.new("RGB", (64, 64), (200, 0, 0))
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    shown = np.array(overlay(image, mask, boxes=[(2, 2, 10, 10)]))
    assert tuple(shown[32, 32]) == (200, 0, 0)
    assert len(set(shown[60, 5])) == 1 and shown[60, 5, 0] < 100
    assert tuple(shown[32, 15]) == (255, 140, 0)
    assert tuple(shown[2, 5]) == (255, 255, 255)


def test_a_gallery_has_every_mask_and_one_page(run):
    gallery = Gallery(run, "wide")
    pictures = list(gallery.pictures())
    assert [(p.round, p.restart, p.area) for p in pictures] == [
        (k, r, a)
        for k in range(3)
        for r in range(2)
        for a in ((0.05, 0.2, 0.31) if k < 2 else (0.05, 0.2))
    ]
    assert all(p.image.size == (300, 200) for p in pictures)
    assert "kept" in pictures[0].caption
    page = gallery.sheet(pictures)
    assert page.width > 4 * 240 and page.height > 6 * 160
    (other,) = {p.caption for p in gallery.pictures([0.11]) if p.round == 0}
    assert other == "area 0.11"


def test_a_missing_original_is_explained(run, monkeypatch):
    row = run.image("wide")
    moved = [{**row, "image": "/nowhere.png"}]
    monkeypatch.setattr(type(run), "images_of", lambda self, id_: moved)
    with pytest.raises(RequestError, match="nowhere.png"):
        Gallery(run, "wide")


@pytest.mark.parametrize("kind", ["smooth", "binary", "noise", "flat"])
def test_stored_masks_keep_every_pixel(kind):
    random = np.random.default_rng(0)
    row, column = np.mgrid[:97, :64]
    pixels = {
        "smooth": 255 / (1 + np.exp((np.hypot(row - 40, column - 30) - 20) / 3)),
        "binary": 255 * (row > column),
        "noise": random.integers(0, 256, (97, 64)),
        "flat": np.full((97, 64), 255),
    }[kind].astype(np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as found:
        assert (found.format, found.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.asarray(found), pixels)
