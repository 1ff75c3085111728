"""Plans: how often the manifest is read, what is counted as done, Ray that starts meanwhile."""

from array import array

import pytest
import ray
import torch

from pipeline import Request, RequestError, load_job
from pipeline.classifiers.threads import one_thread
from pipeline.manifest.files import open_table
from pipeline.manifest.ids import Ids
from pipeline.manifest.manifest import Manifest
from pipeline.run import driver
from pipeline.run.driver import prepared
from pipeline.run.plan import where
from pipeline.shapes import write_dataset

FAST = {"steps": 3, "areas": [0.1, 0.3], "model": "builtin:shapes", "workers": 0}


@pytest.fixture
def opened(monkeypatch):
    """Every opening of a manifest."""
    uris = []

    def counted(uri, report, kept):
        uris.append(uri)
        return open_table(uri, report, kept)

    monkeypatch.setattr("pipeline.manifest.manifest.open_table", counted)
    return uris


def test_a_plan_reads_the_manifest_once_and_a_run_twice(tmp_path, opened):
    manifest = str(write_dataset(tmp_path / "data", 5, 0))

    def request(**changes):
        job = {**FAST, "manifest": manifest, "out": str(tmp_path / "out"), **changes}
        opened.clear()
        return Request(load_job(None, job))

    new = request(limit=3)
    assert new.plan(new.committed()).pending == 3
    assert len(opened) == 1
    assert driver.run(new, lambda p: None).explained == 3
    assert len(opened) == 2
    again = request()
    plan = again.plan(again.committed())
    assert (plan.images, plan.done, plan.failed, plan.pending) == (5, 3, 0, 2)
    assert len(opened) == 1
    assert driver.run(again, lambda p: None).explained == 2
    assert len(opened) == 2


def test_only_images_of_the_manifest_count_as_done(tmp_path):
    manifest = write_dataset(tmp_path / "data", 4, 0)
    broken = sorted((tmp_path / "data" / "images").iterdir())[0]
    broken.write_bytes(b"no image")
    job = {**FAST, "manifest": str(manifest), "out": str(tmp_path / "out")}
    driver.run(Request(load_job(None, job)), lambda p: None)
    lines = manifest.read_text().splitlines()
    fewer = manifest.with_name("fewer.csv")
    fewer.write_text("\n".join([lines[0], *lines[1:3]]) + "\n")
    kept = [broken.name in line for line in lines[1:3]]
    assert sum(kept) == 1
    for retry, pending in ((False, 0), (True, sum(kept))):
        request = Request(load_job(None, {**job, "manifest": str(fewer), "retry_failed": retry}))
        plan = request.plan(request.committed())
        assert (plan.images, plan.failed, plan.done) == (2, sum(kept), 2 - sum(kept))
        assert plan.pending == pending


def test_ids_against_sets():
    names = [f"name {n % 700}" for n in range(1000)]
    ids = Ids(array("q", map(hash, names)))
    assert ids.repeated() == {hash(f"name {n}") for n in range(300)}
    assert Ids(array("q", map(hash, set(names)))).repeated() == set()
    once = Ids(array("q", map(hash, names[:700])))
    asked = {f"name {n}" for n in range(600, 900)}
    assert once.count(asked) == len(asked & set(names)) == 100
    assert once.count(set()) == 0


def test_ids_that_share_a_hash_are_no_repetition(tmp_path, monkeypatch, opened):
    (tmp_path / "m.csv").write_text("id,image\na,1.jpg\nb,2.jpg\nc,3.jpg\n")
    monkeypatch.setattr("pipeline.manifest.manifest.hash", lambda text: 7, raising=False)
    assert Manifest(str(tmp_path / "m.csv")).check().images == 3
    assert len(opened) == 2  # to look at them
    (tmp_path / "m.csv").write_text("id,image\na,1.jpg\nb,2.jpg\na,3.jpg\n")
    with pytest.raises(RequestError, match="line 4: id 'a' is the id of line 2 too"):
        Manifest(str(tmp_path / "m.csv")).check()


def test_a_wrong_request_ends_the_ray_that_started_meanwhile(tmp_path):
    (tmp_path / "m.csv").write_text("id,image\n,1.jpg\n")
    job = {**FAST, "manifest": str(tmp_path / "m.csv"), "out": str(tmp_path / "out"), "workers": 1}
    with pytest.raises(RequestError, match="line 2"), prepared(load_job(None, job)):
        raise AssertionError("prepared")
    assert not ray.is_initialized()
    assert not (tmp_path / "out").exists()


def test_one_thread_only_meanwhile():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_one_gpu_may_work_in_this_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def asked(**given):
        return where(load_job(None, {"manifest": "m", "model": "builtin:shapes", **given}))

    assert asked() == ("cuda", 2)
    assert asked(gpus=1) == ("cuda", 1)
    assert asked(gpus=1, workers=0) == ("cuda", 0)
    assert asked(workers=0) == ("cpu", 0)
    for wrong in ({"gpus": 2, "workers": 0}, {"gpus": 1, "workers": 1}):
        with pytest.raises(RequestError, match="or --gpus 1 --workers 0 for a GPU in this process"):
            asked(**wrong)
