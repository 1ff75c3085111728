"""Evidence: its three maps against sums over the path worked out one point at a time."""

import dataclasses

import pytest
import torch
from torch import nn

from inr_core.device.microbatch import MicroBatch
from inr_core.game import FeatureMap
from inr_core.game.perturbation import PerturbationConfig, baselines, gaussian_blur
from inr_core.game.scene import Scene
from inr_core.optimisation.evidence import (
    PathConfig,
    Source,
    clues_of,
    evidence,
    features_of,
    path_maps,
)
from inr_core.optimisation.learned import CLUES, LearnedStart, coarse_clues

SIZE, POINTS = 16, 8


class Tiny(nn.Module):
    """Features with places, pooled, then bent, so that gradients change on the way."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Conv2d(2, 5, 4, stride=4)
        self.head = nn.Linear(5, 3)

    def forward(self, image):
        return self.head(self.features(image).tanh().mean((2, 3)).tanh())


MODEL = Tiny().double()
FEATURES = FeatureMap(MODEL.features)


def scene_of(count=2):
    generator = torch.Generator().manual_seed(0)
    image = 3 * torch.rand(count, 2, SIZE, SIZE, generator=generator, dtype=torch.float64)
    return Scene(
        image_NCHW=image,
        baseline_NLCHW=baselines(image, PerturbationConfig(sigmas=(0.1, 0.3))),
        target_N=torch.arange(count) % 3,
        pyramid=False,
    )


def ones(count=2):
    return torch.ones(count, SIZE, SIZE, dtype=torch.float64)


def one_by_one(scene, n):
    """At each point of the path: gradient times way, the features weighted by their mean gradients,
    and by the gradients of each place."""
    image, baseline = scene.image_NCHW[n], scene.baseline_NLCHW[n, -1]
    rises, cams, products = [], [], []
    for k in range(POINTS):
        point = (baseline + (k + 0.5) / POINTS * (image - baseline)).requires_grad_()
        maps = MODEL.features(point[None])[0]
        maps.retain_grad()
        logits = MODEL.head(maps.tanh().mean((1, 2)).tanh())
        logits.log_softmax(0)[scene.target_N[n]].backward()
        rises.append(point.grad * (image - baseline))
        cams.append(sum(m.detach() * g.mean() for m, g in zip(maps, maps.grad, strict=True)))
        products.append((maps.detach() * maps.grad).sum(0))
    return rises, cams, products


def test_the_maps_are_sums_over_the_points_of_the_path():
    scene = scene_of()
    found = path_maps(scene, ones(), MODEL, FEATURES, POINTS)
    for n in range(2):
        rises, cams, _ = one_by_one(scene, n)
        torch.testing.assert_close(found[n, 0], sum(rises).sum(0) / POINTS)
        torch.testing.assert_close(found[n, 1], sum(r.abs() for r in rises[:3]).sum(0) / 3)
        late = large(sum(cams[-3:]) / 3)
        torch.testing.assert_close(found[n, 2], late, rtol=1e-5, atol=1e-7)  # seen in float32


def large(map_hw):
    return nn.functional.interpolate(
        map_hw[None, None], (SIZE, SIZE), mode="bilinear", align_corners=False
    )[0, 0]


def test_clues_are_the_lines_in_all_and_at_both_ends_of_the_path():
    scene = scene_of()
    found = dict(
        zip(CLUES, path_maps(scene, ones(), MODEL, FEATURES, POINTS, CLUES)[0], strict=True)
    )
    rises, cams, products = one_by_one(scene, 0)
    lines = {
        "signed": [r.sum(0) for r in rises],
        "absolute": [r.abs().sum(0) for r in rises],
        "activation": [large(c) for c in cams],
        "product": [large(p) for p in products],
        "way": [(scene.image_NCHW[0] - scene.baseline_NLCHW[0, -1]).abs().sum(0)] * POINTS,
    }
    parts = {"all": range(8), "early": range(3), "late": range(5, 8)}
    for line, part in CLUES:
        by_hand = sum(lines[line][k] for k in parts[part]) / len(parts[part])
        torch.testing.assert_close(found[line, part], by_hand, rtol=1e-5, atol=1e-7)


def test_maps_that_a_classifier_does_not_have_are_zero():
    found = dict(zip(CLUES, path_maps(scene_of(), ones(), MODEL, None, 1, CLUES)[0], strict=True))
    assert {line for (line, _), found_HW in found.items() if not found_HW.any()} == {
        "activation",
        "product",
    }


def test_a_learned_start_makes_the_evidence_of_all_clues():
    scene, path = scene_of(), PathConfig()
    torch.manual_seed(0)
    learned = LearnedStart()
    nn.init.normal_(learned.last.weight)
    found = evidence(scene, ones(), MODEL, Source(FEATURES, learned), path, MicroBatch(8))
    clues = path_maps(scene, ones(), MODEL, FEATURES, POINTS, CLUES)
    plain = evidence(scene, ones(), MODEL, Source(FEATURES), path, MicroBatch(64))
    torch.testing.assert_close(found, learned(clues, plain), rtol=1e-4, atol=1e-4)
    assert not found.requires_grad
    seen = clues_of(scene, MODEL, MODEL, path, MicroBatch(64))
    torch.testing.assert_close(seen, coarse_clues(clues, plain), rtol=1e-4, atol=1e-4)


def test_the_first_map_sums_to_the_rise_of_log_p():
    scene = scene_of()
    relevance = path_maps(scene, ones(), MODEL, None, 400)[:, 0]
    for n in range(2):
        ends = torch.stack([scene.image_NCHW[n], scene.baseline_NLCHW[n, -1]])
        log_p = torch.log_softmax(MODEL(ends), 1)[:, scene.target_N[n]]
        assert relevance[n].sum().item() == pytest.approx((log_p[0] - log_p[1]).item(), rel=1e-3)


@pytest.mark.parametrize(("features", "shares"), [(FEATURES, (1, 1, 2)), (None, (1, 1))])
def test_evidence_is_the_sum_of_the_smoothed_and_standardised_maps(features, shares):
    scene, path = scene_of(), PathConfig(blur=0.1)
    found = evidence(scene, ones(), MODEL, Source(features), path, MicroBatch(64))
    maps = path_maps(scene, ones(), MODEL, features, POINTS)[:, : len(shares)]
    smooth = gaussian_blur(maps, 0.1 * SIZE)
    for n in range(2):
        parts = [(m - m.mean()) / m.std(correction=0) for m in smooth[n]]
        by_hand = sum(share * part for share, part in zip(shares, parts, strict=True))
        torch.testing.assert_close(found[n], by_hand)


def test_a_classifier_that_sees_nothing_gives_no_evidence():
    def flat(image):
        return torch.zeros(len(image), 3, dtype=image.dtype) + 0 * image.sum()

    found = evidence(scene_of(), ones(), flat, Source(), PathConfig(), MicroBatch(64))
    assert not found.any()  # nor a division by zero


def test_what_is_not_shown_has_no_relevance():
    shown = ones()
    shown[:, :8, :8] = 0
    found = path_maps(scene_of(), shown, MODEL, FEATURES, POINTS)
    assert found[:, :2, :8, :8].abs().max() == 0
    assert found[:, :2, 8:, 8:].abs().max() > 0


def test_an_image_does_not_notice_its_neighbours():
    scene, path = scene_of(3), PathConfig()
    together = evidence(scene, ones(3), MODEL, Source(FEATURES), path, MicroBatch(64))
    for n in range(3):
        alone = evidence(scene.of([n]), ones(1), MODEL, Source(FEATURES), path, MicroBatch(1))
        torch.testing.assert_close(together[n : n + 1], alone)


def test_the_feature_map_is_looked_for_once():
    microbatch = MicroBatch(1)
    image = scene_of().image_NCHW
    first = features_of(MODEL, image, microbatch)
    assert first.layer is MODEL.features
    assert features_of(MODEL, image, microbatch) is first
    assert features_of(nn.Flatten(1), image, microbatch) is None


def test_a_path_has_points_and_a_width():
    for bad in ({"passes": 0}, {"blur": 0.0}):
        with pytest.raises(ValueError, match="start"):
            PathConfig(**bad)
    assert dataclasses.asdict(PathConfig())["passes"] == POINTS
