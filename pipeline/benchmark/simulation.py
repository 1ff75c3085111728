"""Simulated runs: manifest, plan, scheduler, Ray and commits are real, but workers only sleep."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.benchmark.simulated import Simulated, SimulationConfig
from pipeline.benchmark.sleeper import Sleeper
from pipeline.job import load_job
from pipeline.run import Request, Workers, run
from pipeline.store import Commit, RunFolder, Store, private_memory


def simulate(workers: int, config: SimulationConfig) -> Simulated:
    """Run with so many sleeping workers on a local Ray that is told to have as many GPUs."""
    with TemporaryDirectory() as folder:
        write_rows(Path(folder), workers * config.images)
        request = sleeping_request(Path(folder), config.shard_size)
        assert request.store is not None
        request.folder = clock = _Clock(request.store)
        sleepers = Workers(make=partial(Sleeper, config.seconds), count=workers, device="cuda")
        cpu, started = time.process_time(), time.monotonic()
        summary = run(request, lambda progress: None, sleepers)
        cpu = time.process_time() - cpu
    return Simulated(
        workers=workers,
        images=summary.explained,
        steady=clock.rate(),
        whole=summary.explained / summary.seconds,
        ideal=workers / config.seconds if config.seconds else float("inf"),
        ramp_up=max(done[0][0] for done in clock.times.values()) - started,
        driver_cpu=cpu / summary.seconds,
        memory_first=clock.memory[0],
        memory_peak=max(clock.memory),
    )


def write_rows(folder: Path, rows: int) -> None:
    """A manifest of images that are not there."""
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "target"])
        writer.writerows([f"image-{n:08d}", f"{n:08d}.jpg", n % 10] for n in range(rows))


def sleeping_request(folder: Path, shard_size: int, limit: int | None = None) -> Request:
    """A run of the manifest in `folder`, whose classifier is not for calling."""
    job = {
        "manifest": str(folder / "manifest.csv"),
        "out": str(folder / "out"),
        "model": "builtin:shapes",
        "shard_size": shard_size,
        "limit": limit,
    }
    return Request(load_job(None, job))


class _Clock(RunFolder):
    """A run's folder that notes when whose images are committed, and the memory it takes then."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.times: dict[str, list[tuple[float, int]]] = {}  # worker -> (time, images)
        self.memory: list[int] = []

    def commit(self, tables: Mapping[str, bytes], commit: Commit) -> None:
        super().commit(tables, commit)
        done = (time.monotonic(), len(commit.explained))
        self.times.setdefault(commit.worker, []).append(done)
        self.memory.append(private_memory())

    def rate(self) -> float:
        """Images/s between each worker's first and last commit, summed over the workers."""
        rate = 0.0
        for (first, _), *rest in self.times.values():
            if rest:
                rate += sum(images for _, images in rest) / (rest[-1][0] - first)
        return rate
