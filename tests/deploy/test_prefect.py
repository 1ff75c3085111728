"""The Prefect flow with an imitated `xaipipe`; without Prefect where that is not installed.

Prefect is no dependency of the tests: it would bring a hundred others. In its place stand
decorators that leave functions as they are and take the arguments that Prefect 3 takes.
"""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.deploy.kubernetes import DEPLOY

FLOW = DEPLOY / "prefect" / "nightly.py"
PREFECT = """
def flow(*, name, log_prints):
    return lambda function: function

def task(*, log_prints, retries=0, retry_delay_seconds=0, retry_condition_fn=None):
    if retries and (retries, retry_delay_seconds) != (3, 300):
        raise ValueError
    return lambda function: function
"""
XAIPIPE = """#!/bin/bash
echo "$@" >> "$CALLED"
[[ $1 == run ]] && exit "$CODE"
exit 0
"""


@pytest.fixture
def nightly(tmp_path):
    """Runs the flow once with a run that ends with this code; returns the process and the calls."""
    if find_spec("prefect") is None:
        (tmp_path / "prefect.py").write_text(PREFECT)
    (tmp_path / "xaipipe").write_text(XAIPIPE)
    (tmp_path / "xaipipe").chmod(0o755)
    (tmp_path / "photos.yaml").write_text("out: s3://bucket/out\n")

    def run(code):
        environment = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(tmp_path),
            "CALLED": str(tmp_path / "called"),
            "CODE": str(code),
        }
        done = subprocess.run(
            [sys.executable, FLOW, "photos.yaml", "--once"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        return done, (tmp_path / "called").read_text().splitlines()

    return run


@pytest.mark.parametrize(
    ("code", "good", "reported", "says"),
    [
        (0, True, True, ""),
        (3, False, True, "images failed: xaipipe status s3://bucket/out"),
        (2, False, False, "ValueError"),
        (1, False, False, "ended with exit code 1"),
        (130, False, False, "ended with exit code 130"),
    ],
)
def test_the_report_is_written_when_the_run_has_finished(
    nightly, tmp_path, code, good, reported, says
):
    done, calls = nightly(code)
    assert (done.returncode == 0) == good
    assert says in done.stdout + done.stderr
    assert calls[0] == f"run --config {tmp_path}/photos.yaml"
    assert calls[1:] == ["report s3://bucket/out --to photos.html"] * reported
