"""Insertion and deletion against a pixel-by-pixel version of the protocol."""

import math

import pytest
import torch

from inr_core import MicroBatch
from inr_core.metrics import area_ranking, curve_auc, deletion_curve, insertion_curve, rank_pixels
from inr_core.metrics.curves import insertion_start

GENERATOR = torch.Generator().manual_seed(23)
TARGET = torch.tensor([0, 2])


def rand(*shape):
    return torch.rand(shape, generator=GENERATOR, dtype=torch.float64)


WEIGHT = 2 * rand(3, 2 * 4 * 7) - 1


def classify(image_MCHW):
    return image_MCHW.flatten(1) @ WEIGHT.T


def one_by_one(before, after, ranking, target, steps):
    """The curve of one image: turn pixels over in descending order, look after each step."""
    h, w = ranking.shape
    order = sorted(range(h * w), key=lambda p: -ranking.flatten()[p].item())
    shown, turned, scores = before.clone(), 0, []
    for step in range(steps + 1):
        while turned < step * h * w // steps:
            row, column = divmod(order[turned], w)
            shown[:, row, column] = after[:, row, column]
            turned += 1
        scores.append(torch.softmax(classify(shown[None])[0], 0)[target].item())
    return scores


@pytest.mark.parametrize("steps", [28, 5])
@pytest.mark.parametrize("images", [1, 200])
def test_curves_are_those_of_one_pixel_after_the_other(steps, images):
    image, ranking = rand(2, 2, 4, 7), rand(2, 4, 7)
    arguments = (image, ranking, TARGET, classify, MicroBatch(images))
    deleted, inserted = (
        deletion_curve(*arguments, steps=steps),
        insertion_curve(*arguments, steps=steps),
    )
    start = insertion_start(image)
    for n, target in enumerate(TARGET.tolist()):
        expected = one_by_one(image[n], torch.zeros_like(image[n]), ranking[n], target, steps)
        assert deleted[n].tolist() == pytest.approx(expected, abs=1e-6)
        expected = one_by_one(start[n], image[n], ranking[n], target, steps)
        assert inserted[n].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_settings_are_28_steps_of_1792_pixels_at_224():
    image, turned = torch.ones(1, 1, 224, 224), []

    def count(image_MCHW):
        turned.extend((1 - image_MCHW).sum((1, 2, 3)).int().tolist())
        return torch.zeros(len(image_MCHW), 2)

    deletion_curve(image, rand(1, 224, 224), TARGET[:1], count, MicroBatch(29))
    assert turned == [1792 * i for i in range(29)]


def test_a_constant_classifier_has_its_constant_as_area_under_both_curves():
    def constant(image_MCHW):
        return torch.tensor([0.1, 0.6, 0.3]).log().expand(len(image_MCHW), 3)

    arguments = (rand(2, 2, 4, 7), rand(2, 4, 7), TARGET, constant, MicroBatch(64))
    for curve in (insertion_curve(*arguments), deletion_curve(*arguments)):
        torch.testing.assert_close(curve_auc(curve), torch.tensor([0.1, 0.3]))


def test_the_area_under_a_curve_is_the_trapezoid_rule():
    curve = torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.25, 0.25]])
    assert curve_auc(curve).tolist() == [0.5, 0.4375]
    with pytest.raises(ValueError, match="2 points"):
        curve_auc(curve[:, :1])


def test_a_ranking_that_finds_the_evidence_first_is_better_in_both_directions():
    evidence = torch.zeros(1, 12, 12, dtype=torch.float64)
    evidence[:, 4:7, 4:7] = 1

    def object_seen(image_MCHW):
        seen = (image_MCHW[:, 0] * evidence).sum((1, 2)) - 4.5
        return torch.stack((seen, torch.zeros_like(seen)), 1)

    image, areas = evidence[:, None].clone(), {}
    for name, ranking in (("good", evidence), ("bad", -evidence)):
        arguments = (image, ranking, TARGET[:1], object_seen, MicroBatch(64))
        areas[name] = [
            curve_auc(curve(*arguments)).item() for curve in (insertion_curve, deletion_curve)
        ]
    assert areas["good"][0] > areas["bad"][0] + 0.3
    assert areas["good"][1] < areas["bad"][1] - 0.3


def test_insertion_starts_from_an_11_by_11_blur_with_mirrored_tails():
    def weight(i, j):
        return math.exp(-(i * i + j * j) / 50)

    def mirrored(place):
        while not 0 <= place < 11:
            place = -1 - place if place < 0 else 21 - place
        return place

    reach = range(-20, 21)
    total = sum(weight(i, j) for i in reach for j in reach)
    kernel = [[0.0] * 11 for _ in range(11)]
    for i in reach:
        for j in reach:
            kernel[mirrored(5 + i)][mirrored(5 + j)] += weight(i, j) / total
    image = rand(1, 2, 9, 13)
    blurred = insertion_start(image)
    for row, column in ((0, 0), (4, 6), (8, 3)):
        expected = sum(
            kernel[i][j] * image[0, 1, row + i - 5, column + j - 5].item()
            for i in range(11)
            for j in range(11)
            if 0 <= row + i - 5 < 9 and 0 <= column + j - 5 < 13
        )
        assert blurred[0, 1, row, column].item() == pytest.approx(expected)


def test_the_ranking_is_the_sum_over_areas():
    mask = rand(2, 3, 4, 7)
    expected = mask[:, 0] + mask[:, 1] + mask[:, 2]
    assert torch.equal(rank_pixels(area_ranking(mask)), rank_pixels(expected))


def test_steps_must_be_positive():
    with pytest.raises(ValueError, match="steps"):
        deletion_curve(
            rand(1, 2, 4, 7), rand(1, 4, 7), TARGET[:1], classify, MicroBatch(8), steps=0
        )
