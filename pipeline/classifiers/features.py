"""Features: what a classifier has made of an image before it decides between the classes.

Shapes: M images, K classes, D features, H, W.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.classifiers.classifier import Classifier
from pipeline.errors import RequestError

aten = torch.ops.aten
INPUT = {  # maps that a head may be, and which of their arguments is what they map
    aten.addmm.default: 1,
    aten.mm.default: 0,
    aten.linear.default: 0,
    aten.convolution.default: 0,
}
NAMED = 8  # layers that a message names: the last ones that are called


class Features:
    """A classifier that tells what it decides by, besides its logits.

    layer  whose output that is; None: the input of the last linear map to the classes (a matrix, or
           a convolution of 1 x 1), whatever library or program the classifier is from
    RequestError where there is no such map, or no such layer.
    """

    def __init__(self, classifier: Classifier, layer: str | None = None) -> None:
        self.classifier, self.layer = classifier, layer
        self.module: nn.Module = classifier.module.module
        self(torch.zeros(1, *classifier.preprocess.shape, device=classifier.device))

    @torch.no_grad()
    def __call__(self, image_MCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (M, K) and features (M, D) float32, means over places or tokens."""
        if self.layer is None:
            return self._before_the_last_map(image_MCHW)
        found: list[Tensor] = []
        with self._watching(self.layer, found):
            logits = self.classifier.classify(image_MCHW)
        if not found or found[-1].ndim not in (2, 3, 4) or len(found[-1]) != len(image_MCHW):
            raise RequestError(
                f"--layer {self.layer}: is not called, or returns no features of each image; "
                f"likely ones: {self._likely(image_MCHW)}"
            )
        return logits, _pooled(found[-1]).float()

    def _before_the_last_map(self, image_MCHW: Tensor) -> tuple[Tensor, Tensor]:
        images, classes = len(image_MCHW), len(self.classifier.classes)
        with _LastMap(images, classes) as last:
            logits = self.classifier.classify(image_MCHW)
        if last.input is None:
            raise RequestError(
                f"{self.classifier.spec}: no linear map to its {classes} classes is called; name "
                f"a layer whose output tells images apart with --layer NAME; likely ones: "
                f"{self._likely(image_MCHW)}"
            )
        return logits, last.input.float()

    @contextmanager
    def _watching(self, layer: str, found: list[Tensor]) -> Iterator[None]:
        """Collects what a layer returns."""
        module = dict(self.module.named_modules()).get(layer)
        if module is None or layer == "":
            yield
            return
        handle = module.register_forward_hook(lambda *given: found.extend(_tensors(given[2])))
        try:
            yield
        finally:
            handle.remove()

    def _likely(self, image_MCHW: Tensor) -> str:
        """Names of the last layers that are called and return something for each image."""
        called: list[str] = []

        def note(name: str, output: Any) -> None:
            called.extend(name for t in _tensors(output) if 2 <= t.ndim <= 4)

        handles = [
            module.register_forward_hook(lambda *given, name=name: note(name, given[2]))
            for name, module in self.module.named_modules()
            if name and not isinstance(module, torch.jit.ScriptModule)
        ]
        try:
            self.classifier.classify(image_MCHW)
        finally:
            for handle in handles:
                handle.remove()
        names = list(dict.fromkeys(reversed(called)))[:NAMED]
        return ", ".join(names) or "none, this program has no layers with names"


class _LastMap(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what the last linear map to as many numbers as there are classes has been given."""

    def __init__(self, images: int, classes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.images, self.classes = images, classes
        self.input: Tensor | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        place = INPUT.get(func)
        if place is not None:
            convolution = func is aten.convolution.default
            if output.shape[1 if convolution else -1] == self.classes:
                self.input = self._of_images(args[place], convolution)
        return output

    def _of_images(self, given: Tensor, convolution: bool) -> Tensor:
        """(M, D); rows of a matrix are images, or the tokens of one image after the other."""
        if convolution:
            return given.mean((2, 3))
        return given.reshape(self.images, -1, given.shape[-1]).mean(1)


def _tensors(output: Any) -> list[Tensor]:
    """The first tensor that a layer returns, alone or in a tuple."""
    first = output[0] if isinstance(output, tuple | list) and output else output
    return [first] if isinstance(first, Tensor) else []


def _pooled(output: Tensor) -> Tensor:
    """Means over places or tokens: (M, D)."""
    if output.ndim == 4:
        last = output.shape[1] == output.shape[2] != output.shape[3]  # channels
        return output.mean((1, 2) if last else (2, 3))
    return output.mean(1) if output.ndim == 3 else output
