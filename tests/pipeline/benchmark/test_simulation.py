"""Simulated runs: real tables from workers that sleep, on a real Ray, without torch."""

import io
import json
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

import pytest
from PIL import Image

import pipeline
from jobs import cli
from pipeline import Request, RunError, load_job
from pipeline.benchmark.moment import LOOK_S, watched
from pipeline.benchmark.planning import _apart, commit
from pipeline.benchmark.simulation import (
    SimulationConfig,
    _Clock,
    simulate,
    sleeping_request,
    write_rows,
)
from pipeline.benchmark.sleeper import Sleeper
from pipeline.run import driver
from pipeline.run.workers import Workers
from pipeline.store.process import private_memory
from pipeline.store.store import Store


def test_sleepers_tables_are_committed_and_read_like_any_others(tmp_path):
    text = "".join(f"image-{n},{n}.jpg,{n}\n" for n in range(7))
    (tmp_path / "m.csv").write_text("id,image,target\n" + text)
    job = {"manifest": str(tmp_path / "m.csv"), "out": str(tmp_path / "out")}
    request = Request(load_job(None, {**job, "model": "builtin:shapes", "shard_size": 3}))
    sleepers = Workers(make=partial(Sleeper, 0.0), count=0, device="cpu")
    assert driver.run(request, lambda p: None, sleepers).explained == 7
    reader = pipeline.read(str(tmp_path / "out"))
    assert sorted(reader.images.to_table()["id"].to_pylist()) == [f"image-{n}" for n in range(7)]
    assert [c.rows["masks"] for c in reader.folder.commits()].count(12) == 2
    masks = reader.masks.to_table().to_pylist()
    assert {m["id"] for m in masks} == {f"image-{n}" for n in range(7)} and len(masks) == 28
    assert len({m["mask"]["bytes"] for m in masks}) > 7
    for mask in masks:
        Image.open(io.BytesIO(mask["mask"]["bytes"])).load()
    assert driver.run(request, lambda p: None, sleepers).explained == 0


def test_a_sleeper_and_its_scheduler_need_no_torch():
    source = """
import sys
import pipeline.run.scheduler
from pipeline.manifest import ImageRef
from pipeline.tables.shard import Shard
from pipeline.benchmark.sleeper import Sleeper
shard = Shard((ImageRef(id="a", image="a.jpg", target=0, extra={}),))
assert Sleeper(0.0, "w")(shard).commit.explained == ("a",)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", source], check=True)


def test_a_simulated_run_on_ray_has_gpus_that_are_not_there():
    config = SimulationConfig(images=8, seconds=0.01, shard_size=2)
    found = simulate(2, config)
    assert (found.workers, found.images, found.ideal) == (2, 16, 200)
    assert 0 < found.whole < found.steady
    assert 0 < found.memory_first <= found.memory_peak


def test_the_steady_rate_is_the_sum_of_the_workers_own(tmp_path):
    clock = _Clock(Store(str(tmp_path)))
    clock.times = {
        "a": [(100.0, 8), (102.0, 8), (104.0, 8)],  # 16 images in 4 s
        "b": [(101.0, 8), (103.0, 2)],  # 2 in 2 s
        "c": [(104.0, 8)],  # too late to have a rate
    }
    assert clock.rate() == 5


@pytest.mark.long
def test_the_command_prints_a_column_for_each_number_and_writes_json(monkeypatch, tmp_path, capsys):
    asked = ["--gpus", "1,2", "--images", "4", "--seconds", "0.01", "--shard-size", "2"]
    file = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["xaipipe", "simulate", *asked, "--json", str(file)])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert not exit_.value.code
    assert [run["images"] for run in json.loads(file.read_text())["runs"]] == [4, 8]
    printed = capsys.readouterr().out
    assert "images" in printed and " x)" in printed


def test_every_row_is_planned_once_and_the_committed_half_never_again(tmp_path):
    write_rows(tmp_path, 2001)
    ids = [f"image-{n:08d}" for n in range(2001)]

    def planned():
        request = sleeping_request(tmp_path, 64)
        committed = request.committed()
        plan = request.plan(committed)
        shards = [[ref.id for ref in s.refs] for s in request.shards(plan, committed, "")]
        assert [len(shard) for shard in shards[:-1]] == [64] * (plan.shards - 1)
        return plan, [id_ for shard in shards for id_ in shard]

    plan, sent = planned()
    assert (plan.images, plan.done, plan.pending, plan.shards) == (2001, 0, 2001, 32)
    assert sent == ids
    found = commit(tmp_path, 64, 1000)
    assert (found.full, found.small) == (16, 0)
    plan, sent = planned()
    assert (plan.images, plan.done, plan.pending, plan.shards) == (2001, 1000, 1001, 16)
    assert sent == ids[1000:]


def test_the_half_is_committed_with_full_tables_first_and_small_ones_then(tmp_path):
    write_rows(tmp_path, 51)
    found = commit(tmp_path, 2, 51)
    assert (found.full, found.small) == (16, 10)
    run = sleeping_request(tmp_path, 2).folder
    commits = {c.name: c for c in run.commits()}
    assert sorted(i for c in commits.values() for i in c.explained) == [
        f"image-{n:08d}" for n in range(51)
    ]
    sizes = {}
    for file in sorted((tmp_path / "out").glob("*/*.parquet")):
        sizes[file.stem] = sizes.get(file.stem, 0) + file.stat().st_size
    assert {name: sum(c.bytes.values()) for name, c in commits.items()} == sizes
    assert [c.rows["images"] for c in commits.values()].count(2) == 16
    assert found.full_bytes == sum(
        sizes[name] for name, c in commits.items() if c.rows["images"] == 2
    )


def test_a_process_that_fails_is_an_error_with_its_reason(tmp_path):
    with pytest.raises(RunError, match="failed: .*manifest.csv: the manifest cannot"):
        _apart("plan", str(tmp_path), 256, 4)


def test_a_moment_remembers_memory_that_was_given_back():
    with watched() as now:
        before = now()
        own = MAP_ANONYMOUS | MAP_PRIVATE  # not through malloc, which may keep what it got
        with mmap(-1, 240_000_000, flags=own) as held:
            for _ in range(240):
                held.write(b"1" * 1_000_000)
            time.sleep(25 * LOOK_S)
        assert private_memory() < before.private + 200e6 < now().private


@pytest.mark.long
def test_rows_prints_what_processes_of_their_own_measured(monkeypatch, tmp_path, capsys):
    file = tmp_path / "figures.json"
    asked = ["--rows", "601", "--shard-size", "16", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["xaipipe", "simulate", *asked])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert not exit_.value.code
    found = json.loads(file.read_text())
    assert found["shards"] == 38
    counts = ("rows", "done", "pending", "sent", "shards")
    assert [found["empty"][name] for name in counts] == [601, 0, 601, 601, 38]
    assert [found["half"][name] for name in counts] == [601, 300, 301, 301, 19]
    assert (found["committing"]["full"], found["committing"]["small"]) == (16, 3)
    assert found["commits"] == pytest.approx(38 / 16 * found["committing"]["full_seconds"])
    for run in (found["empty"], found["half"]):
        for before, after in pairwise([run["imports"], run["first"], run["all"]]):
            assert all(0 < before[name] <= after[name] for name in before)
        assert run["all"]["private"] < run["all"]["resident"]
    printed = " ".join(capsys.readouterr().out.split())
    assert "rows to explain 601 301" in printed
    assert "all 38 shards of 16 images, computed from it" in printed and "mean of 3" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus", "1,many"], "expected numbers"),
        (["--gpus", "0"], "at least one worker"),
        (["--rows", "1"], "expected two rows"),
        (["--rows", "9", "--gpus", "2"], "leave out --gpus, or --rows"),
        (["--images", "3", "--shard-size", "2"], "two shards"),
    ],
)
def test_wrong_options_exit_with_2(monkeypatch, capsys, options, message):
    monkeypatch.setattr(sys, "argv", ["xaipipe", "simulate", *options])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
