"""Masks: coordinate networks, their fields on a grid, and thresholds at exact areas."""

from inr_core.masks.area import area_sequence, check_areas, stratified_areas, vecsort_penalty
from inr_core.masks.grid import centres, grid
from inr_core.masks.mask import (
    Canvas,
    MaskConfig,
    coarse_mask,
    exact_mask,
    occupied,
    render,
    standardise,
)
from inr_core.masks.siren import SirenConfig, init_parameters, siren
