"""Lessons: what the path shows of an image, and the masks that a finished run has found for it.

Shapes: N lessons, K clues and the evidence, A areas, h x w cells, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional

from inr_core import (
    InrConfig,
    MicroBatch,
    PathConfig,
    PerturbationConfig,
    cells_of,
    clues_of,
    scenes,
)
from pipeline.classifiers import Classifier
from pipeline.errors import ImageError, RequestError
from pipeline.evaluation import decode
from pipeline.images import load_image, prefetch
from pipeline.results import Originals, model_of
from pipeline.tables import ExplainedImage, RunReader

CELLS = 4  # of a mosaic
AT_ONCE = 8  # points of the path that the classifier sees together


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is learnt from.

    clue_NKhw   see `clues_of`; half precision
    mask_NAhw   means over cells; half precision
    area_NA     of the masks
    images      that they are of, mosaics not counted
    unreadable  images that could not be read
    """

    clue_NKhw: Tensor
    mask_NAhw: Tensor
    area_NA: Tensor
    images: int
    unreadable: int

    def __len__(self) -> int:
        return len(self.clue_NKhw)

    def part(self, chosen: slice) -> Lessons:
        """Some of them."""
        return replace(
            self,
            clue_NKhw=self.clue_NKhw[chosen],
            mask_NAhw=self.mask_NAhw[chosen],
            area_NA=self.area_NA[chosen],
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """An image with its masks, pixels (C, H, W) and (A, H, W)."""

    image: Tensor
    target: int
    areas: tuple[float, ...]
    masks: Tensor


def lessons_of(
    run: RunReader,
    *,
    weights: str | None = None,
    root: str | None = None,
    limit: int | None = None,
    mosaics: bool = True,
    device: str = "cpu",
    report: Callable[[int], None] = lambda images: None,
) -> Lessons:
    """One of every image (and class) of a run, the first `limit` of them; one of every mosaic of
    four of them that have different classes.

    weights  of its classifier, and `root` of its images, where they have moved
    RequestError for a run with a baseline of the user's own, and for other weights.
    """
    classifier = model_of(run, weights).load(device)
    teacher = _Teacher(classifier, *_settings(run))
    load = partial(_loaded, originals=Originals(root), classifier=classifier)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    waiting: list[_Seen] = []
    images = unreadable = 0
    for one, loaded in prefetch(islice(run.each_explained(), limit), load, ahead=2 * AT_ONCE):
        if isinstance(loaded, ImageError):
            unreadable += 1
            continue
        waiting.append(_seen(one, loaded))
        found.append(teacher(waiting[-1]))
        images += 1
        if len(waiting) == CELLS:
            if mosaics:
                found += map(teacher, _mosaics(waiting, images // CELLS))
            waiting = []
        report(images)
    if not found:
        raise RequestError(f"{run.store.uri}: no image of it can be read; nothing to learn from")
    clue, mask, area = (torch.stack(part) for part in zip(*found, strict=True))
    return Lessons(clue, mask, area, images, unreadable)


class _Teacher:
    """Makes a lesson of an image: clues (K, h, w), masks (A, h, w), areas (A,)."""

    def __init__(
        self, classifier: Classifier, path: PathConfig, perturbation: PerturbationConfig
    ) -> None:
        self.classifier, self.path, self.perturbation = classifier, path, perturbation
        self.microbatch = MicroBatch(AT_ONCE)

    def __call__(self, seen: _Seen) -> tuple[Tensor, Tensor, Tensor]:
        mask_1AHW = seen.masks[None]
        cells = functional.interpolate(mask_1AHW, cells_of(seen.masks[:1]), mode="area")[0]
        return self._clues(seen)[0].half().cpu(), cells.half(), torch.tensor(seen.areas)

    def _clues(self, seen: _Seen) -> Tensor:
        image_1CHW = seen.image[None].to(self.classifier.device)
        target_1 = torch.tensor([seen.target], device=image_1CHW.device)
        given = image_1CHW, target_1, self.perturbation, None, 1
        ((scene, _),) = scenes(*given, head=self.classifier.head)
        own = self.classifier
        return clues_of(scene, own.classify, own.module, self.path, self.microbatch)


def _settings(run: RunReader) -> tuple[PathConfig, PerturbationConfig]:
    """Those of the run, where it has a start; else those of inr."""
    config = run.config if isinstance(run.config, InrConfig) else InrConfig()
    if config.perturbation.kind == "custom":
        raise RequestError(
            f"{run.store.uri}: has a baseline of your own, which is not stored; expected a run "
            "with another perturbation.kind"
        )
    return config.start, config.perturbation


def _loaded(one: ExplainedImage, *, originals: Originals, classifier: Classifier) -> Tensor:
    return load_image(originals.uri(one.row), classifier.preprocess).pixels


def _seen(one: ExplainedImage, image: Tensor) -> _Seen:
    best = decode(one).chain[0]
    return _Seen(image, one.row["target"], best.areas, best.soft)


def _mosaics(four: Sequence[_Seen], number: int) -> list[_Seen]:
    """The mosaic of four images of different classes, asked for that of one cell; else none.

    What a mask keeps of its image it keeps of the cell: a quarter of the area.
    """
    if len({one.target for one in four}) < CELLS:
        return []
    size = four[0].image.shape[1:]
    half = (size[0] // 2, size[1] // 2)
    cell = number % CELLS
    own = four[cell]
    image = _placed([_shrunk(one.image, half) for one in four], size)
    nothing = torch.zeros(len(own.areas), *half)
    masks = [_shrunk(own.masks, half) if n == cell else nothing for n in range(CELLS)]
    areas = tuple(area / CELLS for area in own.areas)
    return [_Seen(image, own.target, areas, _placed(masks, size))]


def _shrunk(picture_XHW: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(picture_XHW[None], size, mode="area")[0]


def _placed(cells: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """Four cells as one picture; an odd row or column at the end is that before it."""
    rows = [torch.cat(list(cells[n : n + 2]), 2) for n in (0, 2)]
    whole = torch.cat(rows, 1)
    pad = (0, size[1] - whole.shape[2], 0, size[0] - whole.shape[1])
    return functional.pad(whole, pad, mode="replicate")
