"""Classifiers by name: frozen models with their preprocessing and class names.

torchvision:NAME       a model of torchvision, with --weights FILE or torchvision's own weights
timm:NAME              likewise a model of timm (extra `timm`)
hf:REPO                a model of transformers (extra `hf`): REPO on the hub, or a folder ./FOLDER
torchscript:FILE       a scripted or traced module
export:FILE.pt2        a program saved by torch.export
python:MODULE:FACTORY  FACTORY() of MODULE.py, here or installed, returns an nn.Module
builtin:shapes         the small classifier in this package
"""

from __future__ import annotations

import copy
import difflib
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

import fsspec
import torch
from torch import Tensor, nn

from inr_core import Head, class_scores
from pipeline import shapes
from pipeline.classifiers.exported import runnable
from pipeline.classifiers.frozen import PRECISION, Frozen, Precision
from pipeline.classifiers.hubs import Logits, load_hf, load_timm
from pipeline.classifiers.labels import check_labels
from pipeline.classifiers.loaded import Loaded, filled
from pipeline.classifiers.weights import load_state, read_state_dict, weights_digest
from pipeline.errors import RequestError, clean, describe
from pipeline.images import Preprocess

OURS = ("inr_core", "pipeline", "jobs")  # packages, imported by now


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A frozen classifier.

    module      images (M, C, H, W), normalised -> logits (M, K) float32; differentiable
    classes     names of the K classes
    digest      hex hash of the weights: part of a run's fingerprint
    head        what makes scores of logits: `softmax`, or `sigmoid` for several labels an image
    """

    spec: str
    module: Frozen
    preprocess: Preprocess
    classes: tuple[str, ...]
    digest: str
    device: torch.device
    head: Head = "softmax"

    def classify(self, image_MCHW: Tensor) -> Tensor:
        """Logits of images; what methods call that do not look inside the module."""
        logits: Tensor = self.module(image_MCHW)
        return logits

    def scores(self, logits_MK: Tensor) -> Tensor:
        """Probabilities, (M, K) in [0, 1]."""
        return class_scores(logits_MK, self.head)


def load_classifier(
    spec: str | nn.Module,
    *,
    weights: str | None = None,
    preprocess: str | None = None,
    device: str = "cpu",
    precision: Precision | None = None,
    head: Head = "softmax",
    labels: Sequence[str] | None = None,
) -> Classifier:
    """Load, freeze and try a classifier; RequestError says what is wrong with the request.

    spec       KIND:NAME, or a module, of which a copy is frozen
    precision  None: fp32 on a CPU, bf16 on a GPU
    labels     names of the classes in place of those that the model brings
    """
    if isinstance(spec, nn.Module):
        loaded = _module(copy.deepcopy(spec), weights)
        spec = type(spec).__name__
    else:
        loaded = load_module(spec, weights)
    fields = loaded.preprocess.override(preprocess) if preprocess else loaded.preprocess
    digest = weights_digest(loaded.module)
    place = torch.device(device)
    precision = precision or PRECISION[place.type]
    frozen = Frozen(loaded.module, fields.shape, place, precision)
    count = _count_classes(spec, frozen, fields, place, head)
    return Classifier(
        spec=spec,
        module=frozen,
        preprocess=fields,
        classes=_names(loaded.classes, labels, count, spec),
        digest=digest,
        device=place,
        head=head,
    )


def save_weights(module: nn.Module, file: str) -> None:
    """Write the state dict of a module of `load_module`, as `--weights` takes it."""
    inner = module.model if isinstance(module, Logits) else module
    state = {name: value.cpu().contiguous() for name, value in inner.state_dict().items()}
    torch.save(state, file)


def _names(
    own: tuple[str, ...] | None, labels: Sequence[str] | None, count: int, spec: str
) -> tuple[str, ...]:
    """Names of the classes: the given ones, else the model's own, else their indices."""
    if labels is not None:
        check_labels(labels, count, spec)
        return tuple(labels)
    if own is None or len(own) != count:
        return tuple(str(k) for k in range(count))
    return own


def load_module(spec: str, weights: str | None = None) -> Loaded:
    """A classifier by its name before it is frozen; raises like `load_classifier`."""
    kind, _, name = spec.partition(":")
    if kind not in _LOADERS or not name:
        raise RequestError(
            f"--model {spec}: not a classifier; expected KIND:NAME with KIND one of "
            f"{', '.join(_LOADERS)} (for example torchvision:resnet50 or builtin:shapes; see "
            "`xaipipe models`)"
        )
    return _LOADERS[kind](name, weights)


def _count_classes(
    spec: str,
    classify: Callable[[Tensor], Tensor],
    fields: Preprocess,
    device: torch.device,
    head: Head,
) -> int:
    """One forward pass: a model that cannot see its input fails here, before any worker starts."""
    shape = (1, *fields.shape)
    try:
        with torch.no_grad():
            logits = classify(torch.zeros(shape, device=device))
    except Exception as error:  # whatever the user's model raises
        raise RequestError(
            f"--model {spec}: failed on an input of {shape}: {describe(error)}; "
            "give its input with --preprocess crop=HEIGHT:WIDTH,resize=..,channels=rgb|bgr|grey"
        ) from error
    least = 2 if head == "softmax" else 1
    if logits.ndim != 2 or logits.shape[0] != 1 or logits.shape[1] < least:
        raise RequestError(
            f"--model {spec}: returned {tuple(logits.shape)} for an input of {shape}; "
            f"expected logits (1, classes) with at least {least} classes"
        )
    return int(logits.shape[1])


def _torchvision(name: str, weights: str | None) -> Loaded:
    import torchvision  # takes a second; only runs with its models wait for it

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or known[:3]
        raise RequestError(
            f"--model torchvision:{name}: unknown model; nearest known: {', '.join(near)}"
        )
    variants = list(torchvision.models.get_model_weights(name))
    if weights is None:
        return Loaded(_downloaded(name), _preprocess_of(variants[-1]), _classes_of(variants[-1]))
    module = filled(
        lambda classes, _: torchvision.models.get_model(name, num_classes=classes),
        weights,
        f"torchvision:{name}",
    )
    return Loaded(module, _preprocess_of(variants[0]), _classes_of(variants[0]))


def _downloaded(name: str) -> nn.Module:
    import torchvision

    try:
        module: nn.Module = torchvision.models.get_model(name, weights="DEFAULT")
    except (URLError, OSError) as error:
        raise RequestError(
            f"--model torchvision:{name}: its weights could not be downloaded ({error}); "
            "give a state dict with --weights FILE"
        ) from error
    return module


def _preprocess_of(weights: Any) -> Preprocess:
    transform = weights.transforms()
    return Preprocess(
        resize=transform.resize_size[0],
        crop=transform.crop_size[0],
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
    )


def _classes_of(weights: Any) -> tuple[str, ...]:
    return tuple(weights.meta["categories"])


def _torchscript(name: str, weights: str | None) -> Loaded:
    _refuse_weights("torchscript", weights)
    with _open_model(name) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated, but such files exist
        try:
            module: Any = torch.jit.load(stream, map_location="cpu")  # type: ignore[no-untyped-call]
            return Loaded(module, Preprocess())
        except RuntimeError as error:
            raise RequestError(f"--model torchscript:{name}: not a TorchScript file") from error


def _export(name: str, weights: str | None) -> Loaded:
    _refuse_weights("export", weights)
    with _open_model(name) as stream:
        try:
            program: Any = torch.export.load(stream)
        except Exception as error:  # torch.export has no common error of its own
            raise RequestError(
                f"--model export:{name}: not a program saved by torch.export.save"
            ) from error
    try:
        return Loaded(*runnable(program))
    except RequestError as error:
        raise RequestError(f"--model export:{name}: {error}") from error


def _open_model(file: str) -> Any:
    try:
        return fsspec.open(file, "rb").open()
    except Exception as error:  # every store raises its own
        raise RequestError(f"--model: {file} cannot be read: {describe(error)}") from error


def _refuse_weights(kind: str, weights: str | None) -> None:
    if weights is not None:
        raise RequestError(f"--weights: a {kind} model brings its own weights; leave it out")


def _python(name: str, weights: str | None) -> Loaded:
    module_name, _, factory = name.partition(":")
    if module_name in OURS:
        raise RequestError(
            f"--model python:{name}: {module_name} is a name of xaipipe's own; rename your file"
        )
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # at the end: files there hide nothing that is installed
    try:
        module = getattr(importlib.import_module(module_name), factory)()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's code raises, be it SystemExit
        raise RequestError(
            f"--model python:{name}: {describe(error)}; expected python:MODULE:FACTORY, where "
            "FACTORY() returns an nn.Module and MODULE.py is here, or can be imported by every "
            "worker"
        ) from error
    if not isinstance(module, nn.Module):
        raise RequestError(f"--model python:{name}: returned {type(module)}, expected an nn.Module")
    return _module(module, weights)


def _module(module: nn.Module, weights: str | None) -> Loaded:
    """A module that may have attributes `preprocess` and `classes`."""
    if weights is not None:
        load_state(module, read_state_dict(weights), weights, type(module).__name__)
    fields, classes = getattr(module, "preprocess", None), getattr(module, "classes", None)
    own = fields if isinstance(fields, Preprocess) else Preprocess()
    if not isinstance(classes, list | tuple):
        return Loaded(module, own, None)
    return Loaded(module, own, tuple(clean(str(name)) for name in classes))


def _builtin(name: str, weights: str | None) -> Loaded:
    if name != "shapes":
        raise RequestError(f"--model builtin:{name}: the only builtin classifier is builtin:shapes")
    fields = Preprocess(resize=shapes.SIZE, crop=shapes.SIZE, mean=shapes.MEAN, std=shapes.STD)
    module = shapes.load_shapes()
    if weights is not None:
        load_state(module, read_state_dict(weights), weights, f"builtin:{name}")
    return Loaded(module, fields, shapes.CLASSES)


_LOADERS: dict[str, Callable[[str, str | None], Loaded]] = {
    "torchvision": _torchvision,
    "timm": load_timm,
    "hf": load_hf,
    "torchscript": _torchscript,
    "export": _export,
    "python": _python,
    "builtin": _builtin,
}
