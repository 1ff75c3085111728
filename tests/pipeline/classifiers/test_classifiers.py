"""Classifiers: loading, freezing, and errors that say what to do."""

import warnings

import pytest
import torch
import torchvision
from torch import nn

from pipeline import RequestError
from pipeline.classifiers.classifier import load_classifier
from pipeline.classifiers.weights import weights_digest


class Tiny(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4)
        self.head = nn.Linear(4, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(image).mean((2, 3)))


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    torch.manual_seed(0)
    module = torchvision.models.mobilenet_v3_small(num_classes=1000)
    path = tmp_path_factory.mktemp("weights") / "mobilenet.pth"
    torch.save(module.state_dict(), path)
    return module.eval(), str(path)


def test_torchvision_with_a_state_dict_equals_the_module_itself(mobilenet):
    module, path = mobilenet
    found = load_classifier("torchvision:mobilenet_v3_small", weights=path)
    image = torch.randn(2, 3, 224, 224)
    torch.testing.assert_close(found.classify(image), module(image).detach())
    assert found.classes[0] == "tench"
    assert len(found.classes) == 1000
    assert (found.preprocess.resize, found.preprocess.crop) == (256, 224)
    assert found.digest == weights_digest(module)


def test_the_input_gradient_flows_and_the_weights_are_frozen(mobilenet):
    found = load_classifier("torchvision:mobilenet_v3_small", weights=mobilenet[1])
    image = torch.randn(1, 3, 224, 224, requires_grad=True)
    found.classify(image).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in found.module.parameters())


def test_another_number_of_classes_follows_from_the_weights(tmp_path):
    module = torchvision.models.mobilenet_v3_small(num_classes=20)
    wrapped = {"state_dict": {f"module.{k}": v for k, v in module.state_dict().items()}}
    torch.save(wrapped, tmp_path / "voc.pth")
    found = load_classifier("torchvision:mobilenet_v3_small", weights=str(tmp_path / "voc.pth"))
    assert found.classes == tuple(str(k) for k in range(20))


def test_preprocess_fields_can_be_changed(mobilenet):
    found = load_classifier(
        "torchvision:mobilenet_v3_small", weights=mobilenet[1], preprocess="resize=224,crop=192"
    )
    assert (found.preprocess.resize, found.preprocess.crop) == (224, 192)


def test_torchscript_export_and_python_factories(tmp_path, monkeypatch):
    module = Tiny().eval()
    image = torch.randn(1, 3, 224, 224)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated
        torch.jit.trace(module, image).save(str(tmp_path / "tiny.ts"))
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        module, (torch.randn(2, 3, 224, 224),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, str(tmp_path / "tiny.pt2"))
    (tmp_path / "my_factory.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def make():\n    torch.manual_seed(0)\n"
        "    m = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(2352, 3))\n"
        "    m.classes = ('a', 'b', 'c')\n    return m\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for spec in (f"torchscript:{tmp_path}/tiny.ts", f"export:{tmp_path}/tiny.pt2"):
        found = load_classifier(spec)
        torch.testing.assert_close(found.classify(image), module(image).detach())
        torch.testing.assert_close(found.classify(image.repeat(5, 1, 1, 1)).shape, (5, 3))
    assert load_classifier("python:my_factory:make").classes == ("a", "b", "c")


def test_safetensors(tmp_path, mobilenet):
    safetensors = pytest.importorskip("safetensors.torch")
    path = str(tmp_path / "w.safetensors")
    safetensors.save_file(mobilenet[0].state_dict(), path)
    found = load_classifier("torchvision:mobilenet_v3_small", weights=path)
    assert found.digest == weights_digest(mobilenet[0])


@pytest.mark.parametrize(
    ("spec", "weights", "message"),
    [
        ("resnet50", None, "expected KIND:NAME"),
        ("onnx:x", None, "expected KIND:NAME"),
        ("torchvision:resnet51", None, "nearest known: .*resnet50"),
        ("torchvision:resnet18", "MOBILENET", "does not fit torchvision:resnet18"),
        ("torchvision:resnet18", "TEXT", "not a state dict"),
        ("torchvision:resnet18", "/nowhere/w.pth", "no such file"),
        ("builtin:animals", None, "builtin:shapes"),
        ("python:no_such_module_here:make", None, "FACTORY"),
        ("torchscript:/nowhere/m.ts", None, "cannot be read"),
        ("torchscript:TEXT", None, "not a TorchScript file"),
        ("export:TEXT", None, "torch.export.save"),
    ],
)
def test_wrong_requests_are_explained(spec, weights, message, mobilenet, tmp_path):
    text = tmp_path / "text.pth"
    text.write_text("not a model")
    fill = {"MOBILENET": mobilenet[1], "TEXT": str(text)}
    spec = spec.replace("TEXT", str(text))
    with pytest.raises(RequestError, match=message):
        load_classifier(spec, weights=fill.get(weights, weights))


def test_weights_that_cannot_be_downloaded(monkeypatch):
    from urllib.error import URLError

    def refuse(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", refuse)
    with pytest.raises(RequestError, match="could not be downloaded .*--weights FILE"):
        load_classifier("torchvision:resnet18")


def test_a_model_that_returns_no_logits_fails_before_any_worker_starts(monkeypatch, tmp_path):
    (tmp_path / "odd_factory.py").write_text(
        "from torch import nn\n"
        "def flat():\n    return nn.Flatten(0)\n"
        "def wrong():\n    return nn.Sequential(nn.Flatten(), nn.Linear(7, 3))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RequestError, match="expected logits"):
        load_classifier("python:odd_factory:flat")
    with pytest.raises(RequestError, match="failed on an input .*--preprocess"):
        load_classifier("python:odd_factory:wrong")
