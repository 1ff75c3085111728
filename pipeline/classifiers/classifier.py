"""Classifiers by name: frozen models with their preprocessing and class names.

torchvision:NAME       a model of torchvision, with --weights FILE or torchvision's own weights
timm:NAME              likewise a model of timm (extra `timm`)
hf:REPO                a model of transformers (extra `hf`): REPO on the hub, or a folder ./FOLDER
torchscript:FILE       a scripted or traced module
export:FILE.pt2        a program saved by torch.export
python:MODULE:FACTORY  FACTORY() returns an nn.Module
builtin:shapes         the small classifier in this package
"""

from __future__ import annotations

import copy
import difflib
import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

import fsspec
import torch
from torch import Tensor, nn

from pipeline import shapes
from pipeline.classifiers.frozen import PRECISION, Frozen, Precision
from pipeline.classifiers.hubs import load_hf, load_timm
from pipeline.classifiers.loaded import Loaded, filled
from pipeline.classifiers.weights import load_state, read_state_dict, weights_digest
from pipeline.errors import RequestError, clean, describe
from pipeline.images import Preprocess


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A frozen classifier.

    module      images (M, 3, crop, crop), normalised -> logits (M, K) float32; differentiable
    classes     names of the K classes
    digest      hex hash of the weights: part of a run's fingerprint
    """

    spec: str
    module: Frozen
    preprocess: Preprocess
    classes: tuple[str, ...]
    digest: str
    device: torch.device

    def classify(self, image_MCHW: Tensor) -> Tensor:
        """Logits of images; what methods call that do not look inside the module."""
        logits: Tensor = self.module(image_MCHW)
        return logits


def load_classifier(
    spec: str | nn.Module,
    *,
    weights: str | None = None,
    preprocess: str | None = None,
    device: str = "cpu",
    precision: Precision | None = None,
) -> Classifier:
    """Load, freeze and try a classifier; RequestError says what is wrong with the request.

    spec       KIND:NAME, or a module, of which a copy is frozen
    precision  None: fp32 on a CPU, bf16 on a GPU
    """
    if isinstance(spec, nn.Module):
        loaded = _module(copy.deepcopy(spec), weights)
        spec = type(spec).__name__
    else:
        loaded = _by_name(spec, weights)
    fields = loaded.preprocess.override(preprocess) if preprocess else loaded.preprocess
    digest = weights_digest(loaded.module)
    place = torch.device(device)
    precision = precision or PRECISION[place.type]
    frozen = Frozen(loaded.module, fields.crop, place, precision)
    classes = loaded.classes
    count = _count_classes(spec, frozen, fields, place)
    if classes is None or len(classes) != count:
        classes = tuple(str(k) for k in range(count))
    return Classifier(
        spec=spec, module=frozen, preprocess=fields, classes=classes, digest=digest, device=place
    )


def _by_name(spec: str, weights: str | None) -> Loaded:
    kind, _, name = spec.partition(":")
    if kind not in _LOADERS or not name:
        raise RequestError(
            f"--model {spec}: not a classifier; expected KIND:NAME with KIND one of "
            f"{', '.join(_LOADERS)} (for example torchvision:resnet50 or builtin:shapes; see "
            "`xaipipe models`)"
        )
    return _LOADERS[kind](name, weights)


def _count_classes(
    spec: str, classify: Callable[[Tensor], Tensor], fields: Preprocess, device: torch.device
) -> int:
    """One forward pass: a model that cannot see its input fails here, before any worker starts."""
    shape = (1, 3, fields.crop, fields.crop)
    try:
        with torch.no_grad():
            logits = classify(torch.zeros(shape, device=device))
    except Exception as error:  # whatever the user's model raises
        raise RequestError(
            f"--model {spec}: failed on an input of {shape}: {describe(error)}; "
            "set the input size with --preprocess resize=..,crop=.."
        ) from error
    if logits.ndim != 2 or logits.shape[0] != 1 or logits.shape[1] < 2:
        raise RequestError(
            f"--model {spec}: returned {tuple(logits.shape)} for an input of {shape}; "
            "expected logits (1, classes) with at least 2 classes"
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
        lambda classes: torchvision.models.get_model(name, num_classes=classes),
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
            return Loaded(program.module(), Preprocess())
        except Exception as error:  # torch.export has no common error of its own
            raise RequestError(
                f"--model export:{name}: not a program saved by torch.export.save"
            ) from error


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
    try:
        module = getattr(importlib.import_module(module_name), factory)()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's code raises, be it SystemExit
        raise RequestError(
            f"--model python:{name}: {describe(error)}; expected python:MODULE:FACTORY, where "
            "FACTORY() returns an nn.Module and MODULE can be imported by every worker"
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
    _refuse_weights("builtin", weights)
    if name != "shapes":
        raise RequestError(f"--model builtin:{name}: the only builtin classifier is builtin:shapes")
    fields = Preprocess(resize=shapes.SIZE, crop=shapes.SIZE, mean=shapes.MEAN, std=shapes.STD)
    return Loaded(shapes.load_shapes(), fields, shapes.CLASSES)


_LOADERS: dict[str, Callable[[str, str | None], Loaded]] = {
    "torchvision": _torchvision,
    "timm": load_timm,
    "hf": load_hf,
    "torchscript": _torchscript,
    "export": _export,
    "python": _python,
    "builtin": _builtin,
}
