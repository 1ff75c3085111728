"""`--log-format json`: every line is an object, and the last one says how it ended."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.shapes import write_dataset

FAST = ["--model", "builtin:shapes", "--steps", "3", "--areas", ".1,.3", "--workers", "0"]


@pytest.fixture
def manifest(tmp_path):
    path = write_dataset(tmp_path / "data", 2, 0)
    with path.open("a") as stream:
        stream.write("broken,images/broken.png,0,,,\n")
    return path


@pytest.fixture
def logged(xaipipe, monkeypatch):
    """Runs a command line with JSON lines; returns its exit code and the objects."""
    printed = []
    monkeypatch.setattr("builtins.print", lambda *given, **named: printed.append(given[0]))

    def run(*arguments):
        printed.clear()
        code, rest = xaipipe(*arguments, "--log-format", "json")
        assert rest == ""
        return code, [json.loads(line) for line in printed]

    return run


def test_a_run_that_leaves_failures(logged, manifest, tmp_path):
    code, lines = logged("run", manifest, "--out", tmp_path / "out", *FAST)
    events = [line["event"] for line in lines]
    assert (code, events[-1], events.count("summary")) == (3, "summary", 1)
    assert {"message", "progress"} <= set(events) and all("time" in line for line in lines)
    progress = [line for line in lines if line["event"] == "progress"][-1]
    assert (progress["explained"], progress["failed"], progress["images"]) == (2, 1, 3)
    last = lines[-1]
    assert last["seconds"] > 0
    reason = {"stage": "read", "reason": "there is no such file", "images": 1}
    assert {name: last[name] for name in ("exit_code", "error", "explained", "failed")} == {
        "exit_code": 3,
        "error": None,
        "explained": 2,
        "failed": 1,
    }
    assert last["most_frequent_failure"] == reason and last["out"] == str(tmp_path / "out")
    code, lines = logged("evaluate", tmp_path / "out", "--workers", 0)
    assert (code, lines[-1]["command"], lines[-1]["explained"]) == (0, "evaluate", 2)


@pytest.mark.parametrize(
    ("change", "code", "error"),
    [
        (["--steps", "0"], 2, "steps"),
        (["--weights", "https://me:secret@127.0.0.1:9/w.pth"], 2, "w.pth"),
    ],
)
def test_a_refused_request_ends_with_its_sentence(logged, manifest, tmp_path, change, code, error):
    found, lines = logged("run", manifest, "--out", tmp_path / "out", *FAST, *change)
    last = lines[-1]
    assert (found, last["event"], last["exit_code"]) == (code, "summary", code)
    assert error in last["error"] and "secret" not in json.dumps(lines)
    assert "explained" not in last


def test_an_interrupted_run_says_so_last(manifest, tmp_path):
    slow = [*FAST, "--steps", "100000"]
    command = [sys.executable, "-m", "jobs", "run", manifest, "--out", tmp_path / "out", *slow]
    process = subprocess.Popen(
        [*command, "--log-format", "json"], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    lines = [json.loads(process.stdout.readline())]
    while lines[-1]["event"] != "progress":
        lines.append(json.loads(process.stdout.readline()))
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    lines += [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
    assert process.returncode == 130
    assert (lines[-1]["event"], lines[-1]["exit_code"], lines[-1]["explained"]) == (
        "summary",
        130,
        0,
    )
