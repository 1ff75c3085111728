"""Evidence: a map of where the class is seen, of three that a few passes of the classifier give.

On the straight path from the strongest baseline to the image,

- the gradient of the score times the way to the image: what adds up to the score's rise, but
  alternates in sign from pixel to pixel (integrated gradients, Sundararajan et al., ICML 2017);
- its absolute value early on the path: where the classifier first reacts, whatever the sign. It
  lies on objects, of whatever class;
- the last feature map weighted by its mean gradient late on the path (Grad-CAM, Selvaraju et al.,
  ICCV 2017, without its rectifier): coarse, but of this class alone.

Shapes: N networks, S points on the path, C channels, H, W; of the map c channels, h x w places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from inr_core.device import MicroBatch
from inr_core.game import Classify, FeatureMap, Scene, by_places, gaussian_blur

END = 3 / 8  # of the path: its early and its late part
SHARES = (1.0, 1.0, 2.0)  # of the three maps, each standardised, in the order above


@dataclass(frozen=True, kw_only=True, slots=True)
class PathConfig:
    """How the evidence is computed at which optimisations start.

    passes  classifier passes along the path from the baseline to the image
    blur    smoothing of the maps (standard deviation), a fraction of the shorter side
    """

    passes: int = 8
    blur: float = 0.09

    def __post_init__(self) -> None:
        if self.passes < 1 or self.blur <= 0:
            raise ValueError(
                f"start.passes must be at least 1 and blur positive, got {self.passes}, {self.blur}"
            )


def evidence(
    scene: Scene,
    shown_NHW: Tensor,
    classify: Classify,
    features: FeatureMap | None,
    path: PathConfig,
    microbatch: MicroBatch,
) -> Tensor:
    """The sum of the smoothed, standardised maps, (N, H, W); its mean is 0 in every image.

    shown_NHW  what of the image is revealed along the path, in [0, 1]
    features   None: a classifier without a feature map, which has the first two maps
    """

    def part(chosen: slice) -> Tensor:
        return path_maps(scene.of(chosen), shown_NHW[chosen], classify, features, path.passes)

    count = len(scene.image_NCHW)
    map_N3HW = torch.cat(microbatch.run(part, count, path.passes))
    smooth_N3HW = gaussian_blur(map_N3HW, path.blur * min(shown_NHW.shape[1:]))
    shares = smooth_N3HW.new_tensor(SHARES[: smooth_N3HW.shape[1]])
    return (_standardised(smooth_N3HW) * shares[:, None, None]).sum(1)


def features_of(module: nn.Module, image_BCHW: Tensor, microbatch: MicroBatch) -> FeatureMap | None:
    """The module's feature map, looked for once; None where it has none."""

    def found() -> FeatureMap | None:
        try:
            return FeatureMap.of(module, image_BCHW[:1])
        except ValueError:
            return None

    key = (FeatureMap, module, image_BCHW.shape[2:])
    return microbatch.prepared(key, found)


def path_maps(
    scene: Scene, shown_NHW: Tensor, classify: Classify, features: FeatureMap | None, points: int
) -> Tensor:
    """The three maps of `evidence` as they are, (N, 3, H, W), or the first two of them."""
    baseline = scene.baseline_NLCHW[:, -1]
    way_N1CHW = ((scene.image_NCHW - baseline) * shown_NHW[:, None])[:, None]
    share = (torch.arange(points, device=way_N1CHW.device, dtype=way_N1CHW.dtype) + 0.5) / points
    path = baseline[:, None] + share[:, None, None, None] * way_N1CHW
    path = path.flatten(0, 1).requires_grad_()
    logits, *outputs = features.look(classify, path) if features else (classify(path),)
    kept = scene.log_kept(logits.float(), points)
    gradient, *others = torch.autograd.grad(kept.sum(), [path, *outputs])
    rise_NSCHW = gradient.view(-1, points, *way_N1CHW.shape[2:]) * way_N1CHW
    few = math.ceil(END * points)
    maps = [rise_NSCHW.mean(1).sum(1), rise_NSCHW[:, :few].abs().mean(1).sum(1)]
    for output, slope in zip(outputs, others, strict=True):
        cam = class_activation(by_places(output.detach(), path), by_places(slope, path))
        late_NHW = enlarged(cam, path).view(-1, points, *path.shape[2:])[:, -few:].mean(1)
        maps.append(late_NHW.to(gradient))
    return torch.stack(maps, 1)


def class_activation(map_Bchw: Tensor, gradient_Bchw: Tensor) -> Tensor:
    """sum_c w_c map_c, w_c the mean over places of the gradient: (B, h, w), signed."""
    return (gradient_Bchw.mean((2, 3), keepdim=True) * map_Bchw).sum(1)


def enlarged(map_Bhw: Tensor, image_BCHW: Tensor) -> Tensor:
    """Bilinear interpolation to the size of the images, (B, H, W)."""
    size = (image_BCHW.shape[2], image_BCHW.shape[3])
    coarse_B1hw = map_Bhw[:, None]
    return functional.interpolate(coarse_B1hw, size, mode="bilinear", align_corners=False)[:, 0]


def _standardised(map_N3HW: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over the places of each; a map of equal values becomes 0."""
    centred = map_N3HW - map_N3HW.mean((2, 3), keepdim=True)
    tiny = torch.finfo(map_N3HW.dtype).tiny
    return centred / centred.square().mean((2, 3), keepdim=True).sqrt().clamp_min(tiny)
