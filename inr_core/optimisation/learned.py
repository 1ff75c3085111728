"""A learned start: a small network that has seen which evidence finished masks agree with.

It is given maps that the passes of the evidence have shown anyway (`CLUES`), each standardised,
and the evidence that is their fixed sum, and gives back one map. Learnt from the masks of a
finished run (stochastic amortisation, Covert et al. 2024, arXiv 2401.15866, with noisy labels);
as it knows no colour and no shape of the image but only how the classifier responds, it serves
others, too. Untrained it gives back the evidence as it is.

Shapes: N images, K clues, H, W of the image, h x w cells, A areas.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from inr_core.masks import exact_mask

CELLS = 28  # along the shorter side
WIDTH = 32  # channels of the network
DILATIONS = (1, 2, 4, 2)
LARGEST = 5.0  # standard deviations: a single place does not outweigh all others
LINES = ("signed", "absolute", "activation", "product")  # see `path_maps`
CLUES = tuple((line, part) for line in LINES for part in ("all", "early", "late")) + (
    ("way", "all"),
)
TEMPERATURE = 0.2  # of the masks that are held against the finished ones


class LearnedStart(nn.Module):
    """Clues (N, K, H, W) and evidence (N, H, W) -> evidence (N, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        widths = [len(CLUES) + 1, *[WIDTH] * len(DILATIONS)]
        layers: list[nn.Module] = []
        for before, after, dilation in zip(widths, widths[1:], DILATIONS, strict=False):
            layers += [_conv(before, after, dilation), nn.GELU()]
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(WIDTH, 1, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, clue_NKHW: Tensor, evidence_NHW: Tensor) -> Tensor:
        """The map, in the precision of the evidence."""
        map_Nhw = self.coarse(coarse_clues(clue_NKHW, evidence_NHW))
        size = (evidence_NHW.shape[1], evidence_NHW.shape[2])
        map_N1hw = map_Nhw[:, None].to(evidence_NHW)
        return functional.interpolate(map_N1hw, size, mode="bilinear", align_corners=False)[:, 0]

    def coarse(self, clue_NKhw: Tensor) -> Tensor:
        """The map on the grid, (N, h, w), of what `coarse_clues` gives: a change of the last."""
        change_N1hw: Tensor = self.last(self.body(clue_NKhw))
        return clue_NKhw[:, -1] + change_N1hw[:, 0]


def _conv(before: int, after: int, dilation: int) -> nn.Conv2d:
    """Beyond the border the outermost cells go on: zeros there would be a clue of their own."""
    return nn.Conv2d(
        before, after, 3, padding=dilation, dilation=dilation, padding_mode="replicate"
    )


def coarse_clues(clue_NKHW: Tensor, evidence_NHW: Tensor) -> Tensor:
    """What the network sees, (N, K + 1, h, w) float32: means over cells, standardised."""
    all_NKHW = torch.cat([clue_NKHW, evidence_NHW[:, None].to(clue_NKHW)], 1)
    cells = functional.interpolate(all_NKHW, cells_of(evidence_NHW), mode="area").float()
    return standardised(cells).clamp(-LARGEST, LARGEST)


def cells_of(map_NHW: Tensor) -> tuple[int, int]:
    """(h, w) of the grid: `CELLS` along the shorter side, no more than there are pixels."""
    h, w = map_NHW.shape[1:]
    cell = max(1.0, min(h, w) / CELLS)
    return max(1, round(h / cell)), max(1, round(w / cell))


def standardised(map_NKHW: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over the places of each; a map of equal values becomes 0."""
    centred = map_NKHW - map_NKHW.mean((2, 3), keepdim=True)
    tiny = torch.finfo(map_NKHW.dtype).tiny
    return centred / centred.square().mean((2, 3), keepdim=True).sqrt().clamp_min(tiny)


def disagreement(map_Nhw: Tensor, mask_NAhw: Tensor, area_NA: Tensor) -> Tensor:
    """Cross-entropy between the exact masks of a map and finished ones, (N,), in nats a cell.

    mask_NAhw  means over cells, in [0, 1]; area_NA are theirs
    """
    field_NAP = map_Nhw.flatten(1)[:, None].expand(-1, mask_NAhw.shape[1], -1)
    weight_NAP = torch.full_like(field_NAP, 1 / field_NAP.shape[-1])
    found_NAP = exact_mask(field_NAP, area_NA, weight_NAP, TEMPERATURE)
    wanted_NAP = mask_NAhw.flatten(2).clamp(0, 1)
    small = torch.finfo(found_NAP.dtype).eps
    entropy_NAP = functional.binary_cross_entropy(
        found_NAP.clamp(small, 1 - small), wanted_NAP, reduction="none"
    )
    return entropy_NAP.mean((1, 2))
