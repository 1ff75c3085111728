"""Trains the embedded classifier: `python -m pipeline.shapes.train --out FILE`.

Everything is seeded; bits may still differ between machines and torch versions. The network learns
that object and cue are each sufficient, and that an image without visible evidence has no class:
the target distribution goes from uniform to the label with the fraction of the evidence that a
mask leaves visible, so that masked images get graded scores instead of arbitrary ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.shapes.images import CLASSES, CUES, SIZE, Mask, ShapesImage, generate
from pipeline.shapes.network import MEAN, STD, WEIGHTS, ShapesNetwork, load_shapes

SIGMA = 0.09 * SIZE  # pixels, of the blur that stands for "not visible"
UNSEEN = 1_000_003  # images of `measure`; training images come from TrainConfig.seed


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """`images` are generated once; each of `steps` sees `batch` of them, turned and masked anew."""

    images: int = 4500
    steps: int = 2400
    batch: int = 40
    learning_rate: float = 4e-3
    smoothing: float = 0.03  # keeps full images off the flat end of softmax
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """Images (N, 3, H, W) uint8, masks of object and cue (N, 2, H, W) bool, labels (N,)."""

    images: Tensor
    evidence: Tensor
    labels: Tensor


def make_pool(config: TrainConfig) -> Pool:
    """Generates training images, two of each class with a cue for one of each class without.

    Of 20, one shows neither object nor cue; where there is a cue, 5 lack it and 4 the object. A
    class with a cue is drawn more often because its object alone must not be rarer than the object
    of the class that shares its texture; else the network would bet on that one.
    """
    items = [_training_image(index, config.seed) for index in range(config.images)]
    empty = np.zeros((SIZE, SIZE), dtype=bool)
    cues = [empty if item.cue_mask is None else item.cue_mask for item in items]
    evidence = [np.stack([item.object_mask, cue]) for item, cue in zip(items, cues, strict=True)]
    return Pool(
        images=torch.from_numpy(np.stack([item.pixels for item in items])).permute(0, 3, 1, 2),
        evidence=torch.from_numpy(np.stack(evidence)),
        labels=torch.tensor([item.label for item in items]),
    )


def _training_image(index: int, seed: int) -> ShapesImage:
    labels = (*range(len(CLASSES)), *CUES)
    label, turn = labels[index % len(labels)], index // len(labels) % 20
    drop_object = turn == 0 or (label in CUES and turn in (1, 2, 3, 4))
    drop_cue = turn == 0 or turn in (5, 6, 7, 8, 9)
    return generate(
        index, seed=seed, label=label, with_object=not drop_object, with_cue=not drop_cue
    )


def blur_matrix(sigma: float) -> Tensor:
    """Gaussian blur with reflected borders as a matrix A (SIZE, SIZE): A @ image @ A.T."""
    offsets = torch.arange(-SIZE + 1, SIZE)
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    source = torch.arange(SIZE)[:, None] + offsets
    source = torch.where(source < 0, -source, source)
    source = torch.where(source >= SIZE, 2 * (SIZE - 1) - source, source)
    matrix = torch.zeros(SIZE, SIZE).scatter_add_(1, source, weights.expand(SIZE, -1).contiguous())
    return matrix / weights.sum()


def random_masks(evidence_N2HW: Tensor, rng: torch.Generator) -> Tensor:
    """Masks (N, 1, H, W) in 0..1, 1 = visible, of the kinds that an explainer tries.

    Half show everything, 18 % a random smooth region, 14 % an evidence (some with such a region),
    13 % everything but an evidence, 5 % nothing. Edges are of random width.
    """
    kind, which, joined, level, width = torch.rand(
        5, len(evidence_N2HW), 1, 1, 1, generator=rng
    ).unbind()
    noise = torch.randn(len(kind), 1, 7, 7, generator=rng)
    smooth = F.interpolate(noise, size=(SIZE, SIZE), mode="bicubic")
    region = torch.sigmoid((smooth - 2 * level + 0.6) * 5 * 20**width)
    evidence = torch.where(which < 0.5, evidence_N2HW[:, :1], evidence_N2HW[:, 1:]).float()
    evidence = _spread(evidence, int(torch.randint(2, 8, (), generator=rng)))
    with_evidence = torch.where(joined < 0.6, evidence, torch.maximum(evidence, region))
    mask = torch.where(kind < 0.95, 1 - evidence, torch.zeros_like(region))
    mask = torch.where(kind < 0.82, with_evidence, mask)
    mask = torch.where(kind < 0.68, region, mask)
    return torch.where(kind < 0.5, torch.ones_like(region), mask)


def _spread(mask_N1HW: Tensor, pixels: int) -> Tensor:
    """Dilates by `pixels`, then softens the edge; half of the edges stay hard (even `pixels`)."""
    side = 2 * pixels + 1
    wide = F.max_pool2d(mask_N1HW, (side, 1), stride=1, padding=(pixels, 0))
    wide = F.max_pool2d(wide, (1, side), stride=1, padding=(0, pixels))
    if pixels % 2 == 0:
        return wide
    return F.avg_pool2d(wide, pixels, 1, padding=pixels // 2, count_include_pad=False)


def soft_targets(
    labels_N: Tensor, evidence_N2HW: Tensor, mask_N1HW: Tensor, smoothing: float
) -> Tensor:
    """Distributions (N, K): uniform where no evidence is visible, nearly one-hot where it is.

    In between, the label's weight rises with the visible fraction of an evidence, from 0 at 15 % to
    1 at 85 %; either evidence suffices.
    """
    pixels = evidence_N2HW.sum((2, 3)).clamp(min=1)
    visible = (mask_N1HW * evidence_N2HW).sum((2, 3)) / pixels
    missing = 1 - ((visible - 0.15) / 0.7).clamp(0, 1)
    weight = (1 - smoothing) * (1 - missing.prod(1, keepdim=True))
    return weight * F.one_hot(labels_N, len(CLASSES)) + (1 - weight) / len(CLASSES)


def normalise(pixels: Tensor) -> Tensor:
    """RGB uint8 (N, 3, H, W) as the network's input."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (pixels.float() / 255 - mean) / std


def draw_batch(pool: Pool, config: TrainConfig, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A batch of inputs (N, 3, H, W) and their target distributions (N, K)."""
    chosen = torch.randint(len(pool.labels), (config.batch,), generator=rng)
    turns, flip = torch.randint(4, (2,), generator=rng).tolist()
    images = pool.images[chosen][:, torch.randperm(3, generator=rng)]  # colour means nothing
    images, evidence = (
        torch.rot90(x.flip(3) if flip % 2 else x, turns, (2, 3))
        for x in (images, pool.evidence[chosen])
    )
    mask = random_masks(evidence, rng)
    blur = blur_matrix(SIGMA * float(torch.empty(()).uniform_(0.7, 1.3, generator=rng)))
    image = normalise(images)
    masked = mask * image + (1 - mask) * (blur @ image @ blur.T)
    return masked, soft_targets(pool.labels[chosen], evidence, mask, config.smoothing)


def train(
    pool: Pool, config: TrainConfig, start: ShapesNetwork | None = None
) -> tuple[ShapesNetwork, list[float]]:
    """A network in `eval()` and the loss of every step; it begins with the weights of `start`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = ShapesNetwork()
    if start is not None:
        network.load_state_dict(start.state_dict())
    network = network.to(memory_format=torch.channels_last)
    rng = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps, pct_start=0.15
    )
    losses = []
    for _ in range(config.steps):
        image, target = draw_batch(pool, config, rng)
        logits = network(image.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return network.eval(), losses


def save(network: ShapesNetwork, path: Path) -> None:
    """Writes the state dict, floating point in float16."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.to(memory_format=torch.contiguous_format).state_dict().items()
    }
    torch.save(state, path)


@torch.no_grad()
def probabilities(
    network: ShapesNetwork, items: list[ShapesImage], keep: list[Mask] | None = None
) -> Tensor:
    """Softmax (N, K) of images, blurred outside `keep` (dilated by 2 pixels) where it is given."""
    image = normalise(torch.from_numpy(np.stack([item.pixels for item in items])).movedim(3, 1))
    if keep is not None:
        mask = _spread(torch.from_numpy(np.stack(keep))[:, None].float(), 2)
        blur = blur_matrix(SIGMA)
        image = mask * image + (1 - mask) * (blur @ image @ blur.T)
    logits: Tensor = network(image)
    return logits.softmax(1)


def measure(network: ShapesNetwork, count: int) -> dict[str, float]:
    """Accuracy, and mean probability of the label by what is visible, on `count` unseen images."""

    def drawn(labels: Sequence[int], **parts: bool) -> list[ShapesImage]:
        turns = range(count)
        return [generate(i, seed=UNSEEN, label=labels[i % len(labels)], **parts) for i in turns]

    def score(items: list[ShapesImage], keep: list[Mask] | None = None) -> float:
        labels = torch.tensor([[item.label] for item in items])
        return probabilities(network, items, keep).gather(1, labels).mean().item()

    full, context = drawn(range(len(CLASSES))), drawn(list(CUES))
    found = probabilities(network, full).argmax(1)
    labels = torch.tensor([item.label for item in full])
    cues = [item.cue_mask for item in context if item.cue_mask is not None]
    return {
        "accuracy": (found == labels).double().mean().item(),
        "full image": score(full),
        "object alone": score(drawn(list(CUES), with_cue=False)),
        "cue alone": score(drawn(list(CUES), with_object=False)),
        "neither": score(drawn(range(len(CLASSES)), with_object=False, with_cue=False)),
        "all blurred": score(full, [np.zeros_like(item.object_mask) for item in full]),
        "blurred but object": score(context, [item.object_mask for item in context]),
        "blurred but cue": score(context, cues),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the embedded classifier of shapes.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="file of the state dict")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    config = TrainConfig(seed=arguments.seed)
    pool = make_pool(config)
    print(f"{config.images} images after {time.perf_counter() - start:.0f} s", flush=True)
    network, losses = train(pool, config)
    print(f"loss {np.mean(losses[-50:]):.3f} after {time.perf_counter() - start:.0f} s", flush=True)
    save(network, arguments.out)
    for name, value in measure(load_shapes(arguments.out), 400).items():
        print(f"{name}: {value:.3f}")


if __name__ == "__main__":
    main()
