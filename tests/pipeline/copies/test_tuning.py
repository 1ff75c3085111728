"""Tuning a copy: which weights learn, what is learnt, and how it is told."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline import RequestError
from pipeline.copies import Copied, TuneConfig, tune
from pipeline.copies.masking import masked, random_masks
from pipeline.images import Preprocess, load_image
from pipeline.manifest import ImageRef, Manifest
from pipeline.shapes import write_dataset

FIELDS = Preprocess(resize=32, crop=32)


class Tiny(nn.Module):
    """Two colours: random, so that there is something to be learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 2)

    def forward(self, image_BCHW):
        return self.head(self.norm(self.body(image_BCHW)).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def refs(tmp_path_factory):
    """Forty images, red and blue in turn."""
    colours = [((200 + n, 10, 30), (20, 10, 200 + n))[n % 2] for n in range(40)]
    return written(
        tmp_path_factory.mktemp("colours"), np.tile(np.array(colours)[:, None, None], SIZE)
    )


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Forty images of noise, which look different where they are blurred."""
    random = np.random.default_rng(0)
    return written(tmp_path_factory.mktemp("noise"), random.integers(0, 256, (40, 40, 40, 3)))


SIZE = (1, 40, 40, 1)


def written(folder, pixels_NHW3):
    """References to images, of class 0 and 1 in turn."""
    found = []
    for n, pixels in enumerate(pixels_NHW3):
        file = folder / f"{n}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(file)
        found.append(ImageRef(id=str(n), image=str(file), target=n % 2, extra={}))
    return found


def module():
    torch.manual_seed(0)
    return Tiny()


CONFIG = TuneConfig(depth=0.5, epochs=8, batch=8, learning_rate=0.05, teacher=False)


def test_labels_are_learnt_by_the_top_layers_alone(refs):
    tuned, doing = module(), []
    before = copy.deepcopy(tuned.state_dict())
    found = tune(tuned, refs, FIELDS, CONFIG, report=doing.append)
    assert (found.layers, found.learnt, found.held_out, found.unreadable) == (2, 32, 8, 0)
    assert found.parameters == 2 * 8 + 8 * 2 + 2
    changed = {name for name, value in tuned.state_dict().items() if not value.equal(before[name])}
    assert changed == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert found.after.whole == found.after.masked == 1 > found.before.masked
    assert doing[0] == "accuracy before" and doing[-1] == "accuracy after" and len(doing) == 10
    again = module()
    assert tune(again, refs, FIELDS, CONFIG) == found
    assert all(v.equal(again.state_dict()[name]) for name, v in tuned.state_dict().items())


def test_a_teacher_is_the_classifier_as_it_was(noise):
    """The copy says of masked images what the classifier said of whole ones; labels are noise."""
    before = module()
    with torch.no_grad():
        before.head.weight.mul_(30)  # decided
    image = torch.stack([load_image(ref.image, FIELDS).pixels for ref in noise])
    behind = masked(image, random_masks(40, (32, 32), 0.3, rng(1)), torch.arange(40) % 2 == 0)

    @torch.no_grad()
    def apart(tuned):
        return (before.eval()(image).softmax(1) - tuned.eval()(behind).softmax(1)).abs().mean()

    far = {}
    for teacher in (True, False):
        tuned = copy.deepcopy(before)
        config = TuneConfig(depth=1, epochs=10, batch=8, learning_rate=0.01, teacher=teacher)
        tune(tuned, noise, FIELDS, config)
        far[teacher] = apart(tuned)
    assert far[True] < 0.6 * min(apart(before), far[False])


def rng(seed):
    return torch.Generator().manual_seed(seed)


def test_the_accuracy_is_of_what_is_held_out(refs):
    """By hand: all whole images, each once, of a classifier that sees the colour."""
    seen = module()
    with torch.no_grad():
        seen.body.weight.zero_()
        seen.body.weight[0, 0] = 1  # red
        seen.body.bias.zero_()
        seen.head.weight.zero_()
        seen.head.weight[0, 0] = 1
        seen.head.bias.copy_(torch.tensor([0.0, 1.0]))
    found = tune(seen, refs, FIELDS, TuneConfig(epochs=1, learning_rate=1e-9, held_out=0.5))
    assert found.held_out == 20 and found.before.whole == found.after.whole == 1
    broken = [*refs, ImageRef(id="x", image="nowhere.png", target=0, extra={})]
    assert tune(seen, broken, FIELDS, TuneConfig(epochs=1)).unreadable == 1


def test_mistakes_are_named(refs):
    for change, message in (
        ({"depth": 0}, "depth is 0; expected a share"),
        ({"held_out": 1}, "held_out is 1"),
        ({"least": 1.5}, "least is 1.5"),
        ({"epochs": 0}, "epochs is 0; expected more than 0"),
    ):
        with pytest.raises(RequestError, match=message):
            TuneConfig(**change)
    with pytest.raises(RequestError, match="1 images, of which 0 would be held out"):
        tune(module(), refs[:1], FIELDS, CONFIG)


def test_a_copy_is_given_back_as_weights(tmp_path):
    manifest = write_dataset(tmp_path, 4, 0)
    copied = Copied.of("builtin:shapes")
    refs = list(Manifest(str(manifest), classes=copied.classes, labelled=True))
    tune(copied.module, refs, copied.preprocess, TuneConfig(epochs=1, batch=2, held_out=0.5))
    copied.save(tmp_path / "copy.pth")
    again = Copied.of("builtin:shapes", str(tmp_path / "copy.pth"))
    intact = Copied.of("builtin:shapes").module.state_dict()
    written = again.module.state_dict()
    assert all(value.equal(copied.module.state_dict()[name]) for name, value in written.items())
    changed = {name for name, value in written.items() if not value.equal(intact[name])}
    learning = {"features.5.1.weight", "features.5.1.bias", "head.weight", "head.bias"}
    assert changed == learning
