"""Two models over the same images: every column re-derived, ranked, aligned, on the page."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import pipeline
from inr_core import gaussian_blur
from pipeline.classifiers import load_classifier
from pipeline.diff import changed, difference
from pipeline.diff.grids import onto
from pipeline.images import load_image
from pipeline.shapes import write_dataset
from tests.analyses import analyse, explain
from tests.reports import Page

MODEL = "python:other_head:make"
OTHER = """
import torch
from pipeline.images import Preprocess
from pipeline.shapes import CLASSES, MEAN, SIZE, STD, load_shapes

def make():
    module = load_shapes()
    last = [value for value in module.parameters() if value.ndim == 2][-1]
    noise = torch.randn(last.shape, generator=torch.Generator().manual_seed(0))
    last.data += 0.3 * noise
    module.preprocess = Preprocess(resize=SIZE, crop=SIZE, mean=MEAN, std=STD)
    module.classes = CLASSES
    return module
"""
AREA = 0.2
IMAGES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of a network with two heads; of the second run, images lack or have another class."""
    folder = tmp_path_factory.mktemp("pair")
    manifest = write_dataset(folder / "data", IMAGES, 0)
    (folder / "other_head.py").write_text(OTHER)
    with manifest.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:  # absolute, so that manifests may lie anywhere
        row |= {name: str(folder / "data" / row[name]) for name in ("image", "mask")}
    write(folder / "one.csv", rows[:5])
    other = next(r["target"] for r in rows if r["target"] != rows[1]["target"])
    write(folder / "two.csv", [rows[0], rows[1] | {"target": other}, *rows[2:4], rows[5]])
    explain(folder / "one.csv", folder / "one", method="random", shard_size=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        explain(folder / "two.csv", folder / "two", method="centre", model=MODEL, shard_size=3)
        yield folder


def write(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["id", "image", "target", "mask"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def test_every_column_follows_from_both_runs(folder):
    one, two = (pipeline.read(str(folder / name)) for name in ("one", "two"))
    analyse(folder / "one", difference(one, two), overwrite=True)
    found = changed(one, two)
    assert (found.common, found.other, found.only_a, found.only_b, found.failed) == (3, 1, 1, 1, 0)
    a = load_classifier("builtin:shapes")
    b = load_classifier(MODEL)
    for row in found.table.to_pylist():
        rows = [run.image(row["id"]) for run in (one, two)]
        assert row["target"] == rows[0]["target"] == rows[1]["target"]
        assert row["area"] == AREA
        for name, own in zip("ab", rows, strict=True):
            assert row[f"score_{name}"] == own["score"]
            assert row[f"predicted_{name}"] == own["predicted"]
            assert row[f"predicted_name_{name}"] == own["predicted_name"]
        hard = [top(run.stored_mask(row["id"], AREA)) for run in (one, two)]
        iou = (hard[0] & hard[1]).sum() / (hard[0] | hard[1]).sum()
        assert row["iou"] == pytest.approx(iou, abs=0.01)
        truth = np.array(Image.open(rows[0]["mask"])) > 127
        outside = [(mask & ~truth).sum() / mask.sum() for mask in hard]
        assert [row["outside_a"], row["outside_b"]] == pytest.approx(outside, abs=0.01)
        assert row["moved"] == pytest.approx(row["outside_b"] - row["outside_a"])
        disc = hard[1]  # has no ties: the scores are exact
        for name, classifier in (("a", a), ("b", b)):
            image = load_image(rows[0]["image"], classifier.preprocess).pixels[None]
            for what, mask in (("kept", disc), ("removed", ~disc)):
                soft = gaussian_blur(torch.from_numpy(mask)[None, None].float(), 2 * 128 / 224)
                shown = soft * image + (1 - soft) * gaussian_blur(image, 0.09 * 128)
                score = classifier.classify(shown).softmax(1)[0, row["target"]].item()
                assert row[f"{what}_{name}_on_b"] == pytest.approx(score, abs=1e-4)


def top(mask):
    """The brightest floor(a H W) pixels; of equal ones those that come first."""
    order = np.argsort(-mask.astype(int), axis=None, kind="stable")
    chosen = np.zeros(mask.size, bool)
    chosen[order[: int(AREA * mask.size)]] = True
    return chosen.reshape(mask.shape)


def test_classes_are_means_of_their_images_ranked_by_what_moved(folder):
    one, two = (pipeline.read(str(folder / name)) for name in ("one", "two"))
    analyse(folder / "one", difference(one, two), overwrite=True)
    found = changed(one, two)
    rows = found.table.to_pylist()
    moved = [c.moved for c in found.classes]
    assert moved == sorted(moved, reverse=True)
    assert sum(c.images for c in found.classes) == len(rows)
    for c in found.classes:
        own = [r for r in rows if r["target"] == c.target]
        for name in ("iou", "score_a", "kept_a_on_b", "outside_b", "moved"):
            assert getattr(c, name) == pytest.approx(np.mean([r[name] for r in own]))
        same = [r["predicted_a"] == r["predicted_b"] for r in own]
        assert c.same == pytest.approx(np.mean(same)) and c.with_truth == len(own)


def test_the_command_prints_and_writes_and_the_page_shows_it(folder, xaipipe, tmp_path):
    to = tmp_path / "diff.parquet"
    arguments = [folder / "one", folder / "two", "--overwrite", "--workers", "0"]
    code, text = xaipipe("diff", *arguments, "--out", to)
    assert code == 0, text
    assert "3 images in common" in text
    assert "1 explained for different classes, 1 only in a, 1 only in b" in text
    assert pq.read_table(to).num_rows == 3
    page = tmp_path / "r.html"
    assert xaipipe("report", folder / "one", "--against", folder / "two", "--to", page)[0] == 0
    parsed = Page(page.read_text())
    assert "What has changed" in parsed.texts
    assert "diff" in [section["id"] for section in parsed.all("section")]
    assert "1 explained for different classes" in " ".join(" ".join(parsed.texts).split())
    row = pq.read_table(to).sort_by([("moved", "descending")]).to_pylist()[0]
    head = ("image", "class", "a predicts", "b predicts", "IoU", "a on b", "b on a", "moved")
    cells = parsed.rows(*head)
    assert cells[0] == row["id"] and cells[4] == f"{row['iou']:.2f}"


def test_two_comparisons_of_one_run_stay_side_by_side(folder):
    one, two = (pipeline.read(str(folder / name)) for name in ("one", "two"))
    analyse(folder / "one", difference(one, two), overwrite=True)
    explain(folder / "one.csv", folder / "three", method="centre")
    three = pipeline.read(str(folder / "three"))
    analyse(folder / "one", difference(one, three))
    assert (changed(one, two).common, changed(one, three).common) == (3, 5)


def test_masks_of_another_crop_are_brought_onto_the_input():
    mask = torch.rand((6, 6), generator=torch.Generator().manual_seed(0))
    whole = {"x0": 0.0, "y0": 0.0, "x1": 12.0, "y1": 12.0}
    assert onto(mask, whole, whole, (6, 6)) is mask
    part = {"x0": 2.0, "y0": 4.0, "x1": 6.0, "y1": 8.0}  # two by two of its pixels
    assert torch.allclose(onto(mask, whole, part, (2, 2)), mask[2:4, 1:3], atol=1e-6)
    far = {"x0": -4.0, "y0": 0.0, "x1": 8.0, "y1": 12.0}
    found = onto(mask, whole, far, (6, 6))
    assert (found[:, :2] == 0).all() and torch.allclose(found[:, 2:], mask[:, :4], atol=1e-6)


def test_wrong_requests(folder, xaipipe, tmp_path):
    (tmp_path / "few.py").write_text(
        "import torch\nfrom pipeline.images import Preprocess\n"
        "class Few(torch.nn.Module):\n"
        "    preprocess = Preprocess(resize=128, crop=128)\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.head = torch.nn.Linear(3, 4)\n"
        "    def forward(self, image):\n        return self.head(image.mean((2, 3)))\n"
        "def make():\n    torch.manual_seed(0)\n    return Few()\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        with (folder / "one.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        write(tmp_path / "few.csv", [row | {"target": "1"} for row in rows])
        explain(tmp_path / "few.csv", tmp_path / "few", model="python:few:make")
        for arguments, message in (
            ([folder / "one", folder / "one"], "the same run"),
            ([folder / "one", tmp_path], "no run here"),
            ([folder / "one", folder / "two", "--area", "0.3"], "choose one of these areas"),
        ):
            code, text = xaipipe("diff", *arguments)
            assert code == 2 and message in text, text
        with pytest.raises(pipeline.RequestError, match="has 4 classes, that of .* 10"):
            difference(*(pipeline.read(str(p)) for p in (folder / "one", tmp_path / "few")))
