"""`xaipipe manifest`: what it writes for data sets in their original layouts is read back right."""

import csv
import os
import shutil
import tomllib
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from pipeline import read
from pipeline.errors import RequestError
from pipeline.imagenet import class_index, wnids
from pipeline.imagenet_s import MERGED
from pipeline.images import Preprocess
from pipeline.manifest import Manifest
from pipeline.manifest_writer import Source, write_manifest
from pipeline.truth import read_truth, truth_on_input
from pipeline.voc import CLASSES, IMAGENET, expand

ASSETS = Path(os.environ.get("XAIPIPE_ASSETS", "/nonexistent"))


@pytest.fixture
def xaipipe(xaipipe, monkeypatch, tmp_path):
    """Run a command line in this process, in an empty folder; returns exit code and output."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return xaipipe


def written(xaipipe, *arguments, to="manifest.csv", **options):
    """The images of the manifest that a command writes, and what it prints."""
    code, text = xaipipe("manifest", *arguments)
    assert code == 0, text
    assert f"next: xaipipe run {to} --model " in text
    manifest = Manifest(to, **options)
    summary = manifest.check()
    refs = list(manifest)
    assert f"{to}: {summary.images} rows, " in text
    assert all(os.path.isfile(ref.image) for ref in refs)
    return refs, text


def refused(xaipipe, *arguments):
    before = sorted(os.listdir("."))
    code, text = xaipipe("manifest", *arguments)
    assert code == 2, text
    assert "Traceback" not in text
    assert sorted(os.listdir(".")) == before
    return text


def picture(path, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 90, 30)).save(path)


# The classes of ImageNet


def test_the_wordnet_ids_of_imagenet():
    assert len(wnids()) == len(set(wnids())) == 1000
    assert list(wnids()) == sorted(wnids())
    known = {  # class indices that everybody uses
        "n01440764": 0,
        "n01443537": 1,
        "n02099601": 207,
        "n02123045": 281,
        "n02504013": 385,
        "n03954731": 726,
        "n15075141": 999,
    }
    assert {wnid: class_index(wnid) for wnid in known} == known
    assert class_index("n00000001") is None
    settings = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert "*.txt" in settings["tool"]["setuptools"]["package-data"]["*"]  # so that it is installed


@pytest.mark.skipif(not (ASSETS / "imagenet").exists(), reason="XAIPIPE_ASSETS is not there")
def test_the_wordnet_ids_in_the_names_of_real_photographs():
    with open(ASSETS / "imagenet" / "photos.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if Path(row["image"]).name.startswith("n")]
    assert len(rows) == 80
    for row in rows:
        assert class_index(Path(row["image"]).name[:9]) == int(row["target"])


# A folder


def test_a_folder_of_images(xaipipe, tmp_path):
    for name in ("b.jpg", "deep/er/a, with comma.png", "deep/ä.JPEG", ".hidden/c.jpg"):
        picture(tmp_path / "here" / "photos" / name)
    (tmp_path / "here" / "photos" / "notes.txt").write_text("no image")
    refs, text = written(xaipipe, "photos")
    assert [ref.id for ref in refs] == ["b.jpg", "deep/er/a, with comma.png", "deep/ä.JPEG"]
    assert [ref.image for ref in refs] == [str(Path("photos", ref.id).absolute()) for ref in refs]
    assert all(ref.target is None and ref.extra == {} for ref in refs)
    assert "3 rows, 3 images next:" in text
    shutil.move(tmp_path / "here", tmp_path / "there")  # manifest and images move together
    moved = list(Manifest(str(tmp_path / "there" / "manifest.csv")))
    assert [ref.id for ref in moved] == [ref.id for ref in refs]
    assert all(os.path.isfile(ref.image) for ref in moved)


def test_paths_are_absolute_where_the_images_lie_elsewhere(xaipipe, tmp_path):
    picture(tmp_path / "here-too" / "a.jpg")  # begins like the folder of the manifest
    refs, _ = written(xaipipe, "../here-too")
    assert refs[0].image == str(tmp_path / "here-too" / "a.jpg")
    assert str(tmp_path / "here-too" / "a.jpg") in Path("manifest.csv").read_text()
    code, text = xaipipe("manifest", tmp_path / "here-too", "--to", "new/of it.csv")
    assert code == 0 and "xaipipe run 'new/of it.csv'" in text
    assert list(Manifest("new/of it.csv")) == refs


def test_a_folder_in_an_object_store(xaipipe):
    for name in ("cat/1.png", "dog/2.png"):
        with fsspec.open(f"memory://shop/photos/{name}", "wb") as file:
            Image.new("RGB", (4, 4)).save(file, "PNG")
    code, _ = xaipipe("manifest", "memory://shop/photos", "--targets", "folders")
    assert code == 0
    refs = list(Manifest("manifest.csv", classes=["dog", "cat"]))
    assert [(ref.id, ref.target) for ref in refs] == [("cat/1.png", 1), ("dog/2.png", 0)]
    assert [fsspec.open(ref.image).open().read(4) for ref in refs] == [b"\x89PNG"] * 2


def test_targets_from_the_names_of_folders(xaipipe, tmp_path):
    photos = tmp_path / "here" / "photos"
    for name in ("n01440764/x.JPEG", "n02123045/images/y.JPEG", "7/z.JPEG", "tench/w.JPEG"):
        picture(photos / name)
    classes = ["tench"] + [f"class {n}" for n in range(1, 1000)]
    refs, text = written(xaipipe, "photos", "--targets", "folders", classes=classes)
    assert {ref.id: ref.target for ref in refs} == {
        "7/z.JPEG": 7,
        "n01440764/x.JPEG": 0,
        "n02123045/images/y.JPEG": 281,
        "tench/w.JPEG": 0,
    }
    assert "4 images, 4 classes" in text and "WordNet ids became class indices" in text
    picture(photos / "n99999999" / "v.JPEG")
    text = refused(xaipipe, "photos", "--targets", "folders", "--to", "other.csv")
    assert "n99999999" in text and "rename it" in text
    picture(photos / "loose.jpg")
    text = refused(xaipipe, "photos", "--targets", "folders", "--to", "other.csv")
    assert "1 of 6 images lie directly in it (loose.jpg)" in text and "--targets" in text


def test_what_is_wrong_with_a_folder(xaipipe, tmp_path):
    assert "nowhere: does not exist" in refused(xaipipe, "nowhere")
    (tmp_path / "here" / "empty").mkdir()
    assert "no images in this folder" in refused(xaipipe, "empty")
    picture(tmp_path / "here" / "photos" / "a.jpg")
    assert "is a file; expected a folder" in refused(xaipipe, "photos/a.jpg")
    assert "expected one folder" in refused(xaipipe, "photos", "photos")
    text = refused(xaipipe, "photos", "--subset", "50")
    assert "--subset: does not apply to folder, which takes --targets" in text
    assert "ending in .csv" in refused(xaipipe, "photos", "--to", "m.parquet")
    assert "is a folder" in refused(xaipipe, "photos", "--to", _made("dir.csv"))
    Path("manifest.csv").write_text("mine")
    text = refused(xaipipe, "photos")
    assert "exists already" in text and "--overwrite" in text
    assert Path("manifest.csv").read_text() == "mine"
    assert xaipipe("manifest", "photos", "--overwrite")[0] == 0
    assert [ref.id for ref in Manifest("manifest.csv")] == ["a.jpg"]


def _made(name):
    os.mkdir(name)
    return name


def test_an_error_on_the_way_leaves_the_old_manifest(tmp_path):
    def rows():
        yield {"image": "/a.jpg"}
        raise RequestError("broken")

    path = tmp_path / "m.csv"
    path.write_text("old")
    with pytest.raises(RequestError, match="broken"):
        write_manifest(Source(columns=("image",), rows=rows()), str(path), overwrite=True)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["m.csv"]


# ImageNet-S

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


# PASCAL VOC

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


def test_sets_of_class_indices():
    assert expand("7-9 80") == {7, 8, 9, 80}
    assert expand(532) == expand("532") == {532}  # a column of these is one of integers
    for broken in ("", "7-", "7 -9", "a", " 7", "7  8"):
        with pytest.raises(ValueError, match="no list of class indices"):
            expand(broken)


def test_the_sets_of_voc_are_disjoint_and_named_like_their_class():
    from torchvision.models._meta import _IMAGENET_CATEGORIES as NAMES

    sets = {name: expand(ranges) for name, ranges in IMAGENET.items()}
    assert len(CLASSES) == 20 and list(CLASSES) == sorted(CLASSES)
    every = [n for indices in sets.values() for n in indices]
    assert len(every) == len(set(every)) and max(every) < 1000
    assert {name: len(indices) for name, indices in sets.items()}["dog"] == 118
    assert len(sets["bird"]) == 59 and len(sets["cat"]) == 5
    ends = {  # of the ranges, and their neighbours outside
        "bird": [
            "cock",
            "great grey owl",
            "black grouse",
            "black swan",
            "white stork",
            "albatross",
        ],
        "dog": ["Chihuahua", "Mexican hairless"],
        "cat": ["tabby", "Egyptian cat"],
    }
    outside = ["stingray", "European fire salamander", "centipede", "tusker", "isopod"]
    outside += ["grey whale", "sea lion", "timber wolf", "grey fox", "cougar", "zebra", "ibex"]
    for name, members in ends.items():
        assert {NAMES.index(member) for member in members} <= sets[name]
    assert not {NAMES.index(name) for name in outside} & set(every)
    small = {name: {NAMES[n] for n in sets[name]} for name in sets if len(sets[name]) < 6}
    assert small["aeroplane"] == {"airliner", "warplane"}
    assert small["bottle"] == {
        "beer bottle", "pill bottle", "pop bottle", "water bottle", "wine bottle",
    }  # fmt: skip
    assert small["bus"] == {"minibus", "school bus", "trolleybus"}
    assert small["chair"] == {"barber chair", "folding chair", "rocking chair", "throne"}
    assert small["motorbike"] == {"moped", "motor scooter"}
    assert small["sheep"] == {"ram", "bighorn"} and small["cow"] == {"ox"}
    assert small["tvmonitor"] == {"monitor", "screen", "television"}
    assert small["train"] == {
        "bullet train", "electric locomotive", "freight car", "passenger car", "steam locomotive",
    }  # fmt: skip
    assert {NAMES[n] for n in sets["boat"]} == {
        "aircraft carrier", "canoe", "catamaran", "container ship", "fireboat", "gondola",
        "lifeboat", "liner", "pirate", "schooner", "speedboat", "trimaran", "yawl",
    }  # fmt: skip
    assert {NAMES[n] for n in sets["car"]} == {
        "beach wagon", "cab", "convertible", "jeep", "limousine", "minivan", "Model T", "racer",
        "sports car",
    }  # fmt: skip


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


# Through a run


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


def test_the_help_names_the_layouts(xaipipe):
    code, text = xaipipe("manifest", "--help")
    assert code == 0
    for word in ("FOLDER|voc|imagenet-s", "--targets", "--subset", "--classes", "target_set"):
        assert word in text
