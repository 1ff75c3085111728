"""A run: from a job to shards, through workers here or on Ray, to commits.

Ray is imported only when workers are started on it (`cluster`, `scheduler`).
"""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.run.batches import chunks
    from pipeline.run.driver import prepared, run
    from pipeline.run.estimate import estimate_cost
    from pipeline.run.plan import Plan, Request
    from pipeline.run.status import Status
    from pipeline.run.submission import Submission
    from pipeline.run.tally import Progress, Summary
    from pipeline.run.turns import Turn
    from pipeline.run.worker import ShardWorker
    from pipeline.run.workers import Workers
else:
    __getattr__, __dir__ = lazy(__name__)
