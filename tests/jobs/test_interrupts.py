"""Runs that are interrupted, from the first moment on, and runs that nobody listens to."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import read
from pipeline.shapes import write_dataset
from pipeline.store import RunLock, Store
from tests.variants import variants

ROOT = Path(__file__).parents[2]
JOB = ("data/manifest.csv", "--model", "builtin:shapes", "--out", "out", "--shard-size", "1")
SHORT = ("--steps", "2", "--areas", ".2", "--workers", "0", "--limit", "3")
FACTORY = """
import gc, signal, time


class Odd:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)  # Python ignores what is raised here


def hang():
    Odd()
    time.sleep(100)
"""


SLOW = """
import time
from pathlib import Path

Path("importing").touch()
time.sleep({})
"""
GREEDY = """
import time

try:
    import slow
except:
    pass


def hang():
    time.sleep(100)
"""


@pytest.fixture
def start(here):
    """Starts a command; whatever is still running at the end is killed."""
    started = []
    write_dataset(here / "data", 12, 0)

    def run(*arguments, stdout=-1, **options):
        command = [sys.executable, "-m", "jobs", *arguments]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{here}"}
        process = subprocess.Popen(
            command, env=environment, stdout=stdout, stderr=-1, start_new_session=True, **options
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def catches(process, number):
    """Whether the process has a handler of its own for a signal."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (caught,) = (line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def until(found):
    deadline = time.monotonic() + 120
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def end(process):
    out, err = process.communicate(timeout=60)
    text = ((out or b"") + err).decode()
    assert "Traceback" not in text, text
    return process.returncode, text


@pytest.mark.parametrize("delay", variants([0, 2, 0.1, 0.5], always=2))
def test_in_the_first_seconds(start, delay):
    process = start("run", *JOB, *SHORT)
    until(lambda: catches(process, signal.SIGHUP))
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    code, _ = end(process)
    assert code == 130


@pytest.mark.parametrize(
    "signals", variants([["SIGTERM", "SIGTERM", "SIGHUP"], ["SIGHUP"], ["SIGINT"]])
)
def test_in_the_middle(start, signals):
    process = start("run", *JOB, "--workers", "0")
    until(lambda: list(Path("out").glob("_run/commits/*")))
    for name in signals:
        process.send_signal(getattr(signal, name))
    code, text = end(process)
    assert code == 130
    assert "interrupted: what was committed stays; the same command goes on" in text
    assert json.loads(Path("out/_run/summary.json").read_bytes())["state"] == "interrupted"
    assert RunLock.holder(Store("out")) is None


@pytest.mark.long
def test_a_terminal_that_closes_over_workers_on_ray(start):
    """All processes get the signal, Ray's too."""
    process = start("run", *JOB, "--workers", "1")
    until(lambda: list(Path("out").glob("_run/commits/*")))
    os.killpg(process.pid, signal.SIGHUP)
    code, text = end(process)
    assert code == 130 and "interrupted" in text
    assert json.loads(Path("out/_run/summary.json").read_bytes())["state"] == "interrupted"
    assert RunLock.holder(Store("out")) is None


def test_once_is_enough_while_a_server_is_silent(start, here):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        Path("data/m.csv").write_text(f"image\nhttp://127.0.0.1:{port}/a.png\n")
        process = start("run", "data/m.csv", *JOB[1:], *SHORT)
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=40)  # reading it would be given up after 60 s
        connection.close()
    code, text = end(process)
    assert code == 130 and "interrupted" in text


def test_once_is_enough_where_python_ignores_it(start, here):
    (here / "factory.py").write_text(FACTORY)
    code, text = end(start("run", *JOB, *SHORT, "--model", "python:factory:hang"))
    assert code == 130 and not Path("out").exists(), text


def test_while_a_library_does_without_an_import_that_fails(here, start):
    """Not lost in its `except:`."""
    (here / "slow.py").write_text(SLOW.format(1.5))
    (here / "factory.py").write_text(GREEDY)
    process = start("run", *JOB, *SHORT, "--model", "python:factory:hang")
    until((here / "importing").exists)
    process.send_signal(signal.SIGINT)
    code, text = end(process)
    assert code == 130 and not Path("out").exists(), text


def test_an_import_that_does_not_end_is_not_waited_for(here, start):
    (here / "factory.py").write_text(SLOW.format(100))
    process = start("run", *JOB, *SHORT, "--model", "python:factory:hang")
    until((here / "importing").exists)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None  # it waits
    process.send_signal(signal.SIGINT)
    code, text = end(process)
    assert code == 130 and not Path("out").exists(), text


def test_what_was_told_to_ignore_a_signal_ignores_it(start):
    process = start(
        "run", *JOB, *SHORT, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    until(lambda: catches(process, signal.SIGTERM))
    process.send_signal(signal.SIGHUP)
    assert end(process)[0] == 0


def test_a_reader_that_goes_away_makes_it_silent(start):
    process = start("run", *JOB, *SHORT)
    assert process.stdout.readline().startswith(b"checking")
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    assert read("out").images.count_rows() == 3


def test_a_terminal_that_goes_away_makes_it_silent(start):
    ours, theirs = pty.openpty()
    process = start("run", *JOB, *SHORT, stdout=theirs)
    os.close(theirs)
    assert os.read(ours, 100)
    os.close(ours)
    assert end(process) == (0, "")
    assert read("out").images.count_rows() == 3
