"""The networks of a batch of images: how each begins, what it was worth, and which round follows.

Shapes: B images, N networks, J earlier rounds of the last round, A areas, K parameters, H, W.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from inr_core.config import InrConfig
from inr_core.device import MicroBatch
from inr_core.explanation import Explanation
from inr_core.game import Classify, Scene, claims_kept, final_objective
from inr_core.masks import init_parameters, render
from inr_core.metrics import FinalScores, final_scores
from inr_core.optimisation import (
    Networks,
    Others,
    Schedule,
    Source,
    Steps,
    draw_levels,
    fitted_start,
)
from inr_core.tasks import Task, Tasks


class Rounds:
    """The tasks of a batch; `found` has the explanations of each image as far as they are.

    score_B  how far the claim holds of the whole image, see `claimed`
    source   of the evidence at which networks start
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
        source: Source,
        fixed: bool,
    ) -> None:
        self.scene_B, self.scores = scene_B, score_B.tolist()
        self.classify, self.source, self.config = classify, source, config
        self.tasks = Tasks(ids, config, seed, scene_B.image_NCHW)
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
        """The tasks that wait for no other."""
        return self.tasks.first()

    def networks(self, tasks: list[Task]) -> Networks:
        """How they begin: at fitted fields, or at drawn weights."""
        optimise, device = self.config.optimise, self.scene_B.image_NCHW.device
        scene = self.scene_B.of([task.image for task in tasks])
        round_N = torch.tensor([task.round for task in tasks], device=device)
        previous_NJK = torch.stack([task.previous_JK for task in tasks])
        drawn = [init_parameters(task.seed, self.config.mask.network) for task in tasks]
        levels = scene.baseline_NLCHW.shape[1], optimise.steps, optimise.areas_per_step
        networks = Networks(
            theta_NK=torch.stack(drawn).to(previous_NJK),
            round_N=round_N,
            previous_NJK=previous_NJK,
            others=Others(
                torch.stack([task.others_RK for task in tasks]),
                torch.tensor([task.repelled for task in tasks], device=device),
            ),
            level_NSA=draw_levels([task.seed for task in tasks], *levels).to(device),
            scene=scene,
        )
        fitted = [n for n, task in enumerate(tasks) if self._fits(task)]
        # On a CPU one after the other: sums then do not depend on which of them begin together.
        for some in [fitted] * bool(fitted) if self.fixed else [[n] for n in fitted]:
            networks.theta_NK[some] = self._fitted(networks.of(some))
        return networks

    def finished(self, tasks: list[Task], theta_NK: Tensor, steps: list[int]) -> list[Task]:
        """Keep what explains its image; returns the tasks of the next round and restart."""
        theta_NK = theta_NK.half().float()  # as the parameters are kept
        of_round = defaultdict(list)
        for n, task in enumerate(tasks):
            of_round[task.round].append(n)
        explained: dict[int, Explanation] = {}
        for chosen in of_round.values():
            of_chosen = self._explanations([tasks[n] for n in chosen], theta_NK[chosen])
            explained |= zip(chosen, of_chosen, strict=True)
        kept = [n for n, task in enumerate(tasks) if self._explains(explained[n], task)]
        more = [task for n in kept for task in self.tasks.after(tasks[n], theta_NK[n])]
        for n in kept:  # last, as after an error all is done again
            self.found[tasks[n].image].append(replace(explained[n], steps=steps[n]))
        return more

    def _fits(self, task: Task) -> bool:
        """Whether its network begins at a fitted field, also so as to stay different."""
        stays_different = task.restart == 0 or self.config.repels
        return self.config.start.kind == "gradient" and stays_different

    def _fitted(self, networks: Networks) -> Tensor:
        """Parameters (N, K) of these networks, fitted."""
        return fitted_start(
            networks.theta_NK,
            networks.previous_NJK,
            networks.round_N,
            self.ends,
            networks.scene,
            self.classify,
            self.source,
            self.config.mask,
            self.config.start,
            self.microbatch,
            fixed=self.fixed,
            others=networks.others,
        )

    def _explanations(self, tasks: list[Task], theta_NK: Tensor) -> list[Explanation]:
        """Of networks of one round; the steps are filled in later."""
        round_, objective = tasks[0].round, self.config.objective
        masks_NAHW, scores = self._scored(tasks, theta_NK)
        objective_N = final_objective(*claims_kept(scores.hard), objective.game).tolist()
        stored_NK = theta_NK.half().cpu()
        return [
            Explanation(
                restart=task.restart,
                round=round_,
                seed=task.seed,
                best=False,
                objective=objective_N[n],
                steps=0,
                parameters=stored_NK[n],
                areas=self.config.areas_of_round(round_),
                masks=masks_NAHW[n],
                **scores.of(n),
            )
            for n, task in enumerate(tasks)
        ]

    def _scored(self, tasks: list[Task], theta_NK: Tensor) -> tuple[Tensor, FinalScores]:
        """Masks (N, A, H, W), uint8 on the CPU, of networks of one round, and their scores."""
        round_, scene = tasks[0].round, self.scene_B
        areas = self.config.areas_of_round(round_)
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
        return masks_NAHW, FinalScores.together([of_part for _, of_part in parts])

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
