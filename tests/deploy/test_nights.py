"""Three nights over a manifest in a bucket that grows: killed, overlapping, with a new model."""

import json
import os
import subprocess
import sys
import time

import fsspec
import pytest
import torch

from pipeline import read
from pipeline.run import Status
from pipeline.shapes import load_shapes, write_dataset
from pipeline.store import RunFolder, Store

NIGHTS = (5, 10, 11)  # rows of the manifest
JOB = """
manifest: {bucket}/photos/manifest.csv
out: {bucket}/explained/{version}
model: python:pipeline.shapes:ShapesNetwork
preprocess: resize=128,crop=128
weights: {bucket}/models/{version}.pth
workers: 0
shard_size: 1
areas: [.1, .3]
retry_failed: true
"""


class Bucket:
    """Images, a manifest of the first rows, and weights of two versions; job files beside it."""

    def __init__(self, url, folder):
        self.url, self.folder = url, folder
        manifest = write_dataset(folder / "data", max(NIGHTS), 0)
        lines = manifest.read_text().splitlines()
        self.header, *self.rows = [",".join(line.split(",")[:2]) for line in lines]  # id, image
        self.ids = [row.split(",")[0] for row in self.rows]
        self.fs = fsspec.filesystem("s3")
        self.fs.put(str(manifest.parent / "images"), f"{url}/photos/images", recursive=True)
        for version in ("v1", "v2"):
            torch.manual_seed(0)
            network = load_shapes()
            if version == "v2":
                network.head.weight += 0.02 * torch.randn_like(network.head.weight)
            torch.save(network.state_dict(), folder / "w.pth")
            self.fs.put(str(folder / "w.pth"), f"{url}/models/{version}.pth")
            text = JOB.format(bucket=url, version=version)
            (folder / f"{version}.yaml").write_text(text)

    def grow(self, rows):
        """The manifest of a night, under the same name."""
        text = "\n".join([self.header, *self.rows[:rows]]) + "\n"
        self.fs.pipe(f"{self.url}/photos/manifest.csv", text.encode())

    def start(self, version):
        """The command of a night."""
        job = self.folder / f"{version}.yaml"
        command = [sys.executable, "-m", "jobs", "run", "--config", job, "--log-format", "json"]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)

    def explained(self, version):
        """Images that are committed."""
        return Status.of(RunFolder(Store(f"{self.url}/explained/{version}"))).explained


def ended(process):
    """Exit code and summary of a night."""
    lines = process.communicate(timeout=300)[0].splitlines()
    return process.returncode, json.loads(lines[-1])


@pytest.mark.slow
@pytest.mark.long
def test_three_nights(s3_url, tmp_path, xaipipe):
    bucket = Bucket(s3_url, tmp_path)

    bucket.grow(NIGHTS[0])
    first = bucket.start("v1")
    while bucket.explained("v1") < 2:
        assert first.poll() is None, first.stdout.read()
        time.sleep(1)
    first.kill()
    first.communicate()
    half = bucket.explained("v1")
    assert 2 <= half < NIGHTS[0]

    bucket.grow(NIGHTS[1])
    nights = [ended(process) for process in [bucket.start("v1"), bucket.start("v1")]]
    (done, summary), (refused, reason) = sorted(nights, key=lambda night: night[0])
    assert (done, summary["exit_code"], refused, reason["exit_code"]) == (0, 0, 2, 2)
    assert (summary["done_before"], summary["explained"]) == (half, NIGHTS[1] - half)
    assert "v1" in reason["error"]

    bucket.grow(NIGHTS[2])
    for version, before in (("v1", NIGHTS[1]), ("v2", 0)):
        code, summary = ended(bucket.start(version))
        assert (code, summary["failed"], summary["done_before"]) == (0, 0, before)
        assert summary["explained"] == NIGHTS[2] - before

    for version in ("v1", "v2"):
        run = read(f"{s3_url}/explained/{version}")
        for table, each in ((run.images, 1), (run.explanations, 1), (run.masks, 2)):
            assert sorted(table.to_table()["id"].to_pylist()) == sorted(bucket.ids * each)
        assert run.failures.count_rows() == 0

    runs = [f"{s3_url}/explained/{version}" for version in ("v1", "v2")]
    code, text = xaipipe("diff", *runs, "--workers", 0, "--out", tmp_path / "diff.parquet")
    assert code == 0 and "images in common" in text, text
    assert (tmp_path / "diff.parquet").exists()
    code, text = xaipipe("status", runs[1])
    assert code == 0 and f"{NIGHTS[2]} explained, 0 failed, 0 to go" in text
