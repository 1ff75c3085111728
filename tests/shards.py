"""For tests of workers: what a worker is given, and what it returns."""

import io

import pyarrow.parquet as pq

from pipeline import load_job
from pipeline.manifest import Manifest
from pipeline.run import Request
from pipeline.shapes import CLASSES

FAST = {"steps": 3, "areas": [0.1, 0.3], "model": "builtin:shapes", "workers": 0}
INDEPENDENT = {"objective.repel_weight": 0.0}  # restarts, which then are worked on together


def spec_of(manifest, **changes):
    return Request(load_job(None, {"manifest": str(manifest), **FAST, **changes})).worker_spec()


def tables(result):
    return {
        name: pq.read_table(io.BytesIO(data)).to_pylist() for name, data in result.tables.items()
    }


def refs_of(manifest):
    return tuple(Manifest(str(manifest), classes=CLASSES))
