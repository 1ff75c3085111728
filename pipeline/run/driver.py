"""The driver: has the pending shards explained, and is the only writer of the output."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from pipeline.classifiers import check_weights
from pipeline.errors import RequestError
from pipeline.job import Job
from pipeline.run.plan import Request, where
from pipeline.run.tally import Progress, Summary, Tally
from pipeline.run.worker import ShardWorker
from pipeline.run.workers import Ready, Workers, run_here
from pipeline.store import RunLock
from pipeline.tables import Shard, ShardResult


@contextmanager
def prepared(job: Job) -> Iterator[Request]:
    """The request of a job, looked at while Ray starts on this machine; for `run` in the block.

    Raises RequestError like `Request`.
    """
    if job.out is None:
        raise _nowhere()
    device, workers = where(job)
    if job.weights is not None:
        check_weights(job.weights)
    if workers == 0 or job.address is not None:
        yield Request(job)
        return
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(Request, job)  # not Ray: its processes end with their thread
        with _scheduler().ray_for(workers, device, None):
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
        workers = workers or _workers(request)
        tally = Tally(plan, max(1, workers.count))
        report(tally.progress())
        state = "stopped"
        try:
            if plan.pending:
                shards = request.shards(plan, committed, salt)
                for result in _results(shards, workers, job.address, tally.begin):
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
    shards: Iterator[Shard], workers: Workers, address: str | None, ready: Ready
) -> Iterator[ShardResult | None]:
    if workers.count == 0:
        return run_here(shards, workers, ready)
    found: Iterator[ShardResult | None] = _scheduler().run_on_ray(shards, workers, address, ready)
    return found


def _scheduler() -> Any:
    """The module of workers on Ray, which is imported where there are some."""
    try:
        return import_module("pipeline.run.scheduler")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("ray"):
            raise
        raise RequestError(
            'workers of their own need Ray: pip install "ray[default]"; or work in this process, '
            "--workers 0"
        ) from error
