"""Looks at regions as their run's classifier sees them.

Shapes: N images; S things shown, each one image behind one mask; D features; H, W.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from inr_core import metrics, scenes
from pipeline.analysis import Given
from pipeline.classifiers import Features
from pipeline.evaluation import as_float, truth_of
from pipeline.images import Truth, load_image
from pipeline.regions.geometry import place, share_outside, with_margin
from pipeline.results import Model
from pipeline.tables import ExplainedImage, Row

SHOWN = {"cpu": 8, "cuda": 256}  # images at once


@dataclass(frozen=True, slots=True)
class Region:
    """A mask of the best restart, (H, W) in [0, 1], and where it is from."""

    restart: int
    round: int
    area: float
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Prepared:
    """The regions of an image, and its ground truth where an object is to be seen."""

    regions: tuple[Region, ...]
    truth: Truth | None


@dataclass(slots=True)
class Shown:
    """Masks to show images behind, and what the classifier said of each."""

    images: list[int] = field(default_factory=list)
    masks: list[Tensor] = field(default_factory=list)
    scores: Tensor = field(default_factory=lambda: torch.empty(0))  # of all classes, (S, K)
    features: Tensor = field(default_factory=lambda: torch.empty(0))  # (S, D)

    def add(self, image: int, mask_HW: Tensor) -> int:
        """The number under which to ask for what was said."""
        self.images.append(image)
        self.masks.append(mask_HW)
        return len(self.masks) - 1

    def score(self, number: int | None, target: int) -> float | None:
        """Of one class; None of what has not been shown."""
        return None if number is None else self.scores[number, target].item()


class Looker:
    """Features, place and consequences of every region (`pipeline.analysis.Analyst`)."""

    def __init__(self, model: Model, layer: str | None, baseline: str | None, device: str) -> None:
        self.classifier = model.load(device)
        self.preprocess = self.classifier.preprocess
        self.features = Features(self.classifier, layer)
        self.at_once = SHOWN[device]
        self.baseline: Tensor | None = None
        if baseline is not None:
            self.baseline = load_image(baseline, self.preprocess).pixels.to(self.classifier.device)

    def prepare(self, given: Given) -> Prepared:
        """Its regions and its ground truth."""
        one = given.one
        regions = tuple(
            Region(e["restart"], e["round"], area, as_float(one.stored(area, round=e["round"])))
            for e in one.explanations
            if e["best"]
            for area in [one.telling_area(e["round"])]
        )
        truth = truth_of(one, self.preprocess)
        return Prepared(regions, truth if truth is not None and truth.object.any() else None)

    def __call__(self, batch: Sequence[Given]) -> Mapping[str, Sequence[Row]]:
        """A row for each round in `regions`, and one for the image in `context`."""
        shown = Shown()
        numbers = [self._ask(shown, n, given.prepared) for n, given in enumerate(batch)]
        self._show(batch, shown)
        regions, context = [], []
        for given, (of_regions, whole) in zip(batch, numbers, strict=True):
            regions += self._regions(given.one, given.prepared, of_regions, shown)
            context.append(self._context(given.one, given.prepared, whole, shown))
        return {"regions": regions, "context": context}

    def _ask(
        self, shown: Shown, image: int, prepared: Prepared
    ) -> tuple[list[dict[str, int]], dict[str, int]]:
        """Numbers of what is shown of each region, and of the whole image."""
        truth = prepared.truth
        inside = None if truth is None else metrics.feathered(with_margin(truth)[None, None])[0, 0]
        of_regions = []
        for region in prepared.regions:
            masks = {"kept": region.mask, "removed": 1 - region.mask}
            if inside is not None:
                masks["outside"] = region.mask * (1 - inside)
            of_regions.append({name: shown.add(image, mask) for name, mask in masks.items()})
        masks = {"nothing": torch.zeros(self.preprocess.size)}
        if inside is not None:
            masks |= {"object": inside, "context": 1 - inside}
        return of_regions, {name: shown.add(image, mask) for name, mask in masks.items()}

    def _show(self, batch: Sequence[Given], shown: Shown) -> None:
        """Asks the classifier, some at a time."""
        device = self.classifier.device
        pixels = torch.stack([one.loaded.pixels for one in batch if one.loaded is not None])
        perturbation = batch[0].one.settings.config.perturbation
        target = torch.zeros(len(batch), dtype=torch.int64, device=device)  # nobody asks for it
        ((scene, _),) = scenes(pixels.to(device), target, perturbation, self.baseline, len(batch))
        strongest = scene.baseline_NLCHW.shape[1] - 1
        said: list[tuple[Tensor, Tensor]] = []
        for start in range(0, len(shown.masks), self.at_once):
            part = slice(start, start + self.at_once)
            mask = torch.stack(shown.masks[part]).to(device)[:, None]
            level = torch.full(mask.shape[:2], strongest, device=device)
            said.append(self.features(scene.of(shown.images[part]).shown(mask, level)))
        logits, features = zip(*said, strict=True)
        shown.scores = self.classifier.scores(torch.cat(logits)).cpu()
        shown.features = torch.cat(features).cpu()

    def _regions(
        self,
        one: ExplainedImage,
        prepared: Prepared,
        numbers: Sequence[dict[str, int]],
        shown: Shown,
    ) -> list[Row]:
        target = one.row["target"]
        rows = []
        for region, own in zip(prepared.regions, numbers, strict=True):
            hard = metrics.top_area(region.mask[None], [region.area])[0]
            truth = prepared.truth
            score, becomes = shown.scores[own["removed"]].max(0)
            rows.append(
                {
                    **{"id": one.id, "target": target},
                    **{"restart": region.restart, "round": region.round, "area": region.area},
                    **place(hard, one.row["crop"]),
                    "outside": None if truth is None else share_outside(hard, truth),
                    "score_kept": shown.score(own["kept"], target),
                    "score_removed": shown.score(own["removed"], target),
                    "score_outside": shown.score(own.get("outside"), target),
                    "becomes": becomes.item(),
                    "becomes_name": self.classifier.classes[becomes],
                    "becomes_score": score.item(),
                    "features": shown.features[own["kept"]].half().float().numpy(),
                }
            )
        return rows

    def _context(
        self, one: ExplainedImage, prepared: Prepared, numbers: dict[str, int], shown: Shown
    ) -> Row:
        row: dict[str, Any] = {k: one.row[k] for k in ("id", "target", "target_name", "score")}
        for name in ("nothing", "object", "context"):
            row[f"score_{name}"] = shown.score(numbers.get(name), one.row["target"])
        truth = prepared.truth
        return row | {"share_object": None if truth is None else float(truth.object.mean())}
