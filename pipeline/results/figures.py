"""Means over images with their intervals, and differences of two runs."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from inr_core import metrics


def interval(of_images: Mapping[str, float]) -> metrics.Interval:
    """Mean of the values of images (by id), with a 95 % bootstrap interval over the images."""
    return metrics.bootstrap_interval(torch.tensor(list(of_images.values())), seed=0)


def difference(first: Mapping[str, float], second: Mapping[str, float]) -> metrics.Interval:
    """The same of first - second, on the images that both have."""
    ids = sorted(first.keys() & second.keys())
    one, other = (torch.tensor([values[i] for i in ids]) for values in (first, second))
    return metrics.paired_interval(one, other, seed=0)
