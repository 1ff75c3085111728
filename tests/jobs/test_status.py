"""`xaipipe status --watch`: redrawn until the run has ended, or its reader has seen enough."""

import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.store import RunLock, Store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(here, shapes_run):
    """The lock of a run that seems to go on."""
    shutil.copytree(shapes_run, "out")
    return RunLock(Store("out"))


def watch(*arguments, stdout=-1):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    command = [sys.executable, "-m", "jobs", "status", *arguments]
    return subprocess.Popen(command, env=environment, stdout=stdout, stderr=-1)


def states(process, count):
    """The next lines that tell the state."""
    found = (line.split() for line in process.stdout)
    lines = (words for words in found if words[:1] == [b"state"])
    return [next(lines)[1].decode() for _ in range(count)]


@pytest.mark.parametrize("arguments", [("out", "--watch", ".1"), ("--watch", "out")])
def test_it_ends_with_the_run(run, arguments):
    with run, watch(*arguments) as process:
        assert states(process, 2) == ["running", "running"]
        run.__exit__(None, None, None)
        rest = process.stdout.read().decode()
        assert process.wait(timeout=60) == 0 and process.stderr.read() == b""
    assert rest.splitlines()[-5].split()[:2] == ["state", "finished"]


def test_ctrl_c_ends_it(run):
    with run, watch("out", "--watch") as process:
        states(process, 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0 and process.stderr.read() == b""


def test_on_a_terminal_it_is_drawn_over(run):
    ours, theirs = pty.openpty()
    text = b""
    with run, watch("out", "--watch", ".1", stdout=theirs) as process:
        os.close(theirs)
        while text.count(b"running") < 2:
            text += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0 and process.stderr.read() == b""
    os.close(ours)
    assert b"\x1b[1A" in text  # the cursor goes up


def test_one_look_is_the_default_and_time_goes_forward(run, xaipipe):
    with run:
        code, text = xaipipe("status", "out")
        assert code == 0 and text.count("running on") == 1
        for wrong in ("0", "-1"):
            assert xaipipe("status", "out", "--watch", wrong)[0] == 2
    code, text = xaipipe("status", "out", "--watch")
    assert code == 0 and text.count("finished") == 1
    code, text = xaipipe("status", "--help")
    assert "--watch" in text and "[SECONDS]" in text and "Ctrl-C" in text
