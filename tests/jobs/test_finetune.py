"""`xaipipe finetune`: a state dict that other commands take, and what is said of it."""

import re

import pipeline
from pipeline.shapes import write_dataset

SHAPES = ("--model", "builtin:shapes")


def test_the_copy_judges_and_is_explained(here, xaipipe):
    manifest = write_dataset("data", 6, 0)
    given = (
        *SHAPES,
        "--no-teacher",
        "--epochs",
        1,
        "--batch",
        2,
        "--held-out",
        0.5,
        "--learning-rate",
        0.01,
    )
    code, text = xaipipe("finetune", manifest, *given, "--to", "copy.pth")
    assert code == 0, text
    assert "2 layers with 1,162 parameters have learnt from 3 images" in text
    accuracy = r"accuracy on 3 images held out: whole \d\.\d+, then \d\.\d+; masked \d\.\d+, then"
    assert re.search(accuracy, text) and "written: copy.pth" in text
    run = (*SHAPES, "--workers", 0, "--method", "centre", "--limit", 1, "--areas", ".1")
    code, text = xaipipe("run", manifest, *run, "--weights", "copy.pth", "--out", "out")
    assert code == 0, text
    code, text = xaipipe("run", manifest, *run, "--out", "intact")
    assert code == 0, text
    judge = ("--judge", "builtin:shapes", "--judge-weights", "copy.pth")
    code, text = xaipipe("evaluate", "intact", *judge)
    assert code == 0 and "kept_judge" in text, text
    ours, theirs = (pipeline.read(out).fingerprint["weights"] for out in ("out", "intact"))
    assert ours != theirs


def test_mistakes_are_said(here, xaipipe):
    manifest = write_dataset("data", 4, 0)
    (here / "bare.csv").write_text("image\ndata/images/shapes-00000.png\n")
    for command, message in (
        (("bare.csv", *SHAPES), "no target"),
        ((manifest, *SHAPES, "--depth", 2), "depth is 2"),
        ((manifest, *SHAPES, "--select", "split"), "expected COLUMN=VALUE"),
        ((manifest, *SHAPES, "--weights", "gone.pth"), "--weights gone.pth: no such file"),
        ((manifest, "--model", "export:a.pt2"), "takes no others"),
        ((manifest, *SHAPES, "--limit", 1), "1 images, of which 0 would be held out"),
        ((manifest, *SHAPES, "--labels", "gone.txt"), "gone.txt"),
    ):
        code, text = xaipipe("finetune", *command)
        assert code == 2 and message in text, (command, text)
    assert not (here / "copy.pth").exists()
