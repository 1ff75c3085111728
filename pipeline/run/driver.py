"""The driver: has the pending shards explained, and is the only writer of the output."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from importlib import import_module
from typing import Any

from pipeline.classifiers import check_weights
from pipeline.errors import BrokenWorker, RequestError, RunError
from pipeline.job import Job
from pipeline.run.plan import Plan, Request, where
from pipeline.run.tally import Progress, Summary, Tally, too_many_failed
from pipeline.run.worker import ShardWorker
from pipeline.run.workers import Workers, run_here
from pipeline.store import Committed, RunFolder, RunLock, Store
from pipeline.tables import RunTables, Shard, ShardResult, cut


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
    if workers == 0:
        yield Request(job)
        return
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(Request, job)  # not Ray: its processes end with their thread
        with _scheduler().ray_for(workers, device, job.address):
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
        folder.open(request.fingerprint, lock, overwrite=job.overwrite)
        committed = request.committed()
        plan = request.plan(committed)
        _begin(folder, request.store, committed)
        about = {"started": time.time(), "manifest": request.manifest.uri, "job": job.resolved()}
        number = folder.write_plan({**dataclasses.asdict(plan), **about})
        salt = number if job.retry_failed else ""
        workers = workers or _workers(request, plan)
        tally = Tally(plan, max(1, workers.count))
        report(tally.progress())
        state = "stopped"
        try:
            if plan.pending:
                shards = request.shards(plan, committed, salt)
                for result in _results(shards, workers, job.address, tally):
                    if result is not None:
                        folder.commit(result.tables, result.commit)
                        tally.add(result)
                    report(tally.progress())
                    if too_many_failed(job.max_failures, tally):
                        raise RunError(_most_frequent(request.store.uri, tally))
                folder.check_lock()
            state = "finished"
        except KeyboardInterrupt:
            state = "interrupted"
            raise
        except BrokenWorker as error:  # the one in this process, which nothing can replace
            remedy = "with --no-compile the same command goes on" if error.change else "start again"
            raise RunError(f"the worker in this process is broken: {error}; {remedy}") from error
        finally:
            summary = tally.summary(state)
            # what has stopped the run must not be hidden by a summary that cannot be written either
            with nullcontext() if state == "finished" else suppress(RequestError, RunError):
                folder.write_summary(dataclasses.asdict(summary))
    return summary


def _begin(folder: RunFolder, store: Store, committed: Committed) -> None:
    """Build upon what is committed and is to stay; commits that lose images are written anew."""
    folder.begin(committed.names)
    for commit in committed.cut:
        gone = set(commit.explained) - committed.explained.keys()
        folder.commit(*cut(store, commit, gone))
    assert committed.contents is not None
    folder.sweep(committed.contents)


def _most_frequent(uri: str, tally: Tally) -> str:
    (stage, reason), count = RunTables(uri).failure_reasons()[0]
    return (
        f"{tally.in_a_row} images in a row have failed, {tally.explained} were explained; most "
        f"often ({count} times) {stage}: {reason}; see {uri}/failures; --retry-failed tries "
        "them again, --max-failures allows more"
    )


def _nowhere() -> RequestError:
    return RequestError("nowhere to write: give --out FOLDER or URL, or `out:` in the job file")


def _workers(request: Request, plan: Plan) -> Workers:
    make = partial(ShardWorker, request.worker_spec(plan.shard_size))
    timeout = request.job.timeout
    return Workers(make=make, count=request.workers, device=request.device, timeout=timeout)


def _results(
    shards: Iterator[Shard], workers: Workers, address: str | None, tally: Tally
) -> Iterator[ShardResult | None]:
    if workers.count == 0:
        return run_here(shards, workers, tally.begin)
    run_on_ray = _scheduler().run_on_ray
    found: Iterator[ShardResult | None]
    found = run_on_ray(shards, workers, address, tally.begin, tally.note)
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
