"""Metrics of masks: pure functions of tensors, per image; definitions in each file.

Masks are floats in [0, 1], 1 = keep, one per ascending area: (N, A, H, W). Hard masks are bool,
from `top_area`.
"""

from inr_core.metrics.area import area_error, binariness_gap, monotone_share, nestedness, path_ratio
from inr_core.metrics.certificate import (
    further_reveals,
    hidden_patches,
    patch_numbers,
    revealed,
    sample_count,
)
from inr_core.metrics.curves import area_ranking, curve_auc, deletion_curve, insertion_curve
from inr_core.metrics.faithfulness import (
    MaskScores,
    drop_percent,
    gain,
    increase_percent,
    minimal_areas,
    score_masks,
    score_ratio,
    top1_kept,
)
from inr_core.metrics.final import (
    HALVINGS,
    FinalScores,
    final_scores,
    kept_by_top,
    score_hard,
    smallest_areas,
)
from inr_core.metrics.localisation import (
    ceiling,
    chance,
    hard_precision,
    object_iou,
    pointing_hit,
    recall,
    relevance_rank_accuracy,
    soft_precision,
)
from inr_core.metrics.ranking import (
    Areas,
    feathered,
    hard_masks,
    pixel_counts,
    rank_pixels,
    top_area,
)
from inr_core.metrics.several import (
    context_reliance,
    keeping_count,
    mask_overlap,
    pairwise_iou,
    union_coverage,
)
from inr_core.metrics.shape import component_labels, count_components, disc_ratio, perimeter
from inr_core.metrics.single_deletion import rank_correlation, single_deletion
