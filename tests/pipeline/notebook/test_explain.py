"""One image in a notebook: the masks are those of a run, whatever the image is given as."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

import pipeline
from pipeline import RequestError, explain
from pipeline.images.loading import load_image
from pipeline.images.preprocess import Preprocess
from pipeline.shapes import MEAN, SIZE, STD, load_shapes

ID = "rotated/ü 1"
SETTINGS = {
    "areas": (0.05, 0.2),
    "restarts": 2,
    "rounds": 2,
    "round_score": 0.0,
    "optimise": {"steps": 3},
}
FIELDS = Preprocess(resize=SIZE, crop=SIZE, mean=MEAN, std=STD)


@pytest.fixture(scope="module")
def run(shapes_run):
    return pipeline.read(str(shapes_run))


@pytest.fixture(scope="module")
def path(run):
    return run.image(ID)["image"]


@pytest.fixture(scope="module")
def explained(path):
    return explain(path, model="builtin:shapes", id=ID, **SETTINGS)


def test_it_is_the_run_to_the_last_bit(run, explained):
    for area in (0.05, 0.2):
        assert np.array_equal(explained.masks[area], run.render(ID, area, original=True))
        again = run.render(ID, area, round=1, restart=1, original=True)
        assert np.array_equal(explained.mask(area, round=1, restart=1), again)
    assert np.array_equal(explained.mask(0.13), run.render(ID, 0.13, original=True))
    stored = [{k: v for k, v in m.items() if k != "mask"} for m in run.rows("masks", ID)]
    assert explained.scores == stored
    row = run.image(ID)
    for name in ("target", "target_name", "score", "predicted", "width", "height", "crop"):
        assert explained.row[name] == row[name]
    (best,) = [e for e in run.rows("explanations", ID) if e["best"] and e["round"] == 0]
    assert explained.minimal_area == best["minimal_area"]


def test_paths_pictures_arrays_and_tensors_are_one_image(path, explained):
    opened = Image.open(path)  # not upright yet
    upright = np.array(explained.image)
    pixels = torch.from_numpy(upright.transpose(2, 0, 1).copy())
    for image in (opened, upright, pixels):
        again = explain(image, model="builtin:shapes", id=ID, **SETTINGS)
        for area, mask in explained.masks.items():
            assert np.array_equal(again.masks[area], mask)


def test_an_input_of_the_classifier_is_taken_as_it_is(path, explained):
    pixels = load_image(path, FIELDS).pixels
    for given in (pixels, pixels[None].clone()):
        again = explain(given, model="builtin:shapes", id=ID, **SETTINGS)
        assert again.row["score"] == explained.row["score"]
        assert [s["score_kept"] for s in again.scores] == [
            s["score_kept"] for s in explained.scores
        ]
        assert again.image.size == (SIZE, SIZE) and again.masks[0.2].shape == (SIZE, SIZE)
        shown = (
            pixels * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
        ) * 255
        assert np.abs(np.array(again.image) - shown.permute(1, 2, 0).numpy()).max() <= 1


def test_a_module_is_explained_and_left_as_it_was(path, explained):
    module = load_shapes().train()
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch.set_num_threads(2)
    names = [f"class {n}" for n in range(10)]
    fields = (
        f"resize={SIZE},crop={SIZE},mean={':'.join(map(str, MEAN))},std={':'.join(map(str, STD))}"
    )
    again = explain(path, model=module, classes=names, preprocess=fields, id=ID, **SETTINGS)
    for area, mask in explained.masks.items():
        assert np.array_equal(again.masks[area], mask)
    assert again.row["target_name"] == names[explained.row["target"]]
    assert module.training and all(p.requires_grad for p in module.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_targets_by_name_and_other_methods(path):
    one = explain(path, model="builtin:shapes", target="dotted-disc", method="centre", areas=[0.2])
    assert one.row["target_name"] == "dotted-disc" and list(one.masks) == [0.2]
    assert one.masks[0.2][50:250].mean() / 255 == pytest.approx(0.2, abs=0.01)
    with pytest.raises(RequestError, match="no mask of area 0.1"):
        one.mask(0.1)


def test_it_shows_itself(explained):
    page = Image.open(io.BytesIO(explained._repr_png_()))
    assert page.format == "PNG" and page.width == 3 * 246 + 6 and page.height > 4 * 300 * 0.8
    shown = explained._repr_html_()
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', shown)
    assert base64.b64decode(data) == explained._repr_png_()
    explained.row["target_name"], name = "<script>", explained.row["target_name"]
    assert "<script>" not in explained._repr_html_()
    explained.row["target_name"] = name
    assert name in repr(explained) and "minimal area" in repr(explained)
    assert explained.draw(style="heat").size == (200, 300)
    assert Image.open(io.BytesIO(explained.animate())).n_frames > 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"areaz": (0.1,)}, "did you mean areas"),
        ({"out": "o"}, "out is a setting of whole runs"),
        ({"areas": (2,)}, "areas must lie in"),
        ({"target": "dotted-disk"}, "nearest is 'dotted-disc'"),
        ({"classes": ["a"]}, "1 names for the 10 classes"),
        ({"model": "builtin:forms"}, "builtin:shapes"),
        ({"image": "/nowhere.png"}, "/nowhere.png: there is no such file"),
        ({"image": torch.zeros(4, 20, 30)}, "expected an input of the classifier"),
        ({"image": torch.zeros(2, 3, 64, 64)}, "one at a time"),
        ({"image": np.zeros((20, 30, 3))}, "expected uint8"),
        ({"image": torch.zeros(30, 20, 4, dtype=torch.uint8)}, "expected uint8"),
        ({"image": torch.full((3, 128, 128), torch.nan)}, "not finite"),
    ],
)
def test_what_cannot_be_explained_is_said(path, given, message):
    with pytest.raises(RequestError, match=message):
        explain(**{"image": path, "model": "builtin:shapes", **given})
