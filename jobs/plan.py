"""`xaipipe plan`: what would run."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

import pipeline
import pipeline.manifest
import pipeline.run
from jobs.console import Console
from jobs.options import takes_job
from jobs.progress import clock


@takes_job
def plan(job: pipeline.Job) -> None:
    """Show what `xaipipe run` with the same options would do: images, shards, time and bytes.

    Checks the manifest, the classifier and the output; starts no worker and writes nothing.

    [bold]Example[/] (after `xaipipe demo`)

      xaipipe plan xaipipe-demo/data/manifest.csv --model builtin:shapes --rounds 2
    """
    request = pipeline.Request(job)
    committed = request.committed()
    plan = request.plan(committed)
    guess = pipeline.run.estimate_cost(request, plan, committed)
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("images", f"{plan.images}"),
        *pipeline.manifest.uses(request.manifest.columns).items(),
        ("done already", f"{plan.done}"),
        ("failed before", f"{plan.failed}" + " (--retry-failed)" * job.retry_failed),
        ("to explain", f"{plan.pending}"),
        ("shards", f"{plan.shards} of at most {plan.shard_size} images"),
        ("workers", workers(request)),
        ("explains", _classes(request)),
        ("passes per image", f"{guess.passes}" + " a class" * (request.rule.kind == "above")),
        ("time", clock(guess.seconds) if guess.seconds is not None else "unknown"),
        ("time is", guess.source),
        ("output", f"{guess.bytes / 1e6:.1f} MB"),
        *([("CPUs", cpus(guess.host, guess.passes))] if guess.host else []),
    ):
        table.add_row(Text(name, "bold"), value)
    console = Console()
    console.print(table)
    for note in request.notes:
        console.print(f"note: {note}")


def workers(request: pipeline.Request) -> str:
    """How many, and on what."""
    if request.grow:
        return "as many as the cluster has GPUs for; time and shards are those of one"
    return f"{request.workers or 'in this process'} on {request.device}"


def _classes(request: pipeline.Request) -> str:
    """Which classes, and against what."""
    job = request.job
    contrast = pipeline.run.contrast_of(job.config)
    named = request.classifier.classes[contrast] if isinstance(contrast, int) else contrast
    against = "" if contrast is None else f", against {named}"
    scores = "" if job.head == "softmax" else f" (scores by {job.head})"
    return request.rule.in_words() + against + scores


def cpus(host: pipeline.run.Host, passes: int) -> str:
    """Whether decoding and encoding keep up with the GPUs."""
    who = "each CPU" if host.cpus is None else f"{host.cpus} for each GPU"
    most = f"{host.most:.0f} images/s ({passes * host.most:.0f} passes/s)"
    said = f"{1000 * host.seconds:.1f} ms an image; {who} can do {most}"
    if host.is_limit:
        return f"{said}, and are the limit: give a GPU more of them"
    return said if host.images_per_s else f"{said}, the limit where a GPU does more"
