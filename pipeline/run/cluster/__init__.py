"""Ray clusters: started here or joined, who may join, their nodes, jobs submitted to them."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.run.cluster.nodes import Draining, dead_end, missing
    from pipeline.run.cluster.session import ray_for
    from pipeline.run.cluster.submission import Submission, job_file
else:
    __getattr__, __dir__ = lazy(__name__)
