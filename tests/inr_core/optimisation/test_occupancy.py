"""How full slots are when a run is explained as a worker does it, and that results do not notice.

With every round of a call in whole waves of its own, shares would be those of `WHOLE_WAVES`.
"""

import dataclasses
import math
from collections import Counter

import pytest
import torch

from inr_core import InrConfig, MaskConfig, MicroBatch, OptimiseConfig, SirenConfig, StartConfig
from inr_core.device.microbatch import Occupancy
from inr_core.explain import explain_together
from inr_core.game import scenes
from tests.variants import variants

# restarts, rounds, images of a shard
RUNS = [(3, 2, 250), (3, 2, 1000), (1, 1, 157), (3, 3, 157), (3, 3, 250)]
WHOLE_WAVES = [0.98, 0.98, 0.56, 0.81, 0.90]
SIZE = 12
SLOTS = 256
CONFIG = InrConfig(
    areas=(0.2, 0.4),
    restarts=3,
    rounds=2,
    mask=MaskConfig(network=SirenConfig(hidden_width=4, sine_layers=1), stride=2),
    start=StartConfig(passes=1, fit_steps=1),
    optimise=OptimiseConfig(steps=2, areas_per_step=2),
)
IMAGES = torch.rand(1000, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def brightness(image):
    """Class 1 by how bright the upper half is: some masks of second rounds keep enough of it."""
    evidence = 60 * (image[:, :, : SIZE // 2].mean((1, 2, 3)) - 0.5)
    return torch.stack([torch.zeros_like(evidence), evidence], 1)


def explained(first, last, microbatch, config, fixed=True):
    images = IMAGES[first:last]
    target = torch.ones(len(images), dtype=torch.long)
    ((scene, _),) = scenes(images, target, config.perturbation, None, len(images))
    scores = torch.softmax(brightness(images), 1)[:, 1]
    ids = [f"image-{n}" for n in range(first, last)]
    return explain_together(
        scene, scores, ids, brightness, config, seed=0, microbatch=microbatch, fixed=fixed
    )


def samples(config):
    return config.optimise.areas_per_step * (2 if config.rounds == 1 else 1)


def by_whole_waves(found, config):
    """Networks, and slots if every round's networks had waves of their own."""
    counts = Counter()
    for round_ in range(config.rounds):
        before = [e for of_image in found for e in of_image if e.round == max(0, round_ - 1)]
        counts["used"] += len(before)
        counts["spent"] += math.ceil(len(before) / SLOTS) * SLOTS
    return counts


@pytest.mark.parametrize(
    "run, whole_waves", variants(zip(RUNS, WHOLE_WAVES, strict=True), several=True), ids=str
)
def test_slots_are_full_in_a_run_of_1000_images(run, whole_waves):
    restarts, rounds, shard = run
    areas = (0.2, 0.3)  # for which three rounds leave room
    config = dataclasses.replace(
        CONFIG, restarts=restarts, rounds=rounds, areas=areas, round_score=1.0
    )
    microbatch = MicroBatch(SLOTS * samples(config))
    calls = [
        explained(first, min(first + shard, len(IMAGES)), microbatch, config)
        for first in range(0, len(IMAGES), shard)
    ]
    assert sum(map(len, calls)) == len(IMAGES)
    waves = sum((by_whole_waves(found, config) for found in calls), Counter())
    assert microbatch.occupancy.used == waves["used"] * config.optimise.steps
    assert waves["used"] / waves["spent"] == pytest.approx(whole_waves, abs=0.01)
    assert microbatch.occupancy.share >= 0.95


def test_results_do_not_depend_on_who_shares_the_slots():
    """In five slots, networks of all rounds meet; alone, no place is empty."""
    config = dataclasses.replace(CONFIG, rounds=3, areas=(0.2, 0.3), round_score=1.0)
    together = explained(0, 7, MicroBatch(5 * samples(config)), config)
    rounds = set()
    for n, of_image in enumerate(together):
        (alone,) = explained(n, n + 1, MicroBatch(100), config, fixed=False)
        assert [(e.round, e.restart, e.best) for e in of_image] == [
            (e.round, e.restart, e.best) for e in alone
        ]
        for one, other in zip(of_image, alone, strict=True):
            rounds.add(one.round)
            assert (one.seed, one.steps) == (other.seed, other.steps)
            torch.testing.assert_close(one.parameters, other.parameters, atol=2e-3, rtol=0)
            assert one.kept == pytest.approx(other.kept, abs=0.02)
    assert rounds == {0, 1, 2}


def test_places_that_are_empty_are_counted():
    microbatch = MicroBatch(8 * samples(CONFIG))
    explained(0, 1, microbatch, dataclasses.replace(CONFIG, restarts=5, rounds=1))
    # four places of two images each for a game of two sides: 4 and then 1
    assert microbatch.occupancy == Occupancy(used=5 * 2, spent=(4 + 1) * 2)
    assert Occupancy().share == 1.0
