"""The methods by name: ours and its peers, all called in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from inr_core.config import InrConfig
from inr_core.explain import explain
from inr_core.explanation import Explanation
from inr_core.peers import (
    CentreConfig,
    EpConfig,
    GradcamConfig,
    IgConfig,
    MasksOf,
    PeerConfig,
    PixelsConfig,
    RandomConfig,
    RiseConfig,
    StartOnlyConfig,
    centre_map,
    check_gradcam,
    check_ig,
    ep_masks,
    explain_by,
    gradcam_map,
    ig_map,
    pixels_masks,
    random_map,
    ranked,
    rise_map,
    start_only_map,
    unranked,
)

AnyConfig = InrConfig | PeerConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A way to explain images.

    config    class of its settings
    explain   called as `inr_core.explain`, with the classifier's `module` as a further keyword
    passes    passes of the classifier per image, with or without gradient, scores not counted
    networks  networks stored per image; 0: the method has masks only
    together  networks (or masks, or whatever is explained apart) of an image that are worked on at
              once, and the images of each that the classifier sees in one call
    check     raises ValueError if it cannot explain this module's classes on images like this one
    """

    config: type[Any]
    explain: Callable[..., list[list[Explanation]]]
    passes: Callable[[Any], int]
    networks: Callable[[Any], int] = lambda config: 0
    together: Callable[[Any], tuple[int, int]] = lambda config: (1, 1)
    check: Callable[[nn.Module, Tensor], None] = lambda module, image_1CHW: None


def _inr_together(config: InrConfig) -> tuple[int, int]:
    objective = config.settled().objective
    samples = config.optimise.areas_per_step * (objective.keeps + objective.removes)
    # Each restart of a chain waits for the one before, and has its second round beside the next.
    networks = min(config.restarts, config.rounds) if config.repels else config.restarts
    return networks, samples


def _inr_passes(config: InrConfig) -> int:
    """If no round ends early."""
    _, samples = _inr_together(config)
    fitted = config.restarts if config.repels else 1
    starts = fitted * config.start.passes if config.start.kind == "gradient" else 0
    return config.rounds * (config.restarts * config.optimise.steps * samples + starts)


def _peer(
    masks_of: MasksOf, steps_of: Callable[[Any], int] = lambda config: 0
) -> Callable[..., list[list[Explanation]]]:
    return partial(explain_by, masks_of, steps_of)


METHODS = {
    "inr": Method(
        config=InrConfig,
        explain=explain,
        passes=_inr_passes,
        networks=lambda config: config.restarts * config.rounds,
        together=_inr_together,
    ),
    "ep": Method(
        config=EpConfig,
        explain=_peer(unranked(ep_masks), lambda config: config.steps),
        passes=lambda config: config.steps * len(config.areas) * config.sides,
        together=lambda config: (1, len(config.areas) * config.sides),
    ),
    "rise": Method(
        config=RiseConfig,
        explain=_peer(ranked(rise_map)),
        passes=lambda config: config.samples,
        together=lambda config: (config.samples, 1),
    ),
    "gradcam": Method(
        config=GradcamConfig,
        explain=_peer(ranked(gradcam_map)),
        passes=lambda config: 1,
        check=check_gradcam,
    ),
    "ig": Method(
        config=IgConfig,
        explain=_peer(ranked(ig_map)),
        passes=lambda config: config.steps,
        check=check_ig,
    ),
    "pixels": Method(
        config=PixelsConfig,
        explain=_peer(unranked(pixels_masks), lambda config: config.optimise.steps),
        passes=lambda config: (
            config.start.passes + config.optimise.steps * config.samples_per_step()
        ),
        together=lambda config: (1, config.samples_per_step()),
    ),
    "start": Method(
        config=StartOnlyConfig,
        explain=_peer(ranked(start_only_map)),
        passes=lambda config: config.start.passes,
    ),
    "random": Method(
        config=RandomConfig, explain=_peer(ranked(random_map)), passes=lambda config: 0
    ),
    "centre": Method(
        config=CentreConfig, explain=_peer(ranked(centre_map)), passes=lambda config: 0
    ),
}
