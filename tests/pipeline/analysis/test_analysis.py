"""Analyses of finished runs: brought up to date, refused, resumed, and never stale."""

import collections
import shutil

import pytest
import torch
from PIL import Image

import pipeline
from pipeline import RequestError, RunError
from pipeline.analysis import Analysis, AnalysisTerms
from pipeline.errors import BrokenWorker, ImageError
from pipeline.images import Preprocess, load_image
from pipeline.run import run
from pipeline.shapes import write_dataset
from pipeline.store import RunLock, Store
from tests.analyses import Counter, analyse, counting, explain, rows

IMAGES = 6


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("shapes"), IMAGES, 0)


@pytest.fixture
def out(manifest, tmp_path):
    explain(manifest, tmp_path / "out", limit=4, shard_size=2)
    return tmp_path / "out"


def test_every_image_is_analysed_once_from_its_rows_and_its_pixels(out):
    summary = analyse(out)
    assert (summary.state, summary.explained, summary.failed) == ("finished", 4, 0)
    reader = pipeline.read(str(out))
    found = rows(out)
    assert [row["id"] for row in found] == sorted(reader.ids(9))
    preprocess = Preprocess(**reader.fingerprint["preprocess"])
    for row in found:
        assert row["masks"] == len(reader.rows("masks", row["id"])) == 2
        image = load_image(reader.image(row["id"])["image"], preprocess)
        assert row["mean"] == pytest.approx(float(image.pixels.mean()))
    assert {path.suffix for path in (out / "counts").iterdir()} == {".parquet"}
    again = analyse(out)
    assert (again.explained, again.done_before) == (0, 4)


def test_after_the_run_has_grown_only_what_is_new_is_analysed(manifest, out):
    analyse(out)
    before = set((out / "counts").iterdir())
    explain(manifest, out)
    assert len(rows(out)) == 4
    assert analyse(out).explained == 2
    assert len(rows(out)) == IMAGES and before < set((out / "counts").iterdir())


def test_rows_of_what_was_explained_again_are_never_read(manifest, out):
    analyse(out)
    explain(manifest, out, limit=4, shard_size=2, areas=[0.1, 0.2, 0.3], overwrite=True)
    assert rows(out) == []
    assert analyse(out).explained == 4
    assert {row["masks"] for row in rows(out)} == {3}
    assert len(list((out / "counts").iterdir())) == 2  # those of before are gone


def test_where_one_image_has_changed_the_rows_of_other_shards_stay(manifest, tmp_path):
    shutil.copytree(manifest.parent, tmp_path / "data")
    own, out = tmp_path / "data" / manifest.name, tmp_path / "out"
    explain(own, out, limit=4, shard_size=2)
    analyse(out)
    victim = pipeline.read(str(out)).image("shapes-00000")["image"]
    Image.new("RGB", (128, 128), (9, 200, 9)).save(victim)
    explain(own, out, limit=4, shard_size=2, changed="explain")
    assert [row["id"] for row in rows(out)] == ["shapes-00002", "shapes-00003"]
    summary = analyse(out)
    assert (summary.done_before, summary.explained) == (2, 2)
    assert len(rows(out)) == 4


def test_a_file_that_is_another_one_now_is_a_failure(manifest, tmp_path):
    shutil.copytree(manifest.parent, tmp_path / "data")
    explain(tmp_path / "data" / manifest.name, tmp_path / "out", limit=2)
    victim = pipeline.read(str(tmp_path / "out")).image("shapes-00000")["image"]
    Image.new("RGB", (128, 128), (9, 200, 9)).save(victim)
    summary = analyse(tmp_path / "out")
    assert (summary.explained, summary.failed) == (1, 1)
    work = Analysis(pipeline.read(str(tmp_path / "out")), counting(), AnalysisTerms(workers=0))
    (((stage, reason), count),) = work.reasons()
    assert (stage, count) == ("read", 1) and "--changed explain" in reason


def test_images_that_have_moved_are_found_under_the_root(manifest, tmp_path):
    shutil.copytree(manifest.parent, tmp_path / "data")
    explain(tmp_path / "data" / manifest.name, tmp_path / "out", limit=2)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    assert analyse(tmp_path / "out").failed == 2
    again = analyse(tmp_path / "out", root=str(tmp_path / "elsewhere"), retry_failed=True)
    assert (again.explained, again.failed) == (2, 0)


def test_what_an_analyst_raises_for_an_image_is_the_failure_of_that_image(out):
    summary = analyse(out, counting(fails=["shapes-00001"]))
    assert (summary.explained, summary.failed) == (3, 1)
    assert "shapes-00001" not in [row["id"] for row in rows(out)]
    again = analyse(out)
    assert (again.explained, again.failed, again.failed_before) == (0, 0, 1)
    assert analyse(out, retry_failed=True).explained == 1
    assert len(rows(out)) == 4
    assert pipeline.read(str(out)).failure_reasons() == []  # the run's own


def test_other_settings_are_refused_by_name_and_replaced_by_overwriting(out):
    analyse(out, counting({"judge": "a", "areas": (0.1, 0.2)}))
    assert analyse(out, counting({"judge": "a", "areas": (0.1, 0.2)})).explained == 0
    with pytest.raises(RequestError, match='judge: it was made with "a", you asked for "b"'):
        analyse(out, counting({"judge": "b", "areas": (0.1, 0.2)}))
    assert analyse(out, counting({"judge": "b"}), overwrite=True).explained == 4
    assert len(rows(out)) == 4 == sum(1 for _ in (out / "counts").iterdir()) * 2


def test_only_what_is_asked_for_is_analysed_and_the_rest_of_a_shard_later(out):
    assert analyse(out, only={"shapes-00001"}).explained == 1
    assert [row["id"] for row in rows(out)] == ["shapes-00001"]
    summary = analyse(out)
    assert (summary.explained, summary.done_before) == (3, 1)
    assert len(rows(out)) == 4


def test_a_file_of_the_run_is_read_once(out, monkeypatch):
    reads = collections.Counter()
    get = Store.get

    def counted(self, name):
        reads[name] += name.endswith(".parquet")
        return get(self, name)

    monkeypatch.setattr(Store, "get", counted)
    analyse(out)
    files = [n for t in ("images", "explanations", "masks") for n in (out / t).glob("s-*")]
    assert +reads == {f"{file.parent.name}/{file.name}": 1 for file in files}


def test_rows_follow_what_another_run_knows(manifest, out, tmp_path):
    other = tmp_path / "other"
    explain(manifest, other, limit=2, areas=[0.1, 0.2, 0.3], shard_size=1)
    kind = counting(others=(str(other),))
    analyse(out, kind)
    assert [row["others"] for row in rows(out)] == [3, 3, 0, 0]
    assert analyse(out, kind).explained == 0
    explain(manifest, other, limit=3, areas=[0.1, 0.2, 0.3], shard_size=1)
    assert analyse(out, kind).explained == 1
    assert [row["others"] for row in rows(out)] == [3, 3, 3, 0]


def test_an_analysis_and_its_run_have_locks_of_their_own(manifest, out):
    layout = counting().layout
    with RunLock(Store(str(out))):
        assert analyse(out).explained == 4
    with RunLock(Store(str(out)), layout):
        explain(manifest, out)
        with pytest.raises(RequestError, match="another run is writing here"):
            analyse(out)


def test_a_broken_device_ends_the_analysis_and_blames_no_image(out, monkeypatch):
    def broken(self, batch):
        raise torch.AcceleratorError("an illegal memory access")

    monkeypatch.setattr(Counter, "__call__", broken)
    with pytest.raises((RunError, BrokenWorker), match="illegal memory access"):
        analyse(out)
    assert not (out / "_run" / "counts" / "failures").exists()


def test_memory_that_runs_out_halves_the_batch(out, monkeypatch):
    sizes, once = [], Counter.__call__

    def greedy(self, batch):
        sizes.append(len(batch))
        if len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return once(self, batch)

    monkeypatch.setattr(Counter, "__call__", greedy)
    assert analyse(out).explained == 4
    assert sizes[0] == 2 and sizes.count(1) == 4


def test_a_shard_that_is_gone_fails_and_is_made_anew(manifest, out):
    work = Analysis(pipeline.read(str(out)), counting(), AnalysisTerms(workers=0))
    assert len(work.run.index.commits) == 2  # as the run is now
    explain(manifest, out, limit=4, shard_size=2, overwrite=True)
    summary = run(work, lambda progress: None)
    assert (summary.explained, summary.failed) == (0, 4)
    assert rows(out) == []
    assert analyse(out).explained == 4


@pytest.mark.long
def test_workers_on_ray_make_the_same_rows_and_a_killer_is_set_aside(out):
    analyse(out)
    wanted = rows(out)
    kind = counting(kills=["shapes-00002"])
    summary = analyse(out, kind, workers=2, overwrite=True)
    assert (summary.explained, summary.failed) == (3, 1)
    assert rows(out) == [row for row in wanted if row["id"] != "shapes-00002"]
    work = Analysis(pipeline.read(str(out)), counting(), AnalysisTerms(workers=0))
    (((stage, reason), _),) = work.reasons()
    assert stage == "worker" and "died" in reason


def test_few_images_are_analysed_in_this_process(out):
    assert Analysis(pipeline.read(str(out)), counting()).workers == 0


class OneClassFails(Counter):
    """Cannot count the second class of one image, the first time."""

    broken = True

    def __call__(self, batch):
        for given in batch:
            if self.broken and given.one.id == "shapes-00001" and given.one.row["target"] == 9:
                raise ImageError("count", "cannot be counted")
        return super().__call__(batch)


def test_an_image_is_analysed_with_all_of_its_classes_or_fails(manifest, tmp_path, monkeypatch):
    out = tmp_path / "out"
    explain(manifest, out, limit=3, shard_size=3, targets="top10")
    monkeypatch.setattr("tests.analyses.Counter", OneClassFails)
    summary = analyse(out)
    assert (summary.explained, summary.failed) == (2, 1)
    assert collections.Counter(row["id"] for row in rows(out)) == {
        "shapes-00000": 10,
        "shapes-00002": 10,
    }
    monkeypatch.setattr(OneClassFails, "broken", False)
    assert analyse(out, retry_failed=True).explained == 1
    found = rows(out)
    assert len(found) == 30 == len({(row["id"], row["target"]) for row in found})
