"""For tests of whole runs: explaining a manifest, and the tables that are left."""

import pipeline
from pipeline import Request, load_job
from pipeline.run import driver
from tests.shards import FAST

KEYS = {
    "images": ["id"],
    "explanations": ["id", "restart", "round"],
    "masks": ["id", "restart", "round", "area"],
    "failures": ["id"],
}


def explain(manifest, out, seen=None, **changes):
    job = load_job(None, {**FAST, "manifest": manifest, "out": str(out), **changes})
    return driver.run(Request(job), (seen if seen is not None else []).append)


def tables(out):
    reader = pipeline.read(str(out))
    return {
        name: getattr(reader, name).to_table().sort_by([(k, "ascending") for k in keys])
        for name, keys in KEYS.items()
    }


def same(one, other):
    return all(one[name].equals(other[name]) for name in KEYS)
