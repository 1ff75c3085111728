"""What a far-away store costs: images/s with a wait before every read, against files on this disk.

    python -m tests.latency --latency .05 --images 512 --repeats 5

Files, a tar archive and a Parquet file of the same images, in turn and repeatedly, in one process;
the ratio is of medians. The worker is real but for its device, which only sleeps, at the pace of a
GPU (`--pace`), or is this machine's CPU (`--pace 0`); it holds two shards, as an actor does.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from pipeline import Request, load_job
from pipeline.manifest import Manifest
from pipeline.run.actor import IN_FLIGHT, Actor
from pipeline.run.turns import Turns
from pipeline.run.worker import ShardWorker
from pipeline.shapes import write_dataset
from pipeline.tables import Shard
from tests.packed import tar_bytes


class LateFileSystem(MemoryFileSystem):
    """For `late://` URLs: memory that answers every read after a while."""

    protocol = "late"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    latency: ClassVar[float] = 0.0
    reads: ClassVar[int] = 0

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, str) and path.startswith("late://"):
            path = path.replace("late://", "memory://", 1)
        return super()._strip_protocol(path)

    def cat_file(self, path: str, *given: Any, **more: Any) -> Any:
        self._wait()
        return super().cat_file(path, *given, **more)

    def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        if mode != "rb":
            return super()._open(path, mode, **more)
        return _LateFile(self.store[path].getvalue())

    @classmethod
    def _wait(cls) -> None:
        cls.reads += 1
        time.sleep(cls.latency)


class _LateFile(io.BytesIO):
    """An open file whose reads are late."""

    def read(self, size: int | None = -1) -> bytes:
        LateFileSystem._wait()
        return super().read(size)


class Sleeps(ShardWorker):
    """A worker whose device only sleeps, so many seconds an image."""

    pace = 0.0

    def _explain_or_isolate(self, batch: Any, found: Any) -> None:
        if self.pace:
            time.sleep(self.pace * len(batch))
        else:
            super()._explain_or_isolate(batch, found)


def written(folder: Path, images: int) -> dict[str, str]:
    """The same images in four places: manifests by name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fsspec.register_implementation("late", LateFileSystem, clobber=True)
    local = write_dataset(folder, images, 0)
    fs = fsspec.filesystem("late")
    members: dict[str, bytes] = {}
    for path in sorted((folder / "images").iterdir()):
        members[path.name] = path.read_bytes()
        fs.pipe_file(f"late://d/images/{path.name}", members[path.name])
    fs.pipe_file("late://d/manifest.csv", local.read_bytes())
    fs.pipe_file("late://d/0.tar", tar_bytes(members))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": data, "path": None} for data in members.values()]
    with pa.BufferOutputStream() as sink:
        pq.write_table(pa.table({"image": pa.array(cells, kind)}), sink, row_group_size=100)
        fs.pipe_file("late://d/0.parquet", sink.getvalue().to_pybytes())
    return {
        "files, here": str(local),
        "files, far away": "late://d/manifest.csv",
        "tar, far away": "late://d/0.tar",
        "Parquet, far away": "late://d/0.parquet",
    }


def rate(actor: Actor, manifest: str, shard: int) -> float:
    """Images/s of an actor that always holds two shards."""
    refs = [ref for ref in Manifest(manifest, classes=actor.worker.classifier.classes)]  # type: ignore[attr-defined]
    shards = [Shard(tuple(refs[n : n + shard])) for n in range(0, len(refs), shard)]
    actor.turns = Turns()
    began = time.monotonic()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for _ in pool.map(actor.explain, shards, range(len(shards))):
            pass
    return len(refs) / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pace", type=float, default=0.01)
    parser.add_argument("--shard", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        manifests = written(Path(folder), given.images)
        job = {"manifest": manifests["files, here"], "model": "builtin:shapes", "workers": 0}
        job |= {"batch": given.batch, "steps": given.steps}
        actor = Actor()
        actor.worker = Sleeps(Request(load_job(None, job)).worker_spec(given.shard))
        actor.worker.pace = given.pace
        found: dict[str, list[float]] = {name: [] for name in manifests}
        reads: dict[str, int] = {}
        for _ in range(given.repeats):
            for name, manifest in manifests.items():
                LateFileSystem.latency, LateFileSystem.reads = given.latency, 0
                found[name].append(rate(actor, manifest, given.shard))
                reads[name] = LateFileSystem.reads
    here = statistics.median(found["files, here"])
    for name, rates in found.items():
        ratio = statistics.median(rates) / here
        spread = f"{min(rates):.1f} .. {max(rates):.1f}"
        print(
            f"{name:18} {statistics.median(rates):7.1f} images/s ({spread}), {ratio:.3f} of here,"
            f" {reads[name]} reads"
        )


if __name__ == "__main__":
    main()
