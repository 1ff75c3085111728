"""Clusters of features: which regions are alike to a classifier.

Shapes: N regions, D features, C clusters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 5  # regions below which there is nothing to divide
FEWEST = 3  # regions of a cluster
MOST = 5000  # regions that are clustered; of more, a sample, to which the others are then added
DIMENSIONS = 16
VARIANCE = 0.95  # that so many of the dimensions keep as are needed for it

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]


def divided(features_ND: NDArray[Any], beside_N: NDArray[np.bool_], seed: int = 0) -> Labels:
    """`clustered`, so that no cluster has both regions on the object and regions beside it."""
    labels = np.full(len(features_ND), -1, np.int32)
    fewest = FEWEST if len(labels) >= LEAST else 1
    for part in (~beside_N, beside_N):
        if part.sum() >= fewest:
            found = clustered(features_ND[part], seed)
            labels[part] = np.where(found < 0, -1, found + labels.max() + 1)
    return _by_size(labels)


def clustered(features_ND: NDArray[Any], seed: int = 0) -> Labels:
    """The cluster of each region, (N,): 0 is the largest one, -1 is none.

    HDBSCAN (Campello, Moulavi and Sander 2013) finds their number; it works on the main components
    of normalised features. Where it finds none, all regions are one cluster. Nothing is drawn at
    random up to `MOST` regions; of more, `seed` draws a sample, and the others join the nearest
    centre if they are as near as its own.
    """
    unit = normalised(features_ND)
    if len(unit) <= MOST:
        return _by_size(_found(unit))
    drawn = np.sort(np.random.default_rng(seed).choice(len(unit), MOST, replace=False))
    return _by_size(_joined(unit, drawn, _found(unit[drawn])))


def nearest(features_ND: NDArray[Any]) -> NDArray[np.int64]:
    """Regions of one cluster, those that are nearest to its centre first."""
    unit = normalised(features_ND)
    return np.argsort(-(unit @ unit.mean(0)), kind="stable")


def normalised(features_ND: NDArray[Any]) -> Floats:
    """Of length 1."""
    found = features_ND.astype(np.float32)
    unit: Floats = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return unit


def _found(unit_ND: Floats) -> Labels:
    from sklearn.cluster import HDBSCAN  # takes a second; no other command needs it
    from sklearn.decomposition import PCA

    if len(unit_ND) < LEAST:
        return np.zeros(len(unit_ND), np.int32)
    main = PCA(min(DIMENSIONS, len(unit_ND) - 1, unit_ND.shape[1]), svd_solver="full")
    places = main.fit_transform(unit_ND)
    needed = int(np.searchsorted(main.explained_variance_ratio_.cumsum(), VARIANCE)) + 1
    smallest = min(len(unit_ND), round(math.sqrt(len(unit_ND))) + 1)  # less splits what is alike
    finder = HDBSCAN(min_cluster_size=smallest, min_samples=smallest, copy=True)
    labels: Labels = finder.fit_predict(places[:, :needed]).astype(np.int32)
    return labels if (labels >= 0).any() else np.zeros_like(labels)


def _joined(unit_ND: Floats, drawn: NDArray[np.int64], labels: Labels) -> Labels:
    """Labels of all, from those of some."""
    known = range(labels.max() + 1)
    centres_CD = np.stack([unit_ND[drawn[labels == k]].mean(0) for k in known])
    far_C = [
        np.linalg.norm(unit_ND[drawn[labels == k]] - centres_CD[k], axis=1).max() for k in known
    ]
    whole = np.full(len(unit_ND), -1, np.int32)
    for start in range(0, len(unit_ND), MOST):
        part = unit_ND[start : start + MOST]
        distance = np.linalg.norm(part[:, None] - centres_CD, axis=2)
        best = distance.argmin(1)
        near = distance.min(1) <= np.array(far_C)[best]
        whole[start : start + MOST] = np.where(near, best, -1)
    whole[drawn] = labels
    return whole


def _by_size(labels: Labels) -> Labels:
    """Numbered anew, the largest first."""
    counts = np.bincount(labels[labels >= 0], minlength=1)
    order = np.argsort(-counts, kind="stable")
    places = np.empty(len(order) + 1, np.int32)
    places[order], places[-1] = np.arange(len(order)), -1
    return places[labels]
