"""For tests of workers: what a worker is given, and what it returns."""

import io

import pyarrow.parquet as pq

from pipeline import load_job
from pipeline.manifest import ImageRef, Manifest
from pipeline.run import Request
from pipeline.shapes import CLASSES
from pipeline.tables import Shard

FAST = {"steps": 3, "areas": [0.1, 0.3], "model": "builtin:shapes", "workers": 0}
INDEPENDENT = {"objective.repel_weight": 0.0}  # restarts, which then are worked on together
CENTRE = {"method": "centre", "steps": None}


def spec_of(manifest, **changes):
    return Request(load_job(None, {"manifest": str(manifest), **FAST, **changes})).worker_spec()


def tables(result):
    return {
        name: pq.read_table(io.BytesIO(data)).to_pylist() for name, data in result.tables.items()
    }


def refs_of(manifest):
    return tuple(Manifest(str(manifest), classes=CLASSES))


def highest(scores, count):
    """So many classes, by falling score."""
    return sorted(range(len(scores)), key=lambda k: (-scores[k], k))[:count]


def ones(count):
    """Shards of one image, which is nowhere."""
    return (Shard((ImageRef(id=f"{n:03}", image="", target=0, extra={}),)) for n in range(count))
