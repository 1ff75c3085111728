"""The command that checks a GPU, on a CPU: that it runs, writes as it goes, and sees faults."""

import functools
import json
import subprocess
import sys

import pytest
import torch

from pipeline.benchmark.gpu_check import __main__ as command
from pipeline.benchmark.gpu_check import exhaustion, methods
from pipeline.benchmark.gpu_check.sections import Findings, Place, Skipped, run_sections
from pipeline.benchmark.gpu_check.workers import compare
from pipeline.run.worker import ShardWorker

QUICK = ["--device", "cpu", "--quick"]


@pytest.fixture
def traced(monkeypatch):
    """Compiled code without a compiler: traced and guarded as ever, but not lowered."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    yield
    torch._dynamo.reset()


def states(file):
    return {name: result["state"] for name, result in json.loads(file.read_text()).items()}


@pytest.mark.long
def test_every_section_runs_on_a_cpu(tmp_path, capsys, traced):
    file = tmp_path / "g.json"
    assert command.main([*QUICK, "--json", str(file)]) == 0
    assert states(file) == {name: "PASS" for name in command.SECTIONS} | {"captures": "SKIP"}
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in printed] == [
        f"{state} {name}" for name, state in states(file).items()
    ]
    found = json.loads(file.read_text())
    assert found["speed mobilenet_v2"]["loop / bare"] > 0
    assert found["exhaustion"]["left"] < found["exhaustion"]["asked"]
    assert len(found["speed mobilenet_v2"]["ms between batches"]) == 2


def test_a_section_that_breaks_costs_none_of_the_others(tmp_path, capsys):
    written = []

    def good(place, found):
        found.figures["value"] = 7

    def wrong(place, found):
        found.figures["measured"] = 1
        found.expect("two is one", False)
        found.expect("one is one", True)
        found.figures["later"] = 2

    def broken(place, found):
        found.figures["before"] = 3
        raise RuntimeError("out of memory\nsecond line")

    def absent(place, found):
        raise Skipped("nothing here")

    place = Place(device="cpu", quick=True, folder=tmp_path)
    sections = {"wrong": wrong, "broken": broken, "absent": absent, "good": good}
    results = run_sections(sections, place, 100.0, lambda r: written.append(json.dumps(r)))
    assert [len(json.loads(text)) for text in written] == [1, 2, 3, 4]
    assert [r["state"] for r in results.values()] == ["FAIL", "FAIL", "SKIP", "PASS"]
    assert (results["wrong"]["reason"], results["wrong"]["later"]) == ("two is one", 2)
    assert results["broken"]["reason"] == "RuntimeError: out of memory"
    assert results["broken"]["before"] == 3 and "second line" in results["broken"]["traceback"]
    assert "FAIL wrong" in capsys.readouterr().out
    late = run_sections(sections, place, -1.0, written.append)
    assert {(r["state"], r["reason"]) for r in late.values()} == {("SKIP", "no time left")}


def test_a_goal_counts_only_where_speeds_mean_something():
    for measured in (False, True):
        found = Findings(measured=measured)
        found.goal("fast", False)
        assert found.failed == (["fast"] if measured else [])


def test_other_masks_and_scores_are_seen():
    def masks(score, on):
        pixels = torch.zeros(10, 10, dtype=torch.bool).numpy()
        pixels[:on] = True
        return {("a", 0, 0, 0.1): {"score_kept": score, "score_removed": 0.0, "pixels": pixels}}

    for other, failures in (
        (masks(0.51, 5), 0),
        (masks(0.6, 5), 1),
        (masks(0.5, 6), 1),
        ({}, 1),
    ):
        found = Findings()
        compare("x", masks(0.5, 5), other, found)
        assert len(found.failed) == failures


def test_an_eager_call_in_steady_state_is_seen(tmp_path, monkeypatch, traced):
    def explain(self, *given):
        with torch.no_grad():
            self.frozen.compiled._plain(torch.zeros(1, 3, 128, 128))
        return real(self, *given)

    real = ShardWorker._explain
    monkeypatch.setattr(ShardWorker, "_explain", explain)
    found = Findings()
    methods.steady(Place(device="cpu", quick=True, folder=tmp_path), found)
    assert any("no more eager calls" in text for text in found.failed)


def test_a_worker_that_does_not_halve_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(exhaustion, "Narrow", lambda inner, images: inner)
    found = Findings()
    exhaustion.exhaustion(Place(device="cpu", quick=True, folder=tmp_path), found)
    assert found.failed == ["the size was halved: 16, then 16"]


def test_it_needs_no_ray():
    source = (
        "import sys\nsys.modules['ray'] = None\n"
        "from pipeline.benchmark.gpu_check.__main__ import main\n"
        "sys.exit(main(['--device', 'cpu', '--quick', '--only', 'end to end']))\n"
    )
    subprocess.run([sys.executable, "-c", source], check=True)


@pytest.mark.gpu
def test_on_a_gpu_everything_is_as_expected(tmp_path):
    file = tmp_path / "g.json"
    command.main(["--quick", "--json", str(file)])
    assert set(states(file).values()) == {"PASS"}
