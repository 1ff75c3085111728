"""Files and folders of this machine that a job names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.classifiers import FILE_KINDS
from pipeline.job import Job
from pipeline.paths import plain_path

INPUTS = (
    "manifest",
    "weights",
    "labels",
    "baseline",
    "start_file",
    "root",
)  # keys that may name local paths


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPath:
    """A path of this machine; `key` is where the job names it, `model` for a classifier's file."""

    key: str
    path: Path

    @property
    def flag(self) -> str:
        """The option that names it."""
        return "--start" if self.key == "start_file" else f"--{self.key}"

    @property
    def bytes(self) -> int:
        """Of the file, or of all in the folder."""
        if not self.path.is_dir():
            return self.path.stat().st_size
        return sum(one.stat().st_size for one in self.path.rglob("*") if one.is_file())


def local_inputs(job: Job) -> Iterator[LocalPath]:
    """What the job reads from this machine's disks, whether it exists or not; but images."""
    for key in INPUTS:
        value = getattr(job, key)
        if isinstance(value, str) and is_local(value):
            yield LocalPath(key=key, path=Path(plain_path(value)))
    if (path := model_path(job.model)) is not None:
        yield LocalPath(key="model", path=path)


def model_path(spec: str) -> Path | None:
    """The local file or folder that a classifier's name is; None where it is none."""
    kind, _, name = spec.partition(":")
    folder = kind == "hf" and (name.startswith((".", "/", "~")) or os.path.isdir(name))
    if (kind in FILE_KINDS and is_local(name)) or folder:
        return Path(plain_path(name))
    return None


def manifests(job: Job) -> tuple[str, ...]:
    """The manifest, or the images that were named one by one."""
    return (job.manifest,) if isinstance(job.manifest, str) else job.manifest


def is_local(uri: str) -> bool:
    """Whether it is a path of this machine, not a URL."""
    return "://" not in uri or uri.startswith("file://")
