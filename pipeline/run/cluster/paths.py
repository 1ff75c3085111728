"""Where workers look for modules: what is installed comes before what lies in the driver's folder.

Ray itself would put the driver's folder in front, where a user's `pipeline.py` hides ours.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

import ray
from ray.job_config import JobConfig

ROOT = str(Path(__file__).parents[3])  # of our packages


class _Fixed(list[str]):
    """Folders that Ray puts in front, to which it can add none."""

    def extend(self, more: Any) -> None:
        """Where Ray would add the driver's folder."""


def init(**options: Any) -> None:
    """`ray.init` whose workers find our packages, wherever the driver was started."""
    installed = ROOT in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    job = JobConfig()
    job._py_driver_sys_path = _Fixed([] if installed else [ROOT])
    ray.init(job_config=job, **options)


def driver_path() -> list[str]:
    """Folders from which this process imports; absolute."""
    folders = (os.path.abspath(folder) for folder in (*sys.path, os.getcwd()))
    return [folder for folder in folders if os.path.isdir(folder)]
