"""What all methods share: exact nested areas, independence of the batch, no traces on the model."""

import dataclasses
import importlib.util

import pytest
import torch

from inr_core import METHODS, MicroBatch, OptimiseConfig, stable_seed
from inr_core.game.perturbation import PerturbationConfig, baselines
from inr_core.metrics import HALVINGS
from inr_core.peers import EpConfig
from inr_core.peers.common import top_masks

SIZE, AREAS = 24, (0.1, 0.25, 0.5)
FAST = {
    "ep": {"steps": 6, "cells": 8},
    "rise": {"samples": 40, "cells": 4, "keep": 0.4},
    "ig": {"steps": 4},
    "pixels": {"optimise": OptimiseConfig(steps=4)},
}
RANKINGS = ("rise", "gradcam", "ig", "start", "random", "centre")
PEERS = tuple(name for name in METHODS if name != "inr")


def needs_captum(method):
    if method == "ig" and importlib.util.find_spec("captum") is None:
        pytest.skip("captum is not installed")


def model():
    """A small CNN whose parameters want gradients, in training mode: a user's model."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 5, stride=2),
        torch.nn.SiLU(inplace=True),
        torch.nn.Conv2d(6, 8, 3),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(1),
        torch.nn.Linear(8, 4),
    )


def images(count):
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def config_of(method, **changes):
    return METHODS[method].config(**{"areas": AREAS, **FAST.get(method, {}), **changes})


def run(method, image, ids, module=None, microbatch=64, seed=0, config=None, baseline=None):
    needs_captum(method)
    module = module or model()
    target = torch.tensor([hash_(id_) % 4 for id_ in ids])
    score = torch.softmax(module(image), 1).detach().gather(1, target[:, None])[:, 0]
    return METHODS[method].explain(
        image,
        target,
        score,
        ids,
        module,
        config or config_of(method),
        seed=seed,
        microbatch=MicroBatch(microbatch),
        module=module,
        custom_baseline=baseline,
    )


def hash_(text):
    return sum(map(ord, text))


@pytest.mark.parametrize("method", PEERS)
def test_an_image_gets_the_same_masks_alone_and_in_a_batch(method):
    together = run(method, images(3), ["a", "b", "c"])
    for n, id_ in enumerate("abc"):
        ((one,),) = run(method, images(3)[n : n + 1], [id_])
        (other,) = together[n]
        assert torch.equal(one.masks, other.masks)
        assert one.seed == other.seed == stable_seed(0, id_, 0, 0)
        if one.ranking is not None:
            assert torch.equal(one.ranking, other.ranking)
        assert dataclasses.replace(one, masks=other.masks, ranking=other.ranking) == other
        ((small,),) = run(method, images(3)[n : n + 1], [id_], microbatch=1)
        assert (small.masks.float() - one.masks.float()).abs().mean() < 1


@pytest.mark.parametrize("method", PEERS)
def test_one_set_of_masks_without_a_network(method):
    ((e,), _) = run(method, images(2), ["a", "b"])
    assert e.parameters is None
    assert (e.restart, e.round, e.best) == (0, 0, True)
    assert e.masks.shape == (3, SIZE, SIZE) and e.masks.dtype == torch.uint8
    assert e.areas == AREAS
    assert e.objective == pytest.approx(
        sum((k + 1 - r) / 2 for k, r in zip(e.hard_kept, e.hard_removed, strict=True)) / 3,
        abs=1e-6,
    )
    assert e.steps == {"ep": 6, "pixels": 4}.get(method, 0)


@pytest.mark.parametrize("method", PEERS)
def test_scores_blend_the_stored_masks_with_the_strongest_baseline(method):
    image, module = images(1), model()
    ((e,),) = run(method, image, ["a"], module)
    last = dataclasses.replace(config_of(method).perturbation, kind="blur")
    baseline = baselines(image, last)[:, -1]
    for a in range(3):
        mask = e.masks[a].float() / 255
        for shown, score in ((mask, e.kept[a]), (1 - mask, e.removed[a])):
            logits = module(shown * image + (1 - shown) * baseline)
            expected = torch.softmax(logits, 1)[0, hash_("a") % 4].item()
            assert score == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", RANKINGS)
def test_rankings_are_stored_in_256_equal_steps(method):
    for (e,) in run(method, images(2), ["a", "b"]):
        counts = e.ranking.unique(return_counts=True)[1]
        assert len(counts) == 256 and set(counts.tolist()) == {2, 3}  # of 576 pixels
        for mask in e.masks:
            assert e.ranking[mask == 255].min() >= e.ranking[mask == 0].max()


@pytest.mark.parametrize("method", sorted({*PEERS} - {*RANKINGS}))
def test_methods_with_a_mask_for_every_area_have_no_ranking(method):
    ((e,),) = run(method, images(1), ["a"])
    assert e.ranking is None and e.minimal_area in (None, *AREAS)


@pytest.mark.parametrize("method", RANKINGS)
def test_rankings_have_exactly_their_area_and_are_nested(method):
    for (e,) in run(method, images(2), ["a", "b"]):
        hard = e.masks == 255
        assert (hard | (e.masks == 0)).all()
        assert hard.sum((1, 2)).tolist() == [int(a * SIZE * SIZE) for a in AREAS]
        assert (hard[:-1] <= hard[1:]).all()


@pytest.mark.parametrize("method", PEERS)
def test_nothing_is_left_on_the_users_model(method):
    module, image = model(), images(2)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    run(method, image, ["a", "b"], module)
    assert module.training
    for layer in module.modules():
        assert not layer._forward_hooks and not layer._backward_hooks
        assert not layer._forward_pre_hooks
    for parameter in module.parameters():
        assert parameter.requires_grad and parameter.grad is None
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    assert not image.requires_grad and image.grad is None


@pytest.mark.parametrize("method", ["ep", "pixels", "ig", "gradcam"])
def test_frozen_models_are_explained_too(method):
    module = model().requires_grad_(False)
    (one,), (other,) = run(method, images(1), ["a"], module)[0], run(method, images(1), ["a"])[0]
    assert torch.equal(one.masks, other.masks)
    assert not any(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize("method", ["rise", "random"])
def test_random_choices_follow_the_seed_and_the_id(method):
    base = run(method, images(1), ["a"])[0][0].masks
    same_target = "e"  # as "a" but for the id
    assert torch.equal(base, run(method, images(1), ["a"])[0][0].masks)
    assert not torch.equal(base, run(method, images(1), [same_target])[0][0].masks)
    assert not torch.equal(base, run(method, images(1), ["a"], seed=1)[0][0].masks)


@pytest.mark.parametrize("method", ["ep", "pixels", "ig", "start", "centre"])
def test_a_baseline_of_ones_own(method):
    custom = config_of(method, perturbation=PerturbationConfig(kind="custom"))
    grey = torch.zeros(3, SIZE, SIZE)
    found = run(method, images(2), ["a", "b"], config=custom, baseline=grey)
    each = torch.stack([grey, images(3)[2]])
    own = run(method, images(2), ["a", "b"], config=custom, baseline=each)
    assert torch.equal(found[0][0].masks, own[0][0].masks)
    assert found[0][0].kept == own[0][0].kept
    assert found[1][0].kept != own[1][0].kept


def test_ties_are_broken_neither_by_reading_order_nor_at_random():
    flat = torch.zeros(1, 40, 40)
    mask = top_masks(flat, (0.5,))[0, 0]
    assert mask.sum() == 800
    assert 330 < mask[:20].sum() < 470 and 330 < mask[:, :20].sum() < 470
    assert torch.equal(mask, top_masks(flat, (0.5,))[0, 0])


def test_top_pixels_come_first():
    ranking = torch.arange(100.0).view(1, 10, 10)
    masks = top_masks(ranking, (0.1, 0.29))[0]
    assert masks[0].flatten().tolist() == [0.0] * 90 + [1.0] * 10
    assert masks[1].sum() == 29


def test_the_centre_is_a_disc():
    ((e,),) = run("centre", images(1), ["a"])
    disc = e.masks[1] == 255
    rows, columns = disc.nonzero(as_tuple=True)
    middle = (SIZE - 1) / 2
    inside = ((rows - middle) ** 2 + (columns - middle) ** 2).max()
    rows, columns = (~disc).nonzero(as_tuple=True)
    outside = ((rows - middle) ** 2 + (columns - middle) ** 2).min()
    assert inside <= outside


@pytest.mark.parametrize("method", PEERS)
@pytest.mark.parametrize("areas", [(), (0.2, 0.1), (0.0,), (0.3, 1.0)])
def test_impossible_areas_are_refused(method, areas):
    with pytest.raises(ValueError, match="areas"):
        METHODS[method].config(areas=areas)


def test_passes():
    count = {name: METHODS[name].passes(METHODS[name].config()) for name in PEERS}
    assert METHODS["ep"].passes(EpConfig(game="dual")) == 6400
    assert count == {
        "ep": 3200,
        "rise": 6000,
        "gradcam": 1,
        "ig": 50,
        "pixels": 8 + OptimiseConfig().steps * 8,
        "start": 8,
        "random": 0,
        "centre": 0,
    }


@pytest.mark.parametrize("method", ["ep", "gradcam", "ig", "rise", "pixels", "start"])
def test_the_classifier_is_passed_as_often_as_said(method):
    needs_captum(method)
    seen = 0

    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model()

        def forward(self, image):
            nonlocal seen
            seen += len(image)
            return self.inner(image)

    ((e,),) = run(method, images(1), ["a"], Counting())
    whole, scores = 1, 4 * len(AREAS)  # soft and hard masks, kept and removed
    spent = METHODS[method].passes(config_of(method))
    search = 0 if e.ranking is None or e.minimal_area is None else HALVINGS
    looked_for = method in ("gradcam", "pixels", "start")  # a feature map, once for all images
    assert seen == whole + scores + spent + search + looked_for
