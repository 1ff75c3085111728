"""`xaipipe demo`: the whole path on generated images whose evidence is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import pipeline
from jobs.analyses import carry_out
from jobs.console import Console
from jobs.regions import show_context
from jobs.report import report
from jobs.run import conclude, execute
from jobs.show import save
from pipeline import analysis, results, shapes
from pipeline import regions as regions_room

AREAS = (0.05, 0.1, 0.2)
SHOWN = 0.1  # the area of the table
PAGES = 4  # images drawn
TITLE = (
    f"masks of area {SHOWN:g}: scores kept and removed, error of the area, precision on the "
    "object, and what each round found"
)


def demo(
    to: Annotated[Path, typer.Option(help="Folder of the demo.")] = Path("xaipipe-demo"),
    images: Annotated[int, typer.Option(min=1, help="Generated images.")] = 10,
    workers: Annotated[int, typer.Option(min=0, help="CPU workers on a local Ray.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of images and run.")] = 0,
) -> None:
    """Explain generated images with the built-in classifier and check the masks: a minute, no data.

    Every image shows one textured object; in half of the classes a patch of another texture (the
    cue) goes with it, and the classifier has learnt to use either. So the truth is known: one
    round of masks should find the object, another one the cue, and where there is no cue a second
    round has nothing to find.

    [bold]Example[/]

      xaipipe demo --images 4 --workers 1
    """
    console = Console()
    manifest = shapes.write_dataset(to / "data", images, seed)
    job = pipeline.load_job(
        None,
        {
            "manifest": str(manifest),
            "out": str(to / "out"),
            "model": "builtin:shapes",
            "areas": list(AREAS),
            "rounds": 2,
            "seed": seed,
            "workers": workers,
        },
    )
    summary = execute(job, console)
    reader = pipeline.read(str(to / "out"))
    truths = results.read_truths(manifest)
    findings = [results.find(reader, id_, SHOWN, truth) for id_, truth in truths.items()]
    console.print(table(findings))
    console.print(conclusion(findings))
    for finding in pick(findings):
        gallery = results.Gallery(reader, finding.id)
        page = save(gallery, list(gallery.pictures()), to / "overlays")[0]
        console.print(f"overlays of {finding.id} ({finding.name}): {page}")
    regions = regions_room.regions_of(reader)
    terms = analysis.AnalysisTerms(workers=0)
    carry_out([analysis.Analysis(reader, regions, terms)], console)
    show_context(reader, console)
    conclude(job, summary, console)
    console.print("the report of it, one page for a browser:")
    report(reader.store.uri)


def table(findings: list[results.Finding]) -> Table:
    """One row per image; rounds are counted from 1, as people do."""
    shown = Table(title=TITLE, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("#", "class"):
        shown.add_column(name, no_wrap=True)
    for name in ("kept", "removed", "error", "prec."):
        shown.add_column(name, justify="right", no_wrap=True)
    for name in ("round 1", "round 2"):
        shown.add_column(name, no_wrap=True)
    for f in findings:
        shown.add_row(
            str(int(f.id.removeprefix("shapes-"))),
            f.name + " + cue" * f.has_cue,
            f"{f.kept:.2f}",
            f"{f.removed:.2f}",
            f"{f.area_error:.4f}",
            f"{f.precision:.2f}",
            *(*f.found, "-")[:2],
        )
    return shown


def conclusion(findings: list[results.Finding]) -> str:
    """What the rounds found, in sentences."""
    cued = [f for f in findings if f.has_cue]
    plain = [f for f in findings if not f.has_cue]
    first = sum(f.found[0] == "object" for f in findings)
    both = sum(set(f.found) == {"object", "cue"} for f in cued)
    ended = sum(f.found == ("object",) for f in plain)
    return (
        f"round 1 found the object in {first} of {len(findings)} images; object and cue were found "
        f"by different rounds in {both} of {len(cued)} images that have both; the object alone, "
        f"and nothing after it, in {ended} of {len(plain)} images without a cue"
    )


def pick(findings: list[results.Finding]) -> list[results.Finding]:
    """Images to draw: those with a cue first."""
    return sorted(findings, key=lambda f: not f.has_cue)[:PAGES]
