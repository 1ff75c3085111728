"""`xaipipe plan`: what would run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

import pipeline
import pipeline.run
from jobs.options import takes_job
from jobs.progress import clock


@takes_job
def plan(job: pipeline.Job) -> None:
    """Show what `xaipipe run` with the same options would do: images, shards, time and bytes.

    Checks the manifest, the classifier and the output; starts no worker and writes nothing.
    """
    request = pipeline.Request(job)
    committed = request.committed()
    plan = request.plan(committed)
    guess = pipeline.run.estimate_cost(request, plan, committed)
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("images", f"{plan.images}"),
        ("done already", f"{plan.done}"),
        ("failed before", f"{plan.failed}" + " (--retry-failed)" * job.retry_failed),
        ("to explain", f"{plan.pending}"),
        ("shards", f"{plan.shards} of at most {plan.shard_size} images"),
        ("workers", f"{plan.workers or 'in this process'} on {plan.device}"),
        ("passes per image", f"{guess.passes}"),
        ("time", clock(guess.seconds) if guess.seconds is not None else "unknown"),
        ("time is", guess.source),
        ("output", f"{guess.bytes / 1e6:.1f} MB"),
    ):
        table.add_row(f"[bold]{name}[/]", value)
    Console().print(table, highlight=False)
