"""Metrics of finished runs, image by image, from their stored tables.

One protocol for every run, whatever it was optimised for: hard masks are the top a of the pixels
with feathered edges, the baseline is the blurred image (sigma 9 % of the side), a second one the
mean colour. Definitions: `inr_core.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from inr_core import MicroBatch, PerturbationConfig, Scene, baselines, metrics
from pipeline.classifiers import Classifier, load_classifier
from pipeline.errors import ImageError, RequestError
from pipeline.images import load_image
from pipeline.reader import RunReader
from pipeline.schemas import encode
from pipeline.stored_masks import StoredMasks, as_float, chain_masks, stored_masks
from pipeline.truth import Truth, truth_on_input
from pipeline.voc import expand

BLUR = PerturbationConfig()
MEAN = PerturbationConfig(kind="mean")
FEATHER = 2 / 224  # of a hard mask's edge, a share of the side
UNSEEN = (0.03, 0.07, 0.15, 0.3)  # areas that no run stores by default
MICROBATCH = 32

SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("method", pa.string()),
        ("id", pa.string()),
        ("target_name", pa.string()),
        ("metric", pa.string()),
        ("area", pa.float64()),
        ("value", pa.float64()),
    ]
)
Values = dict[str, Tensor]  # metric -> one value per area, or a single one


def classifier_of(reader: RunReader, weights: str | None = None) -> Classifier:
    """The classifier that a run explained; RequestError if its weights have changed."""
    job = reader.folder.plans()[-1]["job"]
    classifier = load_classifier(
        job["model"], weights=weights or job["weights"], preprocess=job["preprocess"]
    )
    if classifier.digest != reader.fingerprint["weights"]:
        raise RequestError(
            f"{reader.store.uri}: was made with other weights of {job['model']} than those of "
            f"{weights or job['weights'] or 'the model'}; name the right file with --weights"
        )
    return classifier


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
        values |= _shape(masks)
        values |= self._several(row["id"], masks, chain)
        truth = self._truth(row)
        if truth is not None:
            counted = torch.from_numpy(~truth.ignore)
            values |= _localisation(masks, torch.from_numpy(truth.object), counted)
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
        values = _area_values(masks.soft, masks.areas)
        values["binariness_gap"] = metrics.binariness_gap(masks.soft[None])[0]
        if self.reader.networks:
            grid = tuple(sorted({*masks.areas, *UNSEEN}))
            rendered = torch.stack([as_float(self.reader.render(id_, a)) for a in grid])
            unseen = _area_values(rendered, grid)
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
            stored_masks(self.reader, id_, e["restart"], 0)
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
        image_NCHW=image,
        baseline_NLCHW=baselines(image, config),
        target_N=target,
        pyramid=False,
    )


def _area_values(soft: Tensor, areas: tuple[float, ...]) -> Values:
    return {
        "area_error": metrics.area_error(soft[None], areas)[0],
        "nestedness": metrics.nestedness(soft[None])[0],
        "path_ratio": metrics.path_ratio(soft[None])[0],
    }


def _shape(masks: StoredMasks) -> Values:
    significant = metrics.count_components(masks.hard[None])[1]
    return {
        "perimeter": metrics.disc_ratio(masks.hard[None])[0],
        "components": significant[0].double(),
    }


def _localisation(masks: StoredMasks, truth: Tensor, counted: Tensor) -> Values:
    """Void pixels of the ground truth count neither as object nor as background."""
    soft, hard, truth_NHW = (masks.soft * counted)[None], (masks.hard & counted)[None], truth[None]
    values = {
        "precision": metrics.hard_precision(hard, truth_NHW),
        "precision_soft": metrics.soft_precision(soft, truth_NHW),
        "ceiling": metrics.ceiling(truth_NHW, masks.areas),
        "recall": metrics.recall(hard, truth_NHW),
        "iou": metrics.object_iou(hard, truth_NHW),
        "context": metrics.context_reliance(soft, truth_NHW),
        "rank_accuracy": metrics.relevance_rank_accuracy(soft, truth_NHW),
        "pointing": metrics.pointing_hit(soft, truth_NHW),
        "chance": metrics.chance(truth_NHW),
    }
    return {name: value[0] for name, value in values.items()}


def interval(of_images: Mapping[str, float]) -> metrics.Interval:
    """Mean of the values of images (by id), with a 95 % bootstrap interval over the images."""
    return metrics.bootstrap_interval(torch.tensor(list(of_images.values())), seed=0)


def difference(first: Mapping[str, float], second: Mapping[str, float]) -> metrics.Interval:
    """The same of first - second, on the images that both have."""
    ids = sorted(first.keys() & second.keys())
    one, other = (torch.tensor([values[i] for i in ids]) for values in (first, second))
    return metrics.paired_interval(one, other, seed=0)


def write_metrics(uri: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """All values as one Parquet file, at a path or URL."""
    data = encode(rows, SCHEMA)
    with fsspec.open(uri, "wb") as stream:
        stream.write(data)
