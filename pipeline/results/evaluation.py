"""Metrics of finished runs, image by image, from their stored tables.

One protocol for every run, whatever it was optimised for: hard masks are the top a of the pixels
with feathered edges, the baseline is the blurred image (sigma 9 % of the side), a second one the
mean colour. Definitions: `inr_core.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inr_core import MicroBatch, PerturbationConfig, Scene, baselines, metrics
from pipeline.classifiers import Classifier
from pipeline.datasets import expand
from pipeline.errors import ImageError, RequestError
from pipeline.images import Truth, load_image, truth_on_input
from pipeline.results.measures import Values, area_values, localisation, shape
from pipeline.tables import RunReader, StoredMasks, as_float, chain_masks, restart_masks

BLUR = PerturbationConfig()
MEAN = PerturbationConfig(kind="mean")
FEATHER = 2 / 224  # of a hard mask's edge, a share of the side
UNSEEN = (0.03, 0.07, 0.15, 0.3)  # areas that no run stores by default
MICROBATCH = 32


class Evaluation:
    """Measures one run.

    judge    a second classifier, with the same classes, that the masks were not optimised for
    repeats  runs that differ from this one in their seed alone, on the same images
    """

    def __init__(
        self,
        name: str,
        reader: RunReader,
        classifier: Classifier,
        judge: Classifier | None,
        repeats: Sequence[RunReader] = (),
    ) -> None:
        self.name, self.reader, self.classifier, self.judge = name, reader, classifier, judge
        self.repeats = repeats
        if judge is not None and len(judge.classes) != len(classifier.classes):
            raise RequestError(
                f"--judge {judge.spec}: has {len(judge.classes)} classes, the run's classifier "
                f"{len(classifier.classes)}"
            )
        if judge is not None and _scale(judge) != _scale(classifier):
            raise RequestError(
                f"--judge {judge.spec}: wants images of mean and std {_scale(judge)}, the run's "
                f"classifier of {_scale(classifier)}; both must see the same input"
            )
        self.microbatch = MicroBatch(MICROBATCH)

    def rows(self, id_: str) -> Iterator[dict[str, Any]]:
        """One row per metric, and per area where it has them; undefined values are left out."""
        row = self.reader.image(id_)
        head = {"run": self.name, "method": self.reader.fingerprint["method"], "id": id_}
        head["target_name"] = row["target_name"]
        chain = chain_masks(self.reader, id_)
        areas, values = chain[0].areas, self._values(row, chain)
        for metric, value in values.items():
            places: Sequence[float | None] = [None] if value.ndim == 0 else areas
            for area, number in zip(places, value.reshape(-1).tolist(), strict=False):
                if np.isfinite(number):
                    yield {**head, "metric": metric, "area": area, "value": number}

    def _values(self, row: dict[str, Any], chain: list[StoredMasks]) -> Values:
        masks = chain[0]
        values = self._faithfulness(row, masks)
        values |= self._stability(row["id"], masks)
        values |= self._behaviour(row["id"], masks)
        values |= shape(masks)
        values |= self._several(row["id"], masks, chain)
        truth = self._truth(row)
        if truth is not None:
            counted = torch.from_numpy(~truth.ignore)
            values |= localisation(masks, torch.from_numpy(truth.object), counted)
        return values

    def _truth(self, row: dict[str, Any]) -> Truth | None:
        """None without ground truth, or where the explained class is none of the object's."""
        targets = row.get("target_set")
        if targets is not None and row["target"] not in expand(str(targets)):
            return None
        try:
            return truth_on_input(row, self.classifier.preprocess)
        except ImageError as error:
            raise RequestError(f"{row['id']}: {error.reason}") from error

    @torch.no_grad()
    def _faithfulness(self, row: dict[str, Any], masks: StoredMasks) -> Values:
        image = load_image(row["image"], self.classifier.preprocess).pixels[None]
        target = torch.tensor([row["target"]])
        full, areas = torch.tensor([row["score"]]), masks.areas
        soft = masks.soft[None]
        hard = metrics.hard_masks(soft, areas, feather=FEATHER * soft.shape[-1])
        blurred, coloured = (_scene(image, target, config) for config in (BLUR, MEAN))
        own = self.classifier.classify
        scores = metrics.score_masks(hard, blurred, own, self.microbatch)
        values = {
            "kept": scores.kept,
            "removed": scores.removed,
            "kept_ratio": metrics.score_ratio(scores.kept, full),
            "removed_ratio": metrics.score_ratio(scores.removed, full),
            "drop": metrics.drop_percent(scores.kept, full),
            "increase": metrics.increase_percent(scores.kept, full),
            "gain": metrics.gain(scores.kept, full),
            "monotone": metrics.monotone_share(scores.kept),
            "minimal_area": metrics.minimal_areas(areas, scores.kept, full),
        }
        top1 = torch.tensor([row["predicted"] == row["target"]])
        values["top1_kept"] = metrics.top1_kept(scores.top1, top1)
        for suffix, shown, scene, classify in (
            ("soft", soft, blurred, own),
            ("mean_colour", hard, coloured, own),
            *([("judge", hard, blurred, self.judge.classify)] if self.judge else []),
        ):
            scores = metrics.score_masks(shown, scene, classify, self.microbatch)
            values |= {f"kept_{suffix}": scores.kept, f"removed_{suffix}": scores.removed}
        ranking = metrics.area_ranking(soft)
        for name, curve in (
            ("insertion", metrics.insertion_curve),
            ("deletion", metrics.deletion_curve),
        ):
            values[name] = metrics.curve_auc(curve(image, ranking, target, own, self.microbatch))
        return {name: value[0] for name, value in values.items()}

    def _behaviour(self, id_: str, masks: StoredMasks) -> Values:
        values = area_values(masks.soft, masks.areas)
        values["binariness_gap"] = metrics.binariness_gap(masks.soft[None])[0]
        if self.reader.networks:
            grid = tuple(sorted({*masks.areas, *UNSEEN}))
            rendered = torch.stack([as_float(self.reader.render(id_, a)) for a in grid])
            unseen = area_values(rendered, grid)
            unseen["area_error"] = unseen["area_error"].max()  # one number: the worst of the grid
            values |= {f"{name}_unseen": value for name, value in unseen.items()}
        return values

    def _stability(self, id_: str, masks: StoredMasks) -> Values:
        """IoU of the best restarts of this run and of its repeats."""
        if not self.repeats:
            return {}
        others = [chain_masks(reader, id_)[0].hard for reader in self.repeats]
        return {"seed_iou": metrics.pairwise_iou(torch.stack([masks.hard, *others]))}

    def _several(self, id_: str, masks: StoredMasks, chain: list[StoredMasks]) -> Values:
        restarts = [
            restart_masks(self.reader, id_, e["restart"], 0)
            for e in self.reader.rows("explanations", id_)
            if e["round"] == 0
        ]
        values: Values = {}
        if len(restarts) > 1:
            values["restart_iou"] = metrics.pairwise_iou(torch.stack([m.hard for m in restarts]))
        if len(chain) > 1:
            room = len(chain[-1].areas)  # later rounds may have fewer areas
            soft = torch.stack([m.soft[:room] for m in chain])
            values["round_overlap"] = metrics.mask_overlap(soft)
            values["round_coverage"] = metrics.union_coverage(soft)
        return values


def _scale(classifier: Classifier) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return classifier.preprocess.mean, classifier.preprocess.std


def _scene(image: Tensor, target: Tensor, config: PerturbationConfig) -> Scene:
    return Scene(
        image_NCHW=image, baseline_NLCHW=baselines(image, config), target_N=target, pyramid=False
    )
