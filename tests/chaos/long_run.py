"""A long run: does its driver's memory grow, do open files, do logs?

    python -m tests.chaos.long_run --images 100000

All is real but the workers, which sleep for no time and return tiny masks. Exit code 1 if memory
or open files grow from the first tenth of the commits to the last one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipeline.benchmark.simulation import sleeping_request, write_rows
from pipeline.benchmark.sleeper import Sleeper
from pipeline.run import Workers, run
from pipeline.store import Commit, RunFolder, Store, private_memory
from pipeline.tables import png

GROWTH = 16e6  # bytes of memory that may come and go
FILES = 8  # likewise, open files


class Tiny(Sleeper):
    """A sleeper whose networks and masks take next to nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(0.0, name)
        self.parameters = [bytes(64)] * len(self.parameters)
        self.masks = [png(np.zeros((4, 4), np.uint8))] * len(self.masks)


@dataclass(frozen=True, slots=True)
class Sample:
    """After a commit: bytes of the driver's memory, its open files, bytes of Ray's logs."""

    memory: int
    files: int
    logs: int


class Watched(RunFolder):
    """A run's folder that takes a sample after every few commits."""

    def __init__(self, store: Store, every: int) -> None:
        super().__init__(store)
        self.samples: list[Sample] = []
        self._every, self._commits = every, 0

    def commit(self, tables: Mapping[str, bytes], commit: Commit) -> None:
        super().commit(tables, commit)
        self._commits += 1
        if self._commits % self._every == 0:
            files = len(os.listdir("/proc/self/fd"))
            self.samples.append(Sample(private_memory(), files, _ray_logs()))


def long_run(images: int, shard_size: int, workers: int) -> tuple[list[Sample], float]:
    """Samples of a run of so many images, a hundred or so, and the seconds that it took."""
    with TemporaryDirectory() as folder:
        write_rows(Path(folder), images)
        request = sleeping_request(Path(folder), shard_size)
        assert request.store is not None
        watched = Watched(request.store, max(1, images // shard_size // 100))
        request.folder = watched
        began = time.monotonic()
        sleepers = Workers(make=Tiny, count=workers, device="cpu")
        summary = run(request, lambda progress: None, sleepers)
        assert summary.explained == images
        return watched.samples, time.monotonic() - began


def grown(samples: Sequence[Sample]) -> tuple[float, float]:
    """Memory in bytes and open files that came on top, from the second tenth to the last one."""
    tenth = max(1, len(samples) // 10)
    early, late = samples[tenth : 2 * tenth], samples[-tenth:]
    return tuple(  # type: ignore[return-value]
        statistics.median(getattr(s, name) for s in late)
        - statistics.median(getattr(s, name) for s in early)
        for name in ("memory", "files")
    )


def _ray_logs() -> int:
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return 0
    total = 0
    for file in Path(ray._private.worker._global_node.get_logs_dir_path()).rglob("*"):
        with suppress(OSError):
            total += file.stat().st_size
    return total


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.long_run", description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--shard-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    samples, seconds = long_run(given.images, given.shard_size, given.workers)
    memory, files = grown(samples)
    first, last = samples[0], samples[-1]
    print(f"{given.images} images in {seconds:.0f} s, {len(samples)} samples")
    print(
        f"memory: first {first.memory / 1e6:.0f} MB, last {last.memory / 1e6:.0f} MB, most ", end=""
    )
    print(f"{max(s.memory for s in samples) / 1e6:.0f} MB; grown by {memory / 1e6:+.1f} MB")
    print(f"open files: first {first.files}, last {last.files}; grown by {files:+.0f}")
    print(f"Ray's logs: first {first.logs / 1e3:.0f} kB, last {last.logs / 1e3:.0f} kB")
    return int(memory > GROWTH or files > FILES)


if __name__ == "__main__":
    sys.exit(main())
