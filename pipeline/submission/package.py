"""The package: a folder that is sent with a job, in which its driver and its workers start."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import RequestError
from pipeline.job import Job
from pipeline.manifest import Manifest
from pipeline.paths import plain_path
from pipeline.run.cluster import code_of, is_there
from pipeline.submission.files import LocalPath, is_local, local_inputs, manifests, model_path

MOST_BYTES = 256_000_000  # of what is sent in all; Ray takes 500 MiB
LOOKED_AT = 100  # rows of the manifest, to see whether its images are local
JOB_FILE = "job.yaml"
CREDENTIALS = {  # scheme of a URL -> what reads it
    "s3": "AWS's credentials (a role of its machines, or AWS_* variables) for s3://",
    "gs": "Google's credentials (a service account) for gs://",
    "gcs": "Google's credentials (a service account) for gcs://",
    "az": "Azure's credentials (AZURE_STORAGE_* variables) for az://",
    "abfs": "Azure's credentials (AZURE_STORAGE_* variables) for abfs://",
    "hf": "HF_TOKEN for what is not public on the Hugging Face hub",
}


@dataclass(slots=True)
class Package:
    """What is sent.

    folder  holds the job file and everything else
    sent    what of this machine is in it; notes: what is not, and what the cluster needs for it
    """

    folder: Path
    sent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bytes: int = 0


@contextmanager
def packed(job: Job, manifest: Manifest | None) -> Iterator[Package]:
    """The package of a job, for a while.

    manifest  what `check_here` has said of the job
    """
    with tempfile.TemporaryDirectory(prefix="xaipipe-") as folder:
        package = Package(Path(folder))
        data = {key: value for key, value in job.resolved().items() if value is not None}
        for one in local_inputs(job):
            data |= _place(one, job, package)
        if not isinstance(job.manifest, str):
            absolute = (os.path.abspath(i) if is_local(i) else i for i in job.manifest)
            data["manifest"] = list(absolute)
        if job.model.startswith("python:"):
            _add_code(job.model.removeprefix("python:"), package)
        if is_local(str(job.out)):
            data["out"] = os.path.abspath(plain_path(str(job.out)))
            package.notes.append(f"the head must be able to write {data['out']}, a local folder")
        images = [] if manifest is None else [ref.image for ref in islice(manifest, LOOKED_AT)]
        package.notes += _needs(job, images)
        text = yaml.safe_dump({**data, "address": "auto"}, allow_unicode=True)
        (package.folder / JOB_FILE).write_text(text, encoding="utf-8")
        yield package


def _place(one: LocalPath, job: Job, package: Package) -> dict[str, Any]:
    """What the job says instead: a path within the package, or an absolute one of this machine."""
    whole = one.path.absolute()
    images = one.key == "root" or (one.key == "manifest" and not one.path.is_file())
    if images or package.bytes + one.bytes > MOST_BYTES:
        what = "the images in" if images else f"{one.bytes / 1e6:.0f} MB are not sent:"
        package.notes.append(f"every node must be able to read {what} {whole}, a local path")
        return _named(one, job, str(whole))
    relative = _inside(one)
    target = package.folder / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = shutil.copytree if one.path.is_dir() else shutil.copyfile
    copy(one.path, target)
    package.bytes += one.bytes
    package.sent.append(str(one.path))
    changed = _named(one, job, relative)
    if one.key == "manifest" and job.root is None:
        changed["root"] = str(whole.parent)  # of relative paths in it
    return changed


def _inside(one: LocalPath) -> str:
    """Its path in the package: the same if it is a relative one that stays within."""
    given = os.path.normpath(one.path)
    outside = os.path.isabs(given) or given.startswith("..") or given == JOB_FILE
    return f"files/{one.key}/{one.path.name}" if outside else given


def _named(one: LocalPath, job: Job, path: str) -> dict[str, Any]:
    if one.key != "model":
        return {one.key: path}
    kind = job.model.partition(":")[0]
    return {"model": f"{kind}:{path if kind != 'hf' or path.startswith('/') else f'./{path}'}"}


def _add_code(name: str, package: Package) -> None:
    if not is_there(name):
        package.notes.append(f"python:{name} is not on this machine; it must be installed there")
        return
    folder, parts = code_of(name)
    if not parts:
        package.notes.append(f"python:{name} is installed here, and must be installed there")
    for part in parts:
        one = LocalPath(key="code", path=part)
        package.bytes += one.bytes
        if package.bytes > MOST_BYTES:
            raise RequestError(
                f"--model python:{name}: {part} makes {package.bytes / 1e6:.0f} MB to send, "
                f"expected at most {MOST_BYTES / 1e6:.0f} MB; move data out of the package, or "
                "install it on the cluster"
            )
        target = package.folder / part.relative_to(folder)
        if part.is_dir():
            skipped = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(part, target, ignore=skipped, dirs_exist_ok=True)
        else:
            shutil.copyfile(part, target)
        package.sent.append(str(part))


def _needs(job: Job, images: list[str]) -> list[str]:
    """What the cluster must have of its own: nothing secret is sent."""
    named = (job.out, job.weights, job.labels, job.baseline, job.start_file, job.root)
    uris = [*manifests(job), *named]
    hub = job.model.startswith("hf:") and model_path(job.model) is None
    uris.append(job.model if hub else job.model.partition(":")[2])
    notes = []
    if found := [image for image in images if is_local(image)]:
        notes.append(f"every node must be able to read the images, local files such as {found[0]}")
    elif is_local(manifests(job)[0]) and not images:
        folder = os.path.abspath(plain_path(job.root or os.path.dirname(manifests(job)[0])))
        notes.append(f"images that the manifest names by relative paths are looked for in {folder}")
    for scheme, needed in CREDENTIALS.items():
        mark = f"{scheme}:" if scheme == "hf" else f"{scheme}://"
        if any(uri is not None and uri.startswith(mark) for uri in [*uris, *images]):
            notes.append(f"every node needs {needed}; none are sent")
    return notes
