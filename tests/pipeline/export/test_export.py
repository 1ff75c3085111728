"""Exports, read back by the tools that they are for; masks against those that `render` gives."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageOps

import pipeline
from pipeline import RequestError
from pipeline.export.formats import write_export
from pipeline.export.selection import Selection
from pipeline.store import Store


@pytest.fixture(scope="module")
def run(shapes_run):
    return pipeline.read(str(shapes_run))


@pytest.fixture
def exported(run, tmp_path):
    """Export into a folder and return it."""

    def export(kind, **given):
        done = []
        selection = Selection(run, **given)
        write_export(kind, selection, str(tmp_path / kind), lambda: done.append(1))
        assert len(done) == len(selection)
        return tmp_path / kind

    return export


def telling(run, id_, round_):
    """The stored area that the minimal one of a round falls under, or the middle one."""
    (best,) = [e for e in run.rows("explanations", id_) if e["best"] and e["round"] == round_]
    return 0.05 if (best["minimal_area"] or 1) <= 0.05 else 0.2


@pytest.fixture
def expected(run):
    """Masks at their telling areas by id and round, in the originals' pixels."""
    return {
        (id_, k): run.render(id_, telling(run, id_, k), round=k, original=True)
        for id_ in run.ids(9)
        for k in (0, 1)
    }


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # its own arrays
def test_pycocotools_reads_coco_results(exported, run, expected, capsys):
    from pycocotools.coco import COCO

    folder = exported("coco")
    images = COCO(str(folder / "images.json"))
    results = images.loadRes(str(folder / "results.json"))
    anns = results.loadAnns(results.getAnnIds())
    assert len(anns) == len(expected)
    for ann in anns:
        (image,) = images.loadImgs(ann["image_id"])
        row, about = run.image(image["xaipipe_id"]), ann["xaipipe"]
        hard = expected[row["id"], about["round"]] > 127
        assert np.array_equal(results.annToMask(ann), hard)
        assert image["file_name"] == row["image"] and ann["category_id"] == row["target"]
        assert images.loadCats(row["target"])[0]["name"] == row["target_name"]
        assert ann["score"] == about["score_kept"] and ann["area"] == hard.sum()


def test_pngs_have_the_pixels_of_the_upright_originals(exported, run, expected):
    folder = exported("png")
    with open(folder / "index.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(expected) == len(list((folder / "masks").iterdir()))
    for row in rows:
        mask = np.array(Image.open(folder / row["file"]))
        assert np.array_equal(mask, expected[row["id"], int(row["round"])])


def test_load_dataset_reads_images_and_masks(exported, run, expected, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    folder = exported("hf")
    found = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(found.features["image"], datasets.Image)
    assert sorted(found["id"]) == sorted(run.ids(9))
    for row in found:
        original = Image.open(run.image(row["id"])["image"])
        assert row["image"].size == ImageOps.exif_transpose(original).size
        assert row["split"] in ("test", "train") and row["crop"]["x1"] > 0
        for mask in row["masks"]:
            assert np.array_equal(mask["mask"], expected[row["id"], mask["round"]])
            assert 0 <= mask["score_kept"] <= 1


def test_a_csv_has_a_row_for_every_mask(exported, run):
    folder = exported("csv")
    with open(folder / "masks.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    masks = run.masks.to_table().to_pylist()
    assert len(rows) == len(masks) == 4 * 2 * 2 * 2
    key = ("id", "restart", "round", "area")
    by_key = {tuple(str(m[k]) for k in key): m for m in masks}
    for row in rows:
        mask = by_key[tuple(row[k] for k in key)]
        image = run.image(row["id"])
        assert float(row["score_kept"]) == mask["score_kept"]
        assert float(row["crop_y1"]) == image["crop"]["y1"] and row["split"] == image["split"]
        (e,) = [
            e
            for e in run.rows("explanations", row["id"])
            if (e["restart"], e["round"]) == (mask["restart"], mask["round"])
        ]
        assert row["best"] == str(e["best"]) and float(row["objective"]) == e["objective"]
        assert row["minimal_area"] == ("" if e["minimal_area"] is None else str(e["minimal_area"]))


def test_a_fiftyone_dataset_has_the_layout_of_its_importer(exported, run, expected):
    """As `fiftyone.utils.data.importers` reads it: `filepath` and the paths of labels are relative
    to the folder, labels lie under `fields/FIELD`, and no `version` binds it to a release."""
    folder = exported("fiftyone", areas=[0.05, 0.2])
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["media_type"] == "image" and "version" not in metadata
    samples = json.loads((folder / "samples.json").read_text())["samples"]
    assert {s["xaipipe_id"] for s in samples} == set(run.ids(9))
    for sample in samples:
        row = run.image(sample["xaipipe_id"])
        with open(row["image"], "rb") as file:
            assert (folder / sample["filepath"]).read_bytes() == file.read()
        assert sample["target"]["label"] == row["target_name"] and sample["split"] == row["split"]
        assert sample["metadata"]["width"] == row["width"]
        for area, field in ((0.05, "round_1_area_05"), (0.2, "round_1_area_20")):
            label = sample[field]
            assert label["_cls"] == "Heatmap" and label["range"] == [0, 255]
            assert label["map_path"].startswith(f"fields/{field}/") and label["area"] == area
            mask = np.array(Image.open(folder / label["map_path"]))
            assert np.array_equal(mask, run.render(row["id"], area, round=1, original=True))


def test_a_query_and_areas_choose_what_is_exported(exported):
    folder = exported("csv", where="split = 'train'", areas=[0.05])
    rows = list(csv.DictReader(io.StringIO((folder / "masks.csv").read_text(encoding="utf-8"))))
    assert {row["id"] for row in rows} == {"rotated/ü 1"} and {row["area"] for row in rows} == {
        "0.05"
    }


def test_an_export_into_a_bucket(run, s3_url):
    import s3fs

    write_export("png", Selection(run, areas=[0.2]), f"{s3_url}/masks", lambda: None)
    files = s3fs.S3FileSystem().ls(f"{s3_url}/masks/masks")
    assert len(files) == 8


def test_a_shard_is_read_once(run, monkeypatch):
    read = []
    original = Store.get
    monkeypatch.setattr(Store, "get", lambda self, name: read.append(name) or original(self, name))
    reader = pipeline.read(run.store.uri)
    ones = list(reader.each_explained())
    tables = [name for name in read if name.endswith(".parquet")]
    assert len(ones) == 4 and len(tables) == len(set(tables)) == 2 * 3
    for one in ones:
        assert one.explanations == run.explained(one.id).explanations
        assert one.masks == run.explained(one.id).masks


def test_what_cannot_be_exported_is_said(run, tmp_path):
    with pytest.raises(RequestError, match=r"--areas 0.13: .*areas of this run are 0.05, 0.2"):
        Selection(run, areas=[0.13])
    with pytest.raises(RequestError, match="no image to export"):
        write_export("csv", Selection(run, where="score > 2"), str(tmp_path / "c"), lambda: None)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(RequestError, match="holds a; expected a new or empty folder"):
        write_export("csv", Selection(run), str(tmp_path / "full"), lambda: None)
    with pytest.raises(RequestError, match="cannot be written"):
        write_export("csv", Selection(run), str(tmp_path / "full" / "a" / "b"), lambda: None)
