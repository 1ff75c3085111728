"""`xaipipe manifest imagenet-s`: what it writes is read back right."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.imagenet import wnids
from pipeline.datasets.imagenet_s import MERGED
from pipeline.images.truth import read_truth
from tests.datasets import picture, refused, written

pytestmark = pytest.mark.usefixtures("here")
FIFTY = sorted({"n01443537", "n01491361", *wnids()[300:900:12]})[:50]


def imagenet_s(root, classes=FIFTY, subset=50):
    """Two images per class; the object of the k-th class is row k % 6 of its mask."""
    base = root / f"ImageNetS{subset}"
    (base / "train").mkdir(parents=True)
    for number, wnid in enumerate(classes, 1):
        for n in range(2):
            name = f"ILSVRC2012_val_{2 * number + n:08d}"
            picture(base / "validation" / wnid / f"{name}.JPEG")
            picture(base / "test" / wnid / f"{name}.JPEG")
            values = np.zeros((6, 8), int)
            values[number % 6], values[(number + 1) % 6] = number, 1000
            values[(number + 2) % 6] = number + 1
            rgb = np.stack([values % 256, values // 256, 0 * values], -1).astype(np.uint8)
            mask = base / "validation-segmentation" / wnid / f"{name}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rgb).save(mask)
    return base


@pytest.mark.parametrize("place", ["data", "data/ImageNetS50"])
def test_imagenet_s(xaipipe, tmp_path, place):
    assert len(FIFTY) == 50
    imagenet_s(tmp_path / "here" / "data")
    refs, text = written(xaipipe, "imagenet-s", place, classes=1000)
    assert "100 images, 50 classes, 100 with a mask" in text
    assert len({ref.id for ref in refs}) == 100 and refs[0].id == "ILSVRC2012_val_00000002"
    for ref in refs:
        wnid = Path(ref.image).parent.name
        number = FIFTY.index(wnid) + 1
        assert wnids()[ref.target] == wnid
        truth = read_truth(ref.extra["mask"], ref.extra["mask_value"])
        assert np.flatnonzero(truth.object.all(1)).tolist() == [number % 6]
        assert np.flatnonzero(truth.ignore.all(1)).tolist() == [(number + 1) % 6]
        assert truth.object.sum() == truth.ignore.sum() == 8


def test_imagenet_s_without_ground_truth(xaipipe, tmp_path):
    imagenet_s(tmp_path / "here" / "data")
    refs, text = written(xaipipe, "imagenet-s", "data", "--split", "test", classes=1000)
    assert len(refs) == 100 and refs[0].extra == {}
    assert "no ground truth: there is no folder test-segmentation" in text


def test_imagenet_s_of_919_classes_says_which_folders_hold_two(xaipipe, tmp_path):
    classes = [w for w in wnids() if w not in MERGED.values()]  # 995, of which 919 with the merged
    classes = sorted([*MERGED, *[w for w in classes if w not in MERGED][:914]])
    base = imagenet_s(tmp_path / "here" / "data", classes, 919)
    refs, text = written(xaipipe, "imagenet-s", base, "--subset", "919", classes=1000)
    assert "5 folders hold the images of two ImageNet classes" in text and "836 (837)" in text
    last = refs[-1]
    assert (last.target, last.extra["mask_value"]) == (999, 919)  # 919 = 151 + 3 * 256
    assert read_truth(last.extra["mask"], 919).object.sum() == 8


def test_what_is_wrong_with_imagenet_s(xaipipe, tmp_path):
    base = imagenet_s(tmp_path / "here" / "data")
    assert "give the folder of the data set" in refused(xaipipe, "imagenet-s")
    assert "there is no such folder" in refused(xaipipe, "imagenet-s", "nowhere")
    assert "local folder" in refused(xaipipe, "imagenet-s", "s3://bucket/x")
    text = refused(xaipipe, "imagenet-s", "data", "--subset", "300")
    assert "no folder ImageNetS300 here; found: ImageNetS50" in text
    text = refused(xaipipe, "imagenet-s", base, "--subset", "300")
    assert "50 class folders, expected 300" in text
    text = refused(xaipipe, "imagenet-s", "data", "--split", "val")
    assert "no folder val here; found: test, train, validation, validation-segmentation" in text
    assert "0 class folders" in refused(xaipipe, "imagenet-s", "data", "--split", "train")
    assert "--year: does not apply" in refused(xaipipe, "imagenet-s", "data", "--year", "2012")
    masks = sorted((base / "validation-segmentation" / FIFTY[3]).iterdir())
    masks[0].unlink()
    text = refused(xaipipe, "imagenet-s", "data")
    assert "1 of 100 masks are missing" in text and str(masks[0].name) in text
    shutil.rmtree(base / "validation" / FIFTY[7])
    assert "49 class folders, expected 50, 300 or 919" in refused(xaipipe, "imagenet-s", "data")
    (base / "validation" / "kitten").mkdir()
    assert "kitten is no WordNet id" in refused(xaipipe, "imagenet-s", "data")
    (tmp_path / "here" / "data" / "ImageNetS300").mkdir()
    assert "the subsets 50, 300 are here" in refused(xaipipe, "imagenet-s", "data")
