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
from inr_core.game import Classify, FeatureMap, Scene, claims_kept, final_objective
from inr_core.masks import init_parameters, render
from inr_core.metrics import FinalScores, final_scores
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

    score_B  how far the claim holds of the whole image, see `claimed`
    features  of the classifier, for starts; None if it has no feature map
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
        features: FeatureMap | None,
        fixed: bool,
    ) -> None:
        self.scene_B, self.scores, self.ids = scene_B, score_B.tolist(), ids
        self.classify, self.features = classify, features
        self.config, self.seed = config, seed
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
        """Parameters (N, K), drawn from the seeds and, for first restarts, fitted."""
        fits = self.config.start.kind == "gradient"
        fitted = [n for n, task in enumerate(tasks) if fits and task.restart == 0]
        drawn = [init_parameters(task.seed, self.config.mask.network) for task in tasks]
        theta_NK = torch.stack(drawn).to(previous_NJK)
        if fitted:
            theta_NK[fitted] = fitted_start(
                theta_NK[fitted],
                previous_NJK[fitted],
                round_N[fitted],
                self.ends,
                scene.of(fitted),
                self.classify,
                self.features,
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

        def part(chosen: slice) -> tuple[Tensor, FinalScores]:
            own, theta = tasks[chosen], theta_NK[chosen]
            previous_NJK = torch.stack([task.previous_JK[:round_] for task in own])
            claim_N = torch.tensor([self.scores[task.image] for task in own])

            def rendered(area_MA: Tensor, some: list[int]) -> Tensor:
                return render(theta[some], previous_NJK[some], area_MA, size, self.config.mask)

            area_NA = torch.tensor(areas, dtype=torch.float64).expand(len(own), -1)
            masks_NAHW = rendered(area_NA, list(range(len(own))))
            scores = final_scores(
                masks_NAHW,
                areas,
                claim_N,
                scene.of([task.image for task in own]),
                self.classify,
                self.microbatch,
                lambda area_M, some: rendered(area_M[:, None], some)[:, 0],
            )
            return masks_NAHW.cpu(), scores

        parts = self.microbatch.run(part, len(tasks), 2 * len(areas))
        masks_NAHW = torch.cat([masks for masks, _ in parts])
        scores = FinalScores.together([of_part for _, of_part in parts])
        game = self.config.objective.game
        objective = final_objective(*claims_kept(scores.hard), game).tolist()
        stored_NK = theta_NK.half().cpu()
        return [
            Explanation(
                restart=task.restart,
                round=round_,
                seed=task.seed,
                best=False,
                objective=objective[n],
                steps=0,
                parameters=stored_NK[n],
                areas=areas,
                masks=masks_NAHW[n],
                **scores.of(n),
            )
            for n, task in enumerate(tasks)
        ]

    def _explains(self, explanation: Explanation, task: Task) -> bool:
        """Whether what the earlier rounds left still explains the class, at one area at least.

        With a contrast the target has to stay ahead of it, too: of two classes each has a half.
        """
        enough: float = self.config.round_score * self.scores[task.image]
        if self.scene_B.contrast_N is not None:
            enough = max(enough, 0.5)
        return task.round == 0 or max(explanation.hard_claims) >= enough


def _ends(config: InrConfig, round_: int) -> tuple[float, float]:
    """Lowest and highest area that a round trains on."""
    areas, largest = config.areas_of_round(round_), config.mask.largest_area(round_)
    low = min(config.optimise.smallest_area, areas[0])
    return low, max(min(config.optimise.largest_area, largest), areas[-1])
