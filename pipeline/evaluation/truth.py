"""The ground truth that an explained image has."""

from __future__ import annotations

from pipeline.datasets import expand
from pipeline.images import Preprocess, Truth, truth_on_input
from pipeline.tables import ExplainedImage


def truth_of(one: ExplainedImage, preprocess: Preprocess) -> Truth | None:
    """On the classifier's input; None where there is none, or the class is none of the object's."""
    targets = one.row.get("target_set")
    if targets is not None and one.row["target"] not in expand(str(targets)):
        return None
    return truth_on_input(one.row, preprocess)
