"""`xaipipe sanity`: what ignores the classifier is found out, and IoU is measured right."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

import pipeline
from inr_core import metrics
from pipeline.evaluation import decode
from pipeline.shapes import write_dataset

MODEL = ("--model", "builtin:shapes", "--workers", 0, "--areas", ".1,.3")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return str(write_dataset(tmp_path_factory.mktemp("shapes"), 2, 0))


@pytest.mark.parametrize("method", ["centre", "random"])
def test_a_method_that_ignores_the_classifier_stays_as_it_is(manifest, here, xaipipe, method):
    command = ("sanity", manifest, *MODEL, "--method", method, "--depths", "0,.5,1")
    code, text = xaipipe(*command, "--json", "a.json", "--plot", "a.png")
    assert code == 0, text
    assert f"builtin:shapes, {method}: 2 images, mean IoU" in text
    found = json.loads((here / "a.json").read_text())
    for one in found["depths"]:
        for area in (".1", ".3"):
            iou = one["iou"][f"0{area}"]["mean"]
            if method == "random" and one["depth"] == 0:  # by another seed: chance
                assert iou == pytest.approx(found["chance"][f"0{area}"], abs=0.02)
            else:
                assert iou == 1
    scores = [one["score"]["mean"] for one in found["depths"]]
    assert scores[0] > 0.9 and max(scores[1:]) < 0.5  # the classifier has forgotten
    assert (found["centre"]["0.1"]["mean"] == 1) is (method == "centre")
    assert found["chance"]["0.1"] == pytest.approx(0.1 / 1.9)
    with Image.open("a.png") as page:
        assert page.width > 500
    assert sorted(path.name for path in here.iterdir()) == ["a.json", "a.png"]


def test_masks_of_changed_classifiers_are_compared_for_the_same_class(manifest, here, xaipipe):
    rows = [row.split(",") for row in Path(manifest).read_text().split()]
    lines = [f"{row[0]},{manifest.rpartition('/')[0]}/{row[1]}" for row in rows[1:]]
    (here / "m.csv").write_text("\n".join(["id,image", *lines]))  # no target: the top 1
    command = ("sanity", "m.csv", *MODEL, "--method", "gradcam", "--depths", ".3", "--seed", 3)
    code, text = xaipipe(*command, "--out", "out", "--json", "a.json")
    assert code == 0, text
    intact, other = pipeline.read("out"), pipeline.read("out-depth-0.3")
    ids = ["shapes-00000", "shapes-00001"]
    assert [intact.image(i)["target"] for i in ids] == [other.image(i)["target"] for i in ids]
    found = json.loads((here / "a.json").read_text())["depths"][0]["iou"]
    for id_ in ids:
        pair = [decode(run.explained(id_)).chain[0].soft for run in (intact, other)]
        one, two = (metrics.top_area(soft, (0.1, 0.3)) for soft in pair)
        both, either = (one & two).sum((1, 2)), (one | two).sum((1, 2))
        target = intact.image(id_)["target"]
        values = [found[area]["values"][f"{id_} {target}"] for area in ("0.1", "0.3")]
        assert values == pytest.approx((both / either).tolist())
        assert values[0] < 0.9
    assert other.fingerprint["weights"] != intact.fingerprint["weights"]
    before = pq.read_table("out-depth-0.3/masks").num_rows
    code, text = xaipipe(*command, "--out", "out")  # nothing is done again
    assert code == 0 and pq.read_table("out-depth-0.3/masks").num_rows == before == 4


def test_mistakes_are_said_before_anything_runs(manifest, here, xaipipe):
    code, text = xaipipe("sanity", manifest, *MODEL, "--depths", ".5,2")
    assert code == 2 and "--depths .5,2: expected shares from 0 to 1" in text
    code, text = xaipipe("sanity", manifest, *MODEL, "--depths", "deep")
    assert code == 2 and "--depths deep" in text
    code, text = xaipipe("sanity", manifest, *MODEL, "--targets", "top2")
    assert code == 2 and "one class an image is compared" in text
    code, text = xaipipe("sanity", manifest, "--model", "torchscript:shapes.pt", "--workers", 0)
    assert code == 2 and "takes no others" in text
    code, text = xaipipe("sanity", manifest, *MODEL, "--plot", ".")
    assert code == 2 and "--plot" in text
