"""What planning, committing and resuming take for a manifest of so many rows.

Each is measured in a process of its own, which runs this module, so that its memory is its own,
too. Nothing is explained; the rest is what a run does.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.benchmark.moment import Moment, watched
from pipeline.benchmark.simulation import sleeping_request, write_rows
from pipeline.benchmark.sleeper import Sleeper
from pipeline.errors import RequestError, RunError
from pipeline.store import RunFolder, Store
from pipeline.tables import Shard, ShardResult

FULL = 16  # shards committed with tables of the usual size, some megabytes each


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A process that plans a run and makes all the shards that it would send to workers.

    rows, done, pending  as planned
    sent, shards         rows in the shards that were made, and their number
    imports, first, all  when all was imported, when the first shard and when the last one was ready
    """

    rows: int
    done: int
    pending: int
    sent: int
    shards: int
    imports: Moment
    first: Moment
    all: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Committing:
    """A process that commits the first half of the rows to this machine's temporary folder.

    full            shards with tables of the usual size, in all `full_bytes`
    full_seconds    that their commits took; `full_processor` of it the processor worked
    small           shards with all ids and the tables of one image
    small_seconds   that their commits took
    """

    full: int
    full_bytes: int
    full_seconds: float
    full_processor: float
    small: int
    small_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """The three processes: an empty run planned, half of it committed, the other half planned.

    shards   of the whole manifest
    commits  seconds for so many full commits; computed, not measured
    """

    shard_size: int
    shards: int
    empty: Planned
    committing: Committing
    half: Planned
    commits: float


def measure_planning(rows: int, shard_size: int) -> Planning:
    """Measure with a generated manifest; RequestError if its half is not a row."""
    if rows < 2 or shard_size < 1:
        raise RequestError(
            f"{rows} rows in shards of {shard_size}; expected two rows and one a shard at least"
        )
    with TemporaryDirectory() as folder:
        write_rows(Path(folder), rows)
        empty = _planned(_apart("plan", folder, shard_size, rows))
        committing = Committing(**_apart("commit", folder, shard_size, rows // 2))
        half = _planned(_apart("plan", folder, shard_size, rows))
    shards = math.ceil(rows / shard_size)
    return Planning(
        shard_size=shard_size,
        shards=shards,
        empty=empty,
        committing=committing,
        half=half,
        commits=shards * committing.full_seconds / committing.full,
    )


def plan(folder: Path, shard_size: int, limit: int) -> Planned:
    """What `xaipipe run` does up to its first shard, and then without workers up to its last."""
    with watched() as now:
        imports = now()
        request = sleeping_request(folder, shard_size, limit)
        committed = request.committed()
        found = request.plan(committed)
        shards = request.shards(found, committed, "")
        sizes = [len(next(shards).refs)]
        first = now()
        sizes += [len(shard.refs) for shard in shards]
        return Planned(
            rows=found.images,
            done=found.done,
            pending=found.pending,
            sent=sum(sizes),
            shards=len(sizes),
            imports=imports,
            first=first,
            all=now(),
        )


def commit(folder: Path, shard_size: int, limit: int) -> Committing:
    """Commits these first rows, the first shards with tables as large as those of a run."""
    request = sleeping_request(folder, shard_size, limit)
    assert request.store is not None
    run, sleeper = RunFolder(Store(request.store.uri)), Sleeper(0.0, "simulated")
    run.open(request.fingerprint)
    committed = request.committed()
    run.begin(committed.names)
    times: list[tuple[float, float]] = []
    size = 0
    for shard in request.shards(request.plan(committed), committed, ""):
        full = len(times) < FULL
        result = sleeper(shard) if full else _small(shard, sleeper)
        size += full * sum(map(len, result.tables.values()))
        began = time.perf_counter(), time.process_time()
        run.commit(result.tables, result.commit)
        times.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    seconds, processor = zip(*times, strict=True)
    return Committing(
        full=len(times[:FULL]),
        full_bytes=size,
        full_seconds=sum(seconds[:FULL]),
        full_processor=sum(processor[:FULL]),
        small=len(times[FULL:]),
        small_seconds=sum(seconds[FULL:]),
    )


def _small(shard: Shard, sleeper: Sleeper) -> ShardResult:
    """The tables of the shard's first image, and a marker that has all of them."""
    result = sleeper(Shard(shard.refs[:1]))
    ids = tuple(ref.id for ref in shard.refs)
    return replace(result, commit=replace(result.commit, shard=shard.name, explained=ids))


def _apart(task: str, folder: str, shard_size: int, limit: int) -> dict[str, Any]:
    """What a process of its own prints."""
    command = [
        sys.executable,
        "-m",
        "pipeline.benchmark.planning",
        task,
        folder,
        str(shard_size),
        str(limit),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise RunError(f"measuring `{task}` in {folder} failed: {reason}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _planned(data: dict[str, Any]) -> Planned:
    moments = {name: Moment(**data[name]) for name in ("imports", "first", "all")}
    return Planned(**{**data, **moments})


def main(task: str, folder: str, shard_size: str, limit: str) -> None:
    """Measure `plan` or `commit` in this process and print the figures as JSON."""
    given = Path(folder), int(shard_size), int(limit)
    print(json.dumps(asdict(plan(*given) if task == "plan" else commit(*given))))


if __name__ == "__main__":
    main(*sys.argv[1:])
