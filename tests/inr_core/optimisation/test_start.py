"""Starts at evidence: the fit, and what earlier rounds have taken."""

import dataclasses

import pytest
import torch

from inr_core.device.microbatch import MicroBatch
from inr_core.game.perturbation import PerturbationConfig, baselines
from inr_core.game.scene import Scene
from inr_core.masks.mask import Canvas, MaskConfig, coarse_mask
from inr_core.masks.siren import SirenConfig, init_parameters
from inr_core.optimisation.evidence import Source
from inr_core.optimisation.start import (
    StartConfig,
    fitted_start,
)

SIZE = 24
MASK = MaskConfig(network=SirenConfig(hidden_width=16), stride=2)


def logits_of(image):
    """Class 1 by the brightness of two spots, in proportion 3 : 1."""
    evidence = 3 * image[:, 0, 4:8, 4:8].mean((1, 2)) + image[:, 0, 16:20, 16:20].mean((1, 2))
    return torch.stack([torch.zeros_like(evidence), evidence], 1)


def scene_of(count=1):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(count, 1, SIZE, SIZE, generator=generator, dtype=torch.float64)
    image[:, :, 4:8, 4:8] += 2
    image[:, :, 16:20, 16:20] += 2
    return Scene(
        image_NCHW=image,
        baseline_NLCHW=baselines(image, PerturbationConfig(sigmas=(0.2,))),
        target_N=torch.ones(count, dtype=torch.long),
        pyramid=False,
    )


def ones(count=1):
    return torch.ones(count, SIZE, SIZE, dtype=torch.float64)


def weights(count):
    return torch.stack([init_parameters(seed, MASK.network) for seed in range(count)]).double()


def start(previous=None, count=1, fixed=False, **changes):
    rounds = torch.full((count,), 0 if previous is None else 1)
    if previous is None:  # the room of the second round is empty
        previous = torch.zeros(count, 1, MASK.network.parameter_count, dtype=torch.float64)
    config = StartConfig(fit_steps=200, blur=0.08, **changes)
    return fitted_start(
        weights(count),
        previous,
        rounds,
        [(0.02, 0.5)] * 2,
        scene_of(count),
        logits_of,
        Source(),
        MASK,
        config,
        MicroBatch(64),
        fixed=fixed,
    )


def mask_of(theta, area, taken=0.0):
    canvas = Canvas.of((SIZE, SIZE), MASK.stride, theta)
    areas = torch.tensor([[area]], dtype=torch.float64)
    occupied = torch.zeros(1, 1, len(canvas.weight_P), dtype=torch.float64) + taken
    return coarse_mask(theta, areas, occupied, canvas, MASK), canvas


def test_the_fitted_mask_finds_the_stronger_spot_at_every_area():
    theta = start()
    for area in (0.03, 0.05):
        coarse, canvas = mask_of(theta, area)
        full = canvas.upsample(coarse)[0, 0]
        assert full[3:9, 3:9].sum() > 0.6 * full.sum()


def test_the_next_round_starts_at_what_the_first_one_left():
    first = start()
    second = start(previous=first[:, None])
    taken, canvas = mask_of(first, 0.1)
    coarse, _ = mask_of(second, 0.05, taken)
    full = canvas.upsample(coarse)[0, 0]
    assert full[14:22, 14:22].sum() > 0.5 * full.sum()


def test_a_start_does_not_notice_its_neighbours():
    together, alone = start(count=3), start(count=1)
    torch.testing.assert_close(together[:1], alone, atol=1e-9, rtol=0)


def test_a_start_does_not_notice_empty_places():
    torch.testing.assert_close(start(count=3, fixed=True), start(count=3), atol=1e-9, rtol=0)


@pytest.mark.parametrize("bad", [{"kind": "warm"}, {"passes": 0}, {"blur": 0.0}, {"fit_steps": -1}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match="start"):
        StartConfig(**bad)
    assert dataclasses.asdict(StartConfig())["passes"] == 8
