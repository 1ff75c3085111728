"""The driver: has the pending shards of any kind of work done, and alone writes the output."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import import_module
from typing import Any

from pipeline.classifiers import check_weights
from pipeline.errors import BrokenWorker, RequestError, RunError
from pipeline.job import Job
from pipeline.run.plan import Request, where
from pipeline.run.tally import Progress, Summary, Tally, too_many_failed
from pipeline.run.work import Plan, Work
from pipeline.run.workers import Workers, run_here
from pipeline.store import Committed, RunFolder, RunLock, Store
from pipeline.tables import Shard, ShardResult, cut

SUBMISSION = "XAIPIPE_SUBMISSION"  # variable with the name of the job that this driver is


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
    pool = ThreadPoolExecutor(1)
    request = pool.submit(Request, job)  # not Ray: its processes end with their thread
    pool.shutdown(wait=False)
    with on_ray(workers, device, job.address, job.gpu_fraction or 1.0, code_to_send(job)):
        found = request.result()
        if found.grow:
            found.workers = max(workers, _scheduler().there(job.gpu_fraction or 1.0))
        yield found


def run(work: Work, report: Callable[[Progress], None], workers: Workers | None = None) -> Summary:
    """Do what is pending and commit it shard by shard; the same again resumes.

    report   is called after every commit and about twice a second
    workers  others than those of the work
    Raises RequestError (another configuration, or a second driver), RunError (it cannot go on) and
    KeyboardInterrupt; what was committed stays.
    """
    job, folder, store = work.job, work.folder, work.store
    if folder is None or store is None:
        raise _nowhere()
    with RunLock(store, folder.layout) as lock:
        folder.open(work.fingerprint, lock, overwrite=job.overwrite)
        committed = work.committed()
        plan = work.plan(committed)
        _begin(folder, store, committed)
        _put_first(store, work.first_files(), anew=job.overwrite)
        about = {"started": time.time(), **work.about()}
        number = folder.write_plan({**dataclasses.asdict(plan), **about})
        salt = number if job.retry_failed else ""
        workers = workers or _workers(work, plan)
        tally = Tally(plan, max(1, workers.count))
        report(tally.progress())
        state = "stopped"
        try:
            if plan.pending:
                shards = work.shards(plan, committed, salt)
                for result in _results(shards, workers, job.address, tally):
                    if result is not None:
                        folder.commit(result.tables, result.commit)
                        tally.add(result)
                    report(tally.progress())
                    if too_many_failed(job.max_failures, tally):
                        raise RunError(_most_frequent(work, tally))
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
                submission = os.environ.get(SUBMISSION)
                folder.write_summary({**dataclasses.asdict(summary), "submission": submission})
    return summary


def code_to_send(job: Job) -> str | None:
    """MODULE:FACTORY of a classifier whose code other machines may lack."""
    kind, _, name = job.model.partition(":")
    return name if kind == "python" and job.address is not None else None


def on_ray(
    workers: int, device: str, address: str | None, gpu: float = 1.0, code: str | None = None
) -> AbstractContextManager[None]:
    """Ray for so many workers, in the block; nothing where there are none. See `ray_for`."""
    if workers == 0:
        return nullcontext()
    ray: AbstractContextManager[None] = _scheduler().ray_for(workers, device, address, gpu, code)
    return ray


def _begin(folder: RunFolder, store: Store, committed: Committed) -> None:
    """Build upon what is committed and is to stay; commits that lose images are written anew."""
    folder.begin(committed.names)
    for commit in committed.cut:
        gone = set(commit.explained) - committed.explained.keys()
        folder.commit(*cut(store, commit, gone))
    assert committed.contents is not None
    folder.sweep(committed.contents)


def _put_first(store: Store, files: dict[str, bytes], *, anew: bool) -> None:
    for name, data in files.items():
        if anew or not store.exists(name):
            store.put(name, data)


def _most_frequent(work: Work, tally: Tally) -> str:
    assert work.store is not None and work.folder is not None
    (stage, reason), count = work.reasons()[0]
    return (
        f"{tally.in_a_row} images in a row have failed, {tally.explained} were explained; most "
        f"often ({count} times) {stage}: {reason}; see {work.store.uri}/"
        f"{work.folder.layout.failures}; --retry-failed tries them again, --max-failures allows "
        "more"
    )


def _nowhere() -> RequestError:
    return RequestError("nowhere to write: give --out FOLDER or URL, or `out:` in the job file")


def _workers(work: Work, plan: Plan) -> Workers:
    return Workers(
        make=work.make(plan),
        count=work.workers,
        device=work.device,
        timeout=work.job.timeout,
        gpu=work.gpu,
        grow=work.grow,
        files=work.files(),
    )


def _results(
    shards: Iterator[Shard], workers: Workers, address: str | None, tally: Tally
) -> Iterator[ShardResult | None]:
    if workers.count == 0:
        return run_here(shards, workers, tally.begin)
    run_on_ray = _scheduler().run_on_ray
    found: Iterator[ShardResult | None]
    found = run_on_ray(shards, workers, address, tally.begin, tally.note, tally.grown)
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
