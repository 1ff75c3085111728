"""What a mask shares with those of earlier restarts, against loops over networks and cells."""

import torch

from inr_core.masks import Canvas, MaskConfig, SirenConfig, coarse_mask, init_parameters
from inr_core.optimisation.repulsion import ALLOWED, Others, repeated

MASK = MaskConfig(network=SirenConfig(hidden_width=8, sine_layers=2), stride=2)
CANVAS = Canvas.of((14, 11), MASK.stride, torch.zeros((), dtype=torch.float64))
AREAS = torch.tensor([[0.1, 0.4], [0.2, 0.3], [0.05, 0.25]], dtype=torch.float64)
COUNTS = [0, 1, 2]


def theta(count, first=0):
    drawn = [init_parameters(seed, MASK.network) for seed in range(first, first + count)]
    return torch.stack(drawn).double()


def mask_of(theta_K, area):
    free = torch.zeros(1, 1, len(CANVAS.weight_P), dtype=torch.float64)
    return coarse_mask(theta_K[None], area.view(1, 1), free, CANVAS, MASK)[0, 0]


def test_what_is_repeated_is_the_sum_over_earlier_restarts_of_the_excess_share():
    own, others = theta(3), theta(6, first=3).view(3, 2, -1)
    masks = torch.stack([torch.stack([mask_of(own[n], a) for a in AREAS[n]]) for n in range(3)])
    earlier = Others(others, torch.tensor(COUNTS)).masks(AREAS, CANVAS, MASK)
    found = repeated(masks, earlier, CANVAS.weight_P)
    for n in range(3):
        for a in range(2):
            plain = 0.0
            for j in range(COUNTS[n]):
                other = mask_of(others[n, j], AREAS[n, a])
                cells = zip(CANVAS.weight_P, masks[n, a], other, strict=True)
                within = sum(weight * one * two for weight, one, two in cells) / AREAS[n, a]
                plain += max(0.0, within.item() - ALLOWED)
            assert abs(found[n, a].item() - plain) < 1e-9
    assert found[0].abs().max() == 0 and found[2].min() >= 0
