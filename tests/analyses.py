"""For tests of analyses: a kind that counts, and small runs to analyse."""

from __future__ import annotations

import os

import pyarrow as pa

from pipeline import Request, load_job, read
from pipeline.analysis import Analysis, AnalysisTerms, Kind
from pipeline.classifiers import load_classifier
from pipeline.errors import ImageError
from pipeline.run import run

COUNTS = pa.schema(
    [("id", pa.string()), ("target", pa.int64()), ("masks", pa.int64()), ("mean", pa.float64())]
    + [("others", pa.int64())]
)
FAST = {"model": "builtin:shapes", "workers": 0, "areas": [0.05, 0.2], "method": "centre"}


class Counter:
    """Counts the masks of an image; ids that it is told to, it fails on or dies of."""

    def __init__(self, fails: tuple[str, ...], kills: tuple[str, ...], device: str) -> None:
        self.classifier = load_classifier("builtin:shapes", device=device)
        self.preprocess = self.classifier.preprocess
        self.fails, self.kills = fails, kills

    def prepare(self, given):
        return len(given.one.masks)

    def __call__(self, batch):
        for given in batch:
            if given.one.id in self.kills:
                os._exit(7)
            if given.one.id in self.fails:
                raise ImageError("count", "cannot be counted")
        return {"counts": [self.row(given) for given in batch]}

    def row(self, given):
        counts = [0 if other is None else len(other.masks) for other in given.others]
        return {
            "id": given.one.id,
            "target": given.one.row["target"],
            "masks": given.prepared,
            "mean": None if given.loaded is None else float(given.loaded.pixels.mean()),
            "others": sum(counts),
        }


class Make:
    def __init__(self, fails=(), kills=()):
        self.fails, self.kills = tuple(fails), tuple(kills)

    def __call__(self, device):
        return Counter(self.fails, self.kills, device)


def counting(settings=None, fails=(), kills=(), **more):
    return Kind(
        name="count",
        tables={"counts": COUNTS},
        settings=settings or {},
        make=Make(fails, kills),
        **more,
    )


def explain(manifest, out, **changes):
    job = load_job(None, {**FAST, "manifest": str(manifest), "out": str(out), **changes})
    return run(Request(job), lambda progress: None)


def analyse(out, kind=None, only=None, **terms):
    """The summary of an analysis; by default in this process."""
    terms = AnalysisTerms(**{"workers": 0, **terms})
    return run(Analysis(read(str(out)), kind or counting(), terms, only), lambda progress: None)


def rows(out, table="counts"):
    found = read(str(out)).derived(table)
    return [] if found is None else sorted(found.to_table().to_pylist(), key=lambda r: r["id"])
