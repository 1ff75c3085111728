"""Explain a batch of images: restarts and rounds of conditioned INR masks.

Shapes: B images, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from inr_core.config import InrConfig
from inr_core.device import MicroBatch
from inr_core.explanation import Explanation
from inr_core.game import Classify, Head, Scene, claimed, scenes
from inr_core.optimisation import LearnedStart, Source, optimise, source_of
from inr_core.rounds import Rounds


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
    module: nn.Module | None = None,
    custom_baseline: Tensor | None = None,
    head: Head = "softmax",
    contrast_B: Tensor | None = None,
    contrast_score_B: Tensor | None = None,
    learned: LearnedStart | None = None,
) -> list[list[Explanation]]:
    """Explanations of every image, ordered by round and restart.

    image_BCHW  in the classifier's input space
    score_B     score of the target on the whole image
    ids         decide the seeds, together with `seed`, the restart and the round
    module      that `classify` calls, of which the start sees the last feature map; None, or one
                without such a map: starts use gradients of the image alone
    head        of the classifier, whose scores are softmax or sigmoid probabilities
    contrast_B  the class that each target is held against, and `contrast_score_B` its score on the
                whole image; both where the objective has a `contrast`, and only there
    learned     what makes one map of all evidence at which networks start; None: their sum

    On a CPU, where a batch is not faster, one image after the other: sums then never depend on the
    batch in their last bits, and neither do the masks.
    """
    if (contrast_B is None) != (config.objective.contrast is None):
        raise ValueError("objective.contrast and contrast_B belong together: give both or neither")
    on_cpu = image_BCHW.device.type == "cpu"
    size = 1 if on_cpu else len(ids)
    claim_B = claimed(score_B, contrast_score_B)
    given = image_BCHW, target_B, config.perturbation, custom_baseline, size
    seen = None if config.start.kind == "random" else module
    source = source_of(seen, image_BCHW, microbatch, learned)
    found: list[list[Explanation]] = []
    for scene, part in scenes(*given, head=head, contrast_B=contrast_B):
        found += explain_together(
            scene,
            claim_B[part],
            ids[part],
            classify,
            config,
            seed=seed,
            microbatch=microbatch,
            source=source,
            fixed=not on_cpu,
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
    source: Source | None = None,
    fixed: bool = True,
) -> list[list[Explanation]]:
    """`explain` for the images of a scene at once, as stacked networks.

    score_B  how far the claim holds of the whole image, see `claimed`
    source   of the evidence at which networks start; None: gradients of the image alone
    fixed    whether they are stacked in few fixed numbers, some places perhaps empty
    """
    config = config.settled()
    rounds = Rounds(
        scene_B,
        score_B,
        ids,
        classify,
        config,
        seed=seed,
        microbatch=microbatch,
        source=source or Source(),
        fixed=fixed,
    )
    optimise(rounds.first(), rounds.networks, rounds.finished, rounds.steps())
    in_order = [sorted(found, key=lambda e: (e.round, e.restart)) for found in rounds.found]
    return [_mark_best(of_image) for of_image in in_order]


def _mark_best(explanations: list[Explanation]) -> list[Explanation]:
    """Mark all rounds of the restart that is the best in the first round; of equals the first.

    Not the best of each round: rounds of different restarts may overlap.
    """
    first = max((e for e in explanations if e.round == 0), key=lambda e: e.objective)
    return [replace(e, best=e.restart == first.restart) for e in explanations]
