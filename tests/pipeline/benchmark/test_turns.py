"""In which order a benchmark measures, who uses the device meanwhile, and when workers count."""

import copy
import weakref

import pytest

from pipeline import load_job
from pipeline.benchmark import measure, turn
from pipeline.benchmark import whole_run as whole
from pipeline.benchmark.passes import BarePasses
from pipeline.benchmark.whole_run import rate_of_a_worker
from pipeline.run.worker import ShardWorker
from pipeline.store.commits import Commit


def test_everything_is_measured_in_turn(manifest, tmp_path, monkeypatch):
    doing = []

    def timed(work, device):
        doing.append("bare" if isinstance(work, BarePasses) else work.func.method)
        return real(work, device)

    def whole_run(*given):
        doing.append("whole")
        return real_run(*given)

    real, real_run = turn.timed, measure.whole_run
    monkeypatch.setattr(turn, "timed", timed)
    monkeypatch.setattr(measure, "whole_run", whole_run)
    given = {"manifest": manifest, "model": "builtin:shapes", "workers": 0, "method": "centre"}
    job = load_job(None, given)
    found = measure.benchmark(job, tmp_path, images=2, repeats=2, against="random")
    assert doing == 2 * [*2 * ["centre", "bare", "random"], "whole"]
    assert found.counts["images"] == 2


def test_a_gpu_has_one_user_at_a_time_and_its_whole_runs_belong_to_their_loops(
    manifest, tmp_path, monkeypatch
):
    doing, workers, kept = [], [], []

    class Noted(ShardWorker):
        def __init__(self, *given):
            super().__init__(*given)
            workers.append(weakref.ref(self))

    def whole_run(*given):
        doing.append(("whole", [worker() for worker in workers]))
        return whole.WholeRun(images_per_s=10.0 * len(doing), startup_seconds=1.0)

    def take_turn(*given):
        doing.append(("turn", None))
        return real(*given)

    real = turn.take_turn
    monkeypatch.setattr(measure, "has_one_user", lambda device: True)
    monkeypatch.setattr(measure, "ShardWorker", Noted)
    monkeypatch.setattr(measure, "whole_run", whole_run)
    monkeypatch.setattr(measure, "take_turn", take_turn)
    given = {"manifest": manifest, "model": "builtin:shapes", "workers": 0, "steps": 2}
    job = load_job(None, {**given, "areas": [0.1]})
    found = measure.benchmark(
        job, tmp_path, images=1, repeats=2, keep=lambda b: kept.append(copy.deepcopy(b))
    )
    assert [what for what, _ in doing] == ["turn", "turn", "whole", "whole"]
    assert len(workers) == 1 and all(alive == [None] for what, alive in doing if what == "whole")
    alone = found.samples["loop_images_per_s"]
    ratios = [30.0 / alone[0], 40.0 / alone[1]]
    assert found.samples["end_to_end_ratio"] == pytest.approx(ratios)
    # after each repeat of loops, the step, and each whole run
    assert [len(b.samples.get("loop_ratio", ())) for b in kept] == [1, 2, 2, 2, 2]
    assert [len(b.samples.get("end_to_end_ratio", ())) for b in kept] == [0, 0, 0, 1, 2]
    assert [bool(b.step) for b in kept] == [False, False, True, True, True]


def test_a_worker_counts_after_its_first_shard():
    def commit(worker, finished, images):
        ids = tuple(f"{worker}{finished}{n}" for n in range(images))
        return Commit(
            shard="s",
            explained=ids,
            failed=(),
            rows={},
            bytes={},
            seconds=1.0,
            finished=finished,
            worker=worker,
        )

    commits = [commit("b", 30.0, 3), commit("a", 10.0, 8), commit("a", 14.0, 2)]
    commits += [commit("b", 24.0, 9), commit("c", 11.0, 5)]
    assert rate_of_a_worker(commits) == (2 + 3) / (4.0 + 6.0)
