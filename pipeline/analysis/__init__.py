"""Analyses: jobs over a finished run, image by image, with tables of their own beside the run's.

`evaluate`, `regions` and `diff` are of this form. What a kind of analysis brings is a
`Kind`: its tables, the settings that decide their rows, and `make`, which makes an `Analyst` in the
process where it works. All else is the same for every kind, and the same as for explaining: shards,
actors, attempts, commits, resuming, failure rows, progress (`pipeline.run.run`).

    kind = Kind(name="evaluate", tables={"metrics": SCHEMA}, settings={"judge": None},
                make=partial(Evaluator, model, weights))
    analysis = Analysis(read(OUT), kind, AnalysisTerms(workers=2))
    with on_ray(analysis.workers, analysis.device, None):
        summary = run(analysis, report)
    read(OUT).derived("metrics")          # a pyarrow dataset, None before the first commit

- An `Analyst` is called with a batch of `Given`: all rows of an image and class (`ExplainedImage`),
  its pixels, and what other runs (`Kind.others`) know of the same (id, target). It returns rows by
  table. What it raises for a batch is tried again image by image, and becomes the failure of one.
- A shard is what one commit of the run holds (or what is pending of it): its files are read once,
  by the worker. The commit of an analysis names the one that it has read (`Commit.source`).
- `OUT/TABLE/*.parquet` are the tables; fingerprint, plans, markers, leases, lock, summary and the
  table of failures lie in `OUT/_run/FIRST TABLE/`.
- The same command brings the tables up to date after the run has grown. Where an image has been
  explained again, its commit is another one: rows made of the old one are never read
  (`RunTables.derived`), and made anew by the next command. So are rows made with what another run
  knew and no longer knows.
- Other settings than those stored are refused, naming the field; `overwrite` replaces all.
- A table over the whole run, such as clusters, is made of a derived table by its command, which
  stores `RunTables.version(TABLE)` with it and so can tell whether it is up to date.
"""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.analysis.analysis import Analysis, AnalysisTerms
    from pipeline.analysis.kind import Analyst, Given, Kind
    from pipeline.analysis.worker import AnalysisSpec, AnalysisWorker
else:
    __getattr__, __dir__ = lazy(__name__)
