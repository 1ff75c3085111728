"""Simulated runs: real tables from workers that sleep, on a real Ray, without torch."""

import io
import json
import subprocess
import sys
from functools import partial

import pytest
from PIL import Image

import pipeline
from jobs import cli
from pipeline import Request, load_job
from pipeline.scheduler import Workers
from pipeline.simulation import SimulationConfig, _Clock, simulate
from pipeline.sleeper import Sleeper
from pipeline.store import Store


def test_sleepers_tables_are_committed_and_read_like_any_others(tmp_path):
    text = "".join(f"image-{n},{n}.jpg,{n}\n" for n in range(7))
    (tmp_path / "m.csv").write_text("id,image,target\n" + text)
    job = {"manifest": str(tmp_path / "m.csv"), "out": str(tmp_path / "out")}
    request = Request(load_job(None, {**job, "model": "builtin:shapes", "shard_size": 3}))
    sleepers = Workers(make=partial(Sleeper, 0.0), count=0, device="cpu")
    assert pipeline.run(request, lambda p: None, sleepers).explained == 7
    reader = pipeline.read(str(tmp_path / "out"))
    assert sorted(reader.images.to_table()["id"].to_pylist()) == [f"image-{n}" for n in range(7)]
    assert [c.rows["masks"] for c in reader.folder.commits()].count(12) == 2
    masks = reader.masks.to_table().to_pylist()
    assert {m["id"] for m in masks} == {f"image-{n}" for n in range(7)} and len(masks) == 28
    assert len({m["mask"]["bytes"] for m in masks}) > 7
    for mask in masks:
        Image.open(io.BytesIO(mask["mask"]["bytes"])).load()
    assert pipeline.run(request, lambda p: None, sleepers).explained == 0


def test_a_sleeper_and_its_scheduler_need_no_torch():
    source = """
import sys
import pipeline.scheduler
from pipeline.manifest import ImageRef
from pipeline.shard import Shard
from pipeline.sleeper import Sleeper
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus", "1,many"], "expected numbers"),
        (["--gpus", "0"], "at least one worker"),
        (["--images", "3", "--shard-size", "2"], "two shards"),
    ],
)
def test_wrong_options_exit_with_2(monkeypatch, capsys, options, message):
    monkeypatch.setattr(sys, "argv", ["xaipipe", "simulate", *options])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
