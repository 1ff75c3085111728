"""From networks to masks: coarse field -> area constraint -> rounds -> upsampling.

The network is evaluated at a few points, from which the smooth field is interpolated to a coarse
grid; the sigmoid, the exact area and the exclusion of earlier rounds act there, and the mask is
interpolated to its size. That is linear, so the area stays exact (cells are weighted by what they
contribute to the interpolated mask), masks that sum to at most 1 on the grid do so everywhere, and
two of them never both exceed .5.

Shapes: N networks, A areas, P = h * w cells of the coarse grid, Q points at which networks are
evaluated, K parameters, J earlier rounds.
Masks are in [0, 1]; 1 = keep, 0 = perturb.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from inr_core.masks.area import threshold
from inr_core.masks.grid import ORDER, centres, grid, interpolation, spread
from inr_core.masks.siren import SirenConfig, siren

AreaConstraint = Literal["exact", "vecsort"]


def shared_field() -> SirenConfig:
    """The network by default: not conditioned on the area, for that gains nothing measurable."""
    return SirenConfig(conditioned=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskConfig:
    """How a network becomes a mask.

    network       the SIREN
    stride        pixels of the mask per cell of the coarse grid, each way
    points        along each side at which a network is evaluated, at the most; None: every cell
    temperature   width of the final sigmoid, in standard deviations of the field
    area          `exact`: the field is thresholded where the mask has its area; `vecsort`: a plain
                  sigmoid, drawn to its area by the paper's penalty
    exclude_area  rounds avoid the earlier rounds' masks of this area; None: of the same area
    """

    network: SirenConfig = field(default_factory=shared_field)
    stride: int = 4
    points: int | None = 24
    temperature: float = 0.05
    area: AreaConstraint = "exact"
    exclude_area: float | None = None

    def __post_init__(self) -> None:
        if self.area not in ("exact", "vecsort"):
            raise ValueError(f"area must be exact or vecsort, got {self.area!r}")
        if self.stride < 1:
            raise ValueError(f"stride must be at least 1, got {self.stride}")
        if self.points is not None and self.points < ORDER:
            raise ValueError(f"points must be None or at least {ORDER}, got {self.points}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        if self.exclude_area is not None and not 0 < self.exclude_area < 1:
            raise ValueError(f"exclude_area must lie in (0, 1), got {self.exclude_area}")

    def largest_area(self, round_: int) -> float:
        """The largest area that a mask of this round can have: 90 % of what is left, or less."""
        if self.exclude_area is None:
            return 0.9 / (round_ + 1) if round_ else 1.0
        return 0.9 * (1 - round_ * self.exclude_area) if round_ else 1.0


@dataclass(frozen=True, slots=True)
class Canvas:
    """The coarse grid under a mask of `size` = (height, width).

    cells       (h, w)
    points_Q2   coordinates at which networks are evaluated
    weight_P    what each cell contributes to the mean of the interpolated mask; sums to 1
    refinement  matrices that interpolate along rows and columns, from points to cells
    """

    size: tuple[int, int]
    cells: tuple[int, int]
    points_Q2: Tensor
    weight_P: Tensor
    refinement: tuple[Tensor, Tensor] | None

    @classmethod
    def of(
        cls, size: tuple[int, int], stride: int, like: Tensor, points: int | None = None
    ) -> Canvas:
        """The canvas for masks of `size` on the device and in the precision of `like`.

        points  along each side, at the most; None: one for each cell
        """
        h, w = (math.ceil(side / stride) for side in size)
        weight = torch.outer(_share(h, size[0], like), _share(w, size[1], like)).flatten()
        if points is None or points >= min(h, w):
            return cls(size, (h, w), grid(centres(h, like), centres(w, like)), weight, None)
        points_Q2 = grid(spread(points, h, like), spread(points, w, like))
        matrices = interpolation(points, h).to(like), interpolation(points, w).to(like)
        return cls(size, (h, w), points_Q2, weight, matrices)

    def refine(self, field_NAQ: Tensor) -> Tensor:
        """The field at every cell, (N, A, P), of its values at the points."""
        if self.refinement is None:
            return field_NAQ
        rows, columns = self.refinement
        points = field_NAQ.view(*field_NAQ.shape[:2], rows.shape[1], columns.shape[1])
        return (rows @ points @ columns.mT).flatten(2)

    def upsample(self, mask_NAP: Tensor) -> Tensor:
        """Bilinear interpolation of coarse masks to (N, A, H, W)."""
        coarse = self.unflatten(mask_NAP)
        if self.cells == self.size:
            return coarse
        return functional.interpolate(coarse, self.size, mode="bilinear", align_corners=False)

    def unflatten(self, mask_NAP: Tensor) -> Tensor:
        """Coarse masks as (N, A, h, w)."""
        return mask_NAP.view(*mask_NAP.shape[:2], *self.cells)


def _share(cells: int, pixels: int, like: Tensor) -> Tensor:
    """Mean contribution of each of `cells` to a line interpolated to `pixels`: (cells,)."""
    unit = torch.eye(cells, dtype=torch.float64)[None]
    line = functional.interpolate(unit, pixels, mode="linear", align_corners=False)
    return line.mean(-1)[0].to(like)


def coarse_mask(
    theta_NK: Tensor,
    area_NA: Tensor,
    occupied_NAP: Tensor,
    canvas: Canvas,
    config: MaskConfig,
    temperature: float | Tensor | None = None,
) -> Tensor:
    """Masks of one round on the coarse grid, (N, A, P), outside what is occupied.

    occupied_NAP  sum of the earlier rounds' masks, in [0, 1]; may broadcast over A and P
    temperature   one for all, or (N, 1, 1); None: the final one
    """
    if temperature is None:
        temperature = config.temperature
    field = canvas.refine(siren(theta_NK, canvas.points_Q2, area_NA, config.network))
    field_NAP = field.expand(-1, area_NA.shape[1], -1)
    free_NAP = (1 - occupied_NAP).clamp_min(0).expand_as(field_NAP)
    if config.area == "vecsort":
        return free_NAP * torch.sigmoid(field_NAP / temperature)
    return free_NAP * exact_mask(field_NAP, area_NA, canvas.weight_P * free_NAP, temperature)


def exact_mask(
    field_NAP: Tensor, area_NA: Tensor, weight_NAP: Tensor, temperature: float | Tensor
) -> Tensor:
    """Masks of any field, (N, A, P), whose weighted mean is exactly the area."""
    level_NAP = standardise(field_NAP, weight_NAP)
    tau_NA1 = threshold(level_NAP, area_NA, weight_NAP, temperature)
    return torch.sigmoid((level_NAP - tau_NA1) / temperature)


def standardise(field_NAP: Tensor, weight_NAP: Tensor) -> Tensor:
    """Weighted mean 0 and standard deviation 1, so that the temperature means the same in all."""
    share = weight_NAP / weight_NAP.sum(-1, keepdim=True)
    centred = field_NAP - (share * field_NAP).sum(-1, keepdim=True)
    variance = (share * centred.square()).sum(-1, keepdim=True)
    return centred / (variance + 1e-6).sqrt()


def occupied(
    previous_NJK: Tensor,
    area_NA: Tensor,
    canvas: Canvas,
    config: MaskConfig,
    round_N: Tensor | None = None,
) -> Tensor:
    """Sum of the earlier rounds' masks at these areas (or at the one excluded area): (N, A, P).

    round_N  how many of `previous_NJK` are each network's, the first ones; None: all of them
    """
    if config.exclude_area is not None:
        area_NA = torch.full_like(area_NA[:, :1], config.exclude_area)
    total = area_NA.new_zeros(*area_NA.shape, len(canvas.weight_P))
    for j, theta_NK in enumerate(previous_NJK.unbind(1)):
        mask_NAP = coarse_mask(theta_NK, area_NA, total, canvas, config)
        if round_N is not None:
            mask_NAP = torch.where((round_N > j)[:, None, None], mask_NAP, 0)
        total = total + mask_NAP
    return total


def render(
    theta_NK: Tensor,
    previous_NJK: Tensor,
    area_NA: Tensor,
    size: tuple[int, int],
    config: MaskConfig,
) -> Tensor:
    """Masks of stored networks at any areas and any size, (N, A, H, W) uint8, 255 = keep.

    Computed in float64 on the networks' device, so that the 8-bit result is the same wherever and
    in whatever batch it is computed.
    """
    theta, previous, area = (
        t.to(theta_NK.device, torch.float64) for t in (theta_NK, previous_NJK, area_NA)
    )
    canvas = Canvas.of(size, config.stride, theta, config.points)
    taken = occupied(previous, area, canvas, config)
    mask = canvas.upsample(coarse_mask(theta, area, taken, canvas, config))
    return (mask * 255).round().clamp(0, 255).to(torch.uint8)
