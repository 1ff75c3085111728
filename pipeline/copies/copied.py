"""A copy of a classifier whose weights are to be changed, and stored as `--weights` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from pipeline.classifiers import (
    FILE_KINDS,
    load_classifier,
    load_module,
    read_labels,
    save_weights,
)
from pipeline.errors import RequestError
from pipeline.images import Preprocess


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A module in full precision, as its library builds it, with what belongs to it."""

    module: nn.Module
    preprocess: Preprocess
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        spec: str,
        weights: str | None = None,
        preprocess: str | None = None,
        labels: str | None = None,
        device: str = "cpu",
    ) -> Copied:
        """A copy of a classifier; RequestError for what is wrong with the request.

        labels  file of its classes' names, in place of those that it brings
        """
        check_copied(spec)
        tried = load_classifier(
            spec,
            weights=weights,
            preprocess=preprocess,
            device=device,
            labels=None if labels is None else read_labels(labels),
        )
        module = load_module(spec, weights).module
        return cls(module=module, preprocess=tried.preprocess, classes=tried.classes)

    def save(self, file: Path) -> None:
        """Write its state dict."""
        save_weights(self.module, str(file))


def check_copied(spec: str) -> None:
    """RequestError for a classifier of a file, which takes no other weights."""
    if spec.partition(":")[0] in FILE_KINDS:
        raise RequestError(
            f"--model {spec}: such a file brings its own weights and takes no others; give the "
            "module itself, as python:MODULE:FACTORY"
        )
