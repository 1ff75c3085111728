"""`xaipipe benchmark`: how fast this machine explains, against the bare classifier."""

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.status import Status
from rich.table import Table
from rich.text import Text

import pipeline
import pipeline.benchmark
import pipeline.store
from jobs.console import Console, plain
from jobs.options import takes_job
from jobs.target import check_target
from pipeline.paths import all_redacted

RATES = {  # sample -> what it is, and its unit
    "bare_passes_per_s": ("bare classifier", "passes/s"),
    "loop_passes_per_s": ("loop, images in memory", "passes/s"),
    "loop_images_per_s": ("  in images", "images/s"),
    "loop_ratio": ("  over bare classifier", ""),
    "loop_ratio_cpu": ("  in processor time", ""),
    "end_to_end_images_per_s": ("end to end, once started", "images/s"),
    "end_to_end_ratio": ("  over loop x workers", ""),
    "startup_seconds": ("start until first shard", "s"),
    "against_images_per_s": ("loop of {against}", "images/s"),
    "against_ratio": ("  {method} over {against}", ""),
}


@partial(takes_job, manifest=pipeline.benchmark.GENERATED)
def benchmark(
    job: "pipeline.Job",
    images: Annotated[
        int, typer.Option(min=1, help="Images of a repeat: the manifest's first, or generated.")
    ] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats of everything, in turn.")] = 3,
    against: Annotated[
        str | None,
        typer.Option(help="A peer to time in turn on the same images, with its own settings: ep."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="File for all values.")
    ] = None,
) -> None:
    """Measure the speed of a job on this machine: bare classifier, loop, and end to end.

    Classifier and method are those of the job's options; without a manifest, images are generated.
    The three are timed in turn, so that ratios hold on a busy machine too. A pass is one image
    through the classifier, forward and back to the image. The tables of the whole runs go to
    OUT/benchmark, or to a temporary folder if there is no --out.

    [bold]Examples[/]

      xaipipe benchmark --model torchvision:resnet50 --gpus 1 --images 256

      xaipipe benchmark photos/ --model torchvision:resnet50 --images 2 --against ep --json b.json
    """
    loading = pipeline.store.age()
    console = Console()
    check_target("--json", to)
    kept: list[pipeline.benchmark.Benchmark] = []
    about = {"model": job.model, "method": job.method, "against": against}

    def keep(found: "pipeline.benchmark.Benchmark") -> None:
        kept[:] = [found]
        if to is not None:
            to.write_text(json.dumps(all_redacted(about | found.results()), indent=1) + "\n")

    with tempfile.TemporaryDirectory(prefix="xaipipe-") as folder, console.status("") as status:
        report = partial(_update, status) if console.is_terminal else console.print
        try:
            pipeline.benchmark.benchmark(
                job,
                Path(folder),
                images=images,
                repeats=repeats,
                against=against,
                loading=loading,
                report=report,
                keep=keep,
            )
        except KeyboardInterrupt:
            until = "until then, this was measured" if kept else "nothing was measured"
            console.print(f"interrupted: {until}")
            raise typer.Exit(130) from None
        finally:  # also after an error: what was measured stays
            for found in kept:
                show(job, found, against, console)


def _update(status: Status, text: str) -> None:
    status.update(Text(plain(text)))


def show(
    job: "pipeline.Job",
    found: "pipeline.benchmark.Benchmark",
    against: str | None,
    console: Console,
) -> None:
    """Print the tables: rates and counts, and the parts of a step."""
    counts = found.counts
    console.print(
        f"{job.model} · {job.method} · {found.device} {found.precision} · "
        f"workers {counts['workers']:g} · images {counts['images']:g} · "
        f"batch {counts['batch']:g}\nmedian (lowest .. highest) of {counts['repeats']:g} repeats",
    )
    table = _table()
    for name, (what, unit) in RATES.items():
        if name in found.samples:
            values = found.samples[name]
            spread = f"({short(min(values))} .. {short(max(values))})"
            label = what.format(method=job.method, against=against)
            table.add_row(label, short(found.median(name)), unit, spread)
    planned = f"(planned {short(counts['nominal_passes_per_image'])})"
    table.add_row("passes per image", short(counts["passes_per_image"]), "", planned)
    table.add_row("  forward only, for scores", short(counts["forward_only_per_image"]))
    table.add_row("places with a network in them", f"{counts['occupancy']:.1%}")
    whose = "(tensors on the GPU)" if found.device == "cuda" else "(resident)"
    table.add_row("peak memory of the loop", short(counts["peak_memory_bytes"] / 1e6), "MB", whose)
    console.print(table)
    if found.step:
        console.print(_steps(found.step))
    for note in found.notes:
        console.print(f"note: {note}")


def _steps(step: dict[str, float]) -> Table:
    table = _table("where the time of a step goes")
    for part, seconds in step.items():
        share = seconds / step["step"]
        table.add_row(part, short(1000 * seconds), "ms", f"{share:.1%}")
    return table


def _table(title: str | None = None) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0)
    )
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column()
    return table


def short(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
