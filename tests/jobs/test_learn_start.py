"""`xaipipe learn-start`: a file that runs start at, and that decides their masks."""

import pytest
import torch

import pipeline
from pipeline.shapes import write_dataset
from pipeline.starts import read_start
from tests.variants import variants

SHAPES = ("--model", "builtin:shapes", "--workers", 0, "--areas", ".1,.3")


@pytest.mark.parametrize("name", variants(["start.safetensors", "start.pth"]))
def test_a_run_starts_at_what_was_learnt_from_another(here, xaipipe, name):
    manifest = write_dataset("data", 8, 0)
    code, text = xaipipe("run", manifest, *SHAPES, "--preset", "fast", "--out", "out")
    assert code == 0, text
    given = ("--epochs", 2, "--batch", 4, "--held-out", 0.25)
    code, text = xaipipe("learn-start", "out", *given, "--to", name)
    assert code == 0, text
    assert "8 images, " in text and "cross-entropy on" in text
    assert f"written: {name}; next: xaipipe run MANIFEST --start {name}" in text
    for out, more in (("plain", ()), ("learned", ("--start", name))):
        code, text = xaipipe("run", manifest, *SHAPES, "--method", "start", "--out", out, *more)
        assert code == 0, text
    plain, learned = (pipeline.read(out) for out in ("plain", "learned"))
    assert plain.fingerprint["start_file"] is None
    assert len(learned.fingerprint["start_file"]) == 32  # what it holds, not where it lies
    masks = [run.stored_mask("shapes-00000", 0.1) for run in (plain, learned)]
    assert (masks[0] != masks[1]).any()
    (here / name).rename(here / f"moved-{name}")
    again = ("run", manifest, *SHAPES, "--method", "start", "--out", "learned")
    code, text = xaipipe(*again, "--start", f"moved-{name}")
    assert code == 0 and "nothing to do" in text, text
    code, text = xaipipe(*again)
    assert code == 2 and "start_file" in text, text


def test_mistakes_are_said(here, xaipipe):
    manifest = write_dataset("data", 4, 0)
    torch.save({"weight": torch.zeros(2)}, "other.pth")
    run = ("run", manifest, *SHAPES, "--out", "out")
    for command, message in (
        ((*run, "--start", "gone.pth"), "--start gone.pth: no such file"),
        ((*run, "--start", "other.pth"), "--start other.pth: does not fit a learned start"),
        ((*run, "--start", "other.pth", "--method", "rise"), "expected method inr, pixels, start"),
        ((*run, "--start", "other.pth", "--preset", "paper"), "with start.kind=gradient"),
        (("learn-start", "none"), "none: no run here"),
        (("learn-start", "data", "--to", "a.txt"), "--to a.txt: expected a name that ends with"),
        (("learn-start", "data", "--held-out", 2), "held_out is 2"),
    ):
        code, text = xaipipe(*command)
        assert code == 2 and message in text, (command, text)
    assert not (here / "out").exists()


def test_a_start_of_another_run_is_read_as_it_was_written(here):
    from inr_core import LearnedStart
    from pipeline.starts import save_start, start_digest

    torch.manual_seed(0)
    learned = LearnedStart()
    digests = set()
    for name in ("a.pth", "a.safetensors"):
        save_start(learned, name)
        digests.add(start_digest(read_start(name)))
    assert digests == {start_digest(learned)}
