"""`xaipipe manifest mosaics`: every cell is explained for its class, and its cell is the truth."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.results import MetricsTable
from pipeline.shapes import write_dataset

pytestmark = pytest.mark.usefixtures("here")


def test_the_cells_are_explained_and_measured(xaipipe):
    write_dataset("data", 8, 0)
    code, text = xaipipe("manifest", "mosaics", "data/manifest.csv", "--side", 64)
    assert code == 0 and "mosaics/manifest.csv: 8 rows, 2 images, 8 classes, 8 with a box" in text
    code, text = xaipipe("manifest", "mosaics", "data/manifest.csv")
    assert code == 2 and "mosaics/manifest.csv: exists already" in text
    job = ("--model", "builtin:shapes", "--workers", 0, "--method", "centre", "--areas", ".1,.5")
    code, text = xaipipe("run", "mosaics/manifest.csv", *job, "--out", "out")
    assert code == 0, text
    assert xaipipe("evaluate", "out")[0] == 0
    run = pipeline.read("out")
    rows = run.images.to_table().to_pylist()
    assert len({row["id"] for row in rows}) == 8 and len({row["image"] for row in rows}) == 2
    common = [(row["id"], row["target"]) for row in rows]
    table = MetricsTable.of({"centre": run}, common)
    precision = table.values("precision")[0.5]["centre"]
    assert set(table.values("chance")[None]["centre"].values()) == {0.25}
    masks = run.masks.to_table().to_pylist()
    for row in rows:
        (mask,) = [m for m in masks if m["id"] == row["id"] and m["area"] == 0.5]
        kept = np.array(Image.open(io.BytesIO(mask["mask"]["bytes"]))) > 127
        top, left = divmod(row["cell"], 2)
        own = kept.reshape(2, 64, 2, 64)[top, :, left]
        share = own.sum() / kept.sum()
        assert precision[f"{row['id']} {row['target']}"] == pytest.approx(share, abs=0.01)


def test_rows_are_chosen_and_mistakes_are_said(xaipipe):
    write_dataset("data", 8, 0)
    lines = Path("data/manifest.csv").read_text().splitlines()
    lines = [lines[0] + ",split", *(f"{line},{n // 4}" for n, line in enumerate(lines[1:]))]
    Path("elsewhere.csv").write_text("\n".join(lines))
    command = ("manifest", "mosaics", "elsewhere.csv", "--root", "data", "--to", "m/")
    code, text = xaipipe(*command, "--select", "split=1", "--count", 3)
    assert code == 0 and "m/manifest.csv: 12 rows, 3 images, 4 classes" in text
    parts = {line.split(",")[-1] for line in Path("m/manifest.csv").read_text().split()[1:]}
    assert parts == {f"shapes-{n:05d}" for n in range(4, 8)}
    code, text = xaipipe("manifest", "mosaics")
    assert code == 2 and "give the manifest after it" in text
    code, text = xaipipe("manifest", "mosaics", "elsewhere.csv", "--split", "val")
    assert code == 2 and "--split: does not apply to mosaics, which takes --count" in text
    Path("no targets.csv").write_text("image\nx.png\n")
    code, text = xaipipe("manifest", "mosaics", "no targets.csv")
    assert code == 2 and "no target" in text
