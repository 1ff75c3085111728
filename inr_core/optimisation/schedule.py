"""The schedule of an optimisation: steps, rates, temperatures, and the areas of every step.

Shapes: R rounds, S steps, A areas a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_core.masks import area_sequence


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimiseConfig:
    """Steps and rates.

    steps              updates of each network, at the most
    areas_per_step     masks of each network and step, their areas evenly spread (`area_sequence`)
    learning_rate      of Adam, after `warmup` steps of linear rise, with cosine decay
    temperature_start  width of the sigmoid at the first step; falls geometrically to the mask's
    smallest_area      areas trained on lie between this one and `largest_area`, widened to the
    largest_area       areas that are asked for
    enough             a network whose reward (mean of the last few steps; 0 is the highest, also
                       with a contrast: `bounded` rewards) is above this goes straight to the last
                       `cooldown` steps; None: never
    cooldown           steps that every network takes at the end
    """

    steps: int = 30
    areas_per_step: int = 2
    learning_rate: float = 0.02
    warmup: int = 5
    temperature_start: float = 1.0
    smallest_area: float = 0.03
    largest_area: float = 0.45
    enough: float | None = None
    cooldown: int = 6

    def __post_init__(self) -> None:
        if min(self.steps, self.areas_per_step, self.cooldown) < 1 or self.warmup < 0:
            raise ValueError(
                "steps, areas_per_step and cooldown must be at least 1 and warmup at least 0, got "
                f"{self.steps}, {self.areas_per_step}, {self.cooldown}, {self.warmup}"
            )
        if self.learning_rate <= 0 or self.temperature_start <= 0:
            raise ValueError("learning_rate and temperature_start must be positive")
        if not 0 < self.smallest_area < self.largest_area < 1:
            raise ValueError(
                "0 < smallest_area < largest_area < 1 must hold, got "
                f"{self.smallest_area}, {self.largest_area}"
            )
        if self.enough is not None and self.enough >= 0:
            raise ValueError(f"enough must be below 0, the highest reward, got {self.enough}")

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        return self.learning_rate * rise * (1 + math.cos(math.pi * step / self.steps)) / 2

    def temperature(self, step: int, end: float) -> float:
        """Temperature of a step; the last one has the final mask's."""
        share = step / max(1, self.steps - 1)
        return float(self.temperature_start * (end / self.temperature_start) ** share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What every step needs, on the device of the optimisation.

    There is one more row than there are steps, for networks that have finished: the last step's
    values, but the rate 0.

    config         of which this is the schedule
    ends           lowest and highest area of each round
    area_RSA       areas of the masks, between the two ends
    rate_S         learning rates
    temperature_S  of the sigmoid, from the first step's to that of the final masks
    """

    config: OptimiseConfig
    ends: tuple[tuple[float, float], ...]
    area_RSA: Tensor
    rate_S: Tensor
    temperature_S: Tensor

    @classmethod
    def of(
        cls,
        config: OptimiseConfig,
        ends: Sequence[tuple[float, float]],
        temperature: float,
        like: Tensor,
    ) -> Schedule:
        """The schedule of a configuration on the device and in the precision of `like`.

        ends         lowest and highest area of each round
        temperature  of the final masks
        """
        steps = range(config.steps)
        areas = [area_sequence(config.steps, config.areas_per_step, *pair) for pair in ends]
        area_RSA = torch.stack([torch.cat((area_SA, area_SA[-1:])) for area_SA in areas])
        temperatures = [config.temperature(step, temperature) for step in steps]
        return cls(
            config=config,
            ends=tuple(ends),
            area_RSA=area_RSA.to(like),
            rate_S=like.new_tensor([*map(config.rate, steps), 0.0]),
            temperature_S=like.new_tensor([*temperatures, temperatures[-1]]),
        )
