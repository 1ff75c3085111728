"""Which classes of an image are explained. No torch here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

GRAMMAR = "label, topN such as top1 or top3, or all>T such as 'all>.2'"


@dataclass(frozen=True, slots=True)
class TargetRule:
    """Which classes of an image are explained.

    kind   `given`: the manifest's target, the top 1 where it names none; `label`: the manifest's
           target alone; `top`: the `count` highest; `above`: all that score more than `score`
    """

    kind: Literal["given", "label", "top", "above"] = "given"
    count: int = 1
    score: float = 0.0

    @classmethod
    def parse(cls, text: str | None) -> TargetRule:
        """Of `label`, `top3`, `all>.2`, or None for `given`; ValueError for anything else."""
        if text is None:
            return cls()
        text = text.strip()
        if text == "label":
            return cls("label")
        if (found := re.fullmatch(r"top([0-9]{1,6})", text)) and int(found[1]) >= 1:
            return cls("top", count=int(found[1]))
        if found := re.fullmatch(r"all *> *([0-9]*\.?[0-9]+)", text):
            if (score := float(found[1])) < 1:
                return cls("above", score=score)
            raise ValueError(f"no score is above {found[1]}; expected a threshold below 1")
        hint = " (in quotes: a shell takes > for itself)" if text.startswith("all") else ""
        raise ValueError(f"expected {GRAMMAR}{hint}, got {text!r}")

    def __str__(self) -> str:
        """As it is written; equal rules alike."""
        texts = {"top": f"top{self.count}", "above": f"all>{self.score:g}"}
        return texts.get(self.kind, self.kind)

    def in_words(self) -> str:
        """For people."""
        return {
            "given": "the manifest's target, else the highest class",
            "label": "the manifest's target",
            "top": "the highest class"
            if self.count == 1
            else f"the {self.count} highest classes of each image",
            "above": f"all classes of each image that score more than {self.score:g}",
        }[self.kind]

    def choose(self, scores: Mapping[int, float], given: int | None) -> list[int]:
        """Classes of one image; none where none scores enough.

        scores  of the classes that may be chosen, the highest first, in [0, 1]
        given   the manifest's target
        """
        order = list(scores)
        if self.kind == "top":
            return order[: self.count]
        if self.kind == "above":
            return [k for k in order if scores[k] > self.score]
        return [order[0] if given is None else given]
