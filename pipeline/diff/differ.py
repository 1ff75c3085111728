"""Looks at images as two models see them.

Shapes: N images; 2 regions, of a and of b; H, W of each classifier's input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core import metrics
from pipeline.analysis import Given
from pipeline.diff.grids import onto
from pipeline.errors import ImageError
from pipeline.evaluation import Asked, as_float, truth_of
from pipeline.images import Truth, load_image, normalise
from pipeline.results import Model
from pipeline.tables import ExplainedImage, Row


@dataclass(frozen=True, slots=True)
class Pair:
    """An image as both see it: its rows, pixels, and both masks (2, H, W) on either input."""

    one: ExplainedImage
    two: ExplainedImage
    image_a: Tensor
    image_b: Tensor
    soft_a: Tensor
    soft_b: Tensor
    truth: Truth | None


class Differ:
    """Holds two models against each other (`pipeline.analysis.Analyst`)."""

    def __init__(self, table: str, one: Model, two: Model, area: float, device: str) -> None:
        self.table, self.area = table, area
        self.a, self.b = Asked(one, device), Asked(two, device)
        self.classifier, self.device = self.a.classifier, self.a.classifier.device
        self.preprocess = self.classifier.preprocess

    def prepare(self, given: Given) -> Pair | None:
        """None where the other run has not explained this class of the image."""
        (other,), loaded = given.others, given.loaded
        if other is None or loaded is None:
            return None
        if other.row["digest"] != given.one.row["digest"]:
            raise ImageError("read", "the two runs explained different files by this id")
        theirs = self.b.classifier.preprocess
        if theirs.look == self.preprocess.look:
            image_b = normalise(loaded.rgb, theirs)
        else:
            image_b = load_image(given.one.row["image"], theirs).pixels
        masks = [(one.row["crop"], self._mask(one)) for one in (given.one, other)]
        soft_a, soft_b = (
            torch.stack([onto(mask, seen, one.row["crop"], size) for seen, mask in masks])
            for one, size in ((given.one, self.preprocess.size), (other, theirs.size))
        )
        truth = truth_of(given.one, self.preprocess)
        return Pair(given.one, other, loaded.pixels, image_b, soft_a, soft_b, truth)

    def __call__(self, batch: Sequence[Given]) -> Mapping[str, Sequence[Row]]:
        """A row for each image that both runs have explained for the same class."""
        pairs = [given.prepared for given in batch if given.prepared is not None]
        return {self.table: self._rows(pairs) if pairs else []}

    def _rows(self, pairs: Sequence[Pair]) -> list[Row]:
        target = torch.tensor([pair.one.row["target"] for pair in pairs], device=self.device)
        hard_a = self._hard([pair.soft_a for pair in pairs])
        hard_b = self._hard([pair.soft_b for pair in pairs])
        by_a = self.a.scores_of_regions(hard_a, self._stacked([p.image_a for p in pairs]), target)
        by_b = self.b.scores_of_regions(hard_b, self._stacked([p.image_b for p in pairs]), target)
        scores = {
            f"{name}_{model}_on_{region}": values[:, n].tolist()
            for model, found in (("a", by_a), ("b", by_b))
            for name, values in (("kept", found.kept), ("removed", found.removed))
            for n, region in enumerate("ab")
        }
        return [
            _whole(pair, self.area)
            | _regions(pair, hard.cpu())
            | {name: values[n] for name, values in scores.items()}
            for n, (pair, hard) in enumerate(zip(pairs, hard_a, strict=True))
        ]

    def _mask(self, one: ExplainedImage) -> Tensor:
        """The best mask of round 0, in [0, 1]: stored, else rendered."""
        if self.area in one.settings.config.areas:
            return as_float(one.stored(self.area))
        return as_float(one.render([self.area])[0])

    def _hard(self, softs: Sequence[Tensor]) -> Tensor:
        """The top pixels of each mask, (N, 2, H, W): regions of equal area on this input."""
        soft_N2HW = self._stacked(softs)
        return metrics.top_area(soft_N2HW[:, :, None], [self.area])[:, :, 0]

    def _stacked(self, tensors: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(tensors)).to(self.device)


def _whole(pair: Pair, area: float) -> Row:
    """What both say of the whole image."""
    row: Row = {name: pair.one.row[name] for name in ("id", "target", "target_name")}
    for suffix, one in (("a", pair.one), ("b", pair.two)):
        for name in ("score", "predicted", "predicted_name"):
            row[f"{name}_{suffix}"] = one.row[name]
    return row | {"area": area}


def _regions(pair: Pair, hard_2HW: Tensor) -> Row:
    """How both regions lie to each other and to the ground truth, on the input of a."""
    row: Row = {"iou": metrics.pairwise_iou(hard_2HW[:, None]).item()}
    truth = pair.truth
    if truth is None or not truth.object.any():
        return row
    counted = torch.from_numpy(~truth.ignore)
    background = torch.from_numpy(~truth.object) & counted
    pixels = (hard_2HW & counted).sum((1, 2)).clamp_min(1)
    outside_a, outside_b = ((hard_2HW & background).sum((1, 2)) / pixels).tolist()
    return row | {"outside_a": outside_a, "outside_b": outside_b, "moved": outside_b - outside_a}
