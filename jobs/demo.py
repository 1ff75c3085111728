"""`xaipipe demo`: the whole path on generated images whose evidence is known."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

import pipeline
from jobs.run import conclude, execute
from jobs.show import save
from pipeline import RunReader, load_job
from pipeline.gallery import Gallery
from pipeline.shapes import write_dataset

AREAS = (0.05, 0.1, 0.2)
SHOWN = 0.1  # the area of the table
FOUND = 0.5  # a mask has found what covers this share of it
PAGES = 4  # images drawn
TITLE = (
    f"masks of area {SHOWN:g}: scores kept and removed, error of the area, precision on the "
    "object, and what each round found"
)


@dataclass(frozen=True, slots=True)
class Truth:
    """Where the evidence is: boolean masks (H, W); classes without a cue have none."""

    object: np.ndarray[Any, Any]
    cue: np.ndarray[Any, Any] | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One image of the table. `found` says what each round's mask lies on."""

    id: str
    name: str
    kept: float
    removed: float
    area_error: float
    precision: float
    found: tuple[str, ...]
    has_cue: bool


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
    """
    console = Console()
    manifest = write_dataset(to / "data", images, seed)
    job = load_job(
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
    truths = read_truths(manifest)
    findings = [find(reader, id_, truth) for id_, truth in truths.items()]
    console.print(table(findings))
    console.print(conclusion(findings), highlight=False)
    for finding in pick(findings):
        gallery = Gallery(reader, finding.id)
        page = save(gallery, list(gallery.pictures()), to / "overlays")[0]
        console.print(f"overlays of {finding.id} ({finding.name}): {page}", highlight=False)
    conclude(job, summary, console)


def read_truths(manifest: Path) -> dict[str, Truth]:
    """Ground truth of every image of the manifest."""

    def load(name: str) -> np.ndarray[Any, Any]:
        return np.array(Image.open(manifest.parent / name)) > 127

    with manifest.open(newline="") as stream:
        return {
            row["id"]: Truth(load(row["mask"]), load(row["cue_mask"]) if row["cue_mask"] else None)
            for row in csv.DictReader(stream)
        }


def find(reader: RunReader, id_: str, truth: Truth) -> Finding:
    """Compare the masks of one image with the truth."""
    image = reader.image(id_)
    rows = {row["round"]: row for row in reader.rows("masks", id_) if row["area"] == SHOWN}
    hard = {k: reader.stored_mask(id_, SHOWN, round=k) > 127 for k in rows}
    errors = [abs(row["measured_area"] - row["area"]) for row in reader.rows("masks", id_)]
    return Finding(
        id=id_,
        name=image["target_name"],
        kept=rows[0]["score_kept"],
        removed=rows[0]["score_removed"],
        area_error=max(errors),
        precision=max(_share(mask, truth.object) for mask in hard.values()),
        found=tuple(_found(hard[k], truth) for k in sorted(hard)),
        has_cue=truth.cue is not None,
    )


def _found(mask: np.ndarray[Any, Any], truth: Truth) -> str:
    if _share(mask, truth.object) >= FOUND:
        return "object"
    return "cue" if truth.cue is not None and _share(mask, truth.cue) >= FOUND else "neither"


def _share(mask: np.ndarray[Any, Any], part: np.ndarray[Any, Any]) -> float:
    return float((mask & part).sum() / max(1, mask.sum()))


def table(findings: list[Finding]) -> Table:
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


def conclusion(findings: list[Finding]) -> str:
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


def pick(findings: list[Finding]) -> list[Finding]:
    """Images to draw: those with a cue first."""
    return sorted(findings, key=lambda f: not f.has_cue)[:PAGES]
