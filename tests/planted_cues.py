"""What the cue list finds where the truth is known: `python -m tests.planted_cues --to FOLDER`.

Half of the ten classes of generated images have a cue, a patch beside the object. A cue is found
where a pattern of its class that lies on it is among the first ranks of the cue list, as many ranks
as there are classes with cues. Also with cues in 30 % of the images, and with a classifier that was
taught that cues say nothing about the class: no pattern of it may be suspected.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import pipeline
from pipeline import Request, load_job, results
from pipeline.analysis import Analysis, AnalysisTerms
from pipeline.images import Preprocess
from pipeline.patterns import SUSPECT, PatternsConfig, find_patterns
from pipeline.regions import regions_of
from pipeline.run import run
from pipeline.shapes import (
    CLASSES,
    CUES,
    MEAN,
    SIZE,
    STD,
    ShapesNetwork,
    generate,
    load_shapes,
    write_dataset,
)
from pipeline.shapes.train import UNSEEN, TrainConfig, make_pool, probabilities, save, train

MODEL = "python:tests.planted_cues:network"
HOW = {"preset": "fast", "rounds": 2, "areas": [0.03, 0.06, 0.1, 0.2], "workers": 0}
CASES = {  # share of the images with their cue, and whether the classifier uses cues
    "cues in every image": (1.0, True),
    "cues in 30 %": (0.3, True),
    "cues in every image, not used": (1.0, False),
}


@dataclass(frozen=True, slots=True)
class Found:
    """How far a cue list is right.

    planted    classes with a cue
    first      cues found in the first `planted` ranks; right: of these ranks, how many are cues
    suspects   patterns of at least `SUSPECT` reliance; of them so many are cues
    cues       classes whose cue is among the suspects
    least, most  reliance of the cues' best patterns, the least one; of all that is no cue, the most
    """

    planted: int
    first: int
    right: int
    suspects: int
    suspected: int
    cues: int
    least: float
    most: float


def network() -> torch.nn.Module:
    """An untrained network, to be filled by --weights."""
    module = ShapesNetwork()
    module.preprocess = Preprocess(resize=SIZE, crop=SIZE, mean=MEAN, std=STD)
    module.classes = CLASSES
    return module


def unlearn(path: Path, images: int, steps: int) -> None:
    """Trains the built-in classifier on: it sees cues, and the labels do not follow from them."""
    config = TrainConfig(images=images, steps=steps, learning_rate=1e-3)
    pool = make_pool(config)
    pool.evidence[:, 1] = False
    found, _ = train(pool, config, load_shapes())
    save(found, path)


def accuracy(network: ShapesNetwork, count: int = 100, **parts: bool) -> float:
    """On unseen images, with or without their objects or cues."""
    items = [generate(n, seed=UNSEEN, **parts) for n in range(count)]
    labels = torch.tensor([item.label for item in items])
    return (probabilities(network, items).argmax(1) == labels).double().mean().item()


def look_for_cues(
    manifest: Path, out: Path, weights: Path | None = None, **how: object
) -> pipeline.RunReader:
    """Explains, looks at the regions and at what is alike in them."""
    model = {"model": "builtin:shapes"}
    if weights is not None:
        model = {"model": MODEL, "weights": str(weights)}
    given = {**HOW, **model, "manifest": str(manifest), "out": str(out), **how}
    run(Request(load_job(None, given)), lambda progress: None)
    reader = pipeline.read(str(out))
    kind = regions_of(reader)
    run(Analysis(reader, kind, AnalysisTerms(workers=0)), lambda progress: None)
    find_patterns(pipeline.read(str(out)), PatternsConfig())
    return pipeline.read(str(out))


def check(reader: pipeline.RunReader, manifest: Path) -> Found:
    """Holds the cue list against the cues that were planted."""
    on_cue = shares_on_cues(reader, manifest)
    ranked = [
        (row["target"], on_cue[row["target"], row["pattern"]] >= 0.5, row["reliance"])
        for row in reader.derived("patterns").to_table().to_pylist()
    ]
    planted = len(CUES)
    head = [target for target, is_cue, _ in ranked[:planted] if is_cue]
    suspects = [one for one in ranked if one[2] >= SUSPECT]
    best = defaultdict(float)
    for target, is_cue, reliance in ranked:
        if is_cue:
            best[target] = max(best[target], reliance)
    return Found(
        planted=planted,
        first=len(set(head)),
        right=len(head),
        suspects=len(suspects),
        suspected=sum(is_cue for _, is_cue, _ in suspects),
        cues=len({target for target, is_cue, _ in suspects if is_cue}),
        least=min((best[target] for target in CUES), default=0.0),
        most=max((reliance for _, is_cue, reliance in ranked if not is_cue), default=0.0),
    )


def shares_on_cues(reader: pipeline.RunReader, manifest: Path) -> dict[tuple[int, int], float]:
    """Mean share of the regions of a pattern that lies on a cue, by class and pattern."""
    truths = results.read_truths(manifest)
    shares: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row in reader.derived("regions").to_table().to_pylist():
        if row["pattern"] is not None:
            place = {"restart": row["restart"], "round": row["round"]}
            mask = reader.stored_mask(row["id"], row["area"], **place) > 127
            cue = truths[row["id"]].cue
            share = 0.0 if cue is None else (mask & cue).sum() / max(1, min(mask.sum(), cue.sum()))
            shares[row["target"], row["pattern"]].append(float(share))
    return {key: float(np.mean(values)) for key, values in shares.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Cue lists where the cues are known.")
    parser.add_argument("--to", type=Path, required=True, help="folder")
    parser.add_argument("--images", type=int, default=200, help="of every case, of ten classes")
    parser.add_argument("--train-images", type=int, default=800)
    parser.add_argument("--train-steps", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=CASES, choices=CASES)
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    console = Console(width=140)
    table = Table(box=None)
    head = "classifier right|found in the first ranks|of these ranks right|suspects that are cues"
    for name in ("", *head.split("|"), "cues among suspects", "least cue", "most of the rest"):
        table.add_column(name)
    for name in given.only:
        shown, uses = CASES[name]
        weights = None if uses else given.to / "unlearnt.pt"
        if weights is not None and not weights.exists():
            unlearn(weights, given.train_images, given.train_steps)
        right = accuracy(load_shapes() if weights is None else load_shapes(weights))
        manifest = write_dataset(given.to / f"images-{shown:g}", given.images, 5, shown)
        out = given.to / f"out-{shown:g}-{'uses' if uses else 'unlearnt'}"
        f = check(look_for_cues(manifest, out, weights), manifest)
        first = f"{f.first} of {f.planted}", f"{f.right} of {f.planted}"
        rest = f"{f.suspected} of {f.suspects}", f"{f.cues} of {f.planted}"
        table.add_row(name, f"{right:.2f}", *first, *rest, f"{f.least:.2f}", f"{f.most:.2f}")
        console.print(name, f)
    console.print(table)


if __name__ == "__main__":
    main()
