"""`xaipipe manifest` of a folder: ids, paths and targets are read back right."""

import os
import shutil
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from pipeline.manifest.manifest import Manifest
from tests.datasets import picture, refused, written

pytestmark = pytest.mark.usefixtures("here")


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


def test_the_help_names_the_layouts(xaipipe):
    code, text = xaipipe("manifest", "--help")
    assert code == 0
    for word in ("FOLDER|voc|imagenet-s", "--targets", "--subset", "--classes", "target_set"):
        assert word in text
