"""The networks of a batch of images: how each begins, what it was worth, and which round follows.

Shapes: B images, N networks, J earlier rounds of the last round, A areas, K parameters, H, W.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inr_core.config import InrConfig
from inr_core.device import MicroBatch
from inr_core.explanation import Explanation
from inr_core.game import Classify, Scene, final_objective, mask_scores, minimal_area
from inr_core.masks import init_parameters, render
from inr_core.optimisation import Networks, Schedule, Steps, draw_levels, fitted_start
from inr_core.seeds import stable_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One network to be optimised.

    image         index of the image in its batch
    previous_JK   parameters of the same restart in the earlier rounds, 0 for those to come
    """

    image: int
    restart: int
    round: int
    seed: int
    previous_JK: Tensor


class Rounds:
    """The tasks of a batch; `found` has the explanations of each image as far as they are.

    score_B  softmax score of the target on the whole image
    fixed    see `Steps`
    """

    def __init__(
        self,
        scene_B: Scene,
        score_B: Tensor,
        ids: Sequence[str],
        classify: Classify,
        config: InrConfig,
        *,
        seed: int,
        microbatch: MicroBatch,
        fixed: bool,
    ) -> None:
        self.scene_B, self.scores, self.ids = scene_B, score_B.tolist(), ids
        self.classify, self.config, self.seed = classify, config, seed
        self.microbatch, self.fixed = microbatch, fixed
        self.ends = [_ends(config, round_) for round_ in range(config.rounds)]
        self.found: list[list[Explanation]] = [[] for _ in ids]

    def steps(self) -> Steps:
        """What is done to the networks."""
        config = self.config
        schedule = Schedule.of(
            config.optimise, self.ends, config.mask.temperature, self.scene_B.image_NCHW
        )
        return Steps(
            schedule=schedule,
            classify=self.classify,
            mask=config.mask,
            objective=config.objective,
            microbatch=self.microbatch,
            fixed=self.fixed,
        )

    def first(self) -> list[Task]:
        """The tasks of the first round, an image's restarts one after the other."""
        count = self.config.rounds - 1, self.config.mask.network.parameter_count
        none_JK = self.scene_B.image_NCHW.new_zeros(count)
        restarts = range(self.config.restarts)
        return [self._task(b, r, 0, none_JK) for b in range(len(self.ids)) for r in restarts]

    def networks(self, tasks: list[Task]) -> Networks:
        """How they begin: the first restarts at fitted fields, the others at drawn weights."""
        optimise, device = self.config.optimise, self.scene_B.image_NCHW.device
        scene = self.scene_B.of([task.image for task in tasks])
        round_N = torch.tensor([task.round for task in tasks], device=device)
        previous_NJK = torch.stack([task.previous_JK for task in tasks])
        levels = scene.baseline_NLCHW.shape[1], optimise.steps, optimise.areas_per_step
        return Networks(
            theta_NK=self._start(tasks, round_N, previous_NJK, scene),
            round_N=round_N,
            previous_NJK=previous_NJK,
            level_NSA=draw_levels([task.seed for task in tasks], *levels).to(device),
            scene=scene,
        )

    def finished(self, tasks: list[Task], theta_NK: Tensor, steps: list[int]) -> list[Task]:
        """Keep what explains its image; returns the tasks of the next round."""
        theta_NK = theta_NK.half().float()  # as the parameters are kept
        of_round = defaultdict(list)
        for n, task in enumerate(tasks):
            of_round[task.round].append(n)
        explained: dict[int, Explanation] = {}
        for chosen in of_round.values():
            of_chosen = self._explanations([tasks[n] for n in chosen], theta_NK[chosen])
            explained |= zip(chosen, of_chosen, strict=True)
        kept = [n for n, task in enumerate(tasks) if self._explains(explained[n], task)]
        more = [self._after(tasks[n], theta_NK[n]) for n in kept]
        for n in kept:  # last, as after an error all is done again
            self.found[tasks[n].image].append(replace(explained[n], steps=steps[n]))
        return [task for task in more if task.round < self.config.rounds]

    def _after(self, task: Task, theta_K: Tensor) -> Task:
        """The task of the next round, even if there is none."""
        previous_JK = task.previous_JK.clone()
        previous_JK[task.round : task.round + 1] = theta_K
        return self._task(task.image, task.restart, task.round + 1, previous_JK)

    def _task(self, image: int, restart: int, round_: int, previous_JK: Tensor) -> Task:
        seed = stable_seed(self.seed, self.ids[image], restart, round_)
        return Task(image=image, restart=restart, round=round_, seed=seed, previous_JK=previous_JK)

    def _start(
        self, tasks: list[Task], round_N: Tensor, previous_NJK: Tensor, scene: Scene
    ) -> Tensor:
        """Parameters (N, K); none are drawn where a field is fitted."""
        fits = self.config.start.kind == "gradient"
        fitted = [n for n, task in enumerate(tasks) if fits and task.restart == 0]
        drawn = sorted({*range(len(tasks))} - {*fitted})
        theta_NK = previous_NJK.new_empty(len(tasks), self.config.mask.network.parameter_count)
        if drawn:
            draws = [init_parameters(tasks[n].seed, self.config.mask.network) for n in drawn]
            theta_NK[drawn] = torch.stack(draws).to(theta_NK)
        if fitted:
            theta_NK[fitted] = fitted_start(
                previous_NJK[fitted],
                round_N[fitted],
                self.ends,
                scene.of(fitted),
                self.classify,
                self.config.mask,
                self.config.start,
                self.microbatch,
                fixed=self.fixed,
            )
        return theta_NK

    def _explanations(self, tasks: list[Task], theta_NK: Tensor) -> list[Explanation]:
        """Render and score networks of one round; the steps are filled in later."""
        round_ = tasks[0].round
        areas, scene = self.config.areas_of_round(round_), self.scene_B
        size = (scene.image_NCHW.shape[2], scene.image_NCHW.shape[3])

        def part(chosen: slice) -> tuple[Tensor, Tensor]:
            own = tasks[chosen]
            previous_NJK = torch.stack([task.previous_JK[:round_] for task in own])
            area_NA = torch.tensor(areas, dtype=torch.float64).expand(len(own), -1)
            masks_NAHW = render(theta_NK[chosen], previous_NJK, area_NA, size, self.config.mask)
            scene_N = scene.of([task.image for task in own])
            scores = mask_scores(masks_NAHW, scene_N, self.classify, self.microbatch)
            return masks_NAHW.cpu(), torch.stack(scores).cpu()

        parts = self.microbatch.run(part, len(tasks), 2 * len(areas))
        masks_NAHW = torch.cat([masks for masks, _ in parts])
        kept_NA, removed_NA = torch.cat([scores for _, scores in parts], dim=1)
        objective = final_objective(kept_NA, removed_NA, self.config.objective.game).tolist()
        stored_NK = theta_NK.half().cpu()
        return [
            Explanation(
                restart=task.restart,
                round=round_,
                seed=task.seed,
                best=False,
                objective=objective[n],
                steps=0,
                minimal_area=minimal_area(areas, kept_NA[n], self.scores[task.image]),
                parameters=stored_NK[n],
                areas=areas,
                masks=masks_NAHW[n],
                kept=tuple(kept_NA[n].tolist()),
                removed=tuple(removed_NA[n].tolist()),
            )
            for n, task in enumerate(tasks)
        ]

    def _explains(self, explanation: Explanation, task: Task) -> bool:
        """Whether what the earlier rounds left still explains the class, at one area at least."""
        enough: float = self.config.round_score * self.scores[task.image]
        return task.round == 0 or max(explanation.kept) >= enough


def _ends(config: InrConfig, round_: int) -> tuple[float, float]:
    """Lowest and highest area that a round trains on."""
    areas, largest = config.areas_of_round(round_), config.mask.largest_area(round_)
    low = min(config.optimise.smallest_area, areas[0])
    return low, max(min(config.optimise.largest_area, largest), areas[-1])
