"""Evidence: a map of where the class is seen, of three that a few passes of the classifier give.

On the straight path from the strongest baseline to the image,

- the gradient of the score times the way to the image: what adds up to the score's rise, but
  alternates in sign from pixel to pixel (integrated gradients, Sundararajan et al., ICML 2017);
- its absolute value early on the path: where the classifier first reacts, whatever the sign. It
  lies on objects, of whatever class;
- the last feature map weighted by its mean gradient late on the path (Grad-CAM, Selvaraju et al.,
  ICCV 2017, without its rectifier): coarse, but of this class alone.

A `LearnedStart` makes one of these and of more such maps, in place of their sum.

Shapes: N networks, S points on the path, K clues, C channels, H, W; of the map c channels, h x w
places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from inr_core.device import MicroBatch
from inr_core.game import Classify, FeatureMap, Scene, by_places, gaussian_blur
from inr_core.optimisation.learned import CLUES, LearnedStart, coarse_clues, standardised

Clue = tuple[str, str]  # a line of maps along the path, and the part of it whose mean is taken

END = 3 / 8  # of the path: its early and its late part
MIXED: tuple[Clue, ...] = (("signed", "all"), ("absolute", "early"), ("activation", "late"))
AMONG = [CLUES.index(clue) for clue in MIXED]  # all clues
SHARES = (1.0, 1.0, 2.0)  # of these three, each standardised


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


@dataclass(frozen=True, slots=True)
class Source:
    """What evidence is taken from, besides gradients of the image.

    features  of the classifier; None: it has no feature map
    learned   what makes one map of all; None: their sum
    """

    features: FeatureMap | None = None
    learned: LearnedStart | None = None


def evidence(
    scene: Scene,
    shown_NHW: Tensor,
    classify: Classify,
    source: Source,
    path: PathConfig,
    microbatch: MicroBatch,
) -> Tensor:
    """Where the class is seen, (N, H, W): the sum of the smoothed, standardised maps, or what has
    been learnt to make of them.

    shown_NHW  what of the image is revealed along the path, in [0, 1]
    Maps that the classifier does not have are zero.
    """

    clues = MIXED if source.learned is None else CLUES

    def part(chosen: slice) -> Tensor:
        own = scene.of(chosen), shown_NHW[chosen]
        return path_maps(*own, classify, source.features, path.passes, clues)

    map_NKHW = torch.cat(microbatch.run(part, len(scene.image_NCHW), path.passes))
    if source.learned is None:
        return mixed(map_NKHW, path)
    with torch.no_grad():
        found_NHW: Tensor = source.learned(map_NKHW, mixed(map_NKHW[:, AMONG], path))
    return found_NHW


def mixed(map_NKHW: Tensor, path: PathConfig) -> Tensor:
    """The sum of the three maps of `MIXED`, smoothed and standardised: (N, H, W)."""
    smooth_NKHW = gaussian_blur(map_NKHW, path.blur * min(map_NKHW.shape[2:]))
    shares = smooth_NKHW.new_tensor(SHARES)
    return (standardised(smooth_NKHW) * shares[:, None, None]).sum(1)


def source_of(
    module: nn.Module | None,
    image_BCHW: Tensor,
    microbatch: MicroBatch,
    learned: LearnedStart | None = None,
) -> Source:
    """Evidence from this module's feature map, if there is one; `module` None: without."""
    features = None if module is None else features_of(module, image_BCHW, microbatch)
    return Source(features, learned)


def clues_of(
    scene: Scene, classify: Classify, module: nn.Module, path: PathConfig, microbatch: MicroBatch
) -> Tensor:
    """What a `LearnedStart` sees of whole images, (N, K + 1, h, w): see `coarse_clues`."""
    features = features_of(module, scene.image_NCHW, microbatch)
    shown_NHW = torch.ones_like(scene.image_NCHW[:, 0])
    map_NKHW = path_maps(scene, shown_NHW, classify, features, path.passes, CLUES)
    return coarse_clues(map_NKHW, mixed(map_NKHW[:, AMONG], path))


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
    scene: Scene,
    shown_NHW: Tensor,
    classify: Classify,
    features: FeatureMap | None,
    points: int,
    clues: Sequence[Clue] = MIXED,
) -> Tensor:
    """Means of lines of maps over parts of the path, (N, K, H, W), as they are.

    signed      gradient times the way to the image, summed over the channels; absolute: of its
                absolute values
    activation  the feature map's channels weighted by the mean over places of their gradients;
                product: by the gradients of each place. Zero without a feature map
    way         the absolute way itself
    """
    baseline = scene.baseline_NLCHW[:, -1]
    way_N1CHW = ((scene.image_NCHW - baseline) * shown_NHW[:, None])[:, None]
    share = (torch.arange(points, device=way_N1CHW.device, dtype=way_N1CHW.dtype) + 0.5) / points
    path = baseline[:, None] + share[:, None, None, None] * way_N1CHW
    path = path.flatten(0, 1).requires_grad_()
    logits, *outputs = features.look(classify, path) if features else (classify(path),)
    kept = scene.log_kept(logits.float(), points)
    gradient, *others = torch.autograd.grad(kept.sum(), [path, *outputs])
    rise_NSCHW = gradient.view(-1, points, *way_N1CHW.shape[2:]) * way_N1CHW
    lines = {
        "signed": rise_NSCHW.sum(2),
        "absolute": rise_NSCHW.abs().sum(2),
        "way": way_N1CHW.abs().sum(2),
    }
    for output, slope in zip(outputs, others, strict=True):
        at, by = by_places(output.detach(), path), by_places(slope, path)
        for name, map_Bhw in (
            ("activation", class_activation(at, by)),
            ("product", (at * by).sum(1)),
        ):
            line_BHW = enlarged(map_Bhw, path).to(gradient)
            lines[name] = line_BHW.view(-1, points, *path.shape[2:])
    few = math.ceil(END * points)
    parts = {"all": slice(None), "early": slice(few), "late": slice(points - few, None)}
    none = torch.zeros_like(lines["signed"])
    return torch.stack([lines.get(line, none)[:, parts[part]].mean(1) for line, part in clues], 1)


def class_activation(map_Bchw: Tensor, gradient_Bchw: Tensor) -> Tensor:
    """sum_c w_c map_c, w_c the mean over places of the gradient: (B, h, w), signed."""
    return (gradient_Bchw.mean((2, 3), keepdim=True) * map_Bchw).sum(1)


def enlarged(map_Bhw: Tensor, image_BCHW: Tensor) -> Tensor:
    """Bilinear interpolation to the size of the images, (B, H, W)."""
    size = (image_BCHW.shape[2], image_BCHW.shape[3])
    coarse_B1hw = map_Bhw[:, None]
    return functional.interpolate(coarse_B1hw, size, mode="bilinear", align_corners=False)[:, 0]
