"""`xaipipe export`."""

import json
import shutil

import pytest


def test_an_export_names_its_folder(xaipipe, shapes_run, tmp_path):
    code, text = xaipipe("export", shapes_run, "--to", "coco", "--dest", tmp_path / "coco")
    assert code == 0 and "4 images" in text and str(tmp_path / "coco") in text
    assert len(json.loads((tmp_path / "coco" / "images.json").read_text())["images"]) == 4


def test_images_that_have_moved_are_exported(xaipipe, shapes_run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(shapes_run.parent / "data" / "images", moved)
    arguments = ["--to", "coco", "--dest", tmp_path / "coco", "--root", moved]
    code, text = xaipipe("export", shapes_run, *arguments, "--where", "split = 'test'")
    assert code == 0, text
    images = json.loads((tmp_path / "coco" / "images.json").read_text())["images"]
    assert {image["file_name"] for image in images} == {
        str(moved / f"shapes-0000{n}.png") for n in range(3)
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "pdf"], "expected one of coco, png, hf, csv, fiftyone"),
        (["--to", "png", "--areas", ".3"], "areas of this run are 0.05, 0.2"),
        (["--to", "png", "--where", "x"], "the columns are"),
        (["--to", "hf", "--root", "/nowhere"], "holds no"),
    ],
)
def test_what_cannot_be_exported_is_said(xaipipe, shapes_run, tmp_path, arguments, message):
    code, text = xaipipe("export", shapes_run, *arguments, "--dest", tmp_path / "d")
    assert code == 2 and message in text and "Traceback" not in text
