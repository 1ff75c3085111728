"""Insertion and deletion curves with the settings of RISE (Petsiuk et al., BMVC 2018).

Pixels are deleted, or inserted, in the order of their rank, in `steps` equal parts: 28 parts of
1792 pixels at 224 x 224. Deletion goes from the image to zero in the classifier's (normalised)
input space, insertion from the blurred image to the image.

Shapes: N images, S = steps + 1 points of a curve, C channels, H, W.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.device import MicroBatch
from inr_core.game import Classify, Head, target_score
from inr_core.metrics.ranking import rank_pixels

STEPS = 28
BLUR_WIDTH, BLUR_SIGMA = 11, 5.0


def area_ranking(mask_NAHW: Tensor) -> Tensor:
    """The sum of the masks over the areas, (N, H, W): which pixels matter first."""
    return mask_NAHW.sum(1)


def insertion_curve(
    image_NCHW: Tensor,
    ranking_NHW: Tensor,
    target_N: Tensor,
    classify: Classify,
    microbatch: MicroBatch,
    *,
    steps: int = STEPS,
    head: Head = "softmax",
) -> Tensor:
    """Scores of the target, (N, S), from the blurred image to the image; highest pixels first."""
    start_NCHW = insertion_start(image_NCHW)
    between = start_NCHW, image_NCHW
    return _curve(*between, ranking_NHW, target_N, classify, microbatch, steps, head)


def deletion_curve(
    image_NCHW: Tensor,
    ranking_NHW: Tensor,
    target_N: Tensor,
    classify: Classify,
    microbatch: MicroBatch,
    *,
    steps: int = STEPS,
    head: Head = "softmax",
) -> Tensor:
    """Scores of the target, (N, S), from the image to all zeros; highest pixels first."""
    end_NCHW = torch.zeros_like(image_NCHW)
    between = image_NCHW, end_NCHW
    return _curve(*between, ranking_NHW, target_N, classify, microbatch, steps, head)


def curve_auc(curve_NS: Tensor) -> Tensor:
    """(sum s_i - (s_0 + s_n) / 2) / n, (N,) in 0..1; insertion: higher is better, deletion: lower.

    Raises ValueError for a curve of a single point.
    """
    points = curve_NS.shape[1]
    if points < 2:
        raise ValueError("a curve has at least 2 points, got 1")
    return (curve_NS.sum(1) - (curve_NS[:, 0] + curve_NS[:, -1]) / 2) / (points - 1)


def insertion_start(image_NCHW: Tensor) -> Tensor:
    """The image under RISE's 11 x 11 Gaussian of sigma 5, zeros beyond the border: (N, C, H, W)."""
    n, c, h, w = image_NCHW.shape
    kernel = _mirrored_gaussian().to(image_NCHW)
    flat, pad = image_NCHW.reshape(n * c, 1, h, w), BLUR_WIDTH // 2
    flat = functional.conv2d(flat, kernel.view(1, 1, 1, -1), padding=(0, pad))
    flat = functional.conv2d(flat, kernel.view(1, 1, -1, 1), padding=(pad, 0))
    return flat.view(n, c, h, w)


def _mirrored_gaussian() -> Tensor:
    """RISE's kernel in one direction, (11,) float64, sum 1.

    A Gaussian cut at 4 sigma whose tails are mirrored at the ends of the window: the published
    figures depend on it, for the window is only 1.1 sigma to each side.
    """
    reach = int(4 * BLUR_SIGMA)
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weight = torch.exp(-0.5 * (offset / BLUR_SIGMA).square())
    place = (torch.arange(-reach, reach + 1) + BLUR_WIDTH // 2) % (2 * BLUR_WIDTH)
    place = torch.minimum(place, 2 * BLUR_WIDTH - 1 - place)
    return torch.zeros(BLUR_WIDTH, dtype=torch.float64).index_add(0, place, weight / weight.sum())


@torch.no_grad()
def _curve(
    before_NCHW: Tensor,
    after_NCHW: Tensor,
    ranking_NHW: Tensor,
    target_N: Tensor,
    classify: Classify,
    microbatch: MicroBatch,
    steps: int,
    head: Head,
) -> Tensor:
    """Scores, (N, S), while the pixels turn from `before` to `after`, highest rank first."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    pixels = ranking_NHW.shape[1] * ranking_NHW.shape[2]
    counts = [step * pixels // steps for step in range(steps + 1)]
    count_S = torch.tensor(counts, device=ranking_NHW.device)

    def part(chosen: slice) -> Tensor:
        rank_N1HW = rank_pixels(ranking_NHW[chosen])[:, None]
        turned_NS1HW = (rank_N1HW < count_S[:, None, None])[:, :, None].to(before_NCHW.device)
        shown = torch.where(turned_NS1HW, after_NCHW[chosen, None], before_NCHW[chosen, None])
        target = target_N[chosen].repeat_interleave(steps + 1)
        return target_score(classify(shown.flatten(0, 1)), target, head).view(-1, steps + 1)

    return torch.cat(microbatch.run(part, len(before_NCHW), steps + 1))
