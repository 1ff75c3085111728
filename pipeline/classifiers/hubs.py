"""Classifiers of timm and of transformers (Hugging Face), each imported when one is asked for."""

from __future__ import annotations

import copy
import difflib
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.classifiers.loaded import Loaded, State, filled
from pipeline.classifiers.processor import fields_of, preprocess_of
from pipeline.errors import RequestError, describe
from pipeline.images import Preprocess
from pipeline.paths import plain_path

FITS = {"center": "crop", "squash": "squash", "border": "pad"}  # timm's words: ours


class Logits(nn.Module):
    """A classifier of transformers: images (M, C, H, W) -> logits (M, K)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image_MCHW: Tensor) -> Tensor:
        logits: Tensor = self.model(pixel_values=image_MCHW).logits
        return logits


def load_timm(name: str, weights: str | None) -> Loaded:
    """A model of timm by its name, or by timm's own hf-hub:REPO or local-dir:FOLDER."""
    spec = f"timm:{name}"
    with _explained(f'--model {spec}: needs timm, pip install "xaipipe[timm]"'):
        import timm
    known = [*timm.list_models(), *timm.list_pretrained()]
    if name not in known and ":" not in name:
        near = difflib.get_close_matches(name, known, n=3) or known[:3]
        raise RequestError(f"--model {spec}: unknown model; nearest known: {', '.join(near)}")
    if weights is None:
        remedy = "give a state dict with --weights FILE"
        with _explained(f"--model {spec}: its weights could not be downloaded; {remedy}"):
            module = timm.create_model(name, pretrained=True)
    else:
        with _explained(f"--model {spec}: could not be built"):
            module = filled(partial(_timm_model, name), weights, spec)
    if not module.num_classes:
        raise RequestError(f"--model {spec}: gives features; expected a model that has classes")
    return Loaded(module, _timm_preprocess(spec, module), _timm_classes(module))


def _timm_model(name: str, classes: int, state: State) -> nn.Module:
    import timm

    known = timm.get_pretrained_cfg(name)
    channels = _timm_channels(known.to_dict(), state) if known else None
    module: nn.Module = timm.create_model(name, num_classes=classes, in_chans=channels or 3)
    return module


def _timm_channels(config: dict[str, Any], state: State) -> int | None:
    """Of the images that a model with these weights takes; None where that is not told."""
    first = config.get("first_conv")
    name = first if isinstance(first, str) else next(iter(first or ()), "")
    weight = state.get(f"{name}.weight")
    return None if weight is None or weight.ndim != 4 else weight.shape[1]


def _timm_preprocess(spec: str, module: Any) -> Preprocess:
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(module)
    _, height, width = config["input_size"]
    channels = _timm_channels(module.pretrained_cfg, module.state_dict()) or config["input_size"][0]
    if channels not in (1, 3):
        raise RequestError(
            f"--model {spec}: takes {channels} channels; expected 3, or 1 for grey images"
        )
    mean, std = (_of_channels(config[name], channels) for name in ("mean", "std"))
    part = config["crop_pct"]
    return fields_of(
        spec,
        resize=(math.floor(height / part), math.floor(width / part)),
        crop=(height, width),
        mean=mean,
        std=std,
        interpolation=config["interpolation"],
        fit=FITS[config["crop_mode"] or "center"],
        channels="grey" if channels == 1 else "rgb",
    )


def _of_channels(numbers: Sequence[float], channels: int) -> tuple[float, ...]:
    """The mean where a configuration for colours is that of a model with one channel."""
    return tuple(numbers) if channels == len(numbers) else (sum(numbers) / len(numbers),) * channels


def _timm_classes(module: Any) -> tuple[str, ...] | None:
    from timm.data import CustomDatasetInfo, ImageNetInfo, infer_imagenet_subset

    config, subset = module.pretrained_cfg, infer_imagenet_subset(module)
    if config.get("label_names"):
        info = CustomDatasetInfo(config["label_names"], config.get("label_descriptions"))
    elif subset:
        info = ImageNetInfo(subset)
    if not (config.get("label_names") or subset) or info.num_classes() != module.num_classes:
        return None
    return tuple(info.index_to_description(k) for k in range(info.num_classes()))


def load_hf(repo: str, weights: str | None) -> Loaded:
    """An image classifier of a repository on the hub or of a local folder, with its processor."""
    spec, place = f"hf:{repo}", plain_path(repo)
    with _explained(f'--model {spec}: needs transformers, pip install "xaipipe[hf]"'):
        from transformers import AutoConfig, AutoImageProcessor
    local = os.path.isdir(place)
    if repo[0] in "./~" and not local:
        raise RequestError(f"--model {spec}: no such folder")
    remedy = "could not be downloaded; give a folder, as in hf:./FOLDER"
    with _explained(f"--model {spec}: {'could not be loaded' if local else remedy}"):
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
        if config.model_type == "timm_wrapper":
            other = f"timm:local-dir:{place}" if local else f"timm:hf-hub:{repo}"
            raise RequestError(f"--model {spec}: a model of timm; give it as --model {other}")
        processor = AutoImageProcessor.from_pretrained(place, trust_remote_code=False)
        module = _hf_model(spec, place, config, weights)
    with _explained(f"--model {spec}: its image processor fails"):
        fields = preprocess_of(spec, processor, getattr(config, "num_channels", 3))
    names = tuple(config.id2label[k] for k in sorted(config.id2label))
    return Loaded(Logits(module), fields, names)


def _hf_model(spec: str, place: str, config: Any, weights: str | None) -> nn.Module:
    from transformers import AutoModelForImageClassification as Model

    def build(classes: int, _: State) -> nn.Module:
        own = copy.deepcopy(config)
        own.num_labels = classes
        module: nn.Module = Model.from_config(own, dtype=torch.float32)
        return module

    if weights is not None:
        return filled(build, weights, spec)
    how = {"dtype": torch.float32, "trust_remote_code": False, "output_loading_info": True}
    module, report = Model.from_pretrained(place, **how)
    lacking = sorted(report["missing_keys"])
    if lacking:
        raise RequestError(
            f"--model {spec}: has no weights for {len(lacking)} tensors (first: {lacking[0]}); "
            "expected a trained classifier; give a state dict with --weights FILE"
        )
    loaded: nn.Module = module
    return loaded


@contextmanager
def _explained(problem: str) -> Iterator[None]:
    """Whatever a library raises as a RequestError; the hubs' clients have no common error."""
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(f"{problem} ({describe(error)})") from error
