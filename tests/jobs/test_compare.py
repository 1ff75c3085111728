"""`xaipipe compare`: runs as columns, images as rows."""

import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline import Request, load_job
from pipeline.results.gallery import Gallery
from pipeline.run import driver
from pipeline.shapes import write_dataset


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    manifest = str(write_dataset(folder / "data", 3, 0))
    common = {"manifest": manifest, "model": "builtin:shapes", "workers": 0, "areas": [0.1, 0.3]}
    for name, own in {"ours": {"restarts": 2, "steps": 3}, "centre": {"method": "centre"}}.items():
        driver.run(Request(load_job(None, {**common, "out": str(folder / name), **own})), print)
    return folder


def test_a_row_for_each_image_and_a_column_for_each_run(runs, xaipipe, tmp_path):
    target = tmp_path / "new" / "c.png"
    arguments = [runs / "ours", "--against", runs / "centre", "--limit", 2, "--to", target]
    code, text = xaipipe("compare", *arguments)
    assert code == 0 and "c.png" in text
    two = Image.open(target).copy()
    xaipipe("compare", runs / "ours", "--limit", 3, "--to", target)
    three = Image.open(target).copy()
    assert three.width < two.width and three.height > two.height
    assert np.array(two).std() > 20


def test_the_best_restart_is_drawn(runs):
    gallery = Gallery(pipeline.read(str(runs / "ours")), "shapes-00001")
    rows = gallery.reader.rows("explanations", "shapes-00001")
    (best,) = [e["restart"] for e in rows if e["best"]]
    picture = gallery.best(0.1)
    assert picture.restart == best and "kept" in picture.caption
    assert np.array_equal(picture.image, gallery.draw(0.1, restart=best))
    assert not np.array_equal(picture.image, gallery.draw(0.1, restart=1 - best))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nobody"], "nobody"), (["--area", "0.2", "--against", "centre"], "0.2")],
)
def test_what_is_not_there_is_said(runs, xaipipe, tmp_path, arguments, message):
    named = [runs / a if a == "centre" else a for a in arguments]
    target = tmp_path / "c.png"
    code, text = xaipipe("compare", runs / "ours", *named, "--to", target)
    assert code == 2 and message in text
    assert not target.exists()
