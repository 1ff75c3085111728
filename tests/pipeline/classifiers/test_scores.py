"""Scores of an image are those of the model's own library, for every kind of model and of fit.

`python -m pytest -rP` on this file prints the largest difference of probabilities of each.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
import transformers
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from timm.models import save_for_hf
from torch import Tensor, nn

from pipeline.classifiers.classifier import load_classifier
from pipeline.images import load_image
from tests.hubs import NORM, RESNET, SHORTEST, VIT, vit_processor
from tests.pictures import picture, saved
from tests.variants import variants

ASSETS = Path(os.environ.get("XAIPIPE_ASSETS", "/nonexistent"))
PHOTOS = sorted((ASSETS / "imagenet" / "photos").glob("*.JPEG"))[:4]
SIZES = [(301, 222), (97, 240), (500, 375)]  # of generated images: width, height
SAME = 1e-4  # of a probability
SMALL_SWIN = {"embed_dim": 24, "depths": (1, 1), "num_heads": (2, 4)}


@dataclass
class Case:
    """A model, and what its own library makes of an image file: its scores (K,)."""

    spec: str
    weights: str | None
    scores: Callable[[str], Tensor]


def compare(name: str, case: Case, files: list[str]) -> None:
    """That scores are the same, and differ from image to image, so that they tell something."""
    found = load_classifier(case.spec, weights=case.weights)
    ours, theirs = [], []
    with torch.no_grad():
        for file in files:
            pixels = load_image(file, found.preprocess).pixels[None]
            ours.append(found.classify(pixels).softmax(1)[0])
            theirs.append(case.scores(file))
    difference = (torch.stack(ours) - torch.stack(theirs)).abs().max().item()
    print(f"{name:55} {difference:.1e}")
    assert torch.stack(theirs).std(0).max() > 100 * SAME
    assert difference <= SAME


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    images = [picture(*size, seed=n) for n, size in enumerate(SIZES)]
    return [saved(folder / f"{n}.png", image) for n, image in enumerate(images)]


@torch.no_grad()
def decide(module: nn.Module, scores: Callable[[str], Tensor], files: list[str]) -> None:
    """Have a random model say something else of each image: its last map is moved and scaled."""
    head: Any = [m for m in module.modules() if isinstance(m, nn.Linear)][-1]
    logits = torch.stack([scores(file).log() for file in files])
    times = 1 / logits.std(0).max()
    head.weight.mul_(times)
    head.bias.sub_(logits.mean(0)).mul_(times)


def by_timm(module: nn.Module) -> Callable[[str], Tensor]:
    config = resolve_model_data_config(module)
    transform = create_transform(**config, is_training=False)
    mode = "RGB" if config["input_size"][0] == 3 else "L"
    return lambda file: module(transform(Image.open(file).convert(mode))[None]).softmax(1)[0]


TIMM = {  # name: model, its arguments, its configuration
    "Swin": ("swin_tiny_patch4_window7_224", SMALL_SWIN, {}),
    "ConvNeXt": ("test_convnext", {}, {}),
    "EfficientNet": ("test_efficientnet", {}, {}),
    "ViT": ("test_vit", {}, {}),
    "MobileViT": ("mobilevit_xxs", {}, {}),
    "ViT, squash": ("test_vit", {}, {"crop_mode": "squash", "crop_pct": 1.0}),
    "ViT, squash and cut": ("test_vit", {}, {"crop_mode": "squash", "crop_pct": 0.9}),
    "ConvNeXt, border": ("test_convnext", {}, {"crop_mode": "border", "crop_pct": 1.0}),
    "ResNet, not square": ("test_resnet", {}, {"input_size": (3, 96, 160)}),
    "ResNet, not square, border": (
        "test_resnet",
        {},
        {"input_size": (3, 96, 160), "crop_mode": "border", "crop_pct": 1.0},
    ),
    "ResNet, one channel": (
        "test_resnet",
        {"in_chans": 1},
        {"input_size": (1, 96, 96), "mean": (0.5,), "std": (0.25,)},
    ),
}


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str, pictures: list[str], tmp_path: Path) -> None:
    architecture, arguments, config = TIMM[name]
    torch.manual_seed(0)
    module: Any = timm.create_model(architecture, num_classes=5, **arguments).eval()
    module.pretrained_cfg |= config
    decide(module, scores := by_timm(module), pictures)
    save_for_hf(module, str(tmp_path), model_args=arguments)
    case = Case(f"timm:local-dir:{tmp_path}", None, scores)
    compare(f"timm, {name}", case, pictures)


def by_processor(model: Any, folder: Path) -> Callable[[str], Tensor]:
    processor = transformers.AutoImageProcessor.from_pretrained(folder)

    def scores(file: str) -> Tensor:
        given = processor(Image.open(file).convert("RGB"), return_tensors="pt")
        return model(**given).logits.softmax(1)[0]

    return scores


def by_pipeline(folder: Path) -> Callable[[str], Tensor]:
    classify = transformers.pipeline("image-classification", model=str(folder), device="cpu")
    names = classify.model.config.id2label

    def scores(file: str) -> Tensor:
        said = {one["label"]: one["score"] for one in classify(file, top_k=None)}
        return torch.tensor([said[names[k]] for k in sorted(names)])

    return scores


def vit() -> Any:
    return transformers.ViTForImageClassification(transformers.ViTConfig(**VIT))


def resnet() -> Any:
    return transformers.ResNetForImageClassification(transformers.ResNetConfig(**RESNET))


TRANSFORMERS = {
    "ViT, squash": (vit, vit_processor()),
    "ResNet, crop": (
        resnet,
        transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.8, **NORM),
    ),
    "ResNet, CLIP's processor": (resnet, transformers.CLIPImageProcessor(**SHORTEST)),
    "ResNet, blue first": (
        resnet,
        transformers.MobileViTImageProcessor(size={"shortest_edge": 40}, crop_size=32),
    ),
    "ResNet, not square": (resnet, vit_processor(size={"height": 48, "width": 80})),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("way", ["processor", "pipeline"])
def test_transformers(name: str, way: str, pictures: list[str], tmp_path: Path) -> None:
    make, processor = TRANSFORMERS[name]
    torch.manual_seed(1)
    model = make().eval()
    processor.save_pretrained(tmp_path)
    scores = by_processor(model, tmp_path)
    decide(model, scores, pictures)
    model.save_pretrained(tmp_path)
    if way == "pipeline":
        scores = by_pipeline(tmp_path)
    compare(f"transformers, {way}, {name}", Case(f"hf:{tmp_path}", None, scores), pictures)


def by_torchvision(module: nn.Module, name: str) -> Callable[[str], Tensor]:
    transform = next(iter(torchvision.models.get_model_weights(name))).transforms()
    return lambda file: module(transform(Image.open(file).convert("RGB"))[None]).softmax(1)[0]


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "resnet18"])
def test_torchvision(name: str, pictures: list[str], tmp_path: Path) -> None:
    torch.manual_seed(2)
    module: Any = torchvision.models.get_model(name, num_classes=5).eval()
    decide(module, scores := by_torchvision(module, name), pictures)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    case = Case(f"torchvision:{name}", str(tmp_path / "w.pth"), scores)
    compare(f"torchvision, {name}", case, pictures)


REAL = {
    "torchvision:mobilenet_v2": "mobilenet_v2.pth",
    "timm:deit_tiny_patch16_224": "deit_tiny.pth",
    "torchvision:resnet50": "resnet50.pth",
}


@pytest.mark.parametrize("spec", variants(REAL, always=2))
def test_trained_models_on_photographs(spec: str) -> None:
    file = ASSETS / "weights" / REAL[spec]
    if not file.exists() or not PHOTOS:
        pytest.skip("XAIPIPE_ASSETS does not name a folder with weights/ and imagenet/photos/")
    kind, name = spec.split(":")
    library: Any = torchvision.models.get_model if kind == "torchvision" else timm.create_model
    module = library(name).eval()
    module.load_state_dict(torch.load(file, weights_only=True))
    scores = by_timm(module) if kind == "timm" else by_torchvision(module, name)
    compare(f"{spec}, trained", Case(spec, str(file), scores), [str(file) for file in PHOTOS])


def test_every_preprocessing_of_torchvision_is_followed(tmp_path: Path) -> None:
    from pipeline.classifiers.classifier import _preprocess_of

    image = picture(331, 240)
    image.save(tmp_path / "a.png")
    seen = set()
    for name in torchvision.models.list_models(module=torchvision.models):
        for weights in torchvision.models.get_model_weights(name):
            transform = weights.transforms()
            if repr(transform) in seen:
                continue
            seen.add(repr(transform))
            shown = load_image(str(tmp_path / "a.png"), _preprocess_of(weights)).pixels
            torch.testing.assert_close(shown, transform(image), rtol=0, atol=1e-6)
    assert len(seen) > 15
