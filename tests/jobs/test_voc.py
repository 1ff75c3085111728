"""`xaipipe manifest voc`: what it writes is read back right, by a run as well."""

import numpy as np
import pytest
from PIL import Image

from pipeline import read
from pipeline.datasets.voc import CLASSES, expand
from pipeline.images.preprocess import Preprocess
from pipeline.images.truth import read_truth, truth_on_input
from pipeline.manifest.manifest import Manifest
from tests.datasets import picture, refused, written

pytestmark = pytest.mark.usefixtures("here")
OBJECTS = {  # image -> (class, box as VOC writes it)
    "2007_000033": [
        ("aeroplane", ("9", "107", "499", "263")),
        ("aeroplane", ("421.5", "200", "482", "226")),
        ("person", ("1", "1", "30", "20")),
    ],
    "2007_000042": [("train", ("263", "32", "500", "295"))],
    "2008_000001": [],
}
SEGMENTS = {"2007_000033": {1: 2, 15: 9}, "2007_000042": {19: 4}, "2008_000001": {}}


def voc(root, year=2012):
    """Images of 16 x 12 whose classes fill one row each, below a row of void."""
    base = root / "VOCdevkit" / f"VOC{year}"
    for kind in ("SegmentationClass", "SegmentationObject", "Annotations"):
        (base / kind).mkdir(parents=True)
    (base / "ImageSets" / "Segmentation").mkdir(parents=True)
    (base / "ImageSets" / "Segmentation" / "val.txt").write_text("\n".join(OBJECTS) + "\n")
    (base / "ImageSets" / "Segmentation" / "train.txt").write_text("2007_000042\n")
    for name, rows in SEGMENTS.items():
        picture(base / "JPEGImages" / f"{name}.jpg", (16, 12))
        values = np.zeros((12, 16), np.uint8)
        for value, row in rows.items():
            values[row - 1], values[row] = 255, value
        mask = Image.fromarray(values)
        mask.putpalette(bytes(n * 37 % 256 for n in range(768)))
        mask.save(base / "SegmentationClass" / f"{name}.png")
        (base / "Annotations" / f"{name}.xml").write_text(annotation(OBJECTS[name]))
    return base


def annotation(objects):
    def thing(name, box):
        sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        corners = "".join(f"<{side}>{at}</{side}>" for side, at in sides)
        part = "<xmin>3</xmin><ymin>3</ymin><xmax>4</xmax><ymax>4</ymax>"
        return (
            f"<object><name>{name}</name><difficult>1</difficult>"
            f"<part><name>head</name><bndbox>{part}</bndbox></part>"
            f"<bndbox>{corners}</bndbox></object>"
        )

    size = "<size><width>16</width><height>12</height><depth>3</depth></size>"
    return f"<annotation>{size}{''.join(thing(*one) for one in objects)}</annotation>"


@pytest.mark.parametrize("place", ["data", "data/VOCdevkit", "data/VOCdevkit/VOC2012"])
def test_voc_for_a_classifier_of_its_classes(xaipipe, tmp_path, place):
    voc(tmp_path / "here" / "data")
    refs, text = written(xaipipe, "voc", place, classes=CLASSES)
    assert [(ref.id, ref.target, ref.extra["bbox"]) for ref in refs] == [
        ("2007_000033-aeroplane", 0, "8,106,499,263;420.5,199,482,226"),
        ("2007_000033-person", 14, "0,0,30,20"),
        ("2007_000042-train", 18, "262,31,500,295"),
    ]
    assert "3 rows, 2 images, 3 classes, 3 with a mask, 3 with a box" in text
    assert list(refs[0].extra) == ["mask", "mask_value", "bbox"]
    for ref, row in zip(refs, [2, 9, 4], strict=True):
        truth = read_truth(ref.extra["mask"], ref.extra["mask_value"])
        assert truth.object.shape == (12, 16)
        assert np.flatnonzero(truth.object.all(1)).tolist() == [row]
        assert row - 1 in np.flatnonzero(truth.ignore.all(1)) and truth.object.sum() == 16
    code, _ = xaipipe("manifest", "voc", place, "--classes", "index", "--overwrite")
    indices = [ref.target for ref in Manifest("manifest.csv", classes=20)]
    assert code == 0 and indices == [ref.target for ref in refs]


def test_voc_for_a_classifier_of_imagenet(xaipipe, tmp_path):
    base = voc(tmp_path / "here" / "data", 2007)
    (base / "Annotations" / "2007_000042.xml").unlink()
    arguments = ("voc", "data", "--year", 2007, "--classes", "imagenet")
    refs, text = written(xaipipe, *arguments, classes=1000)
    assert "top-1" in text and "`target_set`" in text
    assert [ref.target for ref in refs] == [None] * 3
    assert [ref.extra["voc_class"] for ref in refs] == ["aeroplane", "person", "train"]
    assert [expand(ref.extra["target_set"]) for ref in refs] == [
        {404, 895},
        {981, 982, 983},
        {466, 547, 565, 705, 820},
    ]
    assert refs[2].extra["bbox"] is None
    refs, _ = written(xaipipe, *arguments, "--split", "train", "--overwrite")
    assert [ref.id for ref in refs] == ["2007_000042-train"]


def test_what_is_wrong_with_voc(xaipipe, tmp_path):
    base = voc(tmp_path / "here" / "data")
    assert "give the folder of the data set" in refused(xaipipe, "voc")
    text = refused(xaipipe, "voc", "data", "--year", 2007)
    assert "no VOC2007 here; found: VOCdevkit; expected" in text and "--year" in text
    text = refused(xaipipe, "voc", "data", "--split", "test")
    assert "test.txt: no such file" in text and "train, val" in text and "--split" in text
    assert "--subset: does not apply to voc" in refused(xaipipe, "voc", "data", "--subset", "50")
    seen = base / "Annotations" / "2007_000042.xml"
    for broken in ("<annotation>", annotation([("train", ("1", "2", "x", "4"))])):
        seen.write_text(broken)
        text = refused(xaipipe, "voc", "data")
        assert "2007_000042.xml: not an annotation of VOC" in text
    seen.unlink()
    mask = base / "SegmentationClass" / "2007_000042.png"
    Image.new("L", (16, 12), 192).save(mask)
    assert "holds the value 192; expected 0 to 20 and 255" in refused(xaipipe, "voc", "data")
    mask.write_text("words")
    assert "cannot be decoded" in refused(xaipipe, "voc", "data")
    mask.unlink()
    text = refused(xaipipe, "voc", "data")
    assert "1 of 3 files are missing, the first is 2007_000042.png" in text
    (base / "ImageSets" / "Segmentation" / "val.txt").write_text("\n")
    assert "the list is empty" in refused(xaipipe, "voc", "data")


def test_the_truth_of_a_run_is_found_through_its_images_table(xaipipe, tmp_path):
    voc(tmp_path / "here" / "data")
    written(xaipipe, "voc", "data", "--classes", "imagenet")
    fast = ("--model", "builtin:shapes", "--steps", "2", "--areas", ".3", "--workers", "0")
    code, text = xaipipe("run", "manifest.csv", "--out", "out", *fast)
    assert code == 0, text
    rows = read("out").images.to_table().to_pylist()
    truths = {row["id"]: truth_on_input(row, Preprocess(resize=128, crop=128)) for row in rows}
    assert sorted(truths) == ["2007_000033-aeroplane", "2007_000033-person", "2007_000042-train"]
    plane = truths["2007_000033-aeroplane"]
    for mask, row in ((plane.object, 2), (plane.ignore[:40], 1)):  # of 12 rows, now 128
        rows_of = np.flatnonzero(mask.all(1))
        edges = [row * 128 / 12, (row + 1) * 128 / 12]
        assert [rows_of[0], rows_of[-1] + 1] == pytest.approx(edges, abs=1)
        assert not (plane.object & plane.ignore).any()
