"""What is compared of two runs: an analysis of the first one that reads the second one."""

from __future__ import annotations

import hashlib
from functools import partial

import pyarrow as pa

from pipeline.analysis import Kind
from pipeline.diff.differ import Differ
from pipeline.errors import RequestError
from pipeline.results import model_of
from pipeline.tables import RunReader

TEXT, INT, FLOAT = pa.string(), pa.int64(), pa.float64()
DIFF = pa.schema(
    [
        ("id", TEXT),
        ("target", INT),
        ("target_name", TEXT),
        ("area", FLOAT),  # of both regions
        ("score_a", FLOAT),  # of the target, of the whole image
        ("score_b", FLOAT),
        ("predicted_a", INT),
        ("predicted_name_a", TEXT),
        ("predicted_b", INT),
        ("predicted_name_b", TEXT),
        ("iou", FLOAT),  # of the regions, on the input of a
        ("kept_a_on_a", FLOAT),  # score that a gives with its own region kept, the rest blurred,
        ("kept_a_on_b", FLOAT),  # with that of b,
        ("kept_b_on_a", FLOAT),  # and likewise b
        ("kept_b_on_b", FLOAT),
        ("removed_a_on_a", FLOAT),  # the same with the region blurred
        ("removed_a_on_b", FLOAT),
        ("removed_b_on_a", FLOAT),
        ("removed_b_on_b", FLOAT),
        ("outside_a", FLOAT),  # share of the region outside the ground truth; null without any
        ("outside_b", FLOAT),
        ("moved", FLOAT),  # outside_b - outside_a: what went from the object to its context
    ]
)


def difference(
    one: RunReader,
    two: RunReader,
    *,
    area: float | None = None,
    weights: tuple[str | None, str | None] = (None, None),
) -> Kind:
    """The table of two runs, a row for each (id, target) that both have.

    area     of the regions; None: see `shared_area`
    weights  state dicts of the classifiers, if they have moved
    RequestError where the runs cannot be compared.
    """
    first, second = model_of(one, weights[0]), model_of(two, weights[1])
    classes = [len(model.load().classes) for model in (first, second)]
    if classes[0] != classes[1]:
        raise RequestError(
            f"{two.store.uri}: its classifier has {classes[1]} classes, that of {one.store.uri} "
            f"{classes[0]}; expected two versions of a model, of the same classes"
        )
    chosen = shared_area(one, two) if area is None else area
    for run in (one, two):
        _check_area(run, chosen)
    return Kind(
        name="diff",
        tables={table_of(two): DIFF},
        settings={"against": two.store.uri, "area": chosen},
        make=partial(Differ, table_of(two), first, second, chosen),
        others=(two.store.uri,),
    )


def table_of(two: RunReader) -> str:
    """Folder of the table against a run: there may be others."""
    return f"diff/{hashlib.blake2b(two.store.uri.encode(), digest_size=4).hexdigest()}"


def shared_area(one: RunReader, two: RunReader) -> float:
    """The middle one of the areas that both have stored, else of those of the first run."""
    both = [area for area in one.config.areas if area in two.config.areas]
    areas = both or list(one.config.areas)
    return float(areas[len(areas) // 2])


def _check_area(run: RunReader, area: float) -> None:
    if area not in run.config.areas and not (run.networks and 0 < area <= run.largest_area(0)):
        raise RequestError(
            f"--area {area:g}: {run.store.uri} has stored masks of {run.settings.areas()}"
            + (f", and can render up to {run.largest_area(0):g}" if run.networks else "")
            + "; choose one of these areas"
        )
