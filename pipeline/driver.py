"""The driver: has the pending shards explained, and is the only writer of the output."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.errors import RequestError
from pipeline.lock import RunLock
from pipeline.plan import Plan, Request
from pipeline.scheduler import run_here, run_on_ray
from pipeline.worker import Shard, ShardResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is: images in all, done before it, explained and failed by it, seconds."""

    images: int
    done_before: int
    explained: int
    failed: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Progress):
    """How a run ended: `finished`, `interrupted` or `stopped`; `finished` is epoch seconds."""

    state: str
    finished: float


def run(request: Request, report: Callable[[Progress], None]) -> Summary:
    """Explain what is pending and commit it shard by shard; the same request resumes.

    report  is called after every commit and about twice a second
    Raises RequestError (another configuration, or a second driver), RunError (it cannot go on) and
    KeyboardInterrupt; what was committed stays.
    """
    job, folder = request.job, request.folder
    if folder is None or request.store is None:
        raise RequestError("nowhere to write: give --out FOLDER or URL, or `out:` in the job file")
    with RunLock(request.store) as lock:
        folder.open(request.fingerprint, overwrite=job.overwrite)
        folder.sweep()
        committed = request.committed()
        plan = request.plan(committed)
        about = {"started": time.time(), "manifest": request.manifest.uri, "job": job.resolved()}
        number = folder.write_plan({**dataclasses.asdict(plan), **about})
        salt = number if job.retry_failed else ""
        tally = _Tally(plan)
        report(tally.progress())
        state = "stopped"
        try:
            if plan.pending:
                for result in _results(request, request.shards(plan, committed, salt)):
                    if result is not None:
                        lock.check()
                        folder.commit(result.commit.shard, result.tables, result.commit)
                        tally.add(result)
                    report(tally.progress())
            state = "finished"
        except KeyboardInterrupt:
            state = "interrupted"
            raise
        finally:
            summary = tally.summary(state)
            folder.write_summary(dataclasses.asdict(summary))
    return summary


def _results(request: Request, shards: Iterator[Shard]) -> Iterator[ShardResult | None]:
    spec = request.worker_spec()
    if request.workers == 0:
        return run_here(shards, spec)
    return run_on_ray(shards, spec, request.workers, request.job.address)


@dataclass(slots=True)
class _Tally:
    plan: Plan
    explained: int = 0
    failed: int = 0
    started: float = dataclasses.field(default_factory=time.monotonic)

    def add(self, result: ShardResult) -> None:
        self.explained += len(result.commit.explained)
        self.failed += len(result.commit.failed)

    def progress(self) -> Progress:
        return Progress(
            images=self.plan.images,
            done_before=self.plan.images - self.plan.pending,
            explained=self.explained,
            failed=self.failed,
            seconds=time.monotonic() - self.started,
        )

    def summary(self, state: str) -> Summary:
        counts = dataclasses.asdict(self.progress())
        return Summary(state=state, finished=time.time(), **counts)
