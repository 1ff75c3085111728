"""A driver's process, forked from one that has everything imported: `xaipipe` from its entry on."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# What a run imports, so that a fork has it already.
import pandas  # noqa: F401
import pyarrow.dataset  # noqa: F401

import jobs.cli
import pipeline.run.driver
import pipeline.run.worker  # noqa: F401
from tests.chaos.bend import Bend


def drive(arguments: Sequence[str], bend: Bend, log: str) -> None:
    """Run a command line, what it prints going to a file; ends with its exit code."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)
    sys.argv = ["xaipipe", *arguments]
    bend.apply()
    try:
        jobs.cli.main()
    finally:
        sys.stdout.flush()
