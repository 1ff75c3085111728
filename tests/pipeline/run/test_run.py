"""Whole runs: on Ray and without it, interrupted, killed, resumed, grown, refused."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import pipeline
from inr_core import CaptureFailed
from inr_core.device import fallback
from pipeline import Request, RequestError, load_job
from pipeline.errors import RunError
from pipeline.run import driver
from pipeline.run.worker import ShardWorker
from pipeline.run.workers import Workers
from pipeline.shapes import write_dataset
from tests.variants import variants

KEYS = {
    "images": ["id"],
    "explanations": ["id", "restart", "round"],
    "masks": ["id", "restart", "round", "area"],
    "failures": ["id"],
}
FAST = {"steps": 3, "areas": [0.1, 0.3], "model": "builtin:shapes", "workers": 0}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return str(write_dataset(tmp_path_factory.mktemp("shapes"), 6, 0))


def explain(manifest, out, seen=None, **changes):
    job = load_job(None, {**FAST, "manifest": manifest, "out": str(out), **changes})
    return driver.run(Request(job), (seen if seen is not None else []).append)


def tables(out):
    reader = pipeline.read(str(out))
    return {
        name: getattr(reader, name).to_table().sort_by([(k, "ascending") for k in keys])
        for name, keys in KEYS.items()
    }


def same(one, other):
    return all(one[name].equals(other[name]) for name in KEYS)


def test_no_ray_one_worker_and_two_write_equal_tables(manifest, tmp_path):
    for workers in (0, 1, 2):
        summary = explain(manifest, tmp_path / f"out{workers}", workers=workers, rounds=2)
        assert (summary.state, summary.explained, summary.failed) == ("finished", 6, 0)
    found = [tables(tmp_path / f"out{workers}") for workers in (0, 1, 2)]
    assert found[0]["images"].num_rows == 6
    assert same(found[0], found[1]) and same(found[0], found[2])


def test_the_same_run_again_does_nothing_and_a_longer_manifest_only_what_is_new(manifest, tmp_path):
    out = tmp_path / "out"
    assert explain(manifest, out, limit=2).explained == 2
    before = sorted((out / "masks").glob("s-*"))
    assert explain(manifest, out, limit=2).explained == 0
    summary = explain(manifest, out)
    assert (summary.done_before, summary.explained) == (2, 4)
    assert set(before) < set((out / "masks").glob("s-*"))
    explain(manifest, tmp_path / "whole")
    assert same(tables(out), tables(tmp_path / "whole"))


def workers_here(request, forward):
    """One worker in this process, whose classifier is changed by `forward(module, image)`."""

    class Changed(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, image):
            return forward(self.inner, image)

    def make(name):
        worker = ShardWorker(request.worker_spec(), name)
        module = Changed(worker.classifier.module)
        worker.classifier = dataclasses.replace(worker.classifier, module=module)
        return worker

    return Workers(make=make, count=0, device="cpu")


def test_what_a_worker_gives_up_later_is_told_once(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(fallback, "_noted", {})
    job = load_job(None, {**FAST, "manifest": manifest, "out": str(tmp_path), "shard_size": 2})
    request, seen = Request(job), []

    def forward(module, image):
        fallback.fall_back("something takes longer here")
        return module(image)

    with pytest.warns(UserWarning, match="takes longer"):
        summary = driver.run(request, seen.append, workers_here(request, forward))
    assert summary.explained == 6 and seen[0].notes == ()
    assert seen[-1].notes == summary.notes == ("something takes longer here",)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (CaptureFailed("no graph of this"), "with --no-compile the same command goes on"),
        (torch.AcceleratorError("CUDA error: an illegal memory access", 700), "start again"),
    ],
)
def test_a_worker_in_this_process_that_breaks_stops_the_run_and_says_what_helps(
    manifest, tmp_path, error, remedy
):
    job = load_job(None, {**FAST, "manifest": manifest, "out": str(tmp_path)})
    request = Request(job)

    def forward(module, image):
        raise error

    with pytest.raises(RunError, match=f"in this process is broken: .*{remedy}"):
        driver.run(request, lambda progress: None, workers_here(request, forward))
    assert tables(tmp_path)["failures"].num_rows == 0


def test_another_configuration_is_refused_by_name(manifest, tmp_path):
    explain(manifest, tmp_path, limit=1)
    with pytest.raises(RequestError, match="restarts: the run has 1, you asked for 2"):
        explain(manifest, tmp_path, limit=1, restarts=2)
    with pytest.raises(RequestError, match=r"optimise\.steps: the run has 3, you asked for 4"):
        explain(manifest, tmp_path, limit=1, steps=4)
    assert explain(manifest, tmp_path, limit=1, restarts=2, overwrite=True).explained == 1
    assert tables(tmp_path)["explanations"].num_rows == 2


def test_failures_are_rows_and_are_tried_again_on_request(tmp_path):
    manifest = write_dataset(tmp_path / "data", 3, 0)
    broken = tmp_path / "data" / "images"
    victim = sorted(broken.iterdir())[1]
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2])
    summary = explain(str(manifest), tmp_path / "out")
    assert (summary.explained, summary.failed) == (2, 1)
    (failure,) = tables(tmp_path / "out")["failures"].to_pylist()
    assert (failure["stage"], failure["image"]) == ("decode", str(victim))
    assert explain(str(manifest), tmp_path / "out").explained == 0  # not without being asked
    victim.write_bytes(content)
    again = explain(str(manifest), tmp_path / "out", retry_failed=True)
    assert (again.explained, again.failed) == (1, 0)
    assert pipeline.read(str(tmp_path / "out")).failure_reasons() == []
    assert tables(tmp_path / "out")["images"].num_rows == 3


def test_progress_counts_up(manifest, tmp_path):
    seen = []
    explain(manifest, tmp_path, seen, shard_size=2)
    assert [p.explained for p in seen] == [0, 2, 4, 6]
    assert {p.images for p in seen} == {6}


def test_a_run_needs_somewhere_to_write(manifest):
    job = load_job(None, {**FAST, "manifest": manifest})
    with pytest.raises(RequestError, match="give --out"):
        driver.run(Request(job), lambda p: None)


def test_what_stopped_a_run_is_not_hidden_by_its_summary(manifest, tmp_path):
    """Neither the masks nor the summary can be written: it was the masks."""
    out = tmp_path / "out"

    def break_both(progress):
        if (out / "masks").is_dir():
            shutil.rmtree(out / "masks")
            (out / "masks").write_text("")
        (out / "_run" / "summary.json").mkdir(exist_ok=True)

    with pytest.raises(RunError) as error:
        driver.run(
            Request(load_job(None, {**FAST, "manifest": manifest, "out": str(out)})), break_both
        )
    assert "writing masks/s-" in str(error.value) and "summary" not in str(error.value)


def test_a_cloud_store(manifest, s3_url, tmp_path):
    explain(manifest, f"{s3_url}/my run", limit=3)
    assert explain(manifest, f"{s3_url}/my run", limit=4).explained == 1
    explain(manifest, tmp_path, limit=4)
    assert same(tables(f"{s3_url}/my run"), tables(tmp_path))


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
