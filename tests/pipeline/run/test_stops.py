"""Runs that are stopped and go on, a second driver, and workers that die or never start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pipeline
from pipeline import RequestError
from pipeline.shapes import write_dataset
from tests.runs import explain, same, tables
from tests.variants import variants


def start(manifest, out, *more):
    command = [sys.executable, "-m", "jobs", "run", manifest, "--out", str(out)]
    command += ["--model", "builtin:shapes", "--areas", ".1,.3", "--shard-size", "1", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_commits(out: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(list((out / "_run" / "commits").glob("*.json"))) < count:
        assert time.monotonic() < deadline, "no commit came"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("workers", "stop"),
    variants(
        [
            ("0", signal.SIGKILL),
            ("2", signal.SIGINT),
            ("0", signal.SIGINT),
            ("2", signal.SIGTERM),
        ],
        always=2,
        several=True,
    ),
)
def test_a_stopped_run_goes_on_and_equals_an_uninterrupted_one(manifest, tmp_path, workers, stop):
    given = {"steps": 20, "restarts": 2}  # of which the second waits for the first
    flags = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    process = start(manifest, tmp_path / "out", *flags, "--workers", workers)
    wait_for_commits(tmp_path / "out", 2)
    process.send_signal(stop)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (-9 if stop == signal.SIGKILL else 130), output
    assert "Traceback" not in output
    done = len(list((tmp_path / "out" / "_run" / "commits").glob("*.json")))
    assert 2 <= done < 6
    summary = explain(manifest, tmp_path / "out", **given)
    assert summary.done_before >= 2
    assert summary.explained + summary.done_before == 6
    explain(manifest, tmp_path / "whole", **given)
    assert same(tables(tmp_path / "out"), tables(tmp_path / "whole"))


def test_a_second_driver_is_refused_while_the_first_is_alive(manifest, tmp_path):
    process = start(manifest, tmp_path, "--steps", "200", "--workers", "0")
    try:
        wait_for_commits(tmp_path, 1)
        with pytest.raises(RequestError, match=str(process.pid)):
            explain(manifest, tmp_path, steps=200)
    finally:
        process.kill()
        process.communicate()


DEADLY = """
import os
import torch
from pipeline.images import Preprocess
from pipeline.shapes import CLASSES, MEAN, SIZE, STD, load_shapes

class Deadly(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = load_shapes()
    def forward(self, image):
        if (image > 1.99).all((1, 2, 3)).any():  # an all-white image
            os._exit(7)
        return self.inner(image)

def make():
    module = Deadly()
    module.preprocess = Preprocess(resize=SIZE, crop=SIZE, mean=MEAN, std=STD)
    module.classes = CLASSES
    return module

def never_starts():
    if "ray" in __import__("sys").modules and os.environ.get("DRIVER_PID") != str(os.getpid()):
        raise OSError("no such device")
    return make()
"""


@pytest.fixture
def deadly(tmp_path, monkeypatch):
    (tmp_path / "deadly_model.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for Ray's workers
    monkeypatch.setenv("DRIVER_PID", str(os.getpid()))


@pytest.mark.slow
def test_an_image_that_kills_its_worker_is_set_aside_and_all_others_are_explained(tmp_path, deadly):
    from PIL import Image

    manifest = write_dataset(tmp_path / "data", 5, 0)
    victim = sorted((tmp_path / "data" / "images").iterdir())[2]
    Image.new("RGB", (128, 128), (255, 255, 255)).save(victim)
    out = tmp_path / "out"
    changes = {"model": "python:deadly_model:make", "shard_size": 4, "workers": 2}
    summary = explain(str(manifest), out, **changes)
    assert (summary.explained, summary.failed) == (4, 1)
    (failure,) = tables(out)["failures"].to_pylist()
    assert (failure["image"], failure["stage"]) == (str(victim), "worker")
    assert "died" in failure["reason"]


@pytest.mark.long
def test_workers_that_never_start_stop_the_run_with_the_reason(manifest, tmp_path, deadly):
    changes = {"model": "python:deadly_model:never_starts", "workers": 1}
    with pytest.raises(pipeline.RunError, match="did not start: .*no such device"):
        explain(manifest, tmp_path / "out", **changes)
    assert pipeline.read(str(tmp_path / "out")).folder.summary()["state"] == "stopped"
