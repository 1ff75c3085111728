"""Restarts: what each waits for, how different they are, and that independent ones are."""

import dataclasses

import pytest
import torch

from inr_core import METHODS, PRESETS, InrConfig, MicroBatch, ObjectiveConfig, StartConfig, render
from inr_core.explain import explain_together
from inr_core.game import scenes
from inr_core.metrics import pairwise_iou, top_area
from inr_core.optimisation import Source, optimise
from inr_core.rounds import Rounds
from inr_core.tasks import Tasks
from tests.inr_core.test_explain import BOTH, CONFIG, SIZE, run, two_places

SEVERAL = dataclasses.replace(CONFIG, restarts=3, areas=(0.1, 0.2))


def weighing(weight, config=SEVERAL, **changes):
    objective = ObjectiveConfig(repel_weight=weight, game="preservation")
    return dataclasses.replace(config, objective=objective, **changes)


def rounds_of(config, image=BOTH):
    target, score = torch.ones(1, dtype=torch.long), torch.softmax(two_places(image), 1)[:, 1]
    ((scene, _),) = scenes(image, target, config.perturbation, None, 1)
    made = scene, score, ["image-0"], two_places, config.settled()
    return Rounds(*made, seed=0, microbatch=MicroBatch(64), source=Source(), fixed=False)


def test_restarts_without_repulsion_equal_each_restart_alone():
    config = weighing(0.0)
    rounds = rounds_of(config)
    tasks = rounds.first()
    assert [(task.restart, task.repelled) for task in tasks] == [(0, 0), (1, 0), (2, 0)]
    for task in tasks:
        optimise([task], rounds.networks, rounds.finished, rounds.steps())
    for alone, together in zip(rounds.found[0], run(BOTH, config)[0], strict=True):
        torch.testing.assert_close(alone.parameters, together.parameters, atol=2e-3, rtol=0)
        assert alone.seed == together.seed


def test_independent_restarts_begin_at_their_own_random_weights():
    one = rounds_of(weighing(0.0))
    started = one.networks(one.first()).theta_NK
    drawn = rounds_of(weighing(0.0, start=StartConfig(kind="random")))
    random = drawn.networks(drawn.first()).theta_NK
    assert torch.equal(started[1:], random[1:])
    assert not torch.equal(started[0], random[0])


def test_the_first_restart_does_not_know_of_the_others():
    alone = run(BOTH, weighing(2.0, restarts=1))[0][0]
    assert torch.equal(alone.parameters, run(BOTH, weighing(2.0))[0][0].parameters)


def test_restarts_find_both_places_and_each_is_enough():
    whole = torch.softmax(two_places(BOTH), 1)[0, 1].item()
    found = run(BOTH, dataclasses.replace(SEVERAL, restarts=2))[0]
    hard = torch.stack([top_area(e.masks.double()[None], e.areas)[0] for e in found])
    assert pairwise_iou(hard)[1] < 0.4
    assert min(e.hard_kept[1] for e in found) >= 0.9 * whole
    upper = [bool(e.masks[1, :16, :16].sum() > e.masks[1, 16:, 16:].sum()) for e in found]
    assert upper[0] != upper[1]


def test_a_restart_is_rendered_from_its_own_parameters_alone():
    for e in run(BOTH, SEVERAL)[0]:
        none = e.parameters.new_zeros(1, 0, len(e.parameters))
        areas = torch.tensor([e.areas], dtype=torch.float64)
        again = render(e.parameters[None], none, areas, (SIZE, SIZE), SEVERAL.mask)
        assert torch.equal(again[0], e.masks)


def test_a_restart_waits_for_the_one_before_and_a_round_for_its_own_chain():
    config = dataclasses.replace(CONFIG, restarts=3, rounds=2)
    tasks = Tasks(["a", "b"], config, 0, torch.zeros(()))
    begun = tasks.first()
    assert [(task.image, task.restart, task.round) for task in begun] == [(0, 0, 0), (1, 0, 0)]
    first = torch.randn(config.mask.network.parameter_count)
    restart, second = tasks.after(begun[1], first)
    assert (restart.image, restart.restart, restart.round, restart.repelled) == (1, 1, 0, 1)
    assert torch.equal(restart.others_RK[0], first) and restart.others_RK[1].abs().max() == 0
    assert restart.previous_JK.abs().max() == 0
    assert (second.image, second.restart, second.round, second.repelled) == (1, 0, 1, 0)
    assert torch.equal(second.previous_JK[0], first)
    last, its_round = tasks.after(restart, -first)
    assert (last.restart, last.repelled) == (2, 2)
    assert torch.equal(last.others_RK, torch.stack([first, -first]))
    assert (its_round.restart, its_round.round, its_round.repelled) == (1, 1, 0)
    assert torch.equal(its_round.previous_JK[0], -first)
    assert [(task.restart, task.round) for task in tasks.after(last, first)] == [(2, 1)]
    assert tasks.after(second, first) == []


@pytest.mark.parametrize(
    ("changes", "game"),
    [
        ({}, "dual"),
        ({"restarts": 2}, "preservation"),
        ({"rounds": 2}, "preservation"),
        ({"restarts": 2, "objective": ObjectiveConfig(repel_weight=0.0)}, "dual"),
        ({"restarts": 2, "objective": ObjectiveConfig(game="deletion")}, "deletion"),
    ],
)
def test_auto_plays_preservation_where_explanations_follow_each_other(changes, game):
    assert InrConfig(**changes).settled().objective.game == game


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_passes_are_those_that_are_taken(weight):
    seen, config = [], weighing(weight, rounds=2, round_score=0.0)

    def counting(images):
        if torch.is_grad_enabled():
            seen.append(len(images))
        return two_places(images)

    target, score = torch.ones(1, dtype=torch.long), torch.ones(1)
    ((scene, _),) = scenes(BOTH, target, config.perturbation, None, 1)
    given = scene, score, ["a"], counting, config
    explain_together(*given, seed=0, microbatch=MicroBatch(64), fixed=False)
    assert sum(seen) == METHODS["inr"].passes(config)


def test_the_published_formulation_has_independent_restarts():
    assert not dataclasses.replace(PRESETS["paper"], restarts=3).repels
    assert dataclasses.replace(PRESETS["default"], restarts=3).repels


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        ObjectiveConfig(repel_weight=-1.0)
