"""Restarts, rounds and scores of whole explanations on a classifier that looks at two places."""

import dataclasses

import pytest
import torch

from inr_core import (
    METHODS,
    PRESETS,
    InrConfig,
    MaskConfig,
    MicroBatch,
    OptimiseConfig,
    SirenConfig,
    StartConfig,
    explain,
    render,
    stable_seed,
)
from inr_core.explain import _mark_best, explain_together
from inr_core.game import scenes
from inr_core.game.perturbation import baselines
from inr_core.metrics import hard_masks

SIZE = 32
CONFIG = InrConfig(
    areas=(0.1, 0.2, 0.4),
    mask=MaskConfig(network=SirenConfig(hidden_width=16), stride=2),
    optimise=OptimiseConfig(steps=25),
)


def two_places(image):
    """Class 1 if the texture stands in the upper left or in the lower right quarter."""
    fine = (image - torch.nn.functional.avg_pool2d(image, 3, 1, 1)).square().sum(1)
    here, there = fine[:, 2:12, 2:12].mean((1, 2)), fine[:, 20:30, 20:30].mean((1, 2))
    evidence = 6 * torch.stack([here, there]).amax(0) - 3
    return torch.stack([torch.zeros_like(evidence), evidence], 1)


def textured(*places):
    image = torch.zeros(1, 3, SIZE, SIZE)
    for top, left in places:
        image[:, :, top : top + 10, left : left + 10] = 1
    checker = (torch.arange(SIZE)[:, None] + torch.arange(SIZE)) % 2 * 2.0 - 1
    return image * checker


def run(images, config, ids=None, seed=0, microbatch=64):
    scores = torch.softmax(two_places(images), 1)[:, 1]
    target = torch.ones(len(images), dtype=torch.long)
    ids = ids or [f"image-{n}" for n in range(len(images))]
    return explain(
        images,
        target,
        scores,
        ids,
        two_places,
        config,
        seed=seed,
        microbatch=MicroBatch(microbatch),
    )


BOTH = textured((2, 2), (20, 20))
ONE = textured((2, 2))


def test_rounds_find_the_second_place_and_end_where_nothing_is_left():
    config = dataclasses.replace(CONFIG, rounds=3, areas=(0.2,))
    both, one = run(torch.cat([BOTH, ONE]), config)
    assert [e.round for e in both] == [0, 1]
    assert [e.round for e in one] == [0]
    upper = [e.masks[0, :16, :16].sum() > e.masks[0, 16:, 16:].sum() for e in both]
    assert upper[0] != upper[1]
    assert ((both[0].masks[0] > 127) & (both[1].masks[0] > 127)).sum() == 0


def test_auto_plays_dual_for_one_round_and_preservation_for_several():
    for rounds, game in ((1, "dual"), (2, "preservation")):
        auto = dataclasses.replace(CONFIG, rounds=rounds, round_score=0.0)
        named = dataclasses.replace(auto, objective=dataclasses.replace(auto.objective, game=game))
        for one, other in zip(run(BOTH, auto)[0], run(BOTH, named)[0], strict=True):
            assert torch.equal(one.parameters, other.parameters)


def test_an_area_that_no_longer_fits_is_left_out_of_later_rounds():
    config = dataclasses.replace(CONFIG, rounds=3, round_score=0.0)
    (found,) = run(BOTH, config)
    assert [e.areas for e in found] == [(0.1, 0.2, 0.4), (0.1, 0.2, 0.4), (0.1, 0.2)]
    for e in found:
        measured = e.masks.double().mean((1, 2)) / 255
        assert (measured - torch.tensor(e.areas)).abs().max() <= 0.001


def test_every_restart_is_kept_and_all_rounds_of_the_best_are_marked():
    config = dataclasses.replace(CONFIG, restarts=3, rounds=2, round_score=0.0)
    (found,) = run(BOTH, config)
    assert [(e.round, e.restart) for e in found] == [(k, r) for k in range(2) for r in range(3)]
    best = max(found[:3], key=lambda e: e.objective).restart
    assert [(e.round, e.restart) for e in found if e.best] == [(0, best), (1, best)]
    assert len({e.seed for e in found}) == 6
    assert found[1].seed == stable_seed(0, "image-0", 1, 0)
    assert not torch.equal(found[0].masks, found[1].masks)


def test_marked_rounds_are_of_one_restart_even_where_another_ends_better():
    ((one,),) = run(BOTH, dataclasses.replace(CONFIG, optimise=OptimiseConfig(steps=1)))

    def of(restart, round_, objective):
        return dataclasses.replace(one, restart=restart, round=round_, objective=objective)

    chains = [of(0, 0, 0.5), of(1, 0, 0.9), of(2, 0, 0.9), of(0, 1, 0.8), of(1, 1, 0.1)]
    marked = [(e.restart, e.round) for e in _mark_best(chains) if e.best]
    assert marked == [(1, 0), (1, 1)]


def test_an_image_gets_the_same_masks_alone_and_in_a_batch():
    config = dataclasses.replace(CONFIG, restarts=2, rounds=2, round_score=0.0)
    images = torch.cat([BOTH, ONE, BOTH.flip(3), BOTH])
    together = run(images, config, ids=["a", "b", "c", "d"])
    for n, name in enumerate("abcd"):
        (alone,) = run(images[n : n + 1], config, ids=[name], microbatch=4)
        for one, other in zip(alone, together[n], strict=True):
            assert torch.equal(one.parameters, other.parameters)
            assert torch.equal(one.masks, other.masks)
            assert one.kept == pytest.approx(other.kept, abs=1e-6)


def test_images_explained_together_equal_a_loop_of_single_ones():
    steps = dataclasses.replace(CONFIG.optimise, steps=2)
    start = dataclasses.replace(CONFIG.start, fit_steps=5)
    config = dataclasses.replace(CONFIG, optimise=steps, start=start, restarts=2, rounds=2)
    images = torch.cat([BOTH, ONE, BOTH.flip(3)])
    scores = torch.softmax(two_places(images), 1)[:, 1]
    target = torch.ones(3, dtype=torch.long)
    ((scene, _),) = scenes(images, target, config.perturbation, None, 3)
    together = explain_together(
        scene, scores, list("abc"), two_places, config, seed=0, microbatch=MicroBatch(64)
    )
    for several, alone in zip(together, run(images, config, ids=list("abc")), strict=True):
        for one, other in zip(several, alone, strict=True):
            assert (one.restart, one.round, one.seed) == (other.restart, other.round, other.seed)
            torch.testing.assert_close(one.parameters, other.parameters, atol=2e-3, rtol=0)
            assert (one.masks.int() - other.masks.int()).abs().max() <= 2


def test_stored_masks_are_rendered_from_the_stored_parameters():
    config = dataclasses.replace(CONFIG, rounds=2, round_score=0.0)
    (found,) = run(BOTH, config)
    first, second = found
    again = render(
        second.parameters[None],
        first.parameters[None, None],
        torch.tensor([second.areas], dtype=torch.float64),
        (SIZE, SIZE),
        config.mask,
    )
    assert torch.equal(again[0], second.masks)


def test_scores_are_those_of_the_stored_masks():
    (found,) = run(BOTH, CONFIG)
    (e,) = found
    baseline = baselines(BOTH, CONFIG.perturbation)[:, -1]
    for a in range(3):
        mask = e.masks[a].float() / 255
        for shown, score in ((mask, e.kept[a]), (1 - mask, e.removed[a])):
            logits = two_places(shown * BOTH + (1 - shown) * baseline)
            assert torch.softmax(logits, 1)[0, 1].item() == pytest.approx(score, abs=1e-6)
    whole = torch.softmax(two_places(BOTH), 1)[0, 1].item()
    hard = hard_masks(e.masks[None].float(), e.areas)[0]
    for a in range(3):
        assert e.hard_kept[a] == pytest.approx(kept_by(hard[a], baseline), abs=1e-6)
    assert e.minimal_area == plain_minimal_area(e, baseline, whole)
    assert e.objective == pytest.approx(
        sum((k + 1 - r) / 2 for k, r in zip(e.hard_kept, e.hard_removed, strict=True)) / 3
    )


def kept_by(mask, baseline):
    return torch.softmax(two_places(mask * BOTH + (1 - mask) * baseline), 1)[0, 1].item()


def plain_minimal_area(e, baseline, whole):
    """Four halvings below the first stored area that keeps enough, one rendering after another."""
    enough = [a for a, kept in zip(e.areas, e.hard_kept, strict=True) if kept >= 0.9 * whole]
    assert enough, "otherwise nothing is searched"
    high = enough[0]
    low = max([0.0, *(a for a in e.areas if a < high)])
    for _ in range(4):
        middle = (low + high) / 2
        area = torch.tensor([[middle]], dtype=torch.float64)
        none = e.parameters[None, None, :0].reshape(1, 0, len(e.parameters))
        mask = render(e.parameters[None], none, area, (SIZE, SIZE), CONFIG.mask)
        if kept_by(hard_masks(mask.float(), [middle])[0, 0], baseline) >= 0.9 * whole:
            high = middle
        else:
            low = middle
    return high


def test_another_seed_or_id_gives_another_mask():
    config = dataclasses.replace(CONFIG, start=StartConfig(kind="random"))
    base = run(BOTH, config)[0][0].parameters
    assert not torch.equal(base, run(BOTH, config, seed=1)[0][0].parameters)
    assert not torch.equal(base, run(BOTH, config, ids=["other"])[0][0].parameters)


def test_the_published_formulation_reaches_its_area_by_the_penalty():
    paper = PRESETS["paper"]
    config = dataclasses.replace(
        paper,
        areas=(0.2,),
        mask=dataclasses.replace(paper.mask, stride=2, network=SirenConfig(hidden_width=16)),
        optimise=dataclasses.replace(paper.optimise, steps=150, areas_per_step=2),
    )
    (found,) = run(BOTH, config)
    mask = found[0].masks[0].double() / 255
    assert mask.mean().item() == pytest.approx(0.2, abs=0.06)
    assert found[0].kept[0] > 0.5
    assert (mask * (1 - mask)).mean() < 0.08  # the penalty also makes it binary


@pytest.mark.parametrize(
    "bad",
    [{"areas": ()}, {"areas": (0.2, 0.1)}, {"areas": (0.0,)}, {"restarts": 0}, {"rounds": 20}],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        InrConfig(**bad)


def test_the_seed_moves_every_restart():
    config = dataclasses.replace(CONFIG, restarts=2)
    one, same, other = (run(ONE, config, seed=seed)[0] for seed in (0, 0, 1))
    for n in range(2):
        assert torch.equal(one[n].masks, same[n].masks)
        assert not torch.equal(one[n].masks, other[n].masks)


@pytest.mark.parametrize(("preset", "limit"), [("default", 128), ("fast", 40)])
def test_presets_keep_their_number_of_passes(preset, limit):
    seen = []

    def counting(images):
        if torch.is_grad_enabled():
            seen.append(len(images))
        return two_places(images)

    explain(
        ONE,
        torch.tensor([1]),
        torch.tensor([0.9]),
        ["a"],
        counting,
        PRESETS[preset],
        seed=0,
        microbatch=MicroBatch(64),
    )
    assert sum(seen) == METHODS["inr"].passes(PRESETS[preset]) == limit
