"""Whole runs: on Ray and without it, resumed, grown, refused, and what they say."""

import dataclasses
import shutil

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
from tests.runs import explain, same, tables
from tests.shards import FAST


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
