"""Inpainting: pixels outside a mask filled in from those inside it, without a network.

Telea's fast marching (2004), as OpenCV has it: from the border inwards, every pixel is made of
those within 3 px that are known already. No method can have been optimised against it, for the
baseline follows from the mask.

Shapes: N images, A masks of each, C channels, H, W.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import RequestError
from pipeline.images import Preprocess

RADIUS = 3  # px


def can_inpaint() -> bool:
    """Whether OpenCV is installed."""
    return find_spec("cv2") is not None


def opencv() -> Any:
    """The library; RequestError names the extra that it comes with."""
    try:
        import cv2
    except ImportError as error:
        raise RequestError(
            '--baselines telea: needs OpenCV: pip install "xaipipe[peers]"'
        ) from error
    return cv2


def inpainted(image_NCHW: Tensor, known_NAHW: Tensor, preprocess: Preprocess) -> Tensor:
    """The images with all but what is known (bool) filled in: (N, A, C, H, W), where they lie.

    OpenCV works on 8 bits a channel: filled pixels are rounded to them.
    """
    mean_C11, std_C11 = (
        torch.tensor(v, device=image_NCHW.device)[:, None, None] for v in preprocess.scale
    )
    levels = (255 * (image_NCHW * std_C11 + mean_C11)).round().clamp(0, 255).byte().cpu().numpy()
    hole_NAHW = (~known_NAHW).byte().cpu().numpy()
    filled = np.stack(
        [[_filled(one, hole) for hole in own] for one, own in zip(levels, hole_NAHW, strict=True)]
    )
    found = (torch.from_numpy(filled).to(image_NCHW) / 255 - mean_C11) / std_C11
    return torch.where(known_NAHW[:, :, None], image_NCHW[:, None], found)


def _filled(levels_CHW: Any, hole_HW: Any) -> Any:
    """Channel by channel, which the method treats apart.

    What is hidden is made the mean of what is known first, for along the image's border OpenCV
    reads it, too; and where nothing is known (then: of all) it stays so.
    """
    cv2 = opencv()
    known_HW = hole_HW == (0 if not hole_HW.all() else 1)
    mean_C11 = levels_CHW[:, known_HW].mean(1).round().astype(np.uint8)[:, None, None]
    blank_CHW = np.where(hole_HW, mean_C11, levels_CHW)
    return np.stack([cv2.inpaint(c, hole_HW, RADIUS, cv2.INPAINT_TELEA) for c in blank_CHW])
