"""The driver: has the pending shards explained, and is the only writer of the output."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from pipeline.cluster import ray_for
from pipeline.errors import RequestError
from pipeline.job import Job
from pipeline.lock import RunLock
from pipeline.plan import Plan, Request, where
from pipeline.scheduler import Workers, run_here, run_on_ray
from pipeline.shard import Shard, ShardResult
from pipeline.worker import ShardWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is: images in all, done before it, explained and failed by it, seconds.

    notes  what its workers have to say, each once
    """

    images: int
    done_before: int
    explained: int
    failed: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Progress):
    """How a run ended: `finished`, `interrupted` or `stopped`; `finished` is epoch seconds."""

    state: str
    finished: float


@contextmanager
def prepared(job: Job) -> Iterator[Request]:
    """The request of a job, looked at while Ray starts on this machine; for `run` in the block.

    Raises RequestError like `Request`.
    """
    if job.out is None:
        raise _nowhere()
    device, workers = where(job)
    if workers == 0 or job.address is not None:
        yield Request(job)
        return
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(Request, job)  # not Ray: its processes end with their thread
        with ray_for(workers, device, None):
            yield request.result()


def run(
    request: Request, report: Callable[[Progress], None], workers: Workers | None = None
) -> Summary:
    """Explain what is pending and commit it shard by shard; the same request resumes.

    report   is called after every commit and about twice a second
    workers  others than those of the request
    Raises RequestError (another configuration, or a second driver), RunError (it cannot go on) and
    KeyboardInterrupt; what was committed stays.
    """
    job, folder = request.job, request.folder
    if folder is None or request.store is None:
        raise _nowhere()
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
                shards = request.shards(plan, committed, salt)
                workers = workers or _workers(request)
                for result in _results(shards, workers, job.address, tally.note):
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


def _nowhere() -> RequestError:
    return RequestError("nowhere to write: give --out FOLDER or URL, or `out:` in the job file")


def _workers(request: Request) -> Workers:
    make = partial(ShardWorker, request.worker_spec())
    return Workers(make=make, count=request.workers, device=request.device)


def _results(
    shards: Iterator[Shard], workers: Workers, address: str | None, tell: Callable[[str], None]
) -> Iterator[ShardResult | None]:
    if workers.count == 0:
        return run_here(shards, workers, tell)
    return run_on_ray(shards, workers, address, tell)


@dataclass(slots=True)
class _Tally:
    plan: Plan
    explained: int = 0
    failed: int = 0
    started: float = dataclasses.field(default_factory=time.monotonic)
    notes: list[str] = dataclasses.field(default_factory=list)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

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
            notes=tuple(self.notes),
        )

    def summary(self, state: str) -> Summary:
        counts = dataclasses.asdict(self.progress())
        return Summary(state=state, finished=time.time(), **counts)
