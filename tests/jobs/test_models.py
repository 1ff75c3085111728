"""`xaipipe models`: what there is, and one classifier looked at."""

import pytest
import torch
from PIL import Image

from pipeline import load_job
from pipeline.classifiers import KINDS, check_classifier, load_classifier
from pipeline.classifiers.classifier import _LOADERS
from pipeline.images import load_image
from pipeline.run import Request
from pipeline.shapes import write_dataset

STUCK = """
import torch


class Stuck(torch.nn.Module):
    def forward(self, image):
        return {body}


def make():
    return Stuck()
"""


@pytest.fixture
def photo(tmp_path):
    return str(write_dataset(tmp_path / "data", 1, 0).parent / "images" / "shapes-00000.png")


def test_every_kind_is_listed_and_can_be_loaded(xaipipe):
    assert [kind.name for kind in KINDS] == list(_LOADERS)
    code, text = xaipipe("models")
    assert code == 0
    for kind in KINDS:
        assert kind.example.startswith(f"{kind.name}:") and kind.example in text


def test_a_library_that_is_not_there_is_named_with_its_extra(xaipipe, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def version(name):
        if name == "timm":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr("pipeline.classifiers.kinds.version", version)
    _, text = xaipipe("models")
    assert 'not installed: pip install "xaipipe[timm]"' in text
    assert text.count("not installed") == 1


def test_a_classifier_is_looked_at(photo, xaipipe):
    code, text = xaipipe("models", "check", "builtin:shapes", "--image", photo)
    assert code == 0
    for part in ("classes", "top 5", "reaches the image", "passes/s", "128 passes an image"):
        assert part in text


def test_what_is_seen_is_what_the_classifier_gives(photo):
    classifier = load_classifier("builtin:shapes")
    seen = check_classifier(classifier, photo, top=3)
    image = load_image(photo, classifier.preprocess).pixels[None].requires_grad_()
    scores = classifier.classify(image).softmax(1)[0]
    order = sorted(range(len(scores)), key=lambda k: -scores[k].item())[:3]
    assert [name for name, _ in seen.top] == [classifier.classes[k] for k in order]
    assert [score for _, score in seen.top] == pytest.approx([scores[k].item() for k in order])
    (gradient,) = torch.autograd.grad(scores[order[0]].log(), image)
    assert seen.gradient == pytest.approx(gradient.abs().max().item(), rel=1e-2)


@pytest.mark.parametrize(
    "body", ["image.detach().mean((2, 3))", "(image > 0).float().mean((2, 3))"]
)
def test_a_model_without_gradient_is_told(body, photo, tmp_path, monkeypatch, xaipipe):
    name = f"stuck_{len(body)}"
    (tmp_path / f"{name}.py").write_text(STUCK.format(body=body))
    monkeypatch.syspath_prepend(str(tmp_path))
    code, text = xaipipe("models", "check", f"python:{name}:make", "--image", photo)
    assert code == 2 and "does not reach the image" in text and "differentiable" in text


def test_wrong_requests(tmp_path, xaipipe):
    code, text = xaipipe("models", "check", "resnet50", "--image", "x.jpg")
    assert code == 2 and "xaipipe models" in text
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    (tmp_path / "no.jpg").write_text("text")
    code, text = xaipipe("models", "check", "builtin:shapes", "--image", tmp_path / "no.jpg")
    assert code == 2 and "not an image" in text


def test_the_estimate_of_a_plan_is_made_of_the_same_passes(photo, tmp_path, monkeypatch):
    from pipeline.run import estimate_cost

    monkeypatch.setattr("pipeline.run.estimate.seconds_of_a_pass", lambda classifier: 0.5)
    job = {"manifest": str(tmp_path / "data" / "manifest.csv"), "model": "builtin:shapes"}
    request = Request(load_job(None, {**job, "workers": 2}))
    committed = request.committed()
    found = estimate_cost(request, request.plan(committed), committed)
    assert found.seconds == pytest.approx(1 * 128 * 0.5 / 2)
