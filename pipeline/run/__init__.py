"""A run: from a job to shards, through workers here or on Ray, to commits.

Ray is imported only when workers are started on it (`cluster`, `scheduler`).
"""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.run.batches import chunks
    from pipeline.run.device import Gpus, c_compiler, grows, places, prepare_device
    from pipeline.run.driver import SUBMISSION, on_ray, prepared, run
    from pipeline.run.estimate import Host, estimate_cost
    from pipeline.run.plan import Request, classifier_of, manifest_of
    from pipeline.run.prediction import columns, contrast_of, with_contrast
    from pipeline.run.spec import WorkerSpec
    from pipeline.run.status import Status
    from pipeline.run.tally import Progress, Summary
    from pipeline.run.turns import Turn
    from pipeline.run.work import Plan, Work
    from pipeline.run.worker import ShardWorker
    from pipeline.run.workers import Worker, Workers
else:
    __getattr__, __dir__ = lazy(__name__)
