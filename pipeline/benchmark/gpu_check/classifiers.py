"""Classifiers of torchvision: folded, in bf16 and compiled, beside plain ones in float64."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

from pipeline import shapes
from pipeline.benchmark.gpu_check.sections import Findings, Place
from pipeline.benchmark.gpu_check.workers import weights_of
from pipeline.classifiers import Frozen, Precision

MODELS = ("mobilenet_v2", "resnet50")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
LOGITS = {"fp32": 0.02, "bf16": 0.1}  # of the largest; fp32 multiplies in TF32
GRADIENT = {"fp32": 0.99, "bf16": 0.9}  # cosine of the angle between gradients


def classifiers(place: Place, found: Findings) -> None:
    """Logits and gradients by every way of computing."""
    side = place.size(224, shapes.SIZE)
    for name in ("shapes",) if place.quick else MODELS:
        model = _model(place, name)
        random = torch.Generator().manual_seed(0)
        image = torch.randn(place.size(8, 2), 3, side, side, generator=random)
        wanted = _seen(copy.deepcopy(model).double(), image.double())
        for precision in PRECISIONS:
            _check(name, copy.deepcopy(model), precision, image, wanted, place, found)


def _model(place: Place, name: str) -> nn.Module:
    if name == "shapes":
        return shapes.load_shapes()
    model: nn.Module = torchvision.models.get_model(name, weights=None)
    model.load_state_dict(torch.load(weights_of(place, name), weights_only=True))
    return model.eval()


def _check(
    name: str,
    model: nn.Module,
    precision: Precision,
    image: Tensor,
    wanted: tuple[Tensor, Tensor],
    place: Place,
    found: Findings,
) -> None:
    device = torch.device(place.device)
    _, channels, height, width = image.shape
    frozen = Frozen(model, (channels, height, width), device, precision)
    image = image.to(device)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    found.expect(f"{name}: batch norms are folded, {frozen.notes}", norms == 0)
    _near(f"{name} {precision}", _seen(frozen, image), wanted, precision, found)
    started = time.perf_counter()
    reason = frozen.compile_for(lambda: [len(image)])
    found.figures[f"{name} {precision} compiling"] = time.perf_counter() - started
    found.expect(f"{name} {precision}: is compiled, {reason}", reason is None)
    _near(f"{name} {precision} compiled", _seen(frozen, image), wanted, precision, found)
    padded = _seen(frozen, image[:-1])
    _near(f"{name} {precision} padded", padded, (wanted[0][:-1], wanted[1][:-1]), precision, found)
    found.expect(f"{name} {precision}: no eager call", frozen.eager == 0)


def _seen(classify: Callable[[Tensor], Tensor], image: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of one of each image."""
    image = image.clone().requires_grad_()
    logits = classify(image)
    (gradient,) = torch.autograd.grad(logits[:, 7].sum(), image)
    return logits.detach().double().cpu(), gradient.double().cpu()


def _near(
    name: str,
    one: tuple[Tensor, Tensor],
    wanted: tuple[Tensor, Tensor],
    precision: Precision,
    found: Findings,
) -> None:
    error = float((one[0] - wanted[0]).abs().max() / wanted[0].abs().max())
    angle = float((one[1] * wanted[1]).sum() / (one[1].norm() * wanted[1].norm()))
    found.figures[name] = {"logits": error, "cosine": angle}
    found.expect(f"{name}: logits within {LOGITS[precision]}", error <= LOGITS[precision])
    found.expect(f"{name}: gradients above {GRADIENT[precision]}", angle >= GRADIENT[precision])
