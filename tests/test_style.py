"""Format, lint and types, so that one command checks everything."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


OURS = ["inr_core", "pipeline", "jobs", "tests", "deploy"]  # not an environment beside them


@pytest.mark.parametrize(
    "tool", [["ruff", "format", "--check", *OURS], ["ruff", "check", *OURS], ["mypy"]]
)
def test_the_source_is_clean(tool: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
