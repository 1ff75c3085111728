"""Ray clusters: started here or joined, who may join, their nodes, what is sent to them."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.run.cluster.access import MODE, has_token, no_token, users_cluster
    from pipeline.run.cluster.code import code_of, is_there
    from pipeline.run.cluster.files import held, share
    from pipeline.run.cluster.nodes import Draining, dead_end, missing, there
    from pipeline.run.cluster.paths import driver_path
    from pipeline.run.cluster.session import ray_for
else:
    __getattr__, __dir__ = lazy(__name__)
