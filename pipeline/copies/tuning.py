"""A copy of a classifier that has seen masked images: F-Fidelity (Zheng et al. 2024, 2410.02970).

Scores of masked images may fall because an image like that was never seen. A copy whose top layers
were tuned with images behind random masks, which no method has made, does not have that excuse.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.copies.config import TuneConfig
from pipeline.copies.layers import top_layers
from pipeline.copies.masking import masked, random_masks
from pipeline.errors import ImageError, RequestError
from pipeline.images import Preprocess, load_image, prefetch
from pipeline.manifest import ImageRef


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of images whose target scores highest: of whole ones, and of masked ones."""

    whole: float
    masked: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What tuning has done.

    layers, parameters  that have learnt
    learnt, held_out    images learnt from, and images that accuracies are of
    unreadable          images that could not be read
    """

    before: Accuracy
    after: Accuracy
    layers: int
    parameters: int
    learnt: int
    held_out: int
    unreadable: int


Report = Callable[[str], None]


def tune(
    module: nn.Module,
    refs: Sequence[ImageRef],
    preprocess: Preprocess,
    config: TuneConfig,
    *,
    device: str = "cpu",
    report: Report = lambda doing: None,
) -> Tuned:
    """Tune the top layers in place, by cross-entropy on masked images.

    refs  with targets
    Running statistics stay as they are, dropout is off. RequestError for too few images.
    """
    learning, held_out = _split(refs, config)
    module.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    top = top_layers(module, config.depth)
    weights = [weight for _, layer in top for weight in layer.parameters(recurse=False)]
    images = _Images(preprocess, config, device)
    report("accuracy before")
    before = _accuracy(module, images, held_out)
    _learn(module, weights, images, learning, report)
    report("accuracy after")
    return Tuned(
        before=before,
        after=_accuracy(module, images, held_out),
        layers=len(top),
        parameters=sum(weight.numel() for weight in weights),
        learnt=len(learning),
        held_out=len(held_out),
        unreadable=len(images.unreadable),
    )


def _learn(
    module: nn.Module,
    weights: Sequence[nn.Parameter],
    images: _Images,
    refs: Sequence[ImageRef],
    report: Report,
) -> None:
    """Change these weights of the module."""
    config = images.config
    wanted = _Wanted(module if config.teacher else None)
    for weight in weights:
        weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate)
    steps = config.epochs * math.ceil(len(refs) / config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng = torch.Generator().manual_seed(config.seed)
    for epoch in range(1, config.epochs + 1):
        order = torch.randperm(len(refs), generator=rng).tolist()
        losses = []
        for batch in images.batches([refs[n] for n in order]):
            said = module(images.masked(batch.image_NCHW, rng))
            loss = functional.cross_entropy(said, wanted(batch))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        mean = sum(losses) / max(1, len(losses))
        report(f"epoch {epoch} of {config.epochs}: loss {mean:.3f}")


def _split(refs: Sequence[ImageRef], config: TuneConfig) -> tuple[list[ImageRef], list[ImageRef]]:
    """Images to learn from, and those held out, drawn by the seed."""
    rng = torch.Generator().manual_seed(config.seed)
    order = torch.randperm(len(refs), generator=rng).tolist()
    count = round(config.held_out * len(refs))
    if not 0 < count < len(refs):
        raise RequestError(
            f"{len(refs)} images, of which {count} would be held out; expected some to learn from "
            "and some to hold out; give more images, or another share"
        )
    return [refs[n] for n in order[count:]], [refs[n] for n in order[:count]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Images (N, C, H, W), their ids and targets (N,)."""

    ids: Sequence[str]
    image_NCHW: Tensor
    target_N: Tensor


class _Wanted:
    """What a copy is to say: the labels, or what the classifier said before, asked once an image.

    teacher  None: the labels
    """

    def __init__(self, teacher: nn.Module | None) -> None:
        self.teacher = copy.deepcopy(teacher)
        self.said: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, batch: _Batch) -> Tensor:
        """Classes (N,), or probabilities (N, K)."""
        if self.teacher is None:
            return batch.target_N
        if not all(id_ in self.said for id_ in batch.ids):
            said = self.teacher(batch.image_NCHW).softmax(1).half()
            self.said |= zip(batch.ids, said, strict=True)
        return torch.stack([self.said[id_] for id_ in batch.ids]).float()


class _Images:
    """Images as the classifier sees them, whole and behind random masks."""

    def __init__(self, preprocess: Preprocess, config: TuneConfig, device: str) -> None:
        self.preprocess, self.config, self.device = preprocess, config, device
        self.unreadable: set[str] = set()

    def batches(self, refs: Sequence[ImageRef]) -> Iterator[_Batch]:
        """In order, without those that cannot be read."""
        items = []
        for ref, loaded in prefetch(refs, self._load, ahead=2 * self.config.batch):
            if isinstance(loaded, ImageError):
                self.unreadable.add(ref.id)
                continue
            items.append((ref, loaded))
            if len(items) == self.config.batch:
                yield self._together(items)
                items = []
        if items:
            yield self._together(items)

    def masked(
        self, image_NCHW: Tensor, rng: torch.Generator, blurred: bool | None = None
    ) -> Tensor:
        """Behind random masks; `blurred` None: half are blurred, half filled with mean colour."""
        count, size = len(image_NCHW), (image_NCHW.shape[-2], image_NCHW.shape[-1])
        mask = random_masks(count, size, self.config.least, rng).to(image_NCHW)
        blurred_N = torch.randint(2, (count,), generator=rng).bool()
        if blurred is not None:
            blurred_N = torch.full_like(blurred_N, blurred)
        return masked(image_NCHW, mask, blurred_N.to(image_NCHW.device))

    def _load(self, ref: ImageRef) -> Tensor:
        return load_image(ref.image, self.preprocess).pixels

    def _together(self, items: Sequence[tuple[ImageRef, Tensor]]) -> _Batch:
        image_NCHW = torch.stack([image for _, image in items]).to(self.device)
        targets = [ref.target for ref, _ in items]
        return _Batch(
            ids=[ref.id for ref, _ in items],
            image_NCHW=image_NCHW.contiguous(memory_format=torch.channels_last),
            target_N=torch.tensor(targets, device=self.device),
        )


@torch.no_grad()
def _accuracy(module: nn.Module, images: _Images, refs: Sequence[ImageRef]) -> Accuracy:
    """Each image is seen whole and behind two masks, the same ones whenever it is asked."""
    rng = torch.Generator().manual_seed(images.config.seed + 1)
    right, count = [0, 0], 0
    for batch in images.batches(refs):
        behind = [images.masked(batch.image_NCHW, rng, blurred) for blurred in (True, False)]
        found = [module(shown).argmax(1) == batch.target_N for shown in (batch.image_NCHW, *behind)]
        count += len(batch.ids)
        right[0] += int(found[0].sum())
        right[1] += int(found[1].sum() + found[2].sum())
    if not count:
        raise RequestError("none of the images held out can be read")
    return Accuracy(right[0] / count, right[1] / (2 * count))
