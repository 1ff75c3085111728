"""Explain a batch of images: restarts and rounds of conditioned INR masks.

Shapes: B images, R restarts, N = B * R networks, A areas, K parameters, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from inr_core.config import InrConfig
from inr_core.device import MicroBatch
from inr_core.explanation import Explanation
from inr_core.game import Classify, Scene, final_objective, mask_scores, minimal_area, scenes
from inr_core.masks import init_parameters, render
from inr_core.optimisation import Networks, Schedule, draw_levels, fitted_start, optimise
from inr_core.seeds import stable_seed


def explain(
    image_BCHW: Tensor,
    target_B: Tensor,
    score_B: Tensor,
    ids: Sequence[str],
    classify: Classify,
    config: InrConfig,
    *,
    seed: int,
    microbatch: MicroBatch,
    custom_baseline: Tensor | None = None,
) -> list[list[Explanation]]:
    """Explanations of every image, ordered by round and restart.

    image_BCHW  in the classifier's input space
    score_B     softmax score of the target on the whole image
    ids         decide the seeds, together with `seed`, the restart and the round

    On a CPU, where a batch is not faster, one image after the other: sums then never depend on the
    batch in their last bits, and neither do the masks.
    """
    size = 1 if image_BCHW.device.type == "cpu" else len(ids)
    found: list[list[Explanation]] = []
    for scene, part in scenes(image_BCHW, target_B, config.perturbation, custom_baseline, size):
        found += explain_together(
            scene, score_B[part], ids[part], classify, config, seed=seed, microbatch=microbatch
        )
    return found


def explain_together(
    scene_B: Scene,
    score_B: Tensor,
    ids: Sequence[str],
    classify: Classify,
    config: InrConfig,
    *,
    seed: int,
    microbatch: MicroBatch,
) -> list[list[Explanation]]:
    """`explain` for the images of a scene at once, as stacked networks."""
    config = replace(config, objective=config.objective.for_rounds(config.rounds))
    score_B = score_B.cpu()
    found: list[list[Explanation]] = [[] for _ in ids]
    networks = [(b, r) for b in range(len(ids)) for r in range(config.restarts)]
    parameters = config.mask.network.parameter_count
    previous_NJK = scene_B.image_NCHW.new_zeros(len(networks), 0, parameters)
    for round_ in range(config.rounds):
        image_N = [b for b, _ in networks]
        scene = scene_B.of(image_N)
        seeds = [stable_seed(seed, ids[b], r, round_) for b, r in networks]
        firsts = [n for n, (_, restart) in enumerate(networks) if restart == 0]
        theta_NK, steps_N = _optimised(
            seeds, firsts, previous_NJK, round_, scene, classify, config, microbatch
        )
        explanations = _explanations(
            theta_NK, previous_NJK, round_, scene, score_B[image_N], classify, config, microbatch
        )
        going_on, steps = [], steps_N.tolist()
        for n, ((b, r), explanation) in enumerate(zip(networks, explanations, strict=True)):
            if round_ == 0 or _explains(explanation, score_B[b].item(), config):
                found[b].append(replace(explanation, restart=r, seed=seeds[n], steps=steps[n]))
                going_on.append(n)
        networks = [networks[n] for n in going_on]
        if not networks:
            break
        previous_NJK = torch.cat((previous_NJK, theta_NK[:, None]), dim=1)[going_on]
    return [_mark_best(of_image) for of_image in found]


def _optimised(
    seeds: list[int],
    firsts: list[int],
    previous_NJK: Tensor,
    round_: int,
    scene: Scene,
    classify: Classify,
    config: InrConfig,
    microbatch: MicroBatch,
) -> tuple[Tensor, Tensor]:
    """Parameters after the optimisation, (N, K), rounded to the float16 in which they are kept,
    and the steps taken, (N,).

    firsts  networks that are the first restart of their image
    """
    device = scene.image_NCHW.device
    theta_NK = torch.stack([init_parameters(s, config.mask.network) for s in seeds]).to(device)
    areas = config.areas_of_round(round_)
    low = min(config.optimise.smallest_area, areas[0])
    high = max(min(config.optimise.largest_area, config.mask.largest_area(round_)), areas[-1])
    if config.start.kind == "gradient" and firsts:
        theta_NK[firsts] = fitted_start(
            previous_NJK[firsts],
            (low, high),
            scene.of(firsts),
            classify,
            config.mask,
            config.start,
            microbatch,
        )
    steps, count = config.optimise.steps, config.optimise.areas_per_step
    networks = Networks(
        theta_NK=theta_NK,
        previous_NJK=previous_NJK,
        level_NSA=draw_levels(seeds, scene.baseline_NLCHW.shape[1], steps, count).to(device),
        scene=scene,
    )
    schedule = Schedule.of(config.optimise, (low, high), config.mask.temperature, theta_NK)
    theta_NK, steps_N = optimise(
        networks, schedule, classify, config.mask, config.objective, microbatch
    )
    return theta_NK.half().float(), steps_N


def _explanations(
    theta_NK: Tensor,
    previous_NJK: Tensor,
    round_: int,
    scene: Scene,
    score_N: Tensor,
    classify: Classify,
    config: InrConfig,
    microbatch: MicroBatch,
) -> list[Explanation]:
    """Render and score the networks of one round; the rest is filled in later."""
    areas = config.areas_of_round(round_)
    size = (scene.image_NCHW.shape[2], scene.image_NCHW.shape[3])
    area_NA = torch.tensor(areas, dtype=torch.float64).expand(len(theta_NK), -1)
    masks_NAHW = render(theta_NK, previous_NJK, area_NA, size, config.mask)
    scores = mask_scores(masks_NAHW, scene, classify, microbatch)
    kept_NA, removed_NA = (score_NA.cpu() for score_NA in scores)
    objective_N = final_objective(kept_NA, removed_NA, config.objective.game)
    masks_NAHW, stored_NK = masks_NAHW.cpu(), theta_NK.half().cpu()
    return [
        Explanation(
            restart=0,
            round=round_,
            seed=0,
            best=False,
            objective=objective_N[n].item(),
            steps=0,
            minimal_area=minimal_area(areas, kept_NA[n], score_N[n].item()),
            parameters=stored_NK[n],
            areas=areas,
            masks=masks_NAHW[n],
            kept=tuple(kept_NA[n].tolist()),
            removed=tuple(removed_NA[n].tolist()),
        )
        for n in range(len(theta_NK))
    ]


def _explains(explanation: Explanation, score: float, config: InrConfig) -> bool:
    """Whether what the earlier rounds left still explains the class, at one area at least."""
    return max(explanation.kept) >= config.round_score * score


def _mark_best(explanations: list[Explanation]) -> list[Explanation]:
    """Mark all rounds of the restart that is the best in the first round; of equals the first.

    Not the best of each round: rounds of different restarts may overlap.
    """
    first = max((e for e in explanations if e.round == 0), key=lambda e: e.objective)
    return [replace(e, best=e.restart == first.restart) for e in explanations]
