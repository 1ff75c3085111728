"""Masks: exact area at any size, rounds that never overlap, rendering that never changes."""

import pytest
import torch

from inr_core.masks.mask import Canvas, MaskConfig, coarse_mask, occupied, render
from inr_core.masks.siren import SirenConfig, init_parameters, siren

CONFIG = MaskConfig(network=SirenConfig(hidden_width=16))
AREAS = (0.03, 0.05, 0.1, 0.15, 0.2, 0.29)


def networks(count, rounds=0):
    theta = [init_parameters(seed, CONFIG.network) for seed in range(count * (rounds + 1))]
    stacked = torch.stack(theta).half().float().view(count, rounds + 1, -1)
    return stacked[:, -1], stacked[:, :-1]


def area_rows(count, areas=AREAS):
    return torch.tensor([areas] * count, dtype=torch.float64)


@pytest.mark.parametrize("size", [(224, 224), (1000, 1000), (97, 131)])
def test_every_mask_has_its_area_in_every_round_and_at_every_size(size):
    theta, previous = networks(2, rounds=2)
    masks = render(theta, previous, area_rows(2), size, CONFIG)
    assert masks.shape == (2, len(AREAS), *size)
    measured = masks.double().mean((2, 3)) / 255
    assert (measured - area_rows(2)).abs().max() <= 0.001


def test_cell_weights_are_the_means_of_interpolated_unit_masks():
    canvas = Canvas.of((10, 7), 3, torch.zeros((), dtype=torch.float64))
    units = torch.eye(len(canvas.weight_P), dtype=torch.float64)[None]
    torch.testing.assert_close(canvas.upsample(units).mean((2, 3))[0], canvas.weight_P)


@pytest.mark.parametrize("exclude_area", [None, 0.2])
def test_rounds_share_no_pixel_and_sum_to_at_most_one(exclude_area):
    config = MaskConfig(network=CONFIG.network, exclude_area=exclude_area)
    theta = torch.stack([networks(1, rounds=2)[1][0, 0], *networks(3)[0][1:]])  # three networks
    areas = area_rows(1, (0.05, 0.1, 0.2))
    stack = [
        render(theta[k : k + 1], theta[None, :k], areas, (112, 112), config)[0] for k in range(3)
    ]
    masks = torch.stack(stack).int()
    at = slice(None) if exclude_area is None else slice(2, 3)  # disjoint at the excluded area
    assert masks[:, at].sum(0).max() <= 255 + 1  # 8-bit rounding of three masks
    assert ((masks[:, at] > 127.5).sum(0) <= 1).all()
    if exclude_area is not None:  # a later mask of any area avoids the earlier ones of that area
        assert ((masks[1] > 127.5) & (masks[0, 2] > 127.5)).sum() == 0


def test_rendering_is_the_same_alone_and_in_a_batch_to_the_last_bit():
    theta, previous = networks(5, rounds=1)
    together = render(theta, previous, area_rows(5), (224, 224), CONFIG)
    for n in range(5):
        alone = render(theta[n : n + 1], previous[n : n + 1], area_rows(1), (224, 224), CONFIG)
        assert torch.equal(alone[0], together[n])
    one_area = render(theta[:1], previous[:1], area_rows(1, (0.1,)), (224, 224), CONFIG)
    assert torch.equal(one_area[0, 0], together[0, AREAS.index(0.1)])


def test_a_mask_is_the_plain_formula():
    """One network, no earlier round, stride 1: sigmoid of the standardised field minus tau."""
    config = MaskConfig(network=CONFIG.network, stride=1, temperature=0.2)
    theta = networks(1)[0].double()
    canvas = Canvas.of((9, 9), 1, theta)
    area = area_rows(1, (0.25,))
    mask = coarse_mask(theta, area, area.new_zeros(1, 1, 81), canvas, config)[0, 0]
    field = siren(theta, canvas.points_Q2, area, config.network)[0, 0]
    field = (field - field.mean()) / (field.var(correction=0) + 1e-6).sqrt()
    logit = torch.logit(mask) * 0.2
    torch.testing.assert_close(field - field[0], logit - logit[0])
    assert mask.mean().item() == pytest.approx(0.25)


def test_masks_from_few_points_are_almost_those_from_every_cell():
    config, areas = MaskConfig(), area_rows(3)
    theta = torch.stack([init_parameters(seed, config.network) for seed in range(3)]).double()
    free = areas.new_zeros(1, 1, 1)
    every, few = (
        coarse_mask(theta, areas, free, canvas, config)
        for canvas in (Canvas.of((224, 224), 4, theta, points) for points in (None, 29))
    )
    assert len(Canvas.of((224, 224), 4, theta, 29).points_Q2) == 29 * 29
    assert (few - every).abs().mean() < 1e-3
    torch.testing.assert_close(
        few @ Canvas.of((224, 224), 4, theta).weight_P, areas, atol=1e-9, rtol=0
    )


def test_occupied_sums_the_rendered_masks_of_earlier_rounds():
    theta, previous = networks(1, rounds=2)
    canvas = Canvas.of((64, 64), 4, previous.double())
    areas = area_rows(1, (0.1, 0.3))
    first = coarse_mask(previous[:, 0].double(), areas, areas.new_zeros(1, 2, 256), canvas, CONFIG)
    second = coarse_mask(previous[:, 1].double(), areas, first, canvas, CONFIG)
    total = occupied(previous.double(), areas, canvas, CONFIG)
    torch.testing.assert_close(total, first + second)


def test_plain_sigmoid_without_the_exact_area():
    config = MaskConfig(network=CONFIG.network, area="vecsort", temperature=1.0, stride=1)
    theta = networks(1)[0].double()
    canvas = Canvas.of((5, 5), 1, theta)
    area = area_rows(1, (0.25,))
    field = siren(theta, canvas.points_Q2, area, config.network)
    mask = coarse_mask(theta, area, area.new_zeros(1, 1, 25), canvas, config)
    torch.testing.assert_close(mask, torch.sigmoid(field))


@pytest.mark.parametrize("bad", [{"stride": 0}, {"temperature": 0.0}, {"area": "x"}, {"points": 5}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        MaskConfig(**bad)
