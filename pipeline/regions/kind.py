"""What is kept of every region: an analysis of a run, and the schemas of its two tables."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from pipeline.analysis import Kind
from pipeline.classifiers import Features
from pipeline.regions.analyst import Looker
from pipeline.results import model_of
from pipeline.store import derived
from pipeline.tables import RunReader

TEXT, INT, SMALL, FLOAT = pa.string(), pa.int64(), pa.int32(), pa.float64()
REGIONS = pa.schema(
    [
        ("id", TEXT),
        ("target", INT),
        ("restart", SMALL),  # the best one of the image
        ("round", SMALL),
        ("area", FLOAT),  # `ExplainedImage.telling_area`
        ("x0", FLOAT),  # bounding box, in pixels of the upright original
        ("y0", FLOAT),
        ("x1", FLOAT),
        ("y1", FLOAT),
        ("cx", FLOAT),  # centroid
        ("cy", FLOAT),
        ("outside", FLOAT),  # share of the region outside the ground truth; null without any
        ("score_kept", FLOAT),  # of the target with the region alone shown, as the run perturbs
        ("score_removed", FLOAT),
        ("score_outside", FLOAT),  # with its part outside the ground truth (and a margin) alone
        ("becomes", INT),  # class predicted when the region is removed
        ("becomes_name", TEXT),
        ("becomes_score", FLOAT),
        (
            "features",
            pa.list_(pa.float32()),
        ),  # of the image with the region alone shown, rounded to float16
        ("pattern", SMALL),  # which `xaipipe patterns` has found; null: none, or not asked yet
        ("pattern_target", INT),  # the class that it is a pattern of
    ]
)
CONTEXT = pa.schema(
    [
        ("id", TEXT),
        ("target", INT),
        ("target_name", TEXT),
        ("score", FLOAT),  # of the target, of the whole image
        ("score_nothing", FLOAT),  # with everything perturbed
        ("score_object", FLOAT),  # with the ground truth (and a margin) alone shown; null without
        ("score_context", FLOAT),  # with it perturbed
        ("share_object", FLOAT),  # of the classifier's input that the ground truth covers
    ]
)
TABLES = {"regions": REGIONS, "context": CONTEXT}
LAYOUT = derived(*TABLES)


def regions_of(run: RunReader, *, layer: str | None = None, weights: str | None = None) -> Kind:
    """The regions of a run.

    layer    whose output are the features; None: see `Features`
    weights  state dict of the run's classifier, if it has moved
    RequestError if the classifier is not the run's, or has no such layer.
    """
    model = model_of(run, weights)
    Features(model.load(), layer)
    baseline = run.folder.plans()[-1]["job"].get("baseline")
    return Kind(
        name="regions",
        tables=TABLES,
        settings={"layer": layer},
        make=partial(Looker, model, layer, baseline),
    )
